"""The demo, and the projection and the story it shows."""

import asyncio
import random
import subprocess
import sys
from contextlib import suppress

import pytest

from turnout.cli.demo.board import Board, Row
from turnout.cli.demo.command import _verdict
from turnout.cli.demo.scene import BEHAVIOURS, SETTINGS, Planned, model_list, plan
from turnout.cli.demo.screen import PlainScreen, make_screen
from turnout.cli.demo.traffic import Received, send_all
from turnout.cli.failure import Failure
from turnout.cli.main import main
from turnout.messages.errors import NoDeploymentsAvailable
from turnout.messages.requests import CompletionRequest
from turnout.messages.settings import RouterSettings
from turnout.supervisor.face.router import Router
from turnout.testing import FakeClock

HELLO = [{"role": "user", "content": "Hi"}]


def test_every_request_of_the_demo_ends_and_it_says_what_happened(capfd):
    assert main(["demo", "--requests", "40", "--rate", "80", "--plain"]) == 0
    out, complaints = capfd.readouterr()
    assert complaints == ""
    for word in ("answers", "errors", "retries", "fallbacks", "waits", "cache", "budgets", "tokens", "cost"):
        assert f"\n{word} " in out
    assert "10 of them streams" in out or "errors      none" not in out
    assert "falls back from group" in out


def test_the_demo_works_where_there_is_no_terminal():
    command = [sys.executable, "-m", "turnout", "demo", "--requests", "20", "--rate", "80"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "20/20 done" in ended.stdout
    assert "\x1b" not in ended.stdout


def test_without_rich_the_live_view_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich.live", None)
    with pytest.raises(Failure, match="pip install rich"):
        make_screen(10, plain=False)


def test_without_rich_the_plain_view_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert isinstance(make_screen(10, plain=True), PlainScreen)


def test_the_live_view_shows_every_deployment_and_its_state(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    cooling = Row("fast-us", "fast", open=2, cooling_until=12.5)
    board = Board(rows={"fast-eu": Row("fast-eu", "fast"), "fast-us": cooling}, now=10.0)
    with make_screen(10, plain=False) as screen:
        screen.show(board)
    shown = capsys.readouterr().out
    assert "fast-eu" in shown
    assert "cooling 2.5s" in shown
    assert "●●" in shown


@pytest.fixture
def fallen_back():
    """A router with a fake clock on which one request failed twice and fell back."""
    broken = {"model": "openai/b", "mock_response": "litellm.InternalServerError", "mock_delay": 0.5}
    fine = {
        "model": "openai/a",
        "mock_response": "Hello",
        "input_cost_per_token": 1,
        "output_cost_per_token": 1,
    }
    deployments = [
        {"model_name": "b", "litellm_params": broken, "model_info": {"id": "broken"}},
        {"model_name": "a", "litellm_params": fine, "model_info": {"id": "fine"}},
    ]
    rules = {"num_retries": 1, "allowed_fails": 1, "fallbacks": [{"b": ["a"]}]}
    with Router(deployments, clock=FakeClock(), seed=1, **rules) as router:
        router.completion("b", HELLO)
        yield router


def test_the_board_adds_up_what_the_router_did(fallen_back):
    board = Board()
    board.catch_up(fallen_back)
    board.catch_up(fallen_back)
    broken, fine = board.rows["broken"], board.rows["fine"]
    assert (broken.open, broken.served, broken.failed, broken.cooldowns) == (0, 0, 2, 1)
    assert (fine.open, fine.served, fine.failed, fine.cooldowns) == (0, 1, 0, 0)
    assert (board.accepted, board.answered, board.errors, board.done) == (1, 1, 0, 1)
    assert (board.retries, board.fallbacks) == (1, 1)
    assert board.cost == board.tokens > 0


def test_the_board_follows_a_call_while_it_is_open(fallen_back):
    board = Board()
    future = fallen_back.ask(CompletionRequest(model="a", messages=HELLO, mock_delay=1.0), block=False)
    board.catch_up(fallen_back)
    assert (board.rows["fine"].open, board.accepted, board.done) == (1, 2, 1)
    future.get()
    board.catch_up(fallen_back)
    assert (board.rows["fine"].open, board.accepted, board.done) == (0, 2, 2)


def test_what_a_call_that_was_given_up_is_charged_is_in_the_sum(fallen_back):
    board = Board()
    board.catch_up(fallen_back)
    before = board.cost
    fallen_back.ask(CompletionRequest(model="a", messages=HELLO, mock_delay=1.0), block=False).cancel()
    board.catch_up(fallen_back)
    assert board.rows["fine"].failed == 1
    assert board.cost == fallen_back.get_usage_stats()["total"]["cost"] > before


def test_the_board_shows_whose_budget_is_used_up_and_what_came_from_the_cache():
    price = {"input_cost_per_token": 1, "output_cost_per_token": 1}
    entry = {
        "model": "openai/a",
        "mock_response": "Hello",
        "max_budget": 60,
        "budget_duration": "1h",
        **price,
    }
    deployments = [{"model_name": "a", "litellm_params": entry, "model_info": {"id": "dear"}}]
    with Router(deployments, clock=FakeClock(), cache_responses=True) as router:
        board = Board()
        router.completion("a", HELLO, max_tokens=2)
        router.completion("a", HELLO, max_tokens=2)
        board.catch_up(router)
        assert (board.cache_hits, board.rows["dear"].state(0.0)) == (1, "ready")
        with suppress(NoDeploymentsAvailable):
            for number in range(20):
                router.completion("a", [{"role": "user", "content": f"Question {number}"}], max_tokens=2)
        board.catch_up(router)
        assert board.rows["dear"].state(0.0) == "budget spent"


def test_after_its_cooldown_a_deployment_is_half_open_until_its_probe_is_back():
    row = Row("a", "g", cooling_until=10.0)
    assert [row.state(now) for now in (9.0, 10.0)] == ["cooling 1.0s", "half-open"]


def test_the_scene_is_one_a_router_takes():
    deployments = model_list("http://localhost/v1")
    assert {row["model_info"]["id"] for row in deployments} == set(BEHAVIOURS)
    RouterSettings(**SETTINGS)


def test_a_quarter_of_the_requests_streams_and_one_seed_is_one_plan():
    planned = plan(200, 18.0, random.Random(1))
    assert sum(request.stream for request in planned) == 50
    assert planned == plan(200, 18.0, random.Random(1))


def test_an_error_that_is_none_of_ours_is_kept_apart():
    class Strange:
        def ask(self, *_, **__):
            raise KeyError("x")

    received = Received()
    asyncio.run(send_all(Strange(), [Planned(0.0, "g", stream=False, prompt="Hi")], received))
    assert (received.answers, received.errors.total(), received.unclear) == (0, 0, ["KeyError: 'x'"])


def test_a_request_without_a_reply_or_with_a_strange_error_fails_the_demo(capsys):
    assert _verdict(Received(answers=2), 2) == 0
    assert _verdict(Received(answers=1), 2) == 1
    assert _verdict(Received(answers=1, unclear=["KeyError: 'x'"]), 2) == 1
    assert "KeyError" in capsys.readouterr().err
