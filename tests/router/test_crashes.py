"""A handler that raises is our bug: each request gets its one reply, the actor comes back or is retired."""

from __future__ import annotations

import asyncio
import logging

import pytest

from turnout import APIError, MidStreamError, RouterClosedError, TurnoutError
from turnout.actors.deployment.actor import DeploymentActor
from turnout.actors.model_group.actor import ModelGroup
from turnout.messages.commands import SaveSnapshot, StatusChanged
from turnout.messages.events import (
    CallAbandoned,
    CallCancelled,
    CallStarted,
    CallSucceeded,
    CooldownStarted,
    DeploymentRestarted,
    DeploymentRetired,
)
from turnout.messages.outcomes import LeftOut
from turnout.supervisor.supervisor import Supervisor
from turnout.testing import SimulatedProvider
from turnout.testing.faulty_journal import FaultyStore

SLOW = SimulatedProvider(latency=1.0)


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL + 1, logger="pykka")
    caplog.set_level(logging.CRITICAL + 1, logger="turnout")


HANDLERS = [
    (DeploymentActor, "_start_call"),
    (DeploymentActor, "_provider_finished"),
    (ModelGroup, "_assign"),
    (ModelGroup, "_status_changed"),
    (Supervisor, "_dispatch"),
    (Supervisor, "_assigned"),
    (Supervisor, "_call_ended"),
]


@pytest.mark.parametrize(("actor", "handler"), HANDLERS)
@pytest.mark.parametrize("times", [1, 3, 1_000_000])
def test_every_request_gets_one_reply_whatever_crashes(town, sabotage, actor, handler, times):
    """I1"""
    sabotage(actor, handler, times)
    place = town({"a": "gpt-4", "b": "gpt-4"}, default=SLOW, num_retries=2, audit=False)
    futures = [place.send(timeout=20) for _ in range(5)]
    place.clock.advance(20.0)
    assert all(future.done() for future in futures)
    for future in futures:
        try:
            future.get(timeout=0)
        except TurnoutError:
            continue


@pytest.mark.parametrize(("actor", "handler"), HANDLERS)
def test_after_one_crash_the_next_request_is_served_as_ever(town, sabotage, actor, handler):
    """I1, I4, I8: the books are in order though an actor died over them."""
    left = sabotage(actor, handler)
    place = town({"a": "gpt-4"}, default=SLOW)
    first = place.send()
    place.clock.advance(10.0)
    assert left == [0]
    assert first.done()
    assert place.ask().route.deployment_id == "a"
    assert place.open_calls() == 0
    assert place.router.health()["ok"]
    assert place.router.health()["open_requests"] == 0


@pytest.mark.parametrize(("actor", "handler"), HANDLERS[:4])
def test_a_crash_of_a_deployment_or_a_group_costs_a_request_no_more_than_a_retry(
    town, sabotage, actor, handler
):
    sabotage(actor, handler)
    place = town({"a": "gpt-4"}, default=SLOW, num_retries=1)
    future = place.send()
    place.clock.advance(10.0)
    assert future.get(timeout=0).route.deployment_id == "a"


def test_a_crash_of_the_supervisor_costs_only_the_request_it_was_about(town, sabotage):
    """I1"""
    place_of_crash = sabotage(Supervisor, "_call_ended")
    place = town({"a": "gpt-4"}, default=SLOW)
    futures = [place.send() for _ in range(4)]
    place.clock.advance(1.0)
    assert place_of_crash == [0]
    outcomes = [_outcome(future) for future in futures]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["APIError"] + ["ModelResponse"] * 3
    assert place.open_calls() == 0


def test_the_request_that_crashed_the_supervisor_leaves_no_call_behind(town, sabotage):
    """I4"""
    sabotage(Supervisor, "_stream_opened")
    place = town(
        {"a": {"group": "gpt-4", "max_parallel_requests": 1}}, default=SimulatedProvider(chunk_seconds=9.0)
    )
    assert isinstance(place.error(stream=True), APIError)
    assert place.open_calls() == 0
    assert place.story()[-1] in {"request_failed", "call_cancelled"}


