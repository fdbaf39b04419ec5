"""Streams: retried until the first chunk, honest after it, and aborted when their reader leaves."""

from __future__ import annotations

import asyncio
import gc

import pytest

from turnout import APIConnectionError, InternalServerError, MidStreamError, ModelResponseStream, Timeout
from turnout.actors.runtime.channel import CAPACITY
from turnout.messages.commands import AttemptTimedOut
from turnout.messages.events import CallCancelled, CallFailed, CallOpened, CallStarted, RequestCancelled
from turnout.testing import SimulatedProvider

TALKS = SimulatedProvider(text="one two three four", chunk_seconds=1.0, latency=2.0)
LONG = SimulatedProvider(text=" ".join(["word"] * 500))


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_chunks_come_as_they_are_sent(town):
    place = town({"a": "gpt-4"}, default=TALKS)
    stream = place.ask(stream=True)
    times = []
    chunks = []
    for chunk in stream:
        times.append(place.passed)
        chunks.append(chunk)
    assert all(isinstance(chunk, ModelResponseStream) for chunk in chunks)
    assert text_of(chunks) == "one two three four"
    assert times == [2.0, 3.0, 4.0, 5.0, 6.0]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_can_be_read_with_async_for(town):
    place = town({"a": "gpt-4"}, default=TALKS)

    async def main():
        stream = await place.router.acompletion("gpt-4", place.request().messages, stream=True)
        return [chunk async for chunk in stream]

    assert text_of(asyncio.run(main())) == "one two three four"


def test_a_stream_can_be_read_chunk_by_chunk(town):
    place = town({"a": "gpt-4"}, default=TALKS)
    stream = place.ask(stream=True)
    assert text_of([next(stream), next(stream)]) == "one two"
    assert text_of(list(stream)) == " three four"
    with pytest.raises(StopIteration):
        next(stream)


def test_the_route_is_known_at_the_end(town):
    place = town({"a": "gpt-4"}, default=TALKS)
    stream = place.ask(stream=True)
    with pytest.raises(AttributeError):
        _ = stream.route
    list(stream)
    assert (stream.route.deployment_id, stream.route.seconds) == ("a", 6.0)
    assert stream.text == "one two three four"


# -- before the first chunk


def test_an_error_before_the_first_chunk_is_retried(town):
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": [500], "b": [500]}, num_retries=2)
    stream = place.ask(stream=True)
    assert text_of(list(stream))
    assert stream.route.retries == 2


def test_an_error_before_the_first_chunk_falls_back(town):
    place = town({"a": "gpt-4", "z": "backup"}, {"a": [500]}, fallbacks=["backup"])
    stream = place.ask(stream=True)
    list(stream)
    assert stream.route.model_group == "backup"


def test_an_error_before_the_first_chunk_that_nothing_helps_is_raised_by_ask(town):
    place = town({"a": "gpt-4"}, {"a": [500]})
    assert isinstance(place.error(stream=True), InternalServerError)


def test_a_cut_before_the_first_chunk_is_an_error_like_any_other(town):
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": SimulatedProvider(cut_after=0)}, num_retries=1)
    for _ in range(4):
        stream = place.ask(stream=True)
        list(stream)
        assert stream.route.deployment_id == "b"


# -- after it


def test_a_stream_that_breaks_off_ends_in_an_error_with_what_there_was(town):
    place = town(
        {"a": "gpt-4"}, {"a": SimulatedProvider(text="one two three four", cut_after=2, prompt_tokens=11)}
    )
    chunks = []
    with pytest.raises(MidStreamError) as caught:
        chunks.extend(place.ask(stream=True))  # what was read before stays read
    error = caught.value
    assert error.text == "one two"
    assert (error.usage.prompt_tokens, error.usage.completion_tokens) == (11, 2)
    assert isinstance(error.cause, APIConnectionError)
    assert error.__cause__ is error.cause
    assert (error.deployment_id, error.status_code) == ("a", 500)
    assert [row.error for row in error.attempts] == ["APIConnectionError"]


