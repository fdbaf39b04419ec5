"""The auditor's books of what only some worlds have: checks in the background, regions and capabilities."""

from __future__ import annotations

import pytest
from attrs import evolve

from turnout.messages.events import CallFailed, CallSucceeded, CheckStarted, HealthChecked
from turnout.testing.simulation.audit.deployment_book import DeploymentBook
from turnout.testing.simulation.audit.rounds import AFTER_A_CRASH, ROUND_SECONDS, RoundsBook
from turnout.testing.simulation.audit.rulebook import Rulebook
from turnout.testing.simulation.audit.violation import Violation
from turnout.testing.simulation.chance import SeededChance
from turnout.testing.simulation.marks import Marks
from turnout.testing.simulation.options import draw_options

INTERVAL = 20.0
SURELY = 2 * INTERVAL + ROUND_SECONDS
CHECK = CheckStarted("a.check1", 6)


def rulebook(params=None, info=None, **settings):
    entry = {
        "model_name": "g",
        "litellm_params": {"model": "openai/m", **(params or {})},
        "model_info": {"id": "a", **(info or {})},
    }
    options = draw_options(SeededChance(1), 0.01)
    return Rulebook.of(evolve(options, model_list=[entry], settings=settings, groups=("g",)))


def rounds(params=None, info=None, *, asked_for=False):
    rules = rulebook(params, info, health_check_interval=INTERVAL)
    books = {name: DeploymentBook(each, Marks()) for name, each in rules.deployments.items()}
    book = RoundsBook(rules, books, Marks(), asked_for=asked_for)
    book.look(object(), 0.0)
    return book


def success(number):
    return CallSucceeded(f"r{number}.1", f"r{number}", 3, 4, None, 1.0, None)


def failure(number):
    return CallFailed(f"r{number}.1", f"r{number}", "Timeout", 408, True, 1.0, 3, 0, None, None)


# -- rounds


def test_nobody_is_forgotten():
    book = rounds()
    book.heard("a", CHECK, 20.0)
    book.heard("a", HealthChecked("a.check1", True, 1.0, 1, 1, None, False, None, None), 21.0)
    book.look(object(), 21.0 + SURELY)
    with pytest.raises(Violation, match="was not checked"):
        book.look(object(), 22.1 + SURELY)


@pytest.mark.parametrize("excuse", [{"params": {"rpm": 1}}, {"info": {"health_check": "on_demand"}}])
def test_one_may_be_too_busy_to_be_checked_or_not_be_checked_at_all(excuse):
    rounds(**excuse).look(object(), 10_000.0)


def test_a_checker_that_is_dead_has_a_while_to_come_back():
    book = rounds()
    book.look(None, 100.0)
    book.look(object(), 100.0 + AFTER_A_CRASH + SURELY)
    with pytest.raises(Violation, match="was not checked"):
        book.look(object(), 101.1 + AFTER_A_CRASH + SURELY)


def test_one_whose_latest_call_went_well_is_not_asked():
    book = rounds()
    book.heard("a", success(1), 5.0)
    book.heard("a", CHECK, 25.1)
    book.heard("a", success(2), 30.0)
    book.heard("a", failure(3), 31.0)
    book.heard("a", CHECK, 40.0)
    book.heard("a", success(4), 50.0)
    with pytest.raises(Violation, match="went well at 50"):
        book.heard("a", CHECK, 60.0)


def test_unless_somebody_asks_for_it():
    book = rounds(info={"health_check": "on_demand"}, asked_for=True)
    book.heard("a", success(1), 19.0)
    book.heard("a", CHECK, 20.0)


def test_who_is_not_to_be_checked_is_not():
    with pytest.raises(Violation, match="is not to be"):
        rounds(info={"health_check": "on_demand"}).heard("a", CHECK, 20.0)


# -- regions and capabilities

ASKED = {"model": "g", "messages": [{"role": "user", "content": "Hi"}]}
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b"}}]}]
TOOLS = {"tools": [{"type": "function"}]}


@pytest.mark.parametrize(
    ("region", "wanted", "able"),
    [
        (None, None, True),
        (None, "eu", False),
        ("eu", "eu", True),
        ("eu-west-1", "eu", True),
        ("eu-west-1", "eu-west-1", True),
        ("eu", "eu-west-1", False),
        ("eu-west-2", "eu", False),
        ("eastus", "us", True),
        ("eastus", "eu", False),
    ],
)
def test_where_a_request_may_go(region, wanted, able):
    params = {} if region is None else {"region_name": region}
    fields = ASKED if wanted is None else {**ASKED, "allowed_model_region": wanted}
    assert rulebook(params, enable_pre_call_checks=True).able(fields, "a") is able
    assert rulebook(params).able(fields, "a")


@pytest.mark.parametrize(
    ("ability", "fields"),
    [
        ("function_calling", TOOLS),
        ("response_schema", {"response_format": {"type": "json_schema"}}),
        ("vision", {"messages": PICTURE}),
    ],
)
def test_what_it_can_do(ability, fields):
    lacks = {f"supports_{ability}": False}
    rules = rulebook(info=lacks, enable_pre_call_checks=True)
    assert rules.able(ASKED, "a")
    assert rules.able({**ASKED, "response_format": {"type": "json_object"}}, "a")
    assert not rules.able({**ASKED, **fields}, "a")
    assert rules.suits({**ASKED, **fields}, "a") is None
    dropping = rulebook({"drop_params": True}, lacks, enable_pre_call_checks=True)
    assert dropping.able({**ASKED, **fields}, "a") is (ability != "vision")
