"""`timeout` is for the whole call; a deployment's own bounds one attempt."""

from __future__ import annotations

import pytest

from turnout import InternalServerError, MidStreamError, Timeout
from turnout.messages.events import CallFailed
from turnout.testing import SimulatedProvider

HANGS = SimulatedProvider(hang=True)


def test_a_request_that_nobody_answers_ends_at_its_deadline(town):
    """I1"""
    place = town({"a": "gpt-4"}, default=HANGS)
    error = place.error(timeout=7.5)
    assert isinstance(error, Timeout)
    assert place.passed == 7.5
    assert place.open_calls() == 0


def test_the_requests_timeout_goes_before_the_routers(town):
    place = town({"a": "gpt-4"}, default=HANGS, timeout=30)
    place.error(timeout=2)
    assert place.passed == 2
    place.error()
    assert place.passed == 32


def test_retries_waits_and_fallbacks_share_the_one_deadline(town):
    """I1"""
    slow = SimulatedProvider(latency=4.0, error_rate=1.0)
    place = town({"a": "gpt-4", "z": "backup"}, default=slow, num_retries=1, fallbacks=["backup"], timeout=10)
    error = place.error()
    assert isinstance(error, Timeout)
    assert place.passed == 10
    assert [row.group for row in error.attempts] == ["gpt-4", "gpt-4", "backup"]
    assert isinstance(error.__cause__, InternalServerError)


def test_the_deadline_of_the_request_is_no_reason_to_fall_back(town):
    place = town({"a": "gpt-4", "z": "backup"}, {"a": HANGS}, fallbacks=["backup"], num_retries=3, timeout=5)
    assert isinstance(place.error(), Timeout)
    assert "z" not in place.calls


def test_a_deployments_timeout_bounds_one_attempt_and_is_retried(town):
    place = town({"a": {"group": "gpt-4", "timeout": 3}, "b": "gpt-4"}, {"a": HANGS}, num_retries=1)
    for _ in range(4):
        assert place.ask().route.deployment_id == "b"
    assert {event.error for event in place.found(CallFailed)} == {"Timeout"}
    assert place.passed == 3.0 * place.calls["a"]


def test_a_deployments_timeout_bounds_a_stream_too(town):
    endless = SimulatedProvider(text="word " * 100, chunk_seconds=1.0)
    place = town({"a": {"group": "gpt-4", "timeout": 5}}, default=endless)
    with pytest.raises(MidStreamError) as caught:
        list(place.ask(stream=True))
    assert isinstance(caught.value.cause, Timeout)
    assert place.passed == 5


def test_a_stream_ends_at_the_deadline_of_its_request(town):
    """I1"""
    endless = SimulatedProvider(text="word " * 100, chunk_seconds=1.0)
    place = town({"a": "gpt-4"}, default=endless)
    stream = place.ask(stream=True, timeout=5.5)
    with pytest.raises(MidStreamError) as caught:
        list(stream)
    assert isinstance(caught.value.cause, Timeout)
    assert caught.value.text == "word word word word word word"
    assert place.passed == 5.5
    assert place.open_calls() == 0


def test_a_stream_that_does_not_begin_ends_in_a_timeout(town):
    """I1"""
    place = town({"a": "gpt-4"}, default=HANGS)
    assert isinstance(place.error(stream=True, timeout=3), Timeout)


def test_a_stream_without_a_first_chunk_is_retried_after_stream_timeout(town):
    place = town({"a": {"group": "gpt-4", "stream_timeout": 2}, "b": "gpt-4"}, {"a": HANGS}, num_retries=1)
    for _ in range(4):
        assert [*place.ask(stream=True)]
    assert place.passed == 2.0 * place.calls["a"]


@pytest.mark.parametrize(
    ("deployment", "request_", "seconds"),
    [({}, {}, 9), ({"stream_timeout": 4}, {}, 4), ({"stream_timeout": 4}, {"stream_timeout": 2}, 2)],
)
def test_whose_stream_timeout_counts(town, deployment, request_, seconds):
    place = town({"a": {"group": "gpt-4", **deployment}}, default=HANGS, stream_timeout=9)
    assert isinstance(place.error(stream=True, **request_), Timeout)
    assert place.passed == seconds


def test_stream_timeout_says_nothing_about_a_call_that_is_no_stream(town):
    place = town({"a": "gpt-4"}, default=SimulatedProvider(latency=100.0), stream_timeout=2)
    place.ask()


def test_an_answer_that_comes_after_the_deadline_is_heard_by_nobody(town):
    """I1"""
    place = town({"a": "gpt-4"}, default=SimulatedProvider(latency=10.0))
    future = place.send(timeout=5)
    place.clock.advance(20.0)
    with pytest.raises(Timeout):
        future.get(timeout=0)
    assert place.story(f"request/{future.request_id}")[-1] == "request_failed"


def test_without_any_timeout_there_is_still_a_deadline(town):
    """I1"""
    place = town({"a": "gpt-4"}, default=HANGS)
    assert isinstance(place.error(), Timeout)
    assert place.passed == 6000


def test_a_deadline_that_ends_a_call_counts_against_its_deployment(town):
    place = town({"a": "gpt-4"}, default=HANGS, allowed_fails=1, cooldown_time=50)
    place.error(timeout=1)
    place.error(timeout=1)
    assert place.error().left_out[0].reason == "cooling_down"


def test_deadlines_less_than_a_millisecond_apart_are_kept_to_the_moment(town):
    """I1"""
    place = town({"a": "gpt-4"}, default=HANGS, timeout=5)
    first = place.send()
    place.clock.advance(0.0004)
    second = place.send()
    place.clock.advance(5.0 - 0.0004)
    assert (first.done(), second.done()) == (True, False)
    place.clock.advance(0.0004)
    assert second.done()
