"""What `turnout simulate` does when a world goes wrong: it tells a short history, and writes it down."""

from __future__ import annotations

import signal

import pytest

from turnout.cli.main import main
from turnout.testing.simulation import shrink
from turnout.testing.simulation.history import History

FAILS = ["simulate", "--seed", "0"]


@pytest.fixture
def stopped_early(monkeypatch):
    """Somebody presses Ctrl-C while the tenth world lives."""
    real, runs = shrink.run_world, []

    def run_world(*arguments, **more):
        runs.append(None)
        if len(runs) == 10:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **more)

    monkeypatch.setattr(shrink, "run_world", run_world)
    return runs


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_short_history_runs_again_until_it_is_mended(
    kept_slots, stopped_early, tmp_path, capsys, monkeypatch
):
    assert main(FAILS) == 1
    out = capsys.readouterr().out
    assert "seed 0: I4 " in out
    assert "again: python -m turnout simulate --seed 0 --hours 0.02" in out
    assert "that breaks I4: open calls are" in out
    command = next(line.split("again: ")[1] for line in out.splitlines() if "--history" in line)
    assert command == "python -m turnout simulate --history turnout-history-0.json"
    assert main(command.split()[3:]) == 1
    again = capsys.readouterr().out
    assert "the history of seed 0 breaks I4 again, byte for byte" in again
    told = [line for line in again.splitlines() if line.startswith("  ")]
    assert told == [line for line in out.splitlines() if line in told]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(command.split()[3:]) == 0
    mended = capsys.readouterr().out
    assert "and no invariant was broken" in mended
    assert "the history of seed 0 no longer breaks I4: " in mended


def test_ctrl_c_ends_the_search_with_the_best_so_far(kept_slots, stopped_early, tmp_path, capsys):
    before = signal.getsignal(signal.SIGINT)
    assert main([*FAILS, "--write-history", "short.json"]) == 1
    assert len(stopped_early) == 10
    out = capsys.readouterr().out
    assert "when it was stopped" in out
    assert "simulate --history short.json" in out
    assert History.read(tmp_path / "short.json").invariant == "I4"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_history_that_cannot_be_written_was_told_all_the_same(kept_slots, stopped_early, capsys):
    assert main([*FAILS, "--write-history", "no/such/folder.json"]) == 1
    out = capsys.readouterr().out
    assert "that breaks I4" in out
    assert "(it is not written: " in out


def test_no_history_is_looked_for_when_nobody_wants_one(kept_slots, tmp_path, capsys):
    assert main([*FAILS, "--no-shrink"]) == 1
    assert "looking for" not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_another_invariant_that_is_broken_is_said(kept_slots, tmp_path, capsys):
    """In the dullest of worlds one request is enough for this bug."""
    History(0, 0.02, "I2", "", ()).write(tmp_path / "other.json")
    assert main(["simulate", "--history", "other.json"]) == 1
    assert "breaks I4 now; it broke I2 when it was written" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["torn.json", "not-there.json"])
def test_a_file_that_holds_none_is_one_clear_line(tmp_path, name, capsys):
    (tmp_path / "torn.json").write_text('{"kind": "turnout hist', encoding="utf-8")
    assert main(["simulate", "--history", name]) == 1
    complaint = capsys.readouterr().err
    assert name in complaint
    assert complaint.count("\n") == 1
