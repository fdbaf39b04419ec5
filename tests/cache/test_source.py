"""An answer is kept as it came: nobody writes its JSON a second time."""

from __future__ import annotations

import httpx
from pydantic import BaseModel

from turnout import Router
from turnout.actors.cache import answers
from turnout.actors.cache.answers import pack_answer, unpack_answer
from turnout.messages.caching import Kept
from turnout.messages.responses import ModelResponse
from turnout.testing import FakeClock

HELLO = [{"role": "user", "content": "Hello"}]
BODY = b'{ "id" : "1",\n "choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}], "odd": [1] }'


def model_list(**params):
    return [{"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k", **params}}]


def refuse_to_write(monkeypatch):
    def never(_value):
        raise AssertionError("an answer was written again")

    monkeypatch.setattr(answers, "pack_part", never)


def test_an_answer_over_http_is_kept_as_the_body_it_came_in(monkeypatch):
    refuse_to_write(monkeypatch)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=BODY))
    with Router(model_list(), clock=FakeClock(), transport=transport, cache_responses=True) as router:
        first = router.completion("gpt-4", HELLO)
        first.choices[0].message.content = "changed by its caller"
        second = router.completion("gpt-4", HELLO)
    assert second.route.cache_hit
    assert second.choices[0].message.content == "Hi"
    assert second["odd"] == [1]


def test_a_mock_answer_is_kept_as_the_data_it_was_made_of(monkeypatch):
    refuse_to_write(monkeypatch)
    entries = model_list(mock_response="Hi")
    with Router(entries, clock=FakeClock(), cache_responses=True) as router:
        first, second = (router.completion("gpt-4", HELLO) for _ in range(2))
    assert second.route.cache_hit
    assert second.model_dump() == first.model_dump()


def test_an_answer_without_an_id_is_kept_with_the_one_it_was_given():
    body = BODY.replace(b'"id" : "1",', b"")
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    with Router(model_list(), clock=FakeClock(), transport=transport, cache_responses=True) as router:
        first, second = (router.completion("gpt-4", HELLO) for _ in range(2))
    assert second.route.cache_hit
    assert second.id == first.id


def test_data_that_is_no_json_is_written_by_the_answer_itself():
    class Call(BaseModel):
        id: str

    message = {"role": "assistant", "content": None, "tool_calls": [Call(id="call_1")]}
    source = {"id": "1", "choices": [{"index": 0, "message": message}]}
    packed = pack_answer(ModelResponse.model_validate(source), source)
    kept = Kept("completion", False, "gpt-4", "eu", 0.0, (packed,))
    assert unpack_answer(kept).choices[0].message.tool_calls == [{"id": "call_1"}]
