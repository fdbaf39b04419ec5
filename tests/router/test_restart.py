"""A router on a journal that is already there goes on where the last one ended."""

from __future__ import annotations

import pytest

from turnout import NoDeploymentsAvailable, Router
from turnout.actors.journal.memory import MemoryStore
from turnout.actors.journal.store import open_journal
from turnout.messages.events import CallAbandoned, ClockSetBack, CooldownStarted, RouterStarted
from turnout.testing import FakeClock, SimulatedProvider

PRICED = {"input_cost_per_token": 0.5, "output_cost_per_token": 1.0}


@pytest.fixture(params=["sqlite"])
def journal(tmp_path):
    return f"sqlite:///{tmp_path / 'turnout.db'}"


def again(town, journal, place, pause=0.0, **changes):
    """The same router, started anew `pause` seconds after the end of the first."""
    place.router.close()
    clock = FakeClock(start=place.clock.now() + pause)
    arguments = {"journal": journal, "clock": clock, "default": place.providers.default, **changes}
    return town(arguments.pop("deployments", place.deployments), audit=False, **arguments)


def test_the_rolling_windows_go_on(town, journal):
    """I3, I8"""
    place = town({"a": {"group": "gpt-4", "rpm": 2, "tpm": 500}}, journal=journal, audit=False)
    place.ask(max_tokens=10)
    place.clock.advance(20.0)
    place.ask(max_tokens=10)
    second = again(town, journal, place, pause=10.0)
    assert second.error(max_tokens=10).retry_after == pytest.approx(30.0)
    assert "30/500 tpm" in second.line("a")
    second.clock.advance(30.0)
    second.ask(max_tokens=10)


def test_a_cooldown_goes_on_and_doubles_where_it_was(town, journal):
    """I2, I8"""
    down = SimulatedProvider(error_rate=1.0)
    settings = {"allowed_fails": 0, "cooldown_time": 30}
    place = town({"a": "gpt-4"}, default=down, journal=journal, audit=False, **settings)
    place.error()
    second = again(town, journal, place, pause=10.0, **settings)
    assert second.error().retry_after == pytest.approx(20.0)
    second.clock.advance(20.0)
    second.error()
    assert [event.seconds for event in second.found(CooldownStarted)] == [30.0, 60.0]


def test_totals_and_costs_go_on(town, journal):
    """I8"""
    place = town({"a": {"group": "gpt-4", **PRICED}}, journal=journal, audit=False)
    place.ask()
    before = place.state("a")["totals"]
    second = again(town, journal, place)
    assert second.state("a")["totals"] == before
    second.ask()
    assert second.state("a")["totals"] == {
        **before,
        **{
            name: 2 * before[name]
            for name in ("started", "succeeded", "prompt_tokens", "completion_tokens", "cost")
        },
    }


def test_latencies_are_remembered(town, journal):
    """I8"""
    place = town({"a": "gpt-4"}, default=SimulatedProvider(latency=2.0), journal=journal, audit=False)
    place.ask()
    before = place.state("a")["latency"]
    assert again(town, journal, place).state("a")["latency"] == before


def test_versions_and_positions_go_on(town, journal):
    """I10"""
    place = town({"a": "gpt-4"}, journal=journal, audit=False)
    place.ask()
    second = again(town, journal, place)
    second.ask()
    events = second.router.events()
    assert [item.position for item in events] == list(range(1, len(events) + 1))
    versions = [item.version for item in events if item.stream == "deployment/a"]
    assert versions == list(range(1, len(versions) + 1))
    assert len(second.found(RouterStarted)) == 2


def test_the_state_of_every_deployment_is_the_same_after_a_restart(town, journal):
    """I8"""
    names = {name: {"group": "gpt-4", "rpm": 50, "tpm": 5000} for name in "abc"}
    provider = SimulatedProvider(latency=0.3, error_rate=0.2)
    place = town(names, default=provider, journal=journal, num_retries=1, audit=False)
    for _ in range(60):
        place.send(max_tokens=20)
        place.clock.advance(0.1)
    place.clock.advance(5.0)
    before = {name: place.state(name) for name in names}
    second = again(town, journal, place)
    assert {name: second.state(name) for name in names} == before


