"""What a glance passes the model must take, or a reader would meet an error where the stream should have."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.providers import glance as glances
from turnout.messages.responses import ModelResponseStream
from turnout.messages.text_completions import TextCompletionResponse

FILTERS = {"hate": {"filtered": False, "severity": "safe"}, "protected_material_text": {"detected": False}}
CHAT = {
    "id": "c\u00e9",
    "object": "chat.completion.chunk",
    "created": 1700000000,
    "model": "m",
    "system_fingerprint": None,
    "service_tier": "default",
    "choices": [
        {
            "index": 3,
            "delta": {"content": 'h\u00e9"\n\U0001f600', "role": "assistant", "refusal": None},
            "logprobs": None,
            "finish_reason": None,
            "content_filter_results": FILTERS,
        }
    ],
    "usage": None,
}
TEXT = {
    "id": "c",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 3, "text": "h\u00e9", "logprobs": None, "finish_reason": None}],
}
KINDS = [
    pytest.param(CHAT, glances.CHAT.decode, ModelResponseStream, id="chat"),
    pytest.param(TEXT, glances.TEXT.decode, TextCompletionResponse, id="text"),
]

PIECES = [
    b"1", b"-0", b"1e3", b"1E400", b"9" * 25, b"9" * 5000, b"null", b"true", b'"x"', b"[]", b"{}",
    b"NaN", b'"\\ud800"', b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\x1f", b"\x7f",
    b"\\", b"\\u", b'"', b",", b":", b" ", b"\n", b"{", b"}", b"[", b"]", b"01", b"1.", b'"choices":[],',
    b'"usage":{},', b'"index":1.0,', b'"index":-3,', b"",
]  # fmt: skip


@pytest.mark.parametrize(("chunk", "glance", "model"), KINDS)
def test_a_chunk_as_providers_send_it_passes(chunk, glance, model):
    data = json.dumps(chunk).encode()
    assert [choice.index for choice in glance(data).choices] == [3]
    assert model.model_validate_json(data).choices[0].index == 3


@pytest.mark.parametrize(("chunk", "glance", "model"), KINDS)
@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), st.sampled_from(PIECES)), max_size=3),
    escaped=st.booleans(),
)
def test_what_passes_is_a_chunk_that_ends_nothing(chunk, glance, model, edits, escaped):
    data = json.dumps(chunk, ensure_ascii=escaped).encode()
    for where, length, piece in edits:
        at = round(where * len(data))
        data = data[:at] + piece + data[at + length :]
    try:
        seen = glance(data)
    except ValueError:
        return
    made = model.model_validate_json(data)
    assert [choice.index for choice in made.choices] == [choice.index for choice in seen.choices]
    assert all(choice.finish_reason is None for choice in made.choices)
    assert made.usage is None
    assert not made.get("error")


@pytest.mark.parametrize(("chunk", "glance", "model"), KINDS)
@pytest.mark.parametrize("value", [1.0, 1.5, True, "1", 2**70, -1, 10**400, None, [], {}, "x", float("nan")])
def test_a_member_of_another_type_passes_only_where_the_model_takes_it(chunk, glance, model, value):
    choice = chunk["choices"][0]
    inner = [{**choice, name: value} for name in choice]
    inner += [{**choice, "delta": {**choice["delta"], name: value}} for name in choice.get("delta", ())]
    changed = [{**chunk, name: value} for name in chunk] + [{**chunk, "choices": [one]} for one in inner]
    passed = 0
    for each in changed:
        data = json.dumps(each).encode()
        try:
            glance(data)
        except ValueError:
            continue
        model.model_validate_json(data)
        passed += 1
    assert passed < len(changed)
