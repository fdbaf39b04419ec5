"""`replay`: a moment as tables or as data, what changed between two, and the journal as a film."""

import json
import sys
from io import StringIO

import pytest

from turnout import RequestError, Router
from turnout.actors.deployment.state import DeploymentState, Limits
from turnout.cli import replay as command
from turnout.cli.main import main
from turnout.cli.replay_views import (
    FRAME_LINES,
    MAX_LATEST,
    MAX_ROWS,
    _changes,
    _request_row,
    _state_words,
    fitting,
    tables,
)
from turnout.history import Moment
from turnout.messages.events import CooldownStarted
from turnout.supervisor.face.metrics_table import Table, print_table
from turnout.supervisor.request_state import RequestState
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

START = 1_700_000_000
MESSAGES = [{"role": "user", "content": "a prompt that nobody may see"}]


def entry(name):
    params = {"model": "openai/a-model-without-a-price", "rpm": 60}
    return {"model_name": "gpt-4", "litellm_params": params, "model_info": {"id": name}}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("replay") / "j.db"
    clock = FakeClock(start=START)
    failing = SimulatedProvider(script=[500] * 9, latency=0.25)
    caller = SimulatedProviders({"us": failing}, default=SimulatedProvider(latency=0.5))
    with Router(
        [entry("eu"), entry("us")],
        journal=f"sqlite:///{file}",
        clock=clock,
        caller=caller,
        seed=1,
        allowed_fails=0,
        cooldown_time=60,
    ) as router:
        for _ in range(20):
            try:
                router.completion("gpt-4", MESSAGES)
            except RequestError:
                continue
            finally:
                clock.advance(5)
    return file