def test_calls_that_were_open_when_the_process_died_are_closed_as_abandoned(town, tmp_path):
    """I4, I8: nothing is left open, and what was reserved stays counted."""
    journal = f"sqlite:///{tmp_path / 'first.db'}"
    place = town(
        {"a": {"group": "gpt-4", "tpm": 1000}},
        default=SimulatedProvider(hang=True),
        journal=journal,
        audit=False,
    )
    for _ in range(3):
        place.send(max_tokens=100)
    place.clock.advance(1.0)
    reserved = place.state("a")["window"][0][3]
    store = MemoryStore()  # as the file of a process that was killed: all events, and no more
    store.append(place.router.events())
    place.router.close()
    second = town(
        {"a": {"group": "gpt-4", "tpm": 1000}},
        journal=store,
        clock=FakeClock(start=place.start + 2.0),
        audit=False,
    )
    assert len(second.found(CallAbandoned)) == 3
    state = second.state("a")
    assert state["open"] == {}
    assert state["totals"]["abandoned"] == 3
    assert state["window"][0][3] == reserved


def test_a_key_rotation_keeps_the_history(town, journal):
    place = town({"a": {"group": "gpt-4", "rpm": 1}}, journal=journal, audit=False)
    place.ask()
    second = again(
        town, journal, place, deployments={"a": {"group": "gpt-4", "rpm": 1, "api_key": "another"}}
    )
    assert isinstance(second.error(), NoDeploymentsAvailable)


def test_a_deployment_without_an_id_keeps_its_history_too(journal):
    def router(start):
        entry = {
            "model_name": "gpt-4",
            "litellm_params": {"model": "openai/gpt-4o", "rpm": 1, "mock_response": "hi"},
        }
        return Router(model_list=[entry], clock=FakeClock(start=start), journal=journal)

    messages = [{"role": "user", "content": "Hi"}]
    with router(1000.0) as first:
        first.completion("gpt-4", messages)
    with router(1001.0) as second, pytest.raises(NoDeploymentsAvailable):
        second.completion("gpt-4", messages)


def test_a_clock_that_was_set_back_does_not_stop_the_router(town, journal):
    place = town({"a": {"group": "gpt-4", "rpm": 5}}, journal=journal, audit=False)
    place.ask()
    second = again(town, journal, place, pause=-500.0)
    second.ask()


HOURS = 3 * 3600.0
"""So far back that the exponential of the difference is no number any more."""


def test_what_was_so_long_ago_still_is_when_the_clock_was_set_back(town, journal):
    """I2, I3, I8: neither a minute's limits nor a cooldown last until the clock is there again."""
    place = town(
        {"a": {"group": "gpt-4", "rpm": 2}, "b": "claude"},
        {"b": [500]},
        journal=journal,
        clock=FakeClock(start=1e6),
        audit=False,
        allowed_fails=0,
        cooldown_time=30,
    )
    place.ask()
    place.ask()
    place.error("claude")
    place.clock.advance(10.0)
    second = again(town, journal, place, pause=-HOURS, allowed_fails=0, cooldown_time=30)
    assert second.error().retry_after == pytest.approx(50.0)
    assert second.error("claude").retry_after == pytest.approx(20.0)
    assert {event.seconds for event in second.found(ClockSetBack)} == {HOURS}
    second.clock.advance(50.0)
    second.ask()
    second.ask("claude")


def test_failures_and_latencies_outlive_a_clock_that_was_set_back(town, journal):
    place = town(
        {"a": "gpt-4"},
        {"a": [None, 500]},
        default=SimulatedProvider(latency=2.0),
        journal=journal,
        clock=FakeClock(start=1e6),
        audit=False,
    )
    place.ask()
    place.error()
    before = place.state("a")["latency"]
    second = again(town, journal, place, pause=-HOURS)
    after = second.state("a")["latency"]
    assert after["penalised_at"] == before["penalised_at"] - HOURS
    assert after["measured_at"] == before["measured_at"] - HOURS
    second.providers.by_deployment["a"] = SimulatedProvider(script=[None, 500])
    second.ask()
    second.error()
    assert 1.0 < second.state("a")["latency"]["penalty"] <= 2.0


def test_a_file_can_be_read_after_its_router_has_closed(town, journal):
    place = town({"a": "gpt-4"}, journal=journal, audit=False)
    place.ask()
    place.router.close()
    log = open_journal(journal)
    assert [item.event.TYPE for item in log.read("deployment/a")] == ["call_started", "call_succeeded"]
    log.close()