@pytest.mark.parametrize("after", [False, True])
def test_a_call_that_the_supervisor_crashed_to_hear_of_is_aborted(town, sabotage, after):
    """I4: nobody would ever end a stream that nobody knows to be open."""
    sabotage(Supervisor, "_assigned", after=after)
    place = town(
        {"a": {"group": "gpt-4", "max_parallel_requests": 1}}, default=SimulatedProvider(latency=5000.0)
    )
    assert isinstance(place.error(stream=True), APIError)
    place.clock.advance(0.1)
    assert place.open_calls() == 0
    assert len(place.found(CallCancelled)) == 1


def test_open_calls_of_a_crashed_deployment_are_closed_as_abandoned(town, sabotage):
    """I4"""
    sabotage(DeploymentActor, "_cancel_call")
    place = town({"a": "gpt-4"}, default=SLOW, num_retries=1)
    futures = [place.send() for _ in range(3)]
    place.clock.advance(0.5)
    futures[0].cancel()
    place.clock.advance(10.0)
    assert len(place.found(CallAbandoned)) == 3
    assert len(place.found(CallSucceeded)) == 2
    assert place.open_calls() == 0


def test_a_stream_whose_deployment_crashes_ends_in_an_error(town, sabotage):
    """I1"""
    sabotage(DeploymentActor, "_provider_finished")
    place = town({"a": "gpt-4"}, default=SimulatedProvider(text="one two"))
    with pytest.raises(MidStreamError) as caught:
        list(place.ask(stream=True))
    assert caught.value.text == "one two"
    place.clock.advance(0.1)
    assert place.open_calls() == 0


def test_a_restarted_deployment_goes_on_where_its_journal_ends(town, sabotage):
    """I8"""
    sabotage(DeploymentActor, "_save")
    place = town({"a": {"group": "gpt-4", "rpm": 2}}, default=SLOW)
    place.ask()
    before = place.state("a")
    _crash(place, "a")
    assert place.state("a") == before
    place.ask()
    assert place.error().left_out[0].reason == "rpm"


def test_a_restarted_deployment_is_still_cooling_down(town, sabotage):
    """I2, I8"""
    sabotage(DeploymentActor, "_save")
    place = town({"a": "gpt-4"}, {"a": [500]}, allowed_fails=0, cooldown_time=30)
    place.error()
    _crash(place, "a")
    assert place.error().left_out[0].reason == "cooling_down"
    place.clock.advance(30.0)
    place.ask()
    assert len(place.found(CooldownStarted)) == 1


def test_a_deployment_comes_back_also_when_the_journal_has_lost_its_last_events(town, sabotage):
    """I10: a lost event has had its version."""
    sabotage(DeploymentActor, "_save")
    store = FaultyStore()
    place = town({"a": "gpt-4"}, default=SLOW, journal=store, audit=False)
    place.router._journal._writer._max_queued = 2
    store.fault = "failing"
    for _ in range(3):
        place.ask()
    assert place.router.health()["journal"].lost > 0
    place.router._switchboard.deployments["a"].tell(SaveSnapshot())  # which raises
    place.clock.advance(0.2)
    assert place.ask().route.deployment_id == "a"
    assert place.router.health()["ok"] is False
    assert not place.found(DeploymentRetired)


def test_a_deployment_that_crashes_again_and_again_is_retired_and_health_says_so(town, sabotage):
    left = sabotage(DeploymentActor, "_start_call", 1000, when=lambda actor: actor.deployment.id == "a")
    place = town({"a": "gpt-4", "b": "gpt-4"}, num_retries=1, audit=False)
    for _ in range(200):
        place.ask()
        place.clock.advance(0.05)
    assert 1000 - left[0] == 6
    assert [event.restarts for event in place.found(DeploymentRestarted)] == [1, 2, 3, 4, 5]
    assert [event.deployment_id for event in place.found(DeploymentRetired)] == ["a"]
    health = place.router.health()
    assert not health["ok"]
    assert list(health["failed"]) == ["deployment/a"]
    assert "ZeroDivisionError" in health["failed"]["deployment/a"]
    assert set(health["deployments"]) == {"b"}


def test_a_crash_counts_once_though_the_supervisor_dies_of_the_word_and_hears_it_again(town, sabotage):
    sabotage(DeploymentActor, "_start_call", 2)
    sabotage(Supervisor, "_actor_crashed", after=True)
    place = town({"a": "gpt-4"}, num_retries=3)
    place.ask()
    assert [event.restarts for event in place.found(DeploymentRestarted)] == [1, 2]


