"""`router.chat.completions.create`: written for OpenAI's client, run on a router."""

import asyncio

import pytest

from turnout import BadRequestError, ModelResponse, ModelStream, RateLimitError, Router
from turnout.testing import FakeClock

MESSAGES = [{"role": "user", "content": "Hello"}]


def test_a_program_for_openais_client_runs_on_a_router(routed, sdk):
    def program(client):
        answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=5)
        parts = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        text = "".join(part.choices[0].delta.content or "" for part in parts)
        return answer.choices[0].message.content, answer.usage.total_tokens, text

    assert program(routed("gpt-4o")) == program(sdk)


def test_it_is_the_routers_own_completion(mocked):
    router = mocked(mock_response="hi")
    answer = router.chat.completions.create(model="m", messages=MESSAGES)
    assert type(answer) is ModelResponse
    assert answer.route.deployment_id == "one"
    assert type(router.chat.completions.create(model="m", messages=MESSAGES, stream=True)) is ModelStream


def test_there_is_an_awaited_twin(kit):
    async def run():
        entries = [
            kit.entry("a", "m", mock_response=RateLimitError("no")),
            kit.entry("b", "n", mock_response="x"),
        ]
        async with Router(entries, fallbacks=[{"m": ["n"]}], clock=FakeClock()) as router:
            answer = await router.chat.completions.acreate(model="m", messages=MESSAGES)
            stream = await router.chat.completions.acreate(model="n", messages=MESSAGES, stream=True)
            return answer.route.model_group, [part.choices[0].delta.content async for part in stream]

    assert asyncio.run(run()) == ("n", ["x", None])


def test_arguments_have_names_as_in_openais_client(mocked):
    with pytest.raises(TypeError):
        mocked().chat.completions.create("m", MESSAGES)
    with pytest.raises(BadRequestError, match="messages"):
        mocked().chat.completions.create(model="m", messages=[])


def test_it_says_whose_it_is(mocked):
    router = mocked()
    assert repr(router.chat) == f"{router!r}.chat"
    assert repr(router.chat.completions) == f"{router!r}.chat.completions"
