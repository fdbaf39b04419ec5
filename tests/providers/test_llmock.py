"""The codec and the transport against llmock, an upstream written by somebody else."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from turnout.messages import errors as e

STARTUP_SECONDS = 30.0


@pytest.fixture(scope="module")
def llmock():
    """The address of an llmock server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-c", "from llmock.cli import app; app()", "serve", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*program, "--port", str(port), "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "llmock ended"
            assert time.monotonic() < give_up, "llmock does not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def ask(kit, llmock):
    """`ask(behaviours..., **request)`: one call to llmock that first hears what it shall do."""

    def ask_(*behaviours, **params):
        _post(f"{llmock}/_llmock/reset", {})
        if behaviours:
            _post(f"{llmock}/_llmock/scenario", {"behaviors": list(behaviours)})

        async def run():
            async with kit.calling() as start, asyncio.timeout(20):
                heard = start(kit.deployment(api_base=f"{llmock}/v1", model="gpt-4o"), **params)
                await heard.over.wait()
                return heard

        return asyncio.run(run())

    return ask_


def _post(url: str, value: object) -> None:
    request = urllib.request.Request(url, json.dumps(value).encode(), method="POST")
    urllib.request.urlopen(request).close()


def test_an_answer(ask):
    heard = ask()
    assert heard.outcome.status == "succeeded"
    assert heard.outcome.response.choices[0].message.content
    assert heard.outcome.usage.total_tokens > 0


def test_a_stream(ask):
    heard = ask(stream=True)
    assert heard.kinds == ["ProviderOpened", "ProviderFinished"]
    assert heard.outcome.usage.completion_tokens > 0
    assert heard.text()


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls(ask, stream):
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
    }
    reply = {"type": "reply", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}
    heard = ask(reply, tools=[tool], stream=stream)
    if stream:
        calls = [
            c for chunk in heard.chunks() for choice in chunk.choices for c in choice.delta.tool_calls or ()
        ]
        name, arguments = (
            calls[0]["function"]["name"],
            "".join(c["function"].get("arguments") or "" for c in calls),
        )
    else:
        function = heard.outcome.response.choices[0].message.tool_calls[0]["function"]
        name, arguments = function["name"], function["arguments"]
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "Paris"})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, e.BadRequestError),
        (401, e.AuthenticationError),
        (403, e.PermissionDeniedError),
        (404, e.NotFoundError),
        (429, e.RateLimitError),
        (500, e.InternalServerError),
        (503, e.ServiceUnavailableError),
    ],
)
def test_an_error(ask, status, kind):
    heard = ask({"type": "fail", "status": status})
    assert type(heard.error) is kind
    assert heard.error.status_code == status


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "malformed"])
def test_a_broken_stream_never_ends_silently(ask, fault):
    heard = ask({"type": "stream_fault", "kind": fault, "after_chunks": 2}, stream=True)
    assert heard.kinds == ["ProviderOpened", "ProviderFinished"]
    assert isinstance(heard.error, e.APIError)
