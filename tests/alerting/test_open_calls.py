"""Slow calls and hanging calls, told apart and each told once."""

from __future__ import annotations

from turnout.actors.alerting import open_calls
from turnout.actors.alerting.open_calls import OpenCalls
from turnout.messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    LimitsObserved,
)


def started(call_id, *, stream=False):
    return CallStarted(call_id, "r", 10, stream)


def succeeded(call_id, seconds, ttft=None):
    return CallSucceeded(call_id, "r", 1, 1, None, seconds, ttft)


def test_a_call_that_is_answered_in_time_is_no_news():
    calls = OpenCalls(10)
    assert calls.hear(started("c"), "eu", 0.0) is None
    assert calls.next_at() == 10
    assert calls.hear(succeeded("c", 9.9), "eu", 9.9) is None
    assert calls.overdue(99.0) == []
    assert (calls.next_at(), len(calls)) == (None, 0)


def test_a_call_that_is_still_open_is_overdue_once():
    calls = OpenCalls(10)
    calls.hear(started("c"), "eu", 0.0)
    calls.hear(started("d"), "us", 5.0)
    assert calls.overdue(9.9) == []
    assert calls.overdue(10.0) == ["eu"]
    assert calls.next_at() == 15
    assert calls.overdue(99.0) == ["us"]
    assert calls.overdue(99.0) == []


def test_an_answer_that_comes_late_is_slow_whether_it_was_told_as_hanging_or_not():
    calls = OpenCalls(10)
    for call_id in "cd":
        calls.hear(started(call_id), "eu", 0.0)
    assert calls.overdue(10.0) == ["eu", "eu"]
    assert calls.hear(succeeded("c", 12.0), "eu", 12.0) == 12.0
    assert calls.hear(succeeded("d", 10.0), "eu", 12.0) == 10.0


def test_of_a_stream_its_first_content_counts_and_not_its_length():
    calls = OpenCalls(10)
    calls.hear(started("c", stream=True), "eu", 0.0)
    assert calls.hear(CallOpened("c", "r", 3.0), "eu", 3.0) is None
    assert calls.overdue(99.0) == []
    assert calls.hear(succeeded("c", 99.0, ttft=3.0), "eu", 99.0) is None
    calls.hear(started("d", stream=True), "eu", 100.0)
    assert calls.hear(CallOpened("d", "r", 11.0), "eu", 111.0) == 11.0


def test_calls_that_end_in_any_other_way_are_forgotten():
    calls = OpenCalls(10)
    for number, end in enumerate(
        [
            CallFailed("0", "r", "Timeout", 408, True, 1.0),
            CallCancelled("1", "r", "caller left", 1.0),
            CallAbandoned("2", "r"),
        ]
    ):
        calls.hear(started(str(number)), "eu", 0.0)
        calls.hear(end, "eu", 1.0)
    calls.hear(LimitsObserved(1, 1, 60.0), "eu", 1.0)
    assert (len(calls), calls.next_at()) == (0, None)


def test_open_calls_are_watched_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(open_calls, "MAX_WATCHED", 3)
    calls = OpenCalls(10)
    for number in range(9):
        calls.hear(started(str(number)), "eu", float(number))
    assert len(calls) == 3
    assert calls.overdue(99.0) == ["eu"] * 3
