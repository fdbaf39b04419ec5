"""`set_verbose` and `debug_level`: the decisions of a router in its log."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import turnout
from turnout import Router
from turnout.supervisor.stories.story import in_words
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "the secret of the clockmaker"}]


@pytest.fixture(autouse=True)
def _quiet_afterwards():
    log = logging.getLogger("turnout")
    level, handlers = log.level, log.handlers[:]
    yield
    log.setLevel(level)
    log.handlers = handlers


@pytest.fixture(autouse=True)
def _not_for_everyone(monkeypatch):
    monkeypatch.setattr(turnout, "set_verbose", False)


def entry(name="eu", **params):
    params = {"model": "openai/gpt-4", "api_key": "sk-very-secret", **params}
    return {"model_name": "gpt-4", "litellm_params": params, "model_info": {"id": name}}


def run(caplog, **settings):
    router = Router(
        [entry()],
        clock=FakeClock(),
        caller=SimulatedProviders({"eu": SimulatedProvider(script=[500])}),
        num_retries=1,
        **settings,
    )
    router.completion(model="gpt-4", messages=MESSAGES)
    router.close()
    return lines(caplog)


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "turnout"]


def test_nothing_is_logged_unless_asked_for(caplog):
    caplog.set_level(logging.NOTSET, "turnout")
    assert run(caplog) == []


def test_info_tells_what_went_wrong_and_what_was_done(caplog):
    lines = run(caplog, set_verbose=True)
    assert any("eu failed: InternalServerError (500)" in line for line in lines)
    assert not any("accepted" in line for line in lines)


def test_debug_tells_every_decision_in_one_line(caplog):
    lines = run(caplog, set_verbose=True, debug_level="DEBUG")
    told = [line.partition(": ")[2] for line in lines if line.startswith("request/")]
    assert told == [
        "accepted: an answer from group 'gpt-4' (completion, about 11 tokens, due in 6000 s)",
        "attempt 1: eu by simple-shuffle, 1 eligible",
        "eu failed: InternalServerError (500) after 0.000 s",
        "attempt 2: eu by simple-shuffle, 1 eligible",
        "answered by eu after 0.000 s, for $0.000600",
    ]
    assert not any("\n" in line for line in lines)
    assert not any(line.startswith("deployment/") for line in lines)  # the same again, in other words


def test_very_detailed_is_the_books_of_the_deployments_too(caplog, monkeypatch):
    monkeypatch.setattr(turnout, "set_verbose", True)
    lines = run(caplog, set_verbose=True, debug_level="DEBUG")
    assert any(line.startswith("deployment/eu: call ") and "tokens set aside" in line for line in lines)
    assert any("succeeded after 0.000 s, 10 + 5 tokens" in line for line in lines)


def test_the_modules_set_verbose_is_for_routers_made_after_it(caplog, monkeypatch):
    router = Router([entry(mock_response="Hi")], clock=FakeClock())
    monkeypatch.setattr(turnout, "set_verbose", True)
    router.completion("gpt-4", MESSAGES, num_retries=0)
    assert lines(caplog) == []
    router.close()
    assert any("eu failed: InternalServerError" in line for line in run(caplog))


def test_a_line_says_why_the_others_were_left_out_and_for_how_long(caplog):
    providers = SimulatedProviders({"eu": SimulatedProvider(script=[401]), "us": SimulatedProvider()})
    router = Router(
        [entry("eu", rpm=100, order=1), entry("us", rpm=1, order=2)],
        clock=FakeClock(),
        caller=providers,
        num_retries=1,
        cooldown_time=30,
        set_verbose=True,
        debug_level="DEBUG",
    )
    router.completion("gpt-4", MESSAGES)
    with pytest.raises(turnout.NoDeploymentsAvailable):
        router.completion("gpt-4", MESSAGES)
    router.close()
    told = lines(caplog)
    assert any("attempt 2: us by simple-shuffle, 1 eligible" in line for line in told)
    assert any("left out: eu (cooling down for 30 s)" in line for line in told)
    assert any("us (at its limit of requests for 60 s: needs 1, has 0)" in line for line in told)


def test_a_line_names_the_scores_that_were_compared(caplog):
    router = Router(
        [entry(name, mock_response="Hi") for name in ("eu", "us")],
        clock=FakeClock(),
        routing_strategy="least-busy",
        set_verbose=True,
        debug_level="DEBUG",
        seed=1,
    )
    router.completion("gpt-4", MESSAGES)
    router.close()
    assert any("by least-busy, 2 eligible (eu, us), score 0" in line for line in lines(caplog))


def test_a_router_that_tells_little_does_not_silence_one_that_tells_much(caplog):
    much = Router([entry(mock_response="Hi")], clock=FakeClock(), set_verbose=True, debug_level="DEBUG")
    little = Router([entry(mock_response="Hi")], clock=FakeClock(), set_verbose=True)
    little.completion("gpt-4", MESSAGES)
    assert not any("accepted" in line for line in lines(caplog))
    much.completion("gpt-4", MESSAGES)
    assert any("accepted" in line for line in lines(caplog))
    little.close()
    much.close()


def test_every_event_there_is_has_words_of_one_line():
    """Each line of the file that holds one of every event ever written."""
    from turnout.actors.journal.codec import decode_event

    path = Path(__file__).parents[1] / "journal" / "every_version.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        event = decode_event(row["type"], row["version"], json.dumps(row["fields"]))
        words = in_words(event, 0.0)
        assert words
        assert "\n" not in words


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
