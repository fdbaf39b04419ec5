"""An upstream that judges its client: llmock breaks things on purpose and says how we took it."""

from __future__ import annotations

import asyncio
import json
import urllib.request

import pytest

from turnout import BadRequestError, MidStreamError, Router

llmock = pytest.importorskip("llmock.testing")

RATE_LIMITED = {"type": "fail", "status": 429, "retry_after": 0.3, "times": 2}
FAULTS = [
    [],
    [{"type": "fail", "status": 500}],
    [{"type": "fail", "status": 502}],
    [{"type": "fail", "status": 503}],
    [{"type": "fail", "status": 529}],
    [RATE_LIMITED],
    [{"type": "fail", "status": 500}, RATE_LIMITED],
    [{"type": "fail", "status": 400}],
    [{"type": "delay", "seconds": 0.05}],
]
STREAM_FAULTS = [
    [],
    [{"type": "fail", "status": 503}],
    [RATE_LIMITED],
    [{"type": "stream_fault", "kind": "disconnect", "after_chunks": 0}],
    [{"type": "stream_fault", "kind": "disconnect", "after_chunks": 3}],
    [{"type": "stream_fault", "kind": "truncate", "after_chunks": 0}],
    [{"type": "stream_fault", "kind": "truncate", "after_chunks": 3}],
    [{"type": "stream_fault", "kind": "malformed", "after_chunks": 3}],
    [{"type": "stream_fault", "kind": "stall", "after_chunks": 3, "stall_seconds": 5}],
    [{"type": "slow_first_token", "seconds": 0.05}],
]


PAUSE_SECONDS = 0.2
"""A careful program backs off; and llmock counts a second try as one once it saw the first one end."""


@pytest.fixture
def upstream():
    with llmock.LLMockServer() as server:
        yield server


def call_admin(upstream, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(upstream.url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


async def whole_answer(router, prompt, stream):
    """What a careful program does: a stream that breaks half-way is asked for again, once."""
    messages = [{"role": "user", "content": prompt}]
    for last_try in (False, True):
        try:
            answer = await router.acompletion(model="gpt-4", messages=messages, stream=stream)
            if not stream:
                return answer.choices[0].message.content
            return "".join([c.choices[0].delta.content or "" async for c in answer if c.choices])
        except MidStreamError:
            if last_try:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        except BadRequestError:
            return "refused"
    raise AssertionError


async def drive(upstream):
    entry = {
        "model_name": "gpt-4",
        "litellm_params": {
            "model": "openai/gpt-4",
            "api_key": "sk-test",
            "api_base": upstream.base_url("openai"),
            "stream_timeout": 1.0,
        },
    }
    settings = {"num_retries": 3, "cooldown_time": 0.1, "on_exhausted": "wait", "timeout": 30}
    async with Router(model_list=[entry], **settings) as router:
        answers = []
        for stream, faults in ((False, FAULTS), (True, STREAM_FAULTS)):
            for number, behaviours in enumerate(faults):
                if behaviours:
                    call_admin(upstream, "/_llmock/scenario", {"behaviors": behaviours})
                answers.append(await whole_answer(router, f"question {number} {stream}", stream))
        return answers


def test_the_verdict_on_a_router_with_three_retries_is_clean(upstream):
    answers = asyncio.run(drive(upstream))
    verdict = call_admin(upstream, "/_llmock/verdict")
    assert all(answers)
    assert answers.count("refused") == 1
    assert verdict["faults_injected"] >= 16, verdict
    assert verdict["passed"], verdict
    assert verdict["findings"] == []
