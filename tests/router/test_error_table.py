"""What each class of error leads to: a retry or not, a cooldown or not, and which fallbacks."""

from __future__ import annotations

import pytest

import turnout
from turnout.testing import SimulatedProvider

NEVER = [
    "BadRequestError",
    "UnprocessableEntityError",
    "ContextWindowExceededError",
    "ContentPolicyViolationError",
]
ELSEWHERE = ["AuthenticationError", "PermissionDeniedError", "NotFoundError"]
ALWAYS = [
    "Timeout",
    "RateLimitError",
    "InternalServerError",
    "BadGatewayError",
    "ServiceUnavailableError",
    "APIError",
    "APIConnectionError",
]
STATUS = {
    "BadRequestError": 400,
    "UnprocessableEntityError": 422,
    "ContextWindowExceededError": 400,
    "ContentPolicyViolationError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "Timeout": 408,
    "RateLimitError": 429,
    "InternalServerError": 500,
    "BadGatewayError": 502,
    "ServiceUnavailableError": 503,
    "APIError": 500,
    "APIConnectionError": 500,
}


def always(name):
    return SimulatedProvider(error_rate=1.0, error=getattr(turnout, name))


@pytest.mark.parametrize("name", NEVER)
def test_what_is_wrong_with_the_request_is_not_retried_anywhere(town, name):
    place = town({"a": "gpt-4", "b": "gpt-4"}, default=always(name), num_retries=3)
    error = place.error()
    assert type(error).__name__ == name
    assert sum(place.calls.values()) == 1


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_wrong_key_is_retried_on_another_deployment(town, name):
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": always(name)}, num_retries=3, routing_strategy=First())
    answer = place.ask()
    assert answer.route.deployment_id == "b"
    assert place.calls == {"a": 1, "b": 1}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_wrong_key_is_never_tried_again_on_the_same_deployment(town, name):
    place = town({"a": "gpt-4", "b": "gpt-4"}, default=always(name), num_retries=5)
    error = place.error()
    assert type(error).__name__ == name
    assert place.calls == {"a": 1, "b": 1}
    assert place.passed == 0


@pytest.mark.parametrize("name", ALWAYS)
def test_what_may_pass_is_retried_on_the_same_deployment(town, name):
    place = town({"a": "gpt-4"}, {"a": [getattr(turnout, name)] * 2}, num_retries=2)
    answer = place.ask()
    assert place.calls == {"a": 3}
    assert [row.error for row in answer.route.attempts] == [name, name, None]


@pytest.mark.parametrize("name", ALWAYS)
def test_what_may_pass_is_retried_on_another_deployment_first_and_without_a_pause(town, name):
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": always(name)}, num_retries=1, routing_strategy=First())
    answer = place.ask()
    assert [row.deployment_id for row in answer.route.attempts] == ["a", "b"]
    assert place.passed == 0


@pytest.mark.parametrize("name", NEVER)
def test_what_is_wrong_with_the_request_cools_nothing_down(town, name):
    place = town({"a": "gpt-4"}, default=always(name), allowed_fails=0)
    for _ in range(5):
        place.error()
    assert place.calls == {"a": 5}
    assert place.state("a")["breaker"]["trips"] == 0


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_wrong_key_cools_down_at_once(town, name):
    place = town({"a": "gpt-4"}, default=always(name), allowed_fails=100)
    place.error()
    assert isinstance(place.error(), turnout.NoDeploymentsAvailable)
    assert place.calls == {"a": 1}


@pytest.mark.parametrize("name", ALWAYS)
def test_what_may_pass_counts_towards_a_cooldown(town, name):
    place = town({"a": "gpt-4"}, default=always(name))
    for _ in range(4):
        assert type(place.error()).__name__ == name
    assert isinstance(place.error(), turnout.NoDeploymentsAvailable)
    assert place.calls == {"a": 4}


@pytest.mark.parametrize("name", [*NEVER, *ELSEWHERE, *ALWAYS])
def test_every_error_falls_back(town, name):
    place = town({"a": "gpt-4", "z": "backup"}, {"a": always(name)}, fallbacks=[{"gpt-4": ["backup"]}])
    answer = place.ask()
    assert answer.route.model_group == "backup"
    assert answer.route.fallbacks == 1


@pytest.mark.parametrize("name", [*NEVER, *ELSEWHERE, *ALWAYS])
def test_only_an_error_of_its_kind_goes_to_a_list_of_a_kind(town, name):
    place = town(
        {"a": "gpt-4", "c": "long", "p": "lenient", "z": "backup"},
        {"a": always(name)},
        fallbacks=[{"gpt-4": ["backup"]}],
        context_window_fallbacks=[{"gpt-4": ["long"]}],
        content_policy_fallbacks=[{"gpt-4": ["lenient"]}],
    )
    kinds = {"ContextWindowExceededError": "long", "ContentPolicyViolationError": "lenient"}
    assert place.ask().route.model_group == kinds.get(name, "backup")


def test_nobody_available_is_not_retried_and_falls_back(town):
    place = town({"a": {"group": "gpt-4", "rpm": 1}, "z": "backup"}, num_retries=3, fallbacks=["backup"])
    assert place.ask().route.model_group == "gpt-4"
    answer = place.ask()
    assert answer.route.model_group == "backup"
    assert answer.route.retries == 0


@pytest.mark.parametrize("name", [*NEVER, *ELSEWHERE, *ALWAYS])
def test_an_error_says_whose_it_is_and_what_was_tried(town, name):
    place = town({"a": "gpt-4"}, default=always(name))
    error = place.error()
    assert isinstance(error, turnout.TurnoutError)
    assert (error.status_code, error.deployment_id, error.llm_provider) == (STATUS[name], "a", "openai")
    assert error.model == "gpt-4o"
    (row,) = error.attempts
    assert (row.group, row.deployment_id, row.error, row.status_code) == ("gpt-4", "a", name, STATUS[name])
    assert error.request_id in place.router.events()[-1].stream


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (408, "Timeout"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (502, "BadGatewayError"),
        (503, "ServiceUnavailableError"),
        (529, "ServiceUnavailableError"),
        (507, "APIError"),
    ],
)
def test_a_status_has_its_class(town, status, name):
    error = town({"a": "gpt-4"}, {"a": [status]}).error()
    assert type(error).__name__ == name
    assert error.status_code == status


class First:
    """Picks the first that may serve."""

    def pick(self, candidates, request, rng):
        return candidates[0]
