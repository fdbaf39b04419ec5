"""The breaker: when it opens, for how long, and how it closes."""

from __future__ import annotations

import pytest

from turnout.actors.deployment.cooldown import Breaker, CooldownPolicy, Failure

POLICY = CooldownPolicy(allowed_fails=3, cooldown_time=1.0)


def fail(breaker, error, at, policy=POLICY, *, retry_after=None, probe=False):
    """What a deployment does for a failure: count it, judge it, apply the verdict."""
    if policy.counts(error):
        breaker.count(error, at, policy)
    event = breaker.judge(Failure(error, at, retry_after, probe), policy)
    if event is not None:
        breaker.opened(event)
    return event


def test_the_fourth_failure_in_a_minute_opens():
    breaker = Breaker()
    assert [fail(breaker, "Timeout", at) for at in (0.0, 1.0, 2.0)] == [None] * 3
    assert fail(breaker, "InternalServerError", 3.0).until == 4.0
    assert breaker.state(3.5) == "open"
    assert breaker.state(4.0) == "half-open"


def test_failures_older_than_a_minute_do_not_count():
    breaker = Breaker()
    for at in (0.0, 1.0, 2.0):
        fail(breaker, "APIError", at)
    assert fail(breaker, "APIError", 61.0) is None


@pytest.mark.parametrize("error", ["AuthenticationError", "PermissionDeniedError", "NotFoundError"])
def test_a_wrong_key_opens_at_once(error):
    assert fail(Breaker(), error, 0.0).until == 1.0


@pytest.mark.parametrize(
    "error", ["BadRequestError", "ContextWindowExceededError", "ContentPolicyViolationError"]
)
def test_a_wrong_request_never_speaks_against_the_deployment(error):
    breaker = Breaker()
    assert [fail(breaker, error, 0.0) for _ in range(20)] == [None] * 20


def test_a_rate_limit_with_retry_after_rests_that_long():
    assert fail(Breaker(), "RateLimitError", 10.0, retry_after=7.5).until == 17.5


def test_a_rate_limit_without_retry_after_is_only_counted():
    assert fail(Breaker(), "RateLimitError", 10.0) is None


def test_the_longer_cooldown_stands():
    breaker = Breaker()
    fail(breaker, "RateLimitError", 0.0, retry_after=30.0)
    assert fail(breaker, "RateLimitError", 1.0, retry_after=5.0) is None
    assert fail(breaker, "RateLimitError", 2.0, retry_after=60.0).until == 62.0


def test_each_failed_probe_doubles_the_rest_up_to_five_minutes():
    breaker = Breaker()
    fail(breaker, "AuthenticationError", 0.0)
    rests = [fail(breaker, "Timeout", breaker.until, probe=True).seconds for _ in range(12)]
    assert rests == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0, 300.0, 300.0]


def test_closing_forgets_the_failures():
    breaker = Breaker()
    for at in range(4):
        fail(breaker, "Timeout", float(at))
    breaker.closed()
    assert breaker.state(5.0) == "closed"
    assert fail(breaker, "Timeout", 5.0) is None


@pytest.mark.parametrize("policy", [CooldownPolicy(disabled=True), CooldownPolicy(cooldown_time=0.0)])
def test_cooldowns_can_be_switched_off(policy):
    breaker = Breaker()
    assert [fail(breaker, "AuthenticationError", 0.0, policy, retry_after=9.0) for _ in range(9)] == [
        None
    ] * 9


def test_a_class_with_a_limit_of_its_own_is_counted_apart():
    policy = CooldownPolicy(allowed_fails=1, allowed_by_error={"RateLimitError": 4})
    breaker = Breaker()
    assert [fail(breaker, "RateLimitError", 0.0, policy) for _ in range(4)] == [None] * 4
    assert fail(breaker, "Timeout", 0.0, policy) is None
    assert fail(breaker, "RateLimitError", 0.0, policy) is not None


def test_a_policy_can_make_content_violations_count():
    policy = CooldownPolicy(allowed_by_error={"ContentPolicyViolationError": 1})
    breaker = Breaker()
    assert fail(breaker, "ContentPolicyViolationError", 0.0, policy) is None
    assert fail(breaker, "ContentPolicyViolationError", 0.0, policy) is not None


def test_a_breaker_survives_its_snapshot():
    breaker = Breaker()
    for at in range(4):
        fail(breaker, "Timeout", float(at))
    assert Breaker.restore(breaker.snapshot()).snapshot() == breaker.snapshot()
