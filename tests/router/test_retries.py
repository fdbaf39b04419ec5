"""How often, after what pause, and never past the deadline."""

from __future__ import annotations

import pytest

from turnout import (
    InternalServerError,
    NoDeploymentsAvailable,
    RateLimitError,
    RetryPolicy,
    Timeout,
)
from turnout.actors.deployment.state import DeploymentState
from turnout.messages.events import DeploymentPicked, RequestFailed, RetryScheduled
from turnout.messages.outcomes import LeftOut
from turnout.testing import SimulatedProvider

DOWN = SimulatedProvider(error_rate=1.0, error=500)
BUSY = SimulatedProvider(error_rate=1.0, error=429)


def attempts(place, **fields):
    """How many calls one request makes before it gives up."""
    before = sum(place.calls.values())
    place.error(**fields)
    return sum(place.calls.values()) - before


# -- how many


def test_by_default_nothing_is_retried(town):
    assert attempts(town({"a": "gpt-4"}, default=DOWN)) == 1


def test_the_router_says_how_many_where_nobody_else_does(town):
    assert attempts(town({"a": "gpt-4"}, default=DOWN, num_retries=2)) == 3


def test_a_deployments_own_number_goes_before_the_routers(town):
    place = town({"a": {"group": "gpt-4", "num_retries": 1}}, default=DOWN, num_retries=3)
    assert attempts(place) == 2


def test_a_requests_number_goes_before_the_deployments(town):
    place = town({"a": {"group": "gpt-4", "num_retries": 1}}, default=DOWN, disable_cooldowns=True)
    assert attempts(place, num_retries=4) == 5


def test_the_policy_for_the_class_goes_before_the_requests_number(town):
    policy = RetryPolicy(InternalServerErrorRetries=2)
    place = town({"a": "gpt-4"}, default=DOWN, retry_policy=policy, disable_cooldowns=True)
    assert attempts(place, num_retries=5) == 3


def test_the_policy_has_no_say_about_other_classes(town):
    policy = RetryPolicy(TimeoutErrorRetries=4)
    assert attempts(town({"a": "gpt-4"}, default=DOWN, retry_policy=policy, num_retries=1)) == 2


def test_a_requests_zero_always_wins(town):
    policy = RetryPolicy(InternalServerErrorRetries=2)
    place = town(
        {"a": {"group": "gpt-4", "num_retries": 3}}, default=DOWN, retry_policy=policy, num_retries=3
    )
    assert attempts(place, num_retries=0) == 1


def test_a_policy_can_make_a_bad_request_be_retried(town):
    place = town({"a": "gpt-4"}, {"a": [400]}, retry_policy=RetryPolicy(BadRequestErrorRetries=1))
    assert place.ask().route.retries == 1


def test_the_other_shape_of_a_policy_sets_the_number_and_the_back_off(town):
    policy = {"max_retries": 3, "base_delay": 1.0, "max_delay": 3.0, "backoff_factor": 2.0, "jitter": False}
    place = town({"a": "gpt-4"}, {"a": [429] * 3}, retry_policy=policy)
    place.ask()
    assert [event.seconds for event in place.found(RetryScheduled)] == [1.0, 2.0, 3.0]


def test_each_fallback_group_has_retries_of_its_own(town):
    place = town(
        {"a": "gpt-4", "z": "backup"},
        default=DOWN,
        num_retries=2,
        fallbacks=["backup"],
        disable_cooldowns=True,
    )
    place.error()
    assert place.calls == {"a": 3, "z": 3}


# -- where


def test_a_retry_takes_a_deployment_that_has_not_failed_in_this_request(town):
    """I5"""
    names = {f"d{n}": "gpt-4" for n in range(6)}
    place = town(names, default=DOWN, num_retries=5)
    error = place.error()
    assert sorted(row.deployment_id for row in error.attempts) == sorted(names)


def test_when_all_have_failed_one_of_them_is_tried_again(town):
    """I5"""
    place = town({"a": "gpt-4", "b": "gpt-4"}, default=DOWN, num_retries=2)
    rows = place.error().attempts
    assert {rows[0].deployment_id, rows[1].deployment_id} == {"a", "b"}
    assert len(rows) == 3


# -- pauses


def test_an_error_other_than_429_is_retried_at_once(town):
    place = town({"a": "gpt-4"}, {"a": [500, 503]}, num_retries=2)
    place.ask()
    assert place.passed == 0