def test_a_stream_that_breaks_off_is_neither_retried_nor_falls_back(town):
    place = town(
        {"a": "gpt-4", "b": "gpt-4", "z": "backup"},
        default=SimulatedProvider(cut_after=1),
        num_retries=3,
        fallbacks=["backup"],
    )
    with pytest.raises(MidStreamError):
        list(place.ask(stream=True))
    assert sum(place.calls.values()) == 1


def test_a_stream_that_breaks_off_counts_against_its_deployment(town):
    place = town({"a": "gpt-4"}, {"a": SimulatedProvider(cut_after=1)}, allowed_fails=0, cooldown_time=30)
    with pytest.raises(MidStreamError):
        list(place.ask(stream=True))
    assert [event.counted for event in place.found(CallFailed)] == [True]
    assert place.error(stream=True).left_out[0].reason == "cooling_down"


def test_the_text_of_a_broken_stream_is_what_its_reader_has_seen(town):
    place = town({"a": "gpt-4"}, {"a": SimulatedProvider(text="one two three four", cut_after=3)})
    stream = place.ask(stream=True)
    place.clock.advance(1.0)
    seen = []
    with pytest.raises(MidStreamError) as caught:
        seen.extend(stream)
    assert caught.value.text == text_of(seen) == "one two three"


def test_a_pause_between_chunks_longer_than_stream_timeout_breaks_the_stream(town):
    provider = SimulatedProvider(text="one two three", chunk_seconds=5.0)
    place = town({"a": "gpt-4"}, {"a": provider}, stream_timeout=3)
    with pytest.raises(MidStreamError) as caught:
        list(place.ask(stream=True))
    assert isinstance(caught.value.cause, Timeout)
    assert caught.value.text == "one"
    assert place.passed == 3.0


def test_every_chunk_gives_the_provider_new_time(town):
    provider = SimulatedProvider(text="one two three", chunk_seconds=2.9, latency=2.9)
    place = town({"a": "gpt-4"}, {"a": provider}, stream_timeout=3)
    assert text_of(list(place.ask(stream=True))) == "one two three"


def test_a_reader_who_does_not_read_is_not_the_providers_fault(town):
    place = town({"a": "gpt-4"}, default=LONG, stream_timeout=3)
    stream = place.ask(stream=True)
    for _ in range(20):
        place.clock.advance(10.0)
    assert text_of(list(stream)) == LONG.text
    assert place.state("a")["totals"]["failed"] == 0


def test_a_reader_who_does_not_read_holds_up_the_provider(town):
    place = town({"a": "gpt-4"}, default=LONG)
    stream = place.ask(stream=True)
    place.clock.advance(50.0)
    assert len(stream._channel._items) == CAPACITY
    stream.close()


# -- leaving


def leave_by_break(stream):
    for _ in stream:
        break
    gc.collect()


def leave_by_close(stream):
    next(stream)
    stream.close()


def leave_by_with(stream):
    with stream:
        next(stream)


def leave_by_error(stream):
    def read():
        for _ in stream:
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        read()
    gc.collect()


def leave_by_aclose(stream):
    async def main():
        await stream.__anext__()
        await stream.aclose()

    asyncio.run(main())


def leave_by_async_break(stream):
    async def main():
        async for _ in stream:
            break

    asyncio.run(main())


LEAVING = [
    leave_by_break,
    leave_by_close,
    leave_by_with,
    leave_by_error,
    leave_by_aclose,
    leave_by_async_break,
]


@pytest.mark.parametrize("leave", LEAVING)
def test_leaving_a_stream_aborts_the_call_frees_the_slot_and_settles_the_tokens(town, leave):
    """I4"""
    place = town(
        {"a": {"group": "gpt-4", "max_parallel_requests": 1, "tpm": 10_000}}, default=TALKS, audit=True
    )
    leave(place.ask(stream=True, max_tokens=5000))
    place.clock.advance(0.0)
    assert place.open_calls() == 0
    (event,) = place.found(CallCancelled)
    assert (event.reason, event.completion_tokens) == ("caller left", 1)
    assert place.state("a")["window"][0][3] == event.prompt_tokens + 1
    assert len(place.found(RequestCancelled)) == 1
    place.ask()