def test_crashes_that_are_far_apart_are_restarted_for_ever(town, sabotage):
    sabotage(DeploymentActor, "_start_call", 20)
    place = town({"a": "gpt-4"}, num_retries=1)
    for _ in range(20):
        place.error(num_retries=0)
        place.clock.advance(31.0)
    assert place.ask()
    assert len(place.found(DeploymentRestarted)) == 20
    assert place.router.health()["ok"]


def test_a_group_that_is_retired_fails_its_requests_at_once(town, sabotage):
    """I1: nobody waits for the deadline when it is known that no answer will come."""
    sabotage(ModelGroup, "_assign", 1_000_000)
    place = town({"a": "gpt-4"}, audit=False)
    place.error()
    assert place.passed < 30
    before = place.passed
    assert isinstance(place.error(), TurnoutError)
    assert place.passed == before
    assert list(place.router.health()["failed"]) == ["group/gpt-4"]


def test_a_request_of_a_retired_group_falls_back(town, sabotage):
    sabotage(ModelGroup, "_assign", 1_000_000, when=lambda actor: actor.name == "gpt-4")
    place = town({"a": "gpt-4", "z": "backup"}, fallbacks=["backup"], audit=False)
    assert place.ask().route.model_group == "backup"
    assert place.ask().route.model_group == "backup"


def test_a_supervisor_that_crashes_again_and_again_closes_its_books(town, sabotage):
    """I1"""
    sabotage(Supervisor, "_dispatch", 6)
    place = town({"a": "gpt-4"})
    errors = [place.error() for _ in range(10)]
    assert [type(error) for error in errors] == [APIError] * 6 + [RouterClosedError] * 4
    assert not place.router.health()["ok"]


def test_an_actor_that_is_to_come_back_leaves_no_timer_when_its_router_is_closed(town, sabotage):
    """I12"""
    sabotage(DeploymentActor, "_start_call", 3)
    place = town({"a": "gpt-4"}, audit=False)
    for _ in range(3):
        place.error()
    place.router.close()
    assert place.clock.next_timer() is None


def test_a_supervisor_that_crashes_over_a_deadline_leaves_no_timer_for_the_next_one(town, sabotage):
    """I12: the next incarnation has a timer of its own."""
    sabotage(Supervisor, "_deadline_reached")
    place = town({"a": "gpt-4"}, default=SimulatedProvider(hang=True), timeout=5, audit=False)
    place.send()
    place.clock.advance(1.0)
    place.send()
    place.clock.advance(4.5)
    place.router.close()
    assert place.clock.next_timer() is None


def test_health_can_be_asked_while_an_actor_is_down(town, sabotage):
    sabotage(DeploymentActor, "_start_call", 3)
    place = town({"a": "gpt-4", "b": "gpt-4"})
    for _ in range(3):
        place.send()
        place.clock.advance(0.0)
    assert set(place.router.health()["deployments"]) <= {"a", "b"}
    place.clock.advance(10.0)
    assert set(place.router.health()["deployments"]) == {"a", "b"}


@pytest.mark.parametrize("handler", ["_actor_crashed", "_restart_due", "_rejoined"])
@pytest.mark.parametrize("role", [DeploymentActor, ModelGroup])
def test_an_actor_comes_back_also_when_the_supervisor_crashes_over_it(town, sabotage, role, handler):
    """I1: its restart is not forgotten with the Supervisor that was told of it."""
    sabotage(role, "_status_changed" if role is ModelGroup else "_provider_finished")
    sabotage(Supervisor, handler)
    place = town({"a": "gpt-4"}, default=SLOW, num_retries=1, timeout=5, audit=False)
    first = place.send()
    place.clock.advance(10.0)
    assert first.done()
    assert place.ask().route.deployment_id == "a"
    assert place.router.health()["ok"]


@pytest.mark.parametrize("handler", ["_restart_due", "_rejoined"])
def test_a_group_that_is_back_is_asked_once_though_the_supervisor_crashes_over_it(town, sabotage, handler):
    """I4: what the Supervisor had done of it before it crashed is not done twice."""
    sabotage(ModelGroup, "_assign")
    sabotage(Supervisor, handler, after=True)
    place = town({"a": "gpt-4"}, default=SLOW)
    futures = [place.send() for _ in range(3)]
    place.clock.advance(10.0)
    assert [_outcome(future).route.deployment_id for future in futures] == ["a"] * 3
    assert len(place.found(CallStarted)) == 3


