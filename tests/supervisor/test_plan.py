"""What next, given what happened: the table of retries and fallbacks, without an actor or a clock."""

from __future__ import annotations

import random

import pytest

from turnout.messages.fallbacks import FallbackTarget
from turnout.messages.outcomes import LeftOut
from turnout.supervisor.planning.plan import (
    Backoff,
    Failed,
    GiveUp,
    NextGroup,
    Pause,
    RetryRules,
    TryAgain,
    Unplaced,
    after_unplaced,
    reasons_of,
    wants_retry,
)
from turnout.supervisor.request_state import RequestState

NEXT = FallbackTarget("b")
COOLING = frozenset({"cooling_down"})


def state(group_attempts=1, deadline=100.0):
    return RequestState("r", "a", "a", deadline, group_attempts=group_attempts)


def unplaced(*, repeatable=False, earliest=None, reasons=COOLING, has_waited=False):
    return Unplaced(repeatable, earliest, reasons, has_waited)


def step(unplaced, failed, *, rules=None, target=None, now=0.0, **of_state):
    rules = rules or RetryRules(num_retries=3)
    return after_unplaced(state(**of_state), unplaced, failed, rules, target, now, random.Random(1))


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        ("BadRequestError", False),
        ("UnprocessableEntityError", False),
        ("ContextWindowExceededError", False),
        ("ContentPolicyViolationError", False),
        ("NoDeploymentsAvailable", False),
        ("AuthenticationError", True),
        ("PermissionDeniedError", True),
        ("NotFoundError", True),
        ("Timeout", True),
        ("RateLimitError", True),
        ("InternalServerError", True),
        ("BadGatewayError", True),
        ("ServiceUnavailableError", True),
        ("APIError", True),
        ("APIConnectionError", True),
    ],
)
def test_which_errors_are_retried(error, retried):
    assert wants_retry(state(), Failed(error), RetryRules(num_retries=2), None) is retried


@pytest.mark.parametrize(
    ("policy", "requested", "deployment", "router", "allowed"),
    [
        (5, 3, 2, 1, 5),  # the policy for this class goes first
        (None, 3, 2, 1, 3),  # then the request
        (None, None, 2, 1, 2),  # then the deployment
        (None, None, None, 1, 1),  # then the router
        (5, 0, 2, 1, 0),  # a request's 0 always wins
        (0, 3, 2, 1, 0),
        (None, None, 0, 1, 0),
    ],
)
def test_whose_number_of_retries_counts(policy, requested, deployment, router, allowed):
    rules = RetryRules(router, lambda _error: policy)
    assert rules.allowed(Failed("Timeout", deployment_retries=deployment), requested) == allowed


def test_a_policy_may_retry_what_is_not_retried_otherwise():
    rules = RetryRules(by_error={"ContentPolicyViolationError": 3}.get)
    assert rules.allowed(Failed("ContentPolicyViolationError"), None) == 3


def test_attempts_in_a_group_are_one_plus_the_retries():
    rules = RetryRules(num_retries=2)
    wanted = [wants_retry(state(group_attempts=n), Failed("Timeout"), rules, None) for n in (1, 2, 3)]
    assert wanted == [True, True, False]


def test_the_same_deployment_is_asked_again_at_once_after_a_server_error():
    assert step(unplaced(repeatable=True), Failed("InternalServerError")) == TryAgain(repeat=True)


def test_retry_after_of_the_router_is_the_least_pause():
    rules = RetryRules(num_retries=3, retry_after=5.0)
    assert step(unplaced(repeatable=True), Failed("APIError"), rules=rules) == Pause(5.0)


def test_a_rate_limit_pauses_for_what_the_provider_asked():
    assert step(unplaced(repeatable=True), Failed("RateLimitError", 12.0)) == Pause(12.0)


@pytest.mark.parametrize(("k", "most"), [(0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (9, 8.0)])
def test_full_jitter_grows_to_eight_seconds(k, most):
    rng = random.Random(7)
    draws = [Backoff().seconds(k, rng) for _ in range(2000)]
    assert min(draws) >= 0.0
    assert most * 0.98 < max(draws) <= most


def test_without_jitter_the_pause_is_exact():
    assert Backoff(1.0, 60.0, 2.0, jitter=False).seconds(3, random.Random(1)) == 8.0


def test_a_pause_that_passes_the_deadline_goes_to_the_next_group_now():
    failed = Failed("RateLimitError", 30.0)
    assert step(unplaced(repeatable=True), failed, target=NEXT, deadline=20.0) == NextGroup(NEXT)
    assert step(unplaced(repeatable=True), failed, deadline=20.0) == GiveUp()


def test_with_nothing_eligible_a_fallback_is_tried_now():
    assert step(unplaced(earliest=1.0), Failed("Timeout"), target=NEXT) == NextGroup(NEXT)


def test_with_no_fallback_left_the_retry_waits_for_the_release():
    assert step(unplaced(earliest=50.0), Failed("Timeout")) == TryAgain(repeat=True, wait=True)


def test_a_release_after_the_deadline_is_not_waited_for():
    assert step(unplaced(earliest=101.0), Failed("Timeout")) == GiveUp()


def test_the_least_pause_holds_for_a_release_too():
    rules = RetryRules(num_retries=3, retry_after=5.0)
    assert step(unplaced(earliest=1.0), Failed("Timeout"), rules=rules) == Pause(5.0)


def test_nobody_waits_for_a_wrong_key():
    reasons = frozenset({"failed_in_this_request"})
    assert step(unplaced(reasons=reasons), Failed("AuthenticationError")) == GiveUp()


def test_a_wait_that_was_refused_is_not_asked_for_again():
    assert step(unplaced(earliest=1.0, has_waited=True), Failed("Timeout")) == GiveUp()


def test_a_demand_that_never_fits_is_no_reason_to_wait():
    left_out = (LeftOut("d", "tpm"), LeftOut("e", "rpm", 5.0))
    assert reasons_of(left_out, {"parallel": 2}) == {"rpm", "parallel"}


def test_one_that_failed_earlier_is_asked_before_a_pause_for_the_last():
    again = Unplaced(repeatable=True, earliest=None, earlier=True)
    assert step(again, Failed("RateLimitError", 9.0)) == TryAgain(repeat=True, not_the_last=True)
    assert step(again, Failed("APIError")) == TryAgain(repeat=True)


def test_what_any_provider_asked_to_wait_is_waited_before_it_is_asked_again():
    assert step(unplaced(repeatable=True), Failed("ServiceUnavailableError", 3.0)) == Pause(3.0)