def test_a_stream_that_is_dropped_is_closed(town):
    """I4"""
    place = town({"a": {"group": "gpt-4", "max_parallel_requests": 1}}, default=LONG)
    stream = place.ask(stream=True)
    next(stream)
    del stream
    gc.collect()
    place.clock.advance(0.0)
    assert place.open_calls() == 0
    place.ask()


def test_a_stream_that_was_never_read_and_is_dropped_is_closed(town):
    """I4"""
    place = town({"a": "gpt-4"}, default=TALKS)
    place.ask(stream=True)
    gc.collect()
    place.clock.advance(0.0)
    assert place.open_calls() == 0


def test_a_stream_that_is_dropped_is_closed_at_once_after_a_model_that_nobody_knows(town):
    """The error of the slip is kept to be told, and must not lead to its caller."""
    place = town({"a": "gpt-4"}, default=LONG)
    stream = place.ask("gtp-4", stream=True, fallbacks=["gpt-4"])
    next(stream)
    gc.disable()
    try:
        del stream
        place.clock.advance(0.0)
        assert place.open_calls() == 0
    finally:
        gc.enable()


def test_a_stream_that_is_looked_at_too_soon_has_one_timer_all_the_same(town):
    """I12: the word of a timer that rang may have to wait until another one is set."""
    place = town({"a": "gpt-4"}, default=LONG, stream_timeout=60)
    stream = place.ask(stream=True)
    next(stream)
    (started,) = place.found(CallStarted)
    place.router._switchboard.deployments["a"].tell(AttemptTimedOut(started.call_id))
    place.clock.advance(0.0)
    stream.close()
    place.router.close()
    assert place.clock.next_timer() is None


def test_closing_a_stream_that_has_ended_changes_nothing(town):
    place = town({"a": "gpt-4"}, default=TALKS)
    stream = place.ask(stream=True)
    list(stream)
    before = place.story()
    stream.close()
    stream.close()
    assert place.story() == before


def test_a_request_given_up_before_its_first_chunk_is_cancelled(town):
    """I1, I4"""
    place = town({"a": "gpt-4"}, default=TALKS)
    future = place.send(stream=True)
    place.clock.advance(1.0)
    assert future.cancel()
    place.clock.advance(0.0)
    assert future.done()
    assert place.open_calls() == 0
    assert place.found(CallOpened) == []


def test_a_stream_that_nobody_fetched_ends_with_the_router(town):
    """I1, I12"""
    place = town({"a": "gpt-4"}, default=LONG)
    future = place.send(stream=True)
    place.clock.advance(1.0)
    place.router.close()
    stream = future.get(timeout=0)
    with pytest.raises(RuntimeError, match="closed"):
        list(stream)


# -- what was used


def test_a_finished_stream_is_settled_with_the_providers_usage(town):
    provider = SimulatedProvider(prompt_tokens=33, completion_tokens=44)
    place = town({"a": {"group": "gpt-4", "tpm": 9000}}, default=provider)
    list(place.ask(stream=True, max_tokens=5000))
    assert place.state("a")["window"][0][3] == 77


def test_the_chunk_with_the_usage_is_hidden_unless_it_was_asked_for(town):
    place = town({"a": {"group": "gpt-4", "mock_response": "one two"}}, mocks=True)
    assert all(chunk.usage is None for chunk in place.ask(stream=True))
    chunks = list(place.ask(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0


def test_the_time_to_the_first_chunk_is_recorded(town):
    place = town({"a": "gpt-4"}, default=TALKS)
    list(place.ask(stream=True))
    assert [event.ttft for event in place.found(CallOpened)] == [2.0]
