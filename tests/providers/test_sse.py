"""The event reader, against an oracle that reads whole streams line by line."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.providers.sse import EventTooLargeError, SseEvent, SseReader


def events_of(*parts: bytes) -> list[tuple[bytes, bytes]]:
    reader = SseReader()
    return [(event.data, event.name) for part in parts for event in reader.feed(part)]


def oracle(stream: bytes) -> list[tuple[bytes, bytes]]:
    """The standard's grammar, on text (latin-1 keeps every byte as it is)."""
    text = stream.decode("latin-1").removeprefix("\xef\xbb\xbf")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]  # the last has no end
    events, data, name = [], [], ""
    for line in lines:
        if line == "":
            if data:
                events.append(("\n".join(data).encode("latin-1"), name.encode("latin-1")))
            data, name = [], ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        if field == "event":
            name = value
    return events


PIECES = [
    b"data: ", b"data:", b"data", b"event: error", b"event:", b"id: 7", b"retry: 10", b": comment", b":",
    b"\n", b"\n\n", b"\r\n", b"\r", b"\r\n\r\n", b" ", b"x", b"{}", b"[DONE]", "é".encode(), "🙂".encode(),
    b"\xef\xbb\xbf", b"\xef", b"\xff",
]  # fmt: skip
streams = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


@given(stream=streams, cuts=st.lists(st.integers(0, 100), max_size=12))
def test_any_cut_of_any_stream_gives_the_oracles_events(stream, cuts):
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parts = [stream[start:end] for start, end in pairwise(edges)]
    assert events_of(*parts) == oracle(stream)


@given(stream=streams)
def test_byte_by_byte_gives_the_oracles_events(stream):
    assert events_of(*(stream[i : i + 1] for i in range(len(stream)))) == oracle(stream)


def test_an_event_is_its_data():
    assert SseReader().feed(b'data: {"a": 1}\n\n') == [SseEvent(b'{"a": 1}')]


def test_only_one_space_after_the_colon_is_taken_away():
    assert events_of(b"data:a\n\ndata:  b\n\n") == [(b"a", b""), (b" b", b"")]


def test_data_of_several_lines_is_joined_by_line_feeds():
    assert events_of(b"data: one\ndata: two\n\n") == [(b"one\ntwo", b"")]


def test_an_event_may_have_a_name_and_the_next_one_has_none():
    assert events_of(b"event: error\ndata: x\n\ndata: y\n\n") == [(b"x", b"error"), (b"y", b"")]


def test_comments_and_events_without_data_are_no_events():
    assert events_of(b": keep-alive\n\nevent: ping\n\n:\n\ndata: x\n\n") == [(b"x", b"")]


def test_an_event_ended_by_carriage_returns_comes_at_once():
    assert events_of(b"data: x\r\r") == [(b"x", b"")]


def test_a_line_feed_that_follows_a_carriage_return_in_the_next_read_ends_no_second_line():
    assert events_of(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [(b"a\nb", b"")]


def test_a_character_cut_in_two_is_put_together():
    half, rest = "é".encode()[:1], "é".encode()[1:]
    assert events_of(b"data: " + half, rest + b"\n\n") == [("é".encode(), b"")]


def test_a_byte_order_mark_is_dropped_at_the_beginning_only():
    mark = b"\xef\xbb\xbf"
    assert events_of(mark[:1], mark[1:] + b"data: a\n\n", mark + b"data: b\n\n") == [(b"a", b"")]


def test_what_the_last_blank_line_does_not_end_is_no_event():
    assert events_of(b"data: a\n\ndata: b\n") == [(b"a", b"")]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_without_end_is_an_error_before_it_fills_memory(size):
    reader = SseReader(max_event_bytes=100)
    for _ in range(100 // size):
        reader.feed(b"x" * size)
    with pytest.raises(EventTooLargeError, match="100 bytes"):
        reader.feed(b"x" * 7 * size)


def test_a_whole_event_that_is_too_large_is_an_error_too():
    with pytest.raises(EventTooLargeError):
        SseReader(max_event_bytes=10).feed(b"data: 0123456789\n\n")


def test_many_small_events_are_not_one_large_one():
    reader = SseReader(max_event_bytes=20)
    assert len(reader.feed(b"data: 12345\n\n" * 100)) == 100
