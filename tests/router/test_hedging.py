"""A second attempt beside a slow one: the first answer wins, the other is aborted and charged."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import BadRequestError, ConfigurationError, InternalServerError, RequestError, Timeout
from turnout.actors.deployment.actor import DeploymentActor
from turnout.actors.deployment.state import DeploymentState
from turnout.messages.commands import Inspect, SaveSnapshot, StartCall
from turnout.messages.events import (
    CallCancelled,
    CallFailed,
    DeploymentPicked,
    HedgeRefused,
    HedgeSettled,
)
from turnout.messages.outcomes import LeftOut
from turnout.messages.values import replace
from turnout.supervisor.planning.hedging import (
    MARGIN_SECONDS,
    MAX_MEASURED,
    MAX_SAVED_HEDGES,
    MIN_SAMPLES,
    WINDOW,
    HedgeRules,
    Hedging,
)
from turnout.supervisor.supervisor import Supervisor
from turnout.testing import SimulatedProvider

SLOW = SimulatedProvider(latency=10.0)
QUICK = SimulatedProvider(latency=0.5)
TALKS = SimulatedProvider(text="one two three four", chunk_seconds=1.0, latency=0.5)
MUMBLES = SimulatedProvider(text="un deux trois", chunk_seconds=1.0, latency=10.0)

# the first is preferred by weight, so that it is known who is asked first
PAIR = {"first": {"group": "gpt-4", "weight": 1}, "second": {"group": "gpt-4", "weight": 0}}
ALWAYS = {"hedge_after": 2, "hedge_budget": 1.0}


def hedged(town, first=SLOW, second=QUICK, deployments=PAIR, **settings):
    return town(deployments, {"first": first, "second": second}, **{**ALWAYS, **settings})


def rows(route):
    return [(row.deployment_id, row.error) for row in route.attempts]


def test_a_second_attempt_starts_on_another_deployment_and_the_first_answer_wins(town):
    place = hedged(town)
    route = place.ask().route
    assert (route.deployment_id, route.seconds, route.hedges, route.retries) == ("second", 2.5, 1, 0)
    assert rows(route) == [("first", "Cancelled"), ("second", None)]
    assert place.passed == 2.5
    assert place.open_calls() == 0


def test_the_loser_is_cancelled_and_charged(town):
    place = hedged(town)
    place.ask()
    (cancelled,) = place.found(CallCancelled)
    assert (cancelled.reason, cancelled.seconds) == ("hedged", 2.5)
    assert cancelled.prompt_tokens > 0
    assert place.state("first")["totals"]["prompt_tokens"] == cancelled.prompt_tokens
    (settled,) = place.found(HedgeSettled)
    assert (settled.winner[-3:], settled.loser[-2:], settled.deployment_id) == (".1h", ".1", "first")


def test_the_first_attempt_may_still_win(town):
    place = hedged(town, first=SimulatedProvider(latency=3.0), second=SLOW)
    route = place.ask().route
    assert (route.deployment_id, route.seconds, route.hedges) == ("first", 3.0, 1)
    assert rows(route) == [("second", "Cancelled"), ("first", None)]
    assert [event.reason for event in place.found(CallCancelled)] == ["hedged"]


def test_the_time_of_a_call_that_was_refused_begins_when_it_is_placed_after_all(town, monkeypatch):
    """Two refusals, and a moment's wait: a hedge is due so long after the call has begun, not before."""
    admit, refusals = DeploymentActor._admit, iter(("first", "second"))

    def refuse_at_first(actor, call, now):
        name = next(refusals, None)
        return admit(actor, call, now) if name is None else LeftOut(name, "rpm", now + 0.001)

    monkeypatch.setattr(DeploymentActor, "_admit", refuse_at_first)
    place = hedged(town, on_exhausted="wait")
    route = place.ask().route
    assert (route.deployment_id, route.hedges) == ("second", 1)
    assert route.seconds == pytest.approx(2.501, abs=1e-6)


