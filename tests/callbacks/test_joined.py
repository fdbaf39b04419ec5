"""A stream's chunks, joined to the answer that success callbacks are given."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from turnout.messages import joined
from turnout.messages.joined import JoinedAnswer
from turnout.messages.outcomes import Usage
from turnout.messages.responses import ModelResponseStream


def chunk(*deltas, usage=None, finish=None):
    choices = [
        {"index": index, "delta": delta, "finish_reason": finish} for index, delta in enumerate(deltas)
    ]
    return ModelResponseStream.model_validate(
        {"id": "x1", "created": 7, "model": "m", "choices": choices, "usage": usage}
    )


def join(*chunks, usage=None):
    answer = JoinedAnswer()
    for one in chunks:
        answer.add(one)
    return answer.response(usage, "r.1")


@given(st.lists(st.lists(st.text(max_size=5), min_size=2, max_size=2), max_size=20))
def test_the_text_of_each_choice_is_what_its_chunks_say(rows):
    answer = join(*(chunk({"content": one}, {"content": other}) for one, other in rows))
    for choice in answer.choices:
        assert choice.message.content == "".join(row[choice.index] for row in rows)
    assert len(answer.choices) == (2 if rows else 0)


def test_id_model_usage_and_reason_are_kept():
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    answer = join(chunk({"role": "assistant", "content": "Hi"}), chunk({}, finish="stop"), chunk(usage=usage))
    assert (answer.id, answer.created, answer.model) == ("x1", 7, "m")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 5


def test_without_a_chunk_of_usage_it_is_what_the_call_was_settled_with():
    assert join(chunk({"content": "Hi"}), usage=Usage(3, 4)).usage.total_tokens == 7


def test_tool_calls_are_put_together_by_their_index():
    def part(index, **function):
        return {"index": index, "function": function}

    answer = join(
        chunk({"tool_calls": [{**part(0, name="find", arguments=""), "id": "c0", "type": "function"}]}),
        chunk({"tool_calls": [part(0, arguments='{"a"'), {**part(1, name="stop"), "id": "c1"}]}),
        chunk({"tool_calls": [part(0, arguments=": 1}"), "nonsense"]}, finish="tool_calls"),
    )
    first, second = answer.choices[0].message.tool_calls
    assert first == {
        "id": "c0",
        "type": "function",
        "function": {"name": "find", "arguments": '{"a": 1}'},
    }
    assert second["function"] == {"name": "stop", "arguments": ""}
    assert answer.choices[0].message.content is None


def test_what_is_too_long_is_cut_and_says_so(monkeypatch):
    monkeypatch.setattr(joined, "MAX_JOINED_CHARS", 10)
    answer = join(*(chunk({"content": "four"}) for _ in range(5)))
    assert answer.choices[0].message.content == "fourfour"
    assert answer.truncated is True


def test_choices_and_tool_calls_are_bounded(monkeypatch):
    monkeypatch.setattr(joined, "MAX_JOINED_CHOICES", 2)
    monkeypatch.setattr(joined, "MAX_JOINED_TOOL_CALLS", 2)
    calls = [{"index": number, "function": {"name": "f"}} for number in range(4)]
    answer = join(chunk({"tool_calls": calls}, {}, {}, {}))
    assert len(answer.choices) == 2
    assert len(answer.choices[0].message.tool_calls) == 2
    assert answer.truncated is True


def test_a_stream_without_a_chunk_is_an_answer_without_choices():
    answer = join(usage=Usage(3, 0))
    assert (answer.id, answer.choices) == ("chatcmpl-r.1", [])


def test_chunks_of_a_text_completion_are_joined_to_a_text():
    parts = [
        SimpleNamespace(index=0, text=text, finish_reason=end) for text, end in [("a", None), ("b", "stop")]
    ]
    chunks = [SimpleNamespace(id="x1", created=7, model="m", usage=None, choices=[part]) for part in parts]
    (choice,) = join(*chunks).choices
    assert (choice.text, choice.message.content, choice.finish_reason) == ("ab", "ab", "stop")


def test_chunks_that_are_no_text_are_passed_over():
    assert join(b"a sound", usage=Usage(1, 1)).choices == []
