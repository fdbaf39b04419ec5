"""When a deployment rests, and how it comes back."""

from __future__ import annotations

import pytest

from turnout import AllowedFailsPolicy, NoDeploymentsAvailable, RateLimitError
from turnout.messages.events import CallStarted, CooldownEnded, CooldownStarted
from turnout.testing import SimulatedProvider

DOWN = SimulatedProvider(error_rate=1.0)


def test_the_fourth_failure_in_a_minute_cools_down_for_a_second(town):
    place = town({"a": "gpt-4"}, {"a": [500] * 4})
    for _ in range(4):
        place.error()
    error = place.error()
    assert isinstance(error, NoDeploymentsAvailable)
    assert error.retry_after == 1.0
    place.clock.advance(1.0)
    assert place.ask().route.deployment_id == "a"


def test_failures_spread_over_more_than_a_minute_do_not_cool_down(town):
    place = town({"a": "gpt-4"}, default=DOWN)
    for _ in range(8):
        place.error()
        place.clock.advance(20.0)
    assert place.calls == {"a": 8}


def test_a_class_with_a_limit_of_its_own_has_a_counter_of_its_own(town):
    policy = AllowedFailsPolicy(RateLimitErrorAllowedFails=0)
    place = town({"a": "gpt-4"}, {"a": [500, 500, 429]}, allowed_fails_policy=policy)
    for _ in range(3):
        place.error()
    assert [event.error for event in place.found(CooldownStarted)] == ["RateLimitError"]


def test_a_policy_for_a_wrong_key_replaces_its_cooling_down_at_once(town):
    policy = AllowedFailsPolicy(AuthenticationErrorAllowedFails=2)
    place = town({"a": "gpt-4"}, {"a": [401] * 3}, allowed_fails_policy=policy)
    place.error()
    place.error()
    assert place.found(CooldownStarted) == []
    place.error()
    assert len(place.found(CooldownStarted)) == 1


def test_a_cooling_deployment_gets_no_call_while_others_serve(town):
    """I2"""
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": DOWN}, num_retries=1, allowed_fails=0, cooldown_time=50)
    for _ in range(20):
        assert place.ask().route.deployment_id == "b"
    assert place.calls["a"] <= 1


def test_a_half_open_deployment_gets_exactly_one_probe(town):
    """I2"""
    provider = SimulatedProvider(script=[500], latency=2.0)
    place = town({"a": "gpt-4"}, {"a": provider}, allowed_fails=0, cooldown_time=5)
    place.error()
    place.clock.advance(5.0)
    futures = [place.send() for _ in range(4)]
    place.clock.advance(1.0)
    assert place.calls == {"a": 2}
    place.clock.advance(1.0)
    assert [type(outcome(future)).__name__ for future in futures] == ["ModelResponse"] + [
        "NoDeploymentsAvailable"
    ] * 3
    assert [event.probe for event in place.found(CallStarted)] == [False, True]


def test_a_probe_that_goes_well_closes_the_breaker(town):
    place = town({"a": "gpt-4"}, {"a": [500]}, allowed_fails=0)
    place.error()
    place.clock.advance(1.0)
    place.ask()
    assert len(place.found(CooldownEnded)) == 1
    futures = [place.send() for _ in range(10)]
    place.clock.advance(0.0)
    assert all(future.done() for future in futures)
    assert "cooling" not in place.line("a")


def test_each_failed_probe_doubles_the_time_up_to_300_seconds(town):
    place = town({"a": "gpt-4"}, default=DOWN, allowed_fails=0, cooldown_time=10)
    for _ in range(8):
        place.error()
        place.clock.advance(place.found(CooldownStarted)[-1].until - place.clock.now())
    assert [event.seconds for event in place.found(CooldownStarted)] == [10, 20, 40, 80, 160, 300, 300, 300]


