"""Which group next: the kinds of fallback, their order, and where they end."""

from __future__ import annotations

import pytest

from turnout import (
    APIConnectionError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)
from turnout.messages.events import FellBack
from turnout.testing import SimulatedProvider, SimulatedProviders

DOWN = SimulatedProvider(error_rate=1.0)


def groups(names):
    """One deployment for each group, named like it."""
    return {name: name for name in names.split()}


def tried(place):
    return [event.to_group for event in place.found(FellBack)]


class Recorder:
    """A `caller` that notes what each deployment was asked."""

    def __init__(self, providers):
        self.inner = SimulatedProviders(providers)
        self.seen = []

    def connect(self, dispatcher):
        self.inner.connect(dispatcher)
        return self

    def start(self, call, deliver):
        self.seen.append((call.deployment.id, call.call.request))
        return self.inner.start(call, deliver)


def test_fallbacks_are_tried_in_order_until_one_answers(town):
    """I6"""
    place = town(groups("gpt-4 b c d"), {"gpt-4": DOWN, "b": DOWN}, fallbacks=[{"gpt-4": ["b", "c", "d"]}])
    answer = place.ask()
    assert answer.route.model_group == "c"
    assert tried(place) == ["b", "c"]
    assert answer.route.fallbacks == 2


def test_a_list_of_names_is_a_list_for_every_group(town):
    place = town(groups("gpt-4 claude b"), {"gpt-4": DOWN, "claude": DOWN}, fallbacks=["b"])
    assert place.ask("gpt-4").route.model_group == "b"
    assert place.ask("claude").route.model_group == "b"


def test_all_fail_and_the_first_groups_error_comes_with_every_attempt_in_it(town):
    place = town(
        groups("gpt-4 b c"),
        {"gpt-4": [503], "b": [429], "c": [400]},
        fallbacks=["b", "c"],
    )
    error = place.error()
    assert error.status_code == 503
    assert [(row.group, row.error) for row in error.attempts] == [
        ("gpt-4", "ServiceUnavailableError"),
        ("b", "RateLimitError"),
        ("c", "BadRequestError"),
    ]


def test_the_first_groups_error_is_its_last_one(town):
    place = town(groups("gpt-4 b"), {"gpt-4": [503, 502], "b": [500, 500]}, fallbacks=["b"], num_retries=1)
    assert place.error().status_code == 502


def test_no_group_is_tried_twice(town):
    """I6"""
    place = town(groups("gpt-4 b"), default=DOWN, fallbacks=[{"gpt-4": ["b"]}, {"b": ["gpt-4"]}])
    assert len(place.error().attempts) == 2


def test_no_group_is_tried_twice_under_another_name(town):
    """I6"""
    place = town(
        {"x": "gpt-4", "y": "b"},
        default=DOWN,
        fallbacks=[{"gpt-4": ["mine", "x", "b", "y"]}],
        model_group_alias={"mine": "gpt-4"},
    )
    place.error()
    assert tried(place) == ["b"]


def test_at_most_five_groups_are_tried(town):
    """I6"""
    place = town(groups("gpt-4 b c d e f g h"), default=DOWN, fallbacks=["b", "c", "d", "e", "f", "g", "h"])
    assert len(place.error().attempts) == 6


@pytest.mark.parametrize("most", [0, 1, 3])
def test_max_fallbacks_says_how_many_groups_are_tried(town, most):
    """I6"""
    place = town(groups("gpt-4 b c d e"), default=DOWN, fallbacks=["b", "c", "d", "e"], max_fallbacks=most)
    place.error()
    assert len(tried(place)) == most


def test_the_fallbacks_of_a_fallback_follow(town):
    place = town(groups("gpt-4 b c"), {"gpt-4": DOWN, "b": DOWN}, fallbacks=[{"gpt-4": ["b"]}, {"b": ["c"]}])
    assert place.ask().route.model_group == "c"


def test_default_fallbacks_serve_where_there_is_no_other_list(town):
    place = town(groups("gpt-4 b c"), {"gpt-4": DOWN}, default_fallbacks=["c"], fallbacks=[{"b": ["gpt-4"]}])
    assert place.ask().route.model_group == "c"


def test_default_fallbacks_do_not_serve_where_there_is_a_list(town):
    place = town(
        groups("gpt-4 b c"), {"gpt-4": DOWN, "b": DOWN}, default_fallbacks=["c"], fallbacks=[{"gpt-4": ["b"]}]
    )
    place.error()
    assert tried(place) == ["b"]


def test_a_kind_without_a_list_for_this_group_uses_the_general_one(town):
    place = town(
        groups("gpt-4 b c"),
        {"gpt-4": [ContextWindowExceededError]},
        fallbacks=[{"gpt-4": ["b"]}],
        context_window_fallbacks=[{"b": ["c"]}],
    )
    assert place.ask().route.model_group == "b"


# -- a request's own


def test_a_requests_own_list_goes_first(town):
    place = town(groups("gpt-4 b c"), {"gpt-4": DOWN}, fallbacks=[{"gpt-4": ["b"]}])
    assert place.ask(fallbacks=["c"]).route.model_group == "c"


def test_a_requests_own_list_goes_before_the_routers_kinds(town):
    place = town(
        groups("gpt-4 b c"),
        {"gpt-4": [ContextWindowExceededError]},
        context_window_fallbacks=[{"gpt-4": ["b"]}],
    )
    assert place.ask(fallbacks=["c"]).route.model_group == "c"


def test_a_requests_own_list_for_a_kind(town):
    place = town(groups("gpt-4 b c"), {"gpt-4": [ContextWindowExceededError]}, fallbacks=["b"])
    assert place.ask(context_window_fallbacks=[{"gpt-4": ["c"]}]).route.model_group == "c"


