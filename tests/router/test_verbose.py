"""`set_verbose` and `debug_level`: the decisions of a router in its log."""

from __future__ import annotations

import logging

import pytest

from turnout import Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "the secret of the clockmaker"}]


@pytest.fixture(autouse=True)
def _quiet_afterwards():
    log = logging.getLogger("turnout")
    level, handlers = log.level, log.handlers[:]
    yield
    log.setLevel(level)
    log.handlers = handlers


def run(caplog, **settings):
    entry = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "api_key": "sk-very-secret"}}
    router = Router(
        [{**entry, "model_info": {"id": "eu"}}],
        clock=FakeClock(),
        caller=SimulatedProviders({"eu": SimulatedProvider(script=[500])}),
        num_retries=1,
        **settings,
    )
    caplog.set_level(logging.NOTSET, "turnout") if not settings else None
    router.completion(model="gpt-4", messages=MESSAGES)
    router.close()
    return [record.getMessage() for record in caplog.records if record.name == "turnout"]


def test_nothing_is_logged_unless_asked_for(caplog):
    assert run(caplog) == []


def test_info_tells_what_went_wrong_and_what_was_done(caplog):
    lines = run(caplog, set_verbose=True)
    assert any("failed: InternalServerError (500)" in line for line in lines)
    assert not any("accepted" in line for line in lines)


def test_debug_tells_every_decision_in_one_line(caplog):
    lines = run(caplog, set_verbose=True, debug_level="DEBUG")
    assert sum("attempt" in line and "eu by simple-shuffle, 1 eligible" in line for line in lines) == 2
    assert any("answered by eu" in line for line in lines)


def test_no_line_shows_a_key_or_a_prompt(caplog):
    lines = run(caplog, set_verbose=True, debug_level="DEBUG")
    assert lines
    assert not [line for line in lines if "secret" in line]


@pytest.mark.parametrize("verbose", [False, True])
def test_lost_events_lead_to_snapshots_whether_the_router_is_verbose_or_not(verbose):
    entry = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "mock_response": "Hi!"}}
    router = Router([{**entry, "model_info": {"id": "eu"}}], clock=FakeClock(), set_verbose=verbose)
    router.completion(model="gpt-4", messages=MESSAGES)
    router._journal.on_gap(frozenset({"deployment/eu"}))
    router.events()
    assert router._journal.snapshot("deployment/eu").version == 2
    router.close()