def test_after_a_good_probe_the_time_starts_over(town):
    place = town({"a": "gpt-4"}, {"a": [500, 500, None, 500]}, allowed_fails=0, cooldown_time=10)
    place.error()
    place.clock.advance(10.0)
    place.error()
    place.clock.advance(20.0)
    place.ask()
    place.error()
    assert [event.seconds for event in place.found(CooldownStarted)] == [10, 20, 10]


def test_a_probe_that_is_refused_for_its_request_shows_that_the_deployment_is_well(town):
    place = town({"a": "gpt-4"}, {"a": [500, 400]}, allowed_fails=0)
    place.error()
    place.clock.advance(1.0)
    place.error()
    assert place.ask().route.deployment_id == "a"


def test_a_probe_that_is_cancelled_leaves_the_next_one_to_find_out(town):
    """I2"""
    place = town({"a": "gpt-4"}, {"a": SimulatedProvider(script=[500], latency=1.0)}, allowed_fails=0)
    place.error()
    place.clock.advance(1.0)
    future = place.send()
    place.clock.advance(0.0)
    future.cancel()
    place.clock.advance(0.0)
    assert place.ask().route.deployment_id == "a"
    assert [event.probe for event in place.found(CallStarted)] == [False, True, True]


def test_retry_after_beats_the_cooldown_time(town):
    place = town({"a": "gpt-4"}, {"a": [RateLimitError("later", retry_after=42.0)]}, cooldown_time=5)
    place.error()
    assert place.error().retry_after == 42.0
    place.clock.advance(42.0)
    place.ask()


def test_a_short_retry_after_beats_the_cooldown_time_too(town):
    place = town(
        {"a": "gpt-4"}, {"a": [RateLimitError("later", retry_after=2.0)]}, cooldown_time=60, allowed_fails=0
    )
    place.error()
    place.clock.advance(2.0)
    place.ask()


def test_of_two_cooldowns_the_longer_one_stands(town):
    first = RateLimitError("later", retry_after=30.0)
    second = RateLimitError("later", retry_after=3.0)
    place = town({"a": "gpt-4"}, {"a": SimulatedProvider(script=[first, second], latency=1.0)})
    futures = [place.send(), place.send()]
    place.clock.advance(1.0)
    assert all(isinstance(outcome(future), RateLimitError) for future in futures)
    place.clock.advance(3.0)
    assert place.error().retry_after == pytest.approx(27.0)


@pytest.mark.parametrize("setting", [{"cooldown_time": 0}, {"disable_cooldowns": True}])
def test_no_cooldown_means_none(town, setting):
    place = town({"a": "gpt-4"}, default=DOWN, allowed_fails=0, **setting)
    for _ in range(10):
        place.error()
    assert place.calls == {"a": 10}


def test_a_deployment_may_have_a_cooldown_time_of_its_own(town):
    place = town({"a": {"group": "gpt-4", "cooldown_time": 17}}, default=DOWN, allowed_fails=0)
    place.error()
    assert place.error().retry_after == 17.0


def test_the_error_names_who_is_cooling_down_and_until_when(town):
    place = town({"a": "gpt-4", "b": "gpt-4"}, default=DOWN, allowed_fails=0, cooldown_time=8, num_retries=1)
    place.error()
    error = place.error(num_retries=0)
    assert {(item.deployment_id, item.reason, item.until - place.clock.now()) for item in error.left_out} == {
        ("a", "cooling_down", 8.0),
        ("b", "cooling_down", 8.0),
    }
    assert error.retry_after == 8.0
    assert "2 cooling_down" in str(error)


def test_the_line_of_a_deployment_says_how_long_it_rests(town):
    place = town({"a": "gpt-4"}, default=DOWN, allowed_fails=0, cooldown_time=8)
    place.error()
    place.clock.advance(3.8)
    assert place.line("a") == "<Deployment gpt-4/a · cooling 4.2s · 0 open>"


def outcome(future):
    """The answer or the error."""
    try:
        return future.get(timeout=0)
    except Exception as error:  # noqa: BLE001
        return error