def test_a_request_may_forbid_fallbacks(town):
    place = town(groups("gpt-4 b"), {"gpt-4": DOWN}, fallbacks=["b"])
    assert isinstance(place.error(disable_fallbacks=True), InternalServerError)


def test_a_request_whose_fallback_nobody_knows_is_refused_at_once(town):
    place = town(groups("gpt-4"), {"gpt-4": DOWN})
    error = place.error(fallbacks=["gpt-5"])
    assert isinstance(error, BadRequestError)
    assert str(error) == "fallbacks: no model group 'gpt-5'; did you mean 'gpt-4'? (known: gpt-4)"


def test_a_fallback_of_the_router_that_nobody_knows_is_warned_of_and_passed_over(town, caplog):
    place = town(groups("gpt-4 b"), {"gpt-4": DOWN}, fallbacks=[{"gpt-4": ["gpt-5", "b"]}])
    assert "fallbacks: no model group 'gpt-5'; did you mean 'gpt-4'?" in caplog.text
    assert place.ask().route.model_group == "b"


def test_malformed_fallbacks_of_a_request_are_a_bad_request(town):
    place = town(groups("gpt-4"))
    assert isinstance(place.error(fallbacks=[{"gpt-4": [{"messages": []}]}]), BadRequestError)


# -- overrides


def test_a_fallback_may_bring_its_own_messages(town):
    recorder = Recorder({"gpt-4": DOWN})
    other = [{"role": "user", "content": "shorter"}]
    fallbacks = [{"gpt-4": [{"model": "b", "messages": other}]}]
    town(groups("gpt-4 b"), caller=recorder, fallbacks=fallbacks).ask(temperature=0.5)
    (_, first), (name, second) = recorder.seen
    assert name == "b"
    assert second.messages == other
    assert first.messages != other
    assert second.wire_params()["temperature"] == 0.5


def test_overrides_are_for_their_own_target_only(town):
    recorder = Recorder({"gpt-4": DOWN, "b": DOWN})
    other = [{"role": "user", "content": "shorter"}]
    fallbacks = [{"gpt-4": [{"model": "b", "messages": other, "temperature": 0.1}, "c"]}]
    town(groups("gpt-4 b c"), caller=recorder, fallbacks=fallbacks).ask()
    first, _, third = (request for _, request in recorder.seen)
    assert third.messages == first.messages
    assert "temperature" not in third.wire_params()


def test_overrides_that_make_no_request_are_a_bad_request_and_crash_nothing(town):
    place = town(groups("gpt-4 b"), {"gpt-4": DOWN})
    error = place.error(fallbacks=[{"gpt-4": [{"model": "b", "messages": []}]}])
    assert isinstance(error, BadRequestError)
    assert "messages" in str(error)
    assert isinstance(error.__cause__, InternalServerError)
    assert len(error.attempts) == 1
    assert place.router.health()["ok"]
    assert place.ask("b").route.model_group == "b"


# -- names that lead nowhere


def test_an_unknown_name_with_fallbacks_of_its_own_goes_to_them(town):
    assert town(groups("gpt-4 b")).ask("gpt-5", fallbacks=["b"]).route.model_group == "b"


def test_an_unknown_name_is_told_the_groups_there_are_and_the_nearest(town):
    error = town(groups("gpt-4 claude")).error("gpt4")
    assert isinstance(error, NotFoundError)
    assert "did you mean 'gpt-4'?" in str(error)
    assert "claude" in str(error)
    assert error.attempts == ()


def test_an_unknown_name_goes_to_the_default_fallbacks_and_the_answer_says_so(town):
    place = town(groups("gpt-4 b"), {"b": DOWN}, default_fallbacks=["b", "gpt-4"])
    route = place.ask("unheard-of").route
    assert (route.model_group, route.fallbacks) == ("gpt-4", 2)


def test_an_unknown_name_does_not_use_the_list_for_every_group(town):
    """A misspelt name must not quietly be answered by another model."""
    assert isinstance(town(groups("gpt-4 b"), fallbacks=["b"]).error("gpt-5"), NotFoundError)


def test_max_fallbacks_holds_for_an_unknown_name_too(town):
    """I6"""
    place = town(groups("b c"), default=DOWN, default_fallbacks=["b", "c"], max_fallbacks=1)
    assert isinstance(place.error("unheard-of"), NotFoundError)
    assert tried(place) == ["b"]


def test_an_unknown_name_whose_fallbacks_fail_ends_in_its_own_error(town):
    place = town(groups("b"), default=DOWN, default_fallbacks=["b"])
    error = place.error("unheard-of")
    assert isinstance(error, NotFoundError)
    assert [row.group for row in error.attempts] == ["b"]


# -- with other rules


def test_each_group_starts_with_a_clean_slate(town):
    """I5: what failed in one group says nothing about the next one."""
    place = town(
        {"a": "gpt-4", "x": "b", "y": "b"},
        {"a": DOWN, "x": [500], "y": [500]},
        num_retries=1,
        fallbacks=["b"],
    )
    rows = place.error().attempts
    assert {row.deployment_id for row in rows if row.group == "b"} == {"x", "y"}


def test_a_rate_limit_of_the_last_group_does_not_hide_the_first_groups_error(town):
    script = [RateLimitError("later", retry_after=9.0)]
    place = town(groups("gpt-4 b"), {"gpt-4": [APIConnectionError], "b": script}, fallbacks=["b"])
    error = place.error()
    assert isinstance(error, APIConnectionError)
    assert error.retry_after is None
