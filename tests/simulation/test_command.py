"""`turnout simulate`: which seeds it runs, what it says of them, and what it adds up."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from turnout.cli import simulate
from turnout.cli.main import main
from turnout.testing.simulation.marks import MARKS
from turnout.testing.simulation.run import Summary, run_seed
from turnout.testing.simulation.tally import Tally

SHORT = ["--hours", "0.001"]


def test_it_runs_seeds_in_a_row_and_one_seed_again(capsys):
    assert main(["simulate", "--seeds", "3", "--first", "5", *SHORT]) == 0
    assert "seeds 5 to 7: 3 seeds" in capsys.readouterr().out
    assert main(["simulate", "--seed", "5", *SHORT]) == 0
    assert "seeds 5 to 5: 1 seeds" in capsys.readouterr().out


def test_it_runs_as_many_as_there_is_time_for_and_says_where_it_began(capsys, monkeypatch):
    seconds = iter(range(1000))
    monkeypatch.setattr(simulate, "LoopClock", lambda: SimpleNamespace(now=lambda: next(seconds)))
    assert main(["simulate", "--for", "6s", "--first", "70", *SHORT]) == 0
    out = capsys.readouterr().out
    assert out.startswith("seeds from 70 on, for 6 s\n")
    assert (
        "seeds 70 to 72: 3 seeds" in out
    )  # the clock is asked twice for each of them, and once by each of the two who ask


def test_what_several_runs_came_to_adds_up_in_a_file(capsys, tmp_path):
    path = tmp_path / "tally.json"
    for first in ("5", "9"):
        assert main(["simulate", "--seeds", "2", "--first", first, "--tally", str(path), *SHORT]) == 0
    assert f"with those in {path} 4 seeds" in capsys.readouterr().out
    tally, summary = Tally.read(path), Summary()
    assert tally.runs == [(5, 2, 0.001), (9, 2, 0.001)]
    for seed in (5, 6, 9, 10):
        summary.add(run_seed(seed, 0.001, summary.marks))
    assert (tally.requests, tally.events) == (summary.requests, summary.events)
    assert {mark: tally.marks.counts[mark] for mark in MARKS} == {
        mark: summary.marks.counts[mark] for mark in MARKS
    }


def test_a_mark_that_no_run_has_reached_is_a_failure_when_there_were_seeds_enough(capsys, tmp_path):
    path = tmp_path / "tally.json"
    tally = Tally([(0, 8, 0.001)])
    tally.marks.counts.update(dict.fromkeys([mark for mark in MARKS if mark != "retry budget used up"], 1))
    tally.write(path)
    asked = ["simulate", "--seeds", "1", "--first", "5", "--marks-from", "9", *SHORT]
    assert main([*asked, "--tally", str(path)]) == 1
    assert "never reached: retry budget used up\n" in capsys.readouterr().out
    tally.marks.sometimes("retry budget used up")
    tally.write(path)
    assert main([*asked, "--tally", str(path)]) == 0


def test_a_seed_that_failed_in_an_earlier_run_is_not_forgotten(tmp_path):
    path = tmp_path / "tally.json"
    Tally([(7, 1, 0.001)], failed=[(7, 0.001, "I3")]).write(path)
    assert main(["simulate", "--seed", "5", "--tally", str(path), *SHORT]) == 1


WHOLE = {"runs": [], "requests": 0, "events": 0, "twice": 0, "failed": [], "marks": {}}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({**WHOLE, "version": 1, "runs": [[1]]}),
        json.dumps({**WHOLE, "version": 1, "runs": 5}),
        json.dumps({**WHOLE, "version": 2}),
    ],
)
def test_another_file_is_no_tally_and_stays_as_it_is(tmp_path, capsys, text):
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    assert main(["simulate", "--seed", "5", "--tally", str(path), *SHORT]) == 1
    assert "is no tally" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("wrong", ["0", "-1", "soon", "1e9"])
def test_a_time_that_is_none_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        main(["simulate", "--for", wrong])
    assert "--for" in capsys.readouterr().err
