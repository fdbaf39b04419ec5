"""Limits: exact at the boundary, all or nothing, under every strategy."""

from __future__ import annotations

import pytest

from turnout import NoDeploymentsAvailable
from turnout.messages.events import CallStarted
from turnout.messages.settings import STRATEGIES
from turnout.testing import SimulatedProvider

SLOW = SimulatedProvider(latency=10.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rpm_3_serves_three_in_a_minute_under_every_strategy(town, strategy):
    """I3"""
    place = town({"a": {"group": "gpt-4", "rpm": 3}}, routing_strategy=strategy)
    for _ in range(3):
        place.ask()
    error = place.error()
    assert isinstance(error, NoDeploymentsAvailable)
    assert error.retry_after == 60.0
    assert [(item.reason, item.deployment_id) for item in error.left_out] == [("rpm", "a")]


def test_a_start_leaves_the_window_after_exactly_sixty_seconds(town):
    """I3"""
    place = town({"a": {"group": "gpt-4", "rpm": 1}})
    place.ask()
    place.clock.advance(59.999)
    assert isinstance(place.error(), NoDeploymentsAvailable)
    place.clock.advance(0.001)
    place.ask()


def test_windows_roll_and_are_no_calendar_minutes(town):
    """I3"""
    place = town({"a": {"group": "gpt-4", "rpm": 2}})
    place.clock.advance(55.0)
    place.ask()
    place.ask()
    place.clock.advance(30.0)
    assert place.error().retry_after == 30.0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tpm_is_exact_at_the_boundary_under_every_strategy(town, strategy):
    """I3"""
    provider = SimulatedProvider(prompt_tokens=50, completion_tokens=50)
    place = town({"a": {"group": "gpt-4", "tpm": 200}}, {"a": provider}, routing_strategy=strategy)
    demand = place.request(max_tokens=1).demand().input_tokens
    place.ask(max_tokens=100 - demand)
    place.ask(max_tokens=100 - demand)
    error = place.error(max_tokens=1)
    assert error.left_out[0].reason == "tpm"
    assert error.retry_after == 60.0


def test_one_token_more_than_is_left_is_refused(town):
    """I3; by the estimate, of a model whose tokens cannot be counted"""
    place = town({"a": {"group": "gpt-4", "tpm": 200, "model": "openai/of-our-own"}}, {"a": SLOW})
    demand = place.request(max_tokens=1).demand().input_tokens
    place.send(max_tokens=100 - demand)
    assert isinstance(place.error(max_tokens=101 - demand), NoDeploymentsAvailable)
    place.send(max_tokens=100 - demand)
    place.clock.advance(0.0)
    assert place.calls == {"a": 2}


def test_tokens_are_reserved_at_the_start_and_settled_at_the_end(town):
    provider = SimulatedProvider(latency=5.0, prompt_tokens=10, completion_tokens=15)
    place = town({"a": {"group": "gpt-4", "tpm": 1000}}, {"a": provider})
    future = place.send(max_tokens=500)
    place.clock.advance(1.0)
    reserved = place.found(CallStarted)[0].reserved
    assert reserved == 500 + place.request().demand().input_tokens
    assert f"{reserved}/1000 tpm" in place.line("a")
    place.clock.advance(4.0)
    assert future.done()
    assert "25/1000 tpm" in place.line("a")


def test_a_request_larger_than_the_limit_never_fits_and_nobody_says_when(town):
    place = town({"a": {"group": "gpt-4", "tpm": 100}}, on_exhausted="wait")
    error = place.error(max_tokens=500)
    assert isinstance(error, NoDeploymentsAvailable)
    assert error.retry_after is None
    assert place.passed == 0


@pytest.mark.parametrize("script", [[500], [401]])
def test_an_answer_that_is_an_error_gives_its_tokens_back(town, script):
    place = town({"a": {"group": "gpt-4", "tpm": 1000}}, {"a": script})
    place.error(max_tokens=900)
    assert place.state("a")["window"][0][3] == 0


def test_a_call_that_is_given_up_is_settled_by_what_it_must_have_used(town):
    place = town({"a": {"group": "gpt-4", "tpm": 1000}}, {"a": SLOW})
    future = place.send(max_tokens=900)
    place.clock.advance(1.0)
    future.cancel()
    place.clock.advance(0.0)
    assert place.state("a")["window"][0][3] == place.request().demand().input_tokens
    assert place.open_calls() == 0


def test_a_burst_spreads_and_never_passes_a_limit(town):
    """I3, I4"""
    place = town(
        {name: {"group": "gpt-4", "rpm": 5, "max_parallel_requests": 3} for name in "abc"}, default=SLOW
    )
    futures = [place.send() for _ in range(40)]
    place.clock.advance(1.0)
    assert place.calls == {"a": 3, "b": 3, "c": 3}
    place.clock.advance(20.0)
    assert sum(future.done() for future in futures) == 40


# -- parallel


@pytest.mark.parametrize(
    ("deployment", "settings", "request_", "expected"),
    [
        ({}, {}, {}, 6),
        ({}, {"default_max_parallel_requests": 2}, {}, 2),
        ({"max_parallel_requests": 3}, {"default_max_parallel_requests": 2}, {}, 3),
        ({"max_parallel_requests": 3}, {}, {"max_parallel_requests": 1}, 1),
        ({}, {"default_max_parallel_requests": 2}, {"max_parallel_requests": 1}, 1),
    ],
)
def test_the_request_then_the_deployment_then_the_default_says_how_many_at_once(
    town, deployment, settings, request_, expected
):
    """I4"""
    place = town({"a": {"group": "gpt-4", **deployment}}, default=SLOW, **settings)
    for _ in range(6):
        place.send(**request_)
    place.clock.advance(1.0)
    assert place.calls["a"] == expected


def test_a_requests_own_number_may_be_higher_than_the_deployments(town):
    place = town({"a": {"group": "gpt-4", "max_parallel_requests": 1}}, default=SLOW, audit=False)
    for _ in range(4):
        place.send(max_parallel_requests=3)
    place.clock.advance(1.0)
    assert place.calls["a"] == 3


def test_a_slot_is_free_again_when_its_call_has_ended(town):
    """I4"""
    place = town({"a": {"group": "gpt-4", "max_parallel_requests": 1}})
    for _ in range(5):
        place.ask()
    assert place.open_calls() == 0


def test_a_refusal_takes_nothing(town):
    """All or nothing: a call that tpm forbids has not used up a start."""
    place = town({"a": {"group": "gpt-4", "rpm": 2, "tpm": 100}})
    for _ in range(5):
        place.error(max_tokens=1000)
    place.ask(max_tokens=10)
    place.ask(max_tokens=10)
    assert place.calls == {"a": 2}


def test_a_failed_start_counts_as_a_start(town):
    """I3"""
    place = town({"a": {"group": "gpt-4", "rpm": 2}}, {"a": [500, 500]}, disable_cooldowns=True)
    place.error()
    place.error()
    assert isinstance(place.error(), NoDeploymentsAvailable)


def test_the_error_names_each_candidate_with_its_own_reason(town):
    place = town(
        {
            "limited": {"group": "gpt-4", "rpm": 1},
            "small": {"group": "gpt-4", "tpm": 50},
            "narrow": {"group": "gpt-4", "max_parallel_requests": 1},
        },
        default=SLOW,
    )
    place.send(max_tokens=1000)
    place.send(max_tokens=1000)
    place.clock.advance(1.0)
    error = place.error(max_tokens=1000)
    assert {item.deployment_id: item.reason for item in error.left_out} == {
        "limited": "rpm",
        "small": "tpm",
        "narrow": "parallel",
    }


def test_of_many_left_out_32_are_named_and_the_rest_counted(town):
    place = town({f"d{n}": {"group": "gpt-4", "rpm": 1} for n in range(40)})
    for _ in range(40):
        place.ask()
    error = place.error()
    assert len(error.left_out) == 32
    assert error.left_out_by_reason == {"rpm": 8}
    assert "40 rpm" in str(error)


def test_a_deployment_asked_for_by_its_id_keeps_its_limits(town):
    """I3"""
    place = town({"a": {"group": "gpt-4", "rpm": 1}, "b": "gpt-4"})
    assert place.ask("a").route.deployment_id == "a"
    error = place.error("a")
    assert isinstance(error, NoDeploymentsAvailable)
    assert [item.deployment_id for item in error.left_out] == ["a"]
