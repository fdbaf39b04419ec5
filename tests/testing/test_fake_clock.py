"""FakeClock: time that moves only when told to."""

from __future__ import annotations

import threading

import pytest

from turnout import Router
from turnout.testing import FakeClock


def test_it_starts_where_it_is_told_to():
    assert FakeClock(start=1000).now() == 1000.0
    assert FakeClock().now() == FakeClock().now()


def test_it_stands_still_until_it_is_advanced():
    clock = FakeClock(start=0)
    clock.advance(2.5)
    clock.advance(0)
    assert clock.now() == 2.5


def test_timers_fire_in_the_order_of_their_times_at_their_times():
    clock = FakeClock(start=0)
    fired = []
    for seconds in (3, 1, 2):
        clock.call_later(seconds, lambda seconds=seconds: fired.append((seconds, clock.now())))
    clock.advance(2.5)
    assert fired == [(1, 1.0), (2, 2.0)]
    clock.advance(0.5)
    assert fired[-1] == (3, 3.0)


def test_timers_for_one_moment_fire_in_the_order_in_which_they_were_set():
    clock = FakeClock()
    fired = []
    for name in "abc":
        clock.call_later(1, lambda name=name: fired.append(name))
    clock.advance(1)
    assert fired == ["a", "b", "c"]


def test_a_timer_set_by_a_timer_fires_on_the_way():
    clock = FakeClock(start=0)
    fired = []
    clock.call_later(1, lambda: clock.call_later(1, lambda: fired.append(clock.now())))
    clock.advance(5)
    assert fired == [2.0]


def test_a_cancelled_timer_does_not_fire():
    clock = FakeClock()
    fired = []
    timer = clock.call_later(1, lambda: fired.append(1))
    timer.cancel()
    timer.cancel()
    clock.advance(2)
    assert fired == []
    assert clock.next_timer() is None


def test_a_timer_in_the_past_fires_now():
    clock = FakeClock(start=10)
    fired = []
    clock.call_later(-5, lambda: fired.append(clock.now()))
    clock.advance(0)
    assert fired == [10.0]


def test_time_does_not_go_back():
    with pytest.raises(ValueError, match="negative"):
        FakeClock().advance(-1)


def test_many_cancelled_timers_are_forgotten():
    clock = FakeClock()
    for _ in range(10 * clock.COMPACT_AT):
        clock.call_later(1000, lambda: None).cancel()
    assert len(clock._timers) <= 2 * clock.COMPACT_AT


def test_a_router_on_it_starts_no_thread(hello_list):
    before = threading.active_count()
    with Router(model_list=hello_list, clock=FakeClock()) as router:
        router.completion("gpt-4", [{"role": "user", "content": "Hi"}])
        assert threading.active_count() == before


def test_a_blocking_ask_moves_it_to_the_next_timer_and_no_further(hello_list):
    clock = FakeClock(start=0)
    with Router(model_list=hello_list, clock=clock) as router:
        router.completion("gpt-4", [{"role": "user", "content": "Hi"}], mock_delay=1.25)
        assert clock.now() == 1.25


def test_two_routers_can_share_one(hello_list):
    clock = FakeClock(start=0)
    with Router(model_list=hello_list, clock=clock) as one, Router(model_list=hello_list, clock=clock) as two:
        first = one.ask(_request(mock_delay=2), block=False)
        second = two.ask(_request(mock_delay=1), block=False)
        clock.advance(1)
        assert (first.done(), second.done()) == (False, True)
        clock.advance(1)
        assert first.done()


def test_a_get_with_a_timeout_counts_fake_seconds(hello_list):
    import pykka

    clock = FakeClock(start=0)
    with Router(model_list=hello_list, clock=clock) as router:
        future = router.ask(_request(mock_delay=10), block=False)
        with pytest.raises(pykka.Timeout):
            future.get(timeout=4)
        assert clock.now() == 4
        assert future.get(timeout=6).route.seconds == 10


@pytest.fixture
def hello_list():
    return [{"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "hi"}}]


def _request(**fields):
    from turnout import CompletionRequest

    return CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "Hi"}], **fields)
