"""Callbacks are told which of a router's methods was called, whatever it asks for."""

from __future__ import annotations

import asyncio

import pytest

KINDS = [
    ("completion", {"messages": [{"role": "user", "content": "a text"}]}, "hi"),
    ("text_completion", {"prompt": "a text"}, "hi"),
    ("embedding", {"input": ["a text"]}, [0.5]),
    ("image_generation", {"prompt": "a text"}, "https://a.invalid/cat.png"),
    ("moderation", {"input": "a text"}, True),
    ("transcription", {"file": b"RIFF"}, "hi"),
    ("speech", {"input": "a text", "voice": "alloy"}, b"RIFF"),
]
SAID = {name: asked.get("input", asked.get("prompt", asked.get("messages"))) for name, asked, _ in KINDS}


@pytest.mark.parametrize(("name", "asked", "answer"), KINDS, ids=[row[0] for row in KINDS])
def test_the_call_type_is_the_method_that_was_called(kit, make_router, name, asked, answer):
    told = kit.Sync()
    router = make_router(kit.entry(mock_response=answer), callbacks=[told])
    blocking = getattr(router, name)(model="gpt-4", **asked)
    awaited = asyncio.run(getattr(router, f"a{name}")(model="gpt-4", **asked))
    router.close()
    ends = told.of("success")
    assert [kwargs["call_type"] for _, kwargs, *_ in ends] == [name, f"a{name}"]
    assert [response for _, _, response, *_ in ends] == [blocking, awaited]
    assert [kwargs["call_type"] for _, kwargs, *_ in told.of("pre")] == [name, f"a{name}"]


@pytest.mark.parametrize(("name", "asked", "answer"), KINDS, ids=[row[0] for row in KINDS])
def test_the_input_is_what_was_asked_and_no_parameter(kit, make_router, name, asked, answer):
    told = kit.Sync()
    router = make_router(kit.entry(mock_response=answer), callbacks=[told])
    getattr(router, name)(model="gpt-4", size="big", **asked)
    router.close()
    ((_, kwargs, *_),) = told.of("success")
    assert kwargs["input"] == SAID[name]
    assert kwargs["messages"] == asked.get("messages")
    assert kwargs["optional_params"].pop("size") == "big"
    assert not kwargs["optional_params"].keys() & {"input", "messages", "prompt", "file"}


def test_a_failure_is_told_with_its_kind_too(kit, make_router):
    told = kit.Sync()
    router = make_router(kit.entry(mock_response="litellm.RateLimitError"), callbacks=[told])
    with pytest.raises(kit.turnout.RateLimitError):
        router.image_generation("a cat", model="gpt-4")
    router.close()
    ((_, kwargs, *_),) = told.of("failure")
    assert (kwargs["call_type"], kwargs["log_event_type"]) == ("image_generation", "failed_api_call")