def test_a_call_that_waits_when_its_hedge_is_due_is_hedged_when_it_has_been_placed_for_so_long(town):
    place = hedged(town)
    router = place.router
    future = place.send()
    entry = next(iter(router._switchboard.supervisor._actor_weakref()._open.values()))
    entry.state.phase = "waiting"  # as if it had been refused, and waited
    place.clock.advance(2.0)
    assert entry.hedge is None
    entry.state.phase = "calling"
    place.clock.advance(10.0)
    assert future.done()


def test_an_answer_in_time_is_not_hedged(town):
    place = hedged(town, first=QUICK)
    assert place.ask().route.hedges == 0
    assert place.calls == {"first": 1}
    assert place.clock.next_timer() is None or place.passed == 0.5


def test_a_request_says_its_own_hedge_after(town):
    place = hedged(town, hedge_after=None)
    assert place.ask().route.seconds == 10.0
    assert place.ask(hedge_after=1).route.seconds == 1.5


def test_of_a_stream_the_first_chunk_wins(town):
    place = hedged(town, first=MUMBLES, second=TALKS)
    stream = place.ask(stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "one two three four"
    assert stream.route.deployment_id == "second"
    assert rows(stream.route) == [("first", "Cancelled"), ("second", None)]


def test_a_stream_that_has_begun_is_not_hedged(town):
    place = hedged(town, first=SimulatedProvider(text="one two three", chunk_seconds=5.0, latency=1.0))
    stream = place.ask(stream=True)
    list(stream)
    assert stream.route.hedges == 0


def test_the_chunks_of_the_loser_are_never_seen(town):
    place = hedged(
        town, first=SimulatedProvider(text="a b c", chunk_seconds=0.1, latency=2.4), second=MUMBLES
    )
    stream = place.ask(stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "a b c"
    assert stream.route.deployment_id == "first"


def test_when_the_first_fails_the_second_goes_on_and_no_retry_is_spent(town):
    place = hedged(
        town, first=SimulatedProvider(latency=3.0, script=[500]), second=SimulatedProvider(latency=4.0)
    )
    route = place.ask().route
    assert (route.deployment_id, route.seconds, route.retries) == ("second", 6.0, 0)
    assert rows(route) == [("first", "InternalServerError"), ("second", None)]


def test_when_the_second_fails_the_first_goes_on_and_is_not_hedged_again(town):
    place = hedged(town, second=SimulatedProvider(latency=1.0, script=[500] * 9))
    route = place.ask().route
    assert (route.deployment_id, route.seconds, route.hedges) == ("first", 10.0, 1)
    assert rows(route) == [("second", "InternalServerError"), ("first", None)]


def test_when_both_fail_the_request_is_retried_as_ever(town):
    place = hedged(
        town,
        first=SimulatedProvider(latency=3.0, script=[500]),
        second=SimulatedProvider(latency=4.0, script=[503]),
        num_retries=1,
    )
    route = place.ask().route
    assert route.retries == 1
    assert rows(route)[:2] == [("first", "InternalServerError"), ("second", "ServiceUnavailableError")]
    assert rows(route)[-1][1] is None


def test_when_both_fail_and_no_retry_is_left_the_last_error_is_told(town):
    place = hedged(
        town,
        first=SimulatedProvider(latency=3.0, script=[500]),
        second=SimulatedProvider(latency=4.0, script=[503]),
    )
    error = place.error()
    assert type(error).__name__ == "ServiceUnavailableError"
    assert [row.error for row in error.attempts] == ["InternalServerError", "ServiceUnavailableError"]


def test_with_nobody_else_to_ask_the_first_goes_on(town):
    place = town({"first": "gpt-4"}, {"first": SLOW}, **ALWAYS)
    assert [place.ask().route.hedges for _ in range(2)] == [0, 0]


def test_a_deployment_asked_for_by_its_id_is_not_hedged(town):
    place = hedged(town)
    assert place.ask("first").route.deployment_id == "first"
    assert place.calls == {"first": 1}


def test_limits_hold_for_the_second_attempt_too(town):
    full = {**PAIR, "second": {"group": "gpt-4", "weight": 0, "rpm": 1}}
    place = hedged(town, deployments=full)
    assert [place.ask().route.deployment_id for _ in range(2)] == ["second", "first"]


def test_a_deadline_ends_both(town):
    place = hedged(town, second=SLOW)
    error = place.error(timeout=5)
    assert isinstance(error, Timeout)
    assert place.passed == 5
    assert len(place.found(CallFailed)) == 2
    assert place.open_calls() == 0


def test_a_caller_who_leaves_ends_both(town):
    place = hedged(town, second=SLOW)
    future = place.send()
    place.clock.advance(3)
    assert place.open_calls() == 2
    future.cancel()
    with pytest.raises(RequestError, match="cancelled"):
        future.get()
    assert place.open_calls() == 0
    assert len(place.found(CallCancelled)) == 2


def test_close_ends_both(town):
    place = hedged(town, second=SLOW)
    place.send()
    place.clock.advance(3)
    place.router.close()
    assert [event.reason for event in place.found(CallCancelled)] == ["router closed"] * 2


@pytest.fixture
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL + 1)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("dies", ["first", "second"])
def test_when_an_actor_of_the_two_crashes_the_other_goes_on(town, dies, sabotage):
    sabotage(DeploymentActor, "_save")
    place = hedged(town, second=SimulatedProvider(latency=10.0))
    future = place.send()
    place.clock.advance(3)
    place.router._switchboard.deployments[dies].tell(SaveSnapshot())
    route = future.get().route
    assert route.deployment_id != dies
    assert (dies, "APIError") in rows(route)


@pytest.mark.usefixtures("_quiet")
def test_the_supervisor_that_comes_after_a_crash_knows_of_both(town, sabotage):
    sabotage(Supervisor, "_inspect")
    place = hedged(town)
    future = place.send()
    place.clock.advance(2.2)
    place.router._switchboard.supervisor.tell(Inspect())
    assert future.get().route.deployment_id == "second"


def test_hedges_are_at_most_their_share_of_the_requests(town):
    place = hedged(town, hedge_budget=0.05)
    futures = [place.send() for _ in range(100)]
    place.clock.advance(60)
    assert sum(future.get().route.hedges for future in futures) == 5
    assert sum(event.hedge for event in place.found(DeploymentPicked)) == 5


def test_by_percentile_only_the_slowest_are_hedged(town):
    latencies = [1.0] * (MIN_SAMPLES + 30)
    place = town(PAIR, {"first": SimulatedProvider(latency=lambda _rng: latencies.pop()), "second": QUICK},
                 hedge_after="p95", hedge_budget=1.0)  # fmt: skip
    for _ in range(MIN_SAMPLES + 10):
        assert place.ask().route.hedges == 0
    latencies[:] = [30.0]
    route = place.ask().route
    assert (route.deployment_id, route.seconds, route.hedges) == (
        "second",
        pytest.approx(1.5 + MARGIN_SECONDS),
        1,
    )


def test_streams_and_whole_answers_are_measured_apart():
    hedging = Hedging(HedgeRules("p50"))
    for _ in range(MIN_SAMPLES):
        hedging.measured("g", 5.0, stream=False)
        hedging.measured("g", 0.5, stream=True)
    assert hedging.delay("g", None, stream=True) == 0.5 + MARGIN_SECONDS
    assert hedging.delay("g", None, stream=False) == 5.0 + MARGIN_SECONDS
    assert hedging.delay("other", None, stream=False) is None
    assert hedging.delay("g", 3.0, stream=False) == 3.0


def test_before_there_are_enough_measurements_nothing_is_hedged_by_them():
    hedging = Hedging(HedgeRules("p95"))
    for _ in range(MIN_SAMPLES - 1):
        hedging.measured("g", 1.0, stream=False)
    assert hedging.delay("g", None, stream=False) is None


@given(st.lists(st.integers(0, 1000), min_size=MIN_SAMPLES, max_size=3 * WINDOW), st.integers(1, 99))
def test_a_percentile_is_that_of_the_latest_measurements(times, percent):
    hedging = Hedging(HedgeRules(f"p{percent}"))
    for seconds in times:
        hedging.measured("g", seconds, stream=False)
    latest = sorted(times[-WINDOW:])
    found = min(latest, key=lambda t: abs(t + MARGIN_SECONDS - hedging.delay("g", None, stream=False)))
    assert sum(t <= found for t in latest) >= len(latest) * percent / 100
    assert sum(t < found for t in latest) < len(latest) * percent / 100


def test_what_is_older_than_the_window_has_no_say():
    hedging = Hedging(HedgeRules("p50"))
    for seconds in [100.0] * WINDOW + [1.0] * WINDOW:
        hedging.measured("g", seconds, stream=False)
    assert hedging.delay("g", None, stream=False) == 1.0 + MARGIN_SECONDS
    hedging.measured("g", 7.0, stream=False)
    assert len(hedging._latest["g", False]._by_size) == WINDOW


@given(st.floats(0, 1), st.lists(st.booleans(), max_size=300))
def test_hedges_never_exceed_the_budget(budget, wishes):
    hedging = Hedging(HedgeRules(1.0, budget))
    taken = 0
    for number, wish in enumerate(wishes, start=1):
        hedging.request()
        taken += wish and hedging.take()
        assert taken <= budget * number + 1e-6


def test_a_hedge_that_nobody_takes_costs_no_budget():
    hedging = Hedging(HedgeRules(1.0, 1.0))
    hedging.request()
    assert hedging.take()
    hedging.give_back()
    assert hedging.take()
    assert not hedging.take()


def test_quiet_times_save_up_so_many_hedges_and_no_more():
    hedging = Hedging(HedgeRules(1.0, 1.0))
    for _ in range(1000):
        hedging.request()
    assert sum(hedging.take() for _ in range(1000)) == MAX_SAVED_HEDGES


@pytest.mark.parametrize("wrong", [0, -1, "p0", "p100", "95", "fast", True, float("nan"), float("inf")])
def test_a_wrong_hedge_after_is_one_clear_error(town, wrong):
    with pytest.raises(ConfigurationError, match=r"hedge_after.*number of seconds above 0.*p95"):
        town({"a": "gpt-4"}, audit=False, hedge_after=wrong)
    place = town({"a": "gpt-4"})
    with pytest.raises(BadRequestError, match=r"hedge_after.*number of seconds above 0"):
        place.ask(hedge_after=wrong)


def test_a_second_attempt_that_is_refused_leaves_the_first_alone(town, monkeypatch):
    """I1: the first fails, and nobody waits for an attempt that never began."""
    real = DeploymentState.admit

    def admit(state, call, now):
        return LeftOut("second", "rpm", now + 30.0) if state.id == "second" else real(state, call, now)

    monkeypatch.setattr(DeploymentState, "admit", admit)
    place = hedged(town, first=SimulatedProvider(latency=5.0, error_rate=1.0))
    error = place.error()
    assert place.passed == 5.0
    assert [row.error for row in error.attempts] == ["InternalServerError"]
    assert len(place.found(HedgeRefused)) == 1
    assert not place.found(HedgeSettled)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_second_attempt_that_is_refused_once_the_first_has_failed_was_no_attempt(town, retries):
    """It never began: what the first ended in is what happened, and is retried if it may be."""
    failing = SimulatedProvider(latency=3.0, script=[500, "well"])
    place = hedged(town, failing, num_retries=retries)
    second = place.router._switchboard.deployments["second"]._actor_weakref()
    start, held = second._start_call, []
    second.message_handlers[StartCall] = held.append
    future = place.send()
    place.clock.advance(3.5)
    (message,) = held
    start(replace(message, refused=LeftOut("second", "parallel")))
    second.message_handlers[StartCall] = start
    place.clock.advance(10.0)
    if retries:
        assert future.get(timeout=0).route.retries == 1
    else:
        with pytest.raises(InternalServerError):
            future.get(timeout=0)


def test_groups_that_come_and_go_leave_no_measurements_behind_without_end():
    hedging = Hedging(HedgeRules("p50"))
    for number in range(MAX_MEASURED + 5):
        for _ in range(MIN_SAMPLES):
            hedging.measured(f"group-{number}", 1.0, stream=False)
    assert repr(hedging).endswith(f"{MAX_MEASURED} measured>")
    assert hedging.delay("group-4", None, stream=False) is None  # the first ones have gone
    assert hedging.delay(f"group-{MAX_MEASURED + 4}", None, stream=False) is not None