@pytest.fixture
def replay(file, capsys, monkeypatch):
    monkeypatch.setattr(command, "_wait", lambda seconds: None)

    def run(*arguments):
        code = main(["replay", str(file), *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_a_moment_is_a_table_of_deployments_and_one_of_open_requests(replay):
    code, out, complaint = replay("--at", f"@{START + 0.1}")
    assert (code, complaint) == (0, "")
    assert out.startswith("2023-11-14 22:13:20.100 UTC · position ")
    assert "open requests: 1 calling" in out
    assert "gpt-4/eu" in out
    assert "gpt-4: calling" in out
    assert "nobody may see" not in out


def test_without_a_moment_it_is_the_end(replay):
    _, out, _ = replay()
    assert "open requests: none" in out
    assert "cooling for" in out or "half-open" in out


def test_before_everything_it_is_said_when_the_journal_begins(replay):
    code, out, _ = replay("--at", f"@{START - 60}")
    assert code == 0
    assert out.splitlines()[1] == (
        "nothing was recorded until then: the journal begins at 2023-11-14 22:13:20.000 UTC"
    )
    assert not json.loads(replay("--at", f"@{START - 60}", "--json")[1])["deployments"]


def test_tokens_whose_price_nobody_knows_cost_nothing_that_is_known(replay):
    row = next(line for line in replay()[1].splitlines() if "gpt-4/eu" in line)
    assert "$" not in row


def test_as_json_it_is_all_of_it(replay):
    moment = json.loads(replay("--at", f"@{START + 0.1}", "--json")[1])
    assert set(moment["deployments"]) == {"eu", "us"}
    (request,) = moment["requests"].values()
    assert (request["phase"], request["group"]) == ("calling", "gpt-4")
    assert moment["deployments"][request["deployment"]]["open"] == 1


def test_what_was_counted_is_told_to_the_last_and_money_as_money():
    said = _changes({}, {"started": 12_345_678, "failed": -2, "cost": 0.00001})
    assert said == "started +12,345,678, failed -2, cost +$0.000010"
    assert _changes({}, {"cost": -0.5}) == "cost -$0.5"


def test_a_difference_names_what_changed(replay):
    _, out, _ = replay("--diff", "#3", f"@{START + 60}")
    assert "deployment eu: " in out
    assert "status well → cooling" in out
    told = json.loads(replay("--diff", "#3", f"@{START + 60}", "--json")[1])
    assert told["counted"]["eu"]["started"] > 0
    assert "nothing changed" in replay("--diff", "#30", "#30")[1]


def test_a_film_has_frames_and_ends(replay):
    code, out, complaint = replay("--follow", "--speed", "10", "--json")
    frames = [json.loads(line) for line in out.splitlines()]
    assert (code, complaint) == (0, "")
    assert len(frames) > 5
    assert [frame["position"] for frame in frames] == sorted(frame["position"] for frame in frames)
    assert sum(frame["events"] for frame in frames) == frames[-1]["position"]


def test_the_faster_it_goes_the_fewer_frames_there_are(replay):
    slow, fast = (
        len(replay("--follow", "--speed", speed, "--json")[1].splitlines()) for speed in ("2", "200")
    )
    assert slow > 2 * fast


def test_a_film_in_plain_text_shows_tables_and_what_has_just_happened(replay):
    _, out, _ = replay("--follow", "--at", f"@{START + 80}", "--speed", "20")
    assert "deployment" in out
    assert "router  the router stops in good order" in out


def test_on_a_terminal_the_table_is_drawn_anew(replay, monkeypatch):
    from rich.live import Live

    drawn = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(Live, "start", lambda self: None)
    monkeypatch.setattr(Live, "stop", lambda self: drawn.append("stopped"))
    monkeypatch.setattr(Live, "update", lambda self, text, refresh: drawn.append(str(text)))
    assert replay("--follow", "--speed", "100")[0] == 0
    assert "gpt-4/eu" in drawn[0]
    assert drawn[-1] == "stopped"


def crowd(deployments, requests, cooling=()):
    """A moment with so many of each; those that cool down are the last."""
    states = {}
    for number in range(deployments):
        state = states[f"d{number}"] = DeploymentState(f"d{number}", Limits())
        if number in cooling:
            state.apply(CooldownStarted(START + 60, 60, "Timeout", 1), START)
    waiting = {
        f"r{number}": RequestState(group="g", phase="waiting", accepted_at=START, deadline=START + 60)
        for number in range(requests)
    }
    return Moment(1, START, states, dict.fromkeys(states, "g"), waiting, {})


@pytest.mark.parametrize("height", [10, 24, 40, 60])
@pytest.mark.parametrize(("deployments", "requests"), [(2, 0), (2, 99), (99, 2), (99, 99), (3, 4)])
def test_a_frame_fits_on_the_terminal_and_shows_some_of_both(height, deployments, requests):
    moment = crowd(deployments, requests)
    rows = fitting(moment, height)
    shown = tables(moment, *rows)
    lines = 1 + sum(3 + len(table.rows) for table in shown) + 1 + MAX_LATEST
    assert lines < max(height, FRAME_LINES + 2)
    assert all(table.rows for table in shown)
    if height == 60:
        assert rows == (min(deployments, MAX_ROWS), min(requests, MAX_ROWS))


def test_where_not_all_deployments_fit_those_in_trouble_are_shown():
    (table,) = tables(crowd(9, 0, cooling=(7, 8)), most=3)
    assert [row[0] for row in table.rows] == ["g/d7", "g/d8", "g/d0"]
    assert table.title == "Deployments (6 more)"
    (table,) = tables(crowd(9, 0, cooling=(7, 8)))
    assert [row[0] for row in table.rows] == [f"g/d{number}" for number in range(9)]


def test_without_rich_a_film_is_text(replay, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setitem(__import__("sys").modules, "rich.live", None)
    _, out, _ = replay("--follow", "--speed", "100")
    assert "gpt-4/eu" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--at", "soon"),
        ("--at", ""),
        ("--diff", "10m", "x"),
        ("--diff", "10m", "5m", "--at", "1m"),
        ("--speed", "2"),
    ],
)
def test_a_wrong_moment_is_one_line(replay, arguments):
    code, out, complaint = replay(*arguments)
    assert (code, out, complaint.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf"])
def test_a_speed_is_a_number_above_nothing(replay, speed):
    with pytest.raises(SystemExit) as exit_:
        replay("--follow", "--speed", speed)
    assert exit_.value.code == 2


@pytest.mark.parametrize("how", [True, False])
def test_wide_characters_move_no_column(how, monkeypatch):
    if not how:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    out = StringIO()
    rows = [("größe-模型", "1", "half-open"), ("e\u0301u", "22", "well")]
    print_table(Table("Deployments", ("name", "count", "state"), rows), out)
    _, _, *lines = out.getvalue().splitlines()
    assert [line.rstrip() for line in lines] == [
        f"größe-模型{1:>7}  half-open",
        f"e\u0301u{22:>15}  well",
    ]


@pytest.mark.parametrize(
    ("since", "left", "told"),
    [
        (0.0545, 29.9, ("0.0545 s", "30 s")),
        (1234.5, 4765.5, ("1234 s", "4,766 s")),  # and not 1.23e+03
        (0.1, 0.4, ("0.1 s", "0.4 s")),  # and not 0
        (5.0, -0.25, ("5 s", "-0.25 s")),
        (1.0, 9.97, ("1 s", "9.97 s")),
        (1.0, 10.0, ("1 s", "10 s")),
    ],
)
def test_times_of_a_request_are_told_as_exactly_as_they_matter(since, left, told):
    state = RequestState()
    state.accepted_at, state.deadline = 1000.0, 1000.0 + since + left
    assert _request_row("r", state, 1000.0 + since)[1:3] == told


def test_a_long_cooldown_is_told_in_whole_seconds():
    state = DeploymentState("eu", Limits())
    state.apply(CooldownStarted(4600.0, 3600.0, "Timeout", 1), 1000.0)
    assert _state_words(state, 1000.0, removed=False) == "cooling for 3600 s more"