def test_retry_after_is_the_least_pause_before_the_same_deployment(town):
    place = town({"a": "gpt-4"}, {"a": [500, 503]}, num_retries=2, retry_after=1.5)
    answer = place.ask()
    assert place.passed == 3.0
    assert answer.route.waited == 3.0
    assert [row.wait for row in answer.route.attempts] == [0.0, 1.5, 1.5]


def test_retry_after_does_not_delay_another_deployment(town):
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": [500], "b": [500]}, num_retries=1, retry_after=5)
    place.error()
    assert place.passed == 0


def test_a_rate_limit_pauses_with_full_jitter(town):
    place = town({"a": "gpt-4"}, {"a": [429] * 5}, num_retries=5, disable_cooldowns=True)
    place.ask()
    pauses = [event.seconds for event in place.found(RetryScheduled)]
    assert len(set(pauses)) == 5
    assert all(0 <= pause <= min(8, 0.5 * 2**k) for k, pause in enumerate(pauses))


def test_retry_after_of_the_provider_is_waited_for(town):
    place = town({"a": "gpt-4"}, {"a": [RateLimitError("later", retry_after=7.0)]}, num_retries=1)
    answer = place.ask()
    assert place.passed == 7.0
    assert answer.route.waited == 7.0


def test_the_routers_retry_after_is_a_floor_for_a_rate_limit_too(town):
    script = [RateLimitError("later", retry_after=2.0)]
    place = town({"a": "gpt-4"}, {"a": script}, num_retries=1, retry_after=9.0, disable_cooldowns=True)
    place.ask()
    assert place.passed == 9.0


def test_there_is_no_pause_after_the_last_attempt(town):
    """I7"""
    script = [RateLimitError("later", retry_after=3.0)] * 3
    place = town({"a": "gpt-4"}, {"a": script}, num_retries=2, disable_cooldowns=True)
    error = place.error()
    assert place.passed == 6.0
    assert len(error.attempts) == 3
    assert place.story()[-1] == "request_failed"


@pytest.mark.parametrize("cooldowns", [True, False])
def test_a_pause_that_would_pass_the_deadline_is_not_begun(town, cooldowns):
    """I7"""
    script = [RateLimitError("later", retry_after=30.0)]
    place = town({"a": "gpt-4"}, {"a": script}, num_retries=3, timeout=10, disable_cooldowns=not cooldowns)
    error = place.error()
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 30.0
    assert place.passed == 0


def test_instead_of_a_pause_past_the_deadline_the_next_group_is_tried_now(town):
    """I7"""
    script = [RateLimitError("later", retry_after=30.0)]
    place = town(
        {"a": "gpt-4", "z": "backup"},
        {"a": script},
        num_retries=3,
        timeout=10,
        fallbacks=["backup"],
        disable_cooldowns=True,
    )
    assert place.ask().route.model_group == "backup"
    assert place.passed == 0


def test_with_a_fallback_left_a_retry_does_not_wait_for_a_cooldown(town):
    place = town(
        {"a": "gpt-4", "z": "backup"}, {"a": [500]}, num_retries=2, allowed_fails=0, fallbacks=["backup"]
    )
    assert place.ask().route.model_group == "backup"
    assert place.passed == 0
    assert place.calls == {"a": 1, "z": 1}


def test_with_no_fallback_left_a_retry_waits_for_the_earliest_release(town):
    place = town({"a": "gpt-4", "b": "gpt-4"}, default=DOWN, num_retries=2, allowed_fails=0, cooldown_time=4)
    error = place.error()
    assert place.passed == 4.0
    assert [row.wait for row in error.attempts] == [0.0, 0.0, 4.0]


def test_a_retry_fails_now_when_the_release_comes_after_the_deadline(town):
    place = town({"a": "gpt-4"}, default=DOWN, num_retries=2, allowed_fails=0, cooldown_time=20, timeout=10)
    error = place.error()
    assert isinstance(error, InternalServerError)
    assert place.passed == 0


def test_a_pause_that_outlasts_the_release_is_not_begun_past_the_deadline(town):
    """I7"""
    rules = {"num_retries": 2, "allowed_fails": 0, "cooldown_time": 5, "retry_after": 50, "timeout": 30}
    place = town({"a": "gpt-4"}, default=DOWN, **rules)
    assert isinstance(place.error(), InternalServerError)
    assert place.passed == 0