@pytest.mark.parametrize("after", [False, True])
def test_a_group_that_crashes_over_a_refusal_gives_the_call_one_answer(town, sabotage, monkeypatch, after):
    """I1, I6: one that was placed anew before the crash is not asked for again; one that was not, is."""
    admit, refused = DeploymentActor._admit, []

    def admit_the_second(actor, call, now):
        if refused:
            return admit(actor, call, now)
        refused.append(actor.deployment.id)
        return LeftOut(actor.deployment.id, "rpm", now + 60.0)

    monkeypatch.setattr(DeploymentActor, "_admit", admit_the_second)
    sabotage(ModelGroup, "_call_refused", after=after)
    place = town({"a": "gpt-4", "b": "gpt-4", "c": "backup"}, default=SLOW, fallbacks=[{"gpt-4": ["backup"]}])
    assert place.ask().route.fallbacks == 0
    assert len(place.found(CallStarted)) == 1


@pytest.mark.parametrize("handler", ["_assign", "_status_changed"])
def test_a_call_refused_to_a_dead_group_is_asked_for_again_when_it_is_back(
    town, sabotage, monkeypatch, handler
):
    """I1: the group died of what it had just chosen, or of what came before the refusal."""
    admit, refused = DeploymentActor._admit, []

    def refuse_the_first(actor, call, now):
        if refused:
            return admit(actor, call, now)
        refused.append(call.call_id)
        actor._tell_groups(StatusChanged(actor._status(now)))
        return LeftOut(actor.deployment.id, "rpm", now + 60.0)

    monkeypatch.setattr(DeploymentActor, "_admit", refuse_the_first)
    died = sabotage(ModelGroup, handler, after=True)
    place = town({"a": "gpt-4"}, default=SLOW)
    future = place.send(timeout=500.0)
    place.clock.advance(30.0)
    assert died == [0]
    assert _outcome(future).route.deployment_id == "a"
    assert len(refused) == len(place.found(CallStarted)) == 1


def test_a_refused_retry_whose_group_crashes_goes_on_when_it_is_back(town, sabotage, monkeypatch):
    """I1: no deadline is waited for."""
    admit, asked = DeploymentActor._admit, []

    def refuse_the_second(actor, call, now):
        asked.append(call.call_id)
        return LeftOut(actor.deployment.id, "rpm", now + 1.0) if len(asked) == 2 else admit(actor, call, now)

    monkeypatch.setattr(DeploymentActor, "_admit", refuse_the_second)
    sabotage(ModelGroup, "_call_refused")
    place = town({"a": "gpt-4", "b": "gpt-4"}, default=SimulatedProvider(script=[500, "well"]), num_retries=3)
    future = place.send(timeout=500.0)
    place.clock.advance(30.0)
    assert future.done()
    assert len(asked) > 2


def test_who_waits_in_a_group_that_crashes_is_served_when_it_is_back(town, sabotage):
    """I1"""
    sabotage(ModelGroup, "_status_changed")
    place = town({"a": {"group": "gpt-4", "max_parallel_requests": 1}}, default=SLOW, on_exhausted="wait")
    futures = [place.send() for _ in range(4)]
    place.clock.advance(10.0)
    assert [_outcome(future).route.deployment_id for future in futures] == ["a"] * 4


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyError("prompt")])
def test_what_a_handler_raises_does_not_matter(town, sabotage, error):
    """A cancellation that leaks into a handler is a crash like any other."""
    sabotage(DeploymentActor, "_start_call", error=error)
    place = town({"a": "gpt-4"}, num_retries=1)
    assert place.ask().route.retries == 1


def test_a_crash_says_where_it_broke_and_not_what_it_was_about(town, sabotage):
    """I11"""
    sabotage(DeploymentActor, "_start_call", 100, error=ValueError("a prompt that nobody may see"))
    place = town({"a": "gpt-4"}, num_retries=20, audit=False)
    place.error()
    place.clock.advance(30.0)
    for _ in range(6):
        place.error()
    health = place.router.health()
    assert "deployment/a" in health["failed"]
    assert "prompt" not in str(health)


def _crash(place, deployment_id):
    """Kill the actor, whose `_save` was sabotaged, and let it be restarted."""
    place.router._switchboard.deployments[deployment_id].tell(SaveSnapshot())
    place.clock.advance(0.2)
    assert len(place.found(DeploymentRestarted)) == 1


def _outcome(future):
    try:
        return future.get(timeout=0)
    except TurnoutError as error:
        return error
