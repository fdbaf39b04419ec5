"""An estimate from UTF-8 bytes: texts, messages' frames, tools, images."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import CompletionRequest
from turnout.messages.outcomes import Demand
from turnout.messages.prompt_size import (
    IMAGE_TOKENS,
    LOW_DETAIL_TOKENS,
    TOKENS_PER_MESSAGE,
    PromptSize,
    chat_size,
    estimate,
    message_texts,
    tools_text,
)

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def user(content, **more):
    return {"role": "user", "content": content, **more}


@pytest.mark.parametrize(
    ("messages", "text_bytes", "fixed"),
    [
        ([user("abcd")], 4, 4),
        ([user("abcd"), user("é")], 6, 8),
        ([user("漢字")], 6, 4),
        ([user(None)], 0, 4),
        ([user("")], 0, 4),
        ([user([{"type": "text", "text": "ab"}, {"type": "text", "text": "漢"}])], 5, 4),
        ([user([{"type": "image_url", "image_url": {"url": "x"}}])], 0, 4 + IMAGE_TOKENS),
        (
            [user([{"type": "image_url", "image_url": {"url": "x", "detail": "low"}}])],
            0,
            4 + LOW_DETAIL_TOKENS,
        ),
        ([user([{"type": "input_image", "detail": "low"}])], 0, 4 + LOW_DETAIL_TOKENS),
        ([user(["odd", 7, {"text": 7}])], 0, 4),
        ([user("\ud800")], 1, 4),
    ],
)
def test_what_a_prompt_weighs(messages, text_bytes, fixed):
    assert chat_size(messages) == PromptSize(text_bytes, fixed)


def test_tools_and_tool_calls_count_as_the_text_they_are():
    written = len(json.dumps([TOOL], separators=(",", ":")))
    assert chat_size([user("")], [TOOL]).text_bytes == written
    assert chat_size([{"role": "assistant", "tool_calls": [TOOL]}]).text_bytes == written
    demand = CompletionRequest(model="m", messages=[user("x" * 40)], tools=[TOOL]).demand()
    assert demand.text_bytes == 40 + written
    assert demand.input_tokens == TOKENS_PER_MESSAGE - (-(40 + written) // 4)
    assert (
        CompletionRequest(model="m", messages=[user("x")], functions=[TOOL]).demand().text_bytes
        == 1 + written
    )


def test_tools_that_are_no_json_are_left_to_whoever_sends_them():
    endless = []
    endless.append(endless)
    assert chat_size([user("abcd")], endless).text_bytes == 4
    assert chat_size([user("abcd")], [object()]).text_bytes > 4


@given(st.lists(st.one_of(st.text(), st.lists(st.fixed_dictionaries({"text": st.text()})))), st.booleans())
def test_the_bytes_are_those_of_the_texts_that_are_counted(contents, offered):
    messages = [user(content) for content in contents]
    tools = [TOOL] if offered else None
    texts = [*message_texts(messages), tools_text(tools)]
    assert chat_size(messages, tools).text_bytes == sum(len(t.encode("utf-8", "replace")) for t in texts)


@given(st.integers(0, 10**7), st.integers(0, 1000), st.floats(0.04, 2))
def test_the_estimate_is_the_bytes_by_the_ratio_rounded_up(text_bytes, fixed, ratio):
    tokens = estimate(PromptSize(text_bytes, fixed), ratio)
    assert 0 <= tokens - fixed - text_bytes * ratio < 1 + 1e-6
    assert estimate(PromptSize(text_bytes, fixed)) == fixed + -(-text_bytes // 4)
    assert Demand(7, None, text_bytes, fixed).input_at(ratio) == (tokens if text_bytes else 7)