def test_retries_that_wait_hold_their_bound_and_the_surplus_fails_now(town):
    place = town(
        {"a": "gpt-4"},
        {"a": SimulatedProvider(latency=1.0, error_rate=1.0)},
        num_retries=1,
        allowed_fails=0,
        cooldown_time=10,
        max_queue=2,
    )
    futures = [place.send() for _ in range(5)]
    place.clock.advance(1.0)
    assert [future.done() for future in futures].count(True) == 3
    place.clock.advance(60.0)
    assert all(future.done() for future in futures)


# -- the budget


def test_a_storm_of_retries_is_stopped_by_the_budget(town):
    place = town({"a": "gpt-4"}, default=DOWN, num_retries=1, disable_cooldowns=True)
    for _ in range(400):
        place.error()
    assert place.calls["a"] == 400 + 100  # at least 10 a second for the last 10 s


def test_beyond_the_floor_the_budget_is_a_fifth_of_the_requests(town):
    place = town({"a": "gpt-4"}, default=DOWN, num_retries=1, disable_cooldowns=True)
    for _ in range(1000):
        place.error()
    assert place.calls["a"] == 1000 + 200


def test_the_budget_comes_back(town):
    place = town({"a": "gpt-4"}, default=DOWN, num_retries=1, disable_cooldowns=True)
    for _ in range(200):
        place.error()
    place.clock.advance(11.0)
    assert attempts(place) == 2


def test_first_attempts_and_fallbacks_cost_no_budget(town):
    place = town({"a": "gpt-4", "z": "backup"}, {"a": DOWN}, fallbacks=["backup"], disable_cooldowns=True)
    for _ in range(300):
        assert place.ask().route.model_group == "backup"


# -- rows


def test_every_attempt_has_its_row_with_its_own_seconds(town):
    place = town(
        {"a": "gpt-4", "z": "backup"},
        {"a": SimulatedProvider(latency=2.0, error_rate=1.0), "z": SimulatedProvider(latency=3.0)},
        num_retries=1,
        fallbacks=["backup"],
    )
    route = place.ask().route
    assert [(row.group, row.seconds) for row in route.attempts] == [
        ("gpt-4", 2.0),
        ("gpt-4", 2.0),
        ("backup", 3.0),
    ]
    assert (route.retries, route.fallbacks, route.seconds) == (1, 1, 7.0)


def test_the_row_of_the_attempt_that_the_deadline_ended_has_its_own_seconds(town):
    place = town(
        {"a": "gpt-4"}, {"a": SimulatedProvider(latency=4.0, error_rate=1.0)}, num_retries=5, timeout=10
    )
    error = place.error()
    assert isinstance(error, Timeout)
    assert [row.seconds for row in error.attempts] == [4.0, 4.0, 2.0]


def test_the_rows_of_a_request_that_nobody_could_take_are_none(town):
    place = town({"a": {"group": "gpt-4", "rpm": 1}})
    place.ask()
    error = place.error()
    assert isinstance(error, NoDeploymentsAvailable)
    assert error.attempts == ()


# -- a deployment that refuses


@pytest.fixture
def refusing(monkeypatch):
    """`refusing("b")`: deployment b refuses whatever its group sends to it."""
    real = DeploymentState.admit

    def refuse(name):
        def admit(state, call, now):
            return LeftOut(name, "rpm", now + 30.0) if state.id == name else real(state, call, now)

        monkeypatch.setattr(DeploymentState, "admit", admit)

    return refuse


def test_a_refusal_costs_no_attempt_also_when_nobody_else_can_take_it(town, refusing):
    refusing("b")
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": DOWN}, num_retries=2, disable_cooldowns=True)
    error = place.error()
    assert [row.deployment_id for row in error.attempts] == ["a", "a", "a"]
    picked = [(event.attempt, event.decision.deployment_id) for event in place.found(DeploymentPicked)]
    assert {attempt for attempt, name in picked if name == "a"} == {1, 2, 3}
    (failed,) = place.found(RequestFailed)
    assert (failed.attempts, failed.retries) == (3, 2)


def test_a_refusal_before_a_fallback_counts_as_no_retry(town, refusing):
    refusing("b")
    place = town(
        {"a": "gpt-4", "b": "gpt-4", "z": "backup"},
        {"a": [401]},
        num_retries=2,
        fallbacks=["backup"],
    )
    route = place.ask().route
    assert [row.deployment_id for row in route.attempts] == ["a", "z"]
    assert (route.retries, route.fallbacks) == (0, 1)
    assert [e.attempt for e in place.found(DeploymentPicked) if e.decision.deployment_id == "z"] == [2]
