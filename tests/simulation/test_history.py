"""A short history in a file, and told in plain words."""

from __future__ import annotations

import json
import re

import pytest

from turnout.messages.errors import ConfigurationError
from turnout.testing.simulation import history as histories
from turnout.testing.simulation.audit.violation import INVARIANTS
from turnout.testing.simulation.chance import PartedChance, SeededChance
from turnout.testing.simulation.diary import Diary
from turnout.testing.simulation.history import MOST_BYTES, MOST_DRAWS, History
from turnout.testing.simulation.marks import Marks
from turnout.testing.simulation.run import DEFAULT_HOURS, run_seed, run_world
from turnout.testing.simulation.telling import MOST_LINES, tell

WHOLE = {"kind": "turnout history", "version": 1, "seed": 1, "hours": 0.02, "invariant": "I4", "digest": ""}


def of_seed(seed):
    """The whole history of a seed, as it would be kept."""
    chance = PartedChance(seed)
    outcome = run_world(chance, DEFAULT_HOURS, Marks())
    return History(seed, DEFAULT_HOURS, outcome.invariant or "", outcome.digest, tuple(chance.tape))


def test_a_history_breaks_the_same_invariant_when_it_is_read_again(kept_slots, tmp_path):
    path = tmp_path / "history.json"
    kept = of_seed(0)
    kept.write(path)
    again = History.read(path)
    assert again == kept
    outcome = again.play()
    assert (outcome.invariant, outcome.digest) == ("I4", kept.digest)


def test_a_seed_and_the_draws_that_it_made_are_the_same_world():
    for seed in (0, 5):
        assert of_seed(seed).play().digest == run_seed(seed).digest


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "torn"),
        (json.dumps({**WHOLE, "tape": [1, 2]})[:-9], "torn"),
        ("[" * 100_000, "torn"),
        ("[]", "is no simulated history"),
        (json.dumps({"runs": [], "version": 1}), "is no simulated history"),
        (json.dumps({**WHOLE, "tape": [], "version": 0}), "of version 0, and this one reads 1"),
        (json.dumps(WHOLE), "not whole"),
        (json.dumps({**WHOLE, "tape": [1, -1]}), "not whole"),
        (json.dumps({**WHOLE, "tape": [True]}), "not whole"),
        (json.dumps({**WHOLE, "tape": 5}), "not whole"),
        (json.dumps({**WHOLE, "tape": [], "hours": 0}), "not whole"),
        (json.dumps({**WHOLE, "tape": [], "hours": 1e9}), "not whole"),
        (json.dumps({**WHOLE, "tape": [0] * (MOST_DRAWS + 1)}), "not whole"),
        (" " * (MOST_BYTES + 1), "more than 2,000,000 bytes"),
    ],
)
def test_another_file_is_refused_with_what_it_is_and_how_to_get_one(tmp_path, text, what):
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=what) as refused:
        History.read(path)
    assert str(path) in str(refused.value)
    assert "simulate --seed" in str(refused.value)


def test_a_history_that_is_too_long_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "history.json"
    monkeypatch.setattr(histories, "MOST_DRAWS", 2)
    History(1, 0.02, "I4", "", (1, 2)).write(path)
    with pytest.raises(ConfigurationError, match="its seed runs it again"):
        History(1, 0.02, "I4", "", (1, 2, 3)).write(tmp_path / "longer.json")
    assert path.exists()
    assert not (tmp_path / "longer.json").exists()


def test_the_longest_history_that_is_kept_can_be_read(tmp_path):
    path = tmp_path / "history.json"
    History(1, 0.02, "I4", "", (65_535,) * MOST_DRAWS).write(path)
    assert len(History.read(path).tape) == MOST_DRAWS


def test_a_diary_changes_nothing():
    for seed in (0, 5, 9):
        assert (
            run_world(SeededChance(seed), DEFAULT_HOURS, Marks(), diary=Diary()).digest
            == run_seed(seed).digest
        )


def test_a_story_has_numbered_lines_and_ends_with_what_was_broken(kept_slots):
    diary = Diary()
    outcome = run_world(SeededChance(0), DEFAULT_HOURS, Marks(), diary=diary)
    lines = tell(diary, outcome)
    assert lines[0].startswith("a router with ")
    assert lines[1].startswith("set up with ")
    gap = next((line for line in lines if "are left out" in line), None)
    assert all(re.match(r" +\d+ +\d+\.\d{3} s  \S", line) for line in lines[2:-2] if line is not gap)
    assert re.search(r"a caller: asks \S+ something.*: r1$", lines[2])
    assert any("r1: attempt 1: " in line for line in lines)
    assert lines[-2] == f"that breaks I4: {INVARIANTS['I4']}"
    assert lines[-1].startswith("here: ")
    assert re.search(r"'r\d+\.1'", lines[-1])
    assert not any(request_id in line for line in lines for request_id in diary.asked)


def test_of_a_long_story_the_middle_is_left_out():
    diary = Diary()
    lines = tell(diary, run_world(SeededChance(1), DEFAULT_HOURS, Marks(), diary=diary))
    assert len(diary.lines) > MOST_LINES
    assert len(lines) == MOST_LINES + 3
    (gap,) = [line for line in lines if "lines are left out" in line]
    numbers = [int(line.split()[0]) for line in lines[2:-1] if line is not gap]
    assert int(gap.split()[1]) == numbers[-1] - len(numbers)
    assert lines[-1] == "and no invariant was broken"


MISFORTUNES = (
    "answers every call with 503",
    "is well again",
    "times as long",
    "has no time for",
    "sleeps for",
    "its work on",
    "is killed, ",
    "of its journal lost",
    "set back by",
    "fails every write",
    "writes, and says that it could not",
    "is held up, and each mailbox takes",
    " to join",
    " to change",
    " to leave",
    "asks for a health check of",
    "all faults stop",
    "is closed",
    "is refused at the door",
)


def test_every_misfortune_is_told():
    said = ""
    for seed in range(60):
        diary = Diary()
        run_world(SeededChance(seed), DEFAULT_HOURS, Marks(), diary=diary)
        said += "\n".join(note.what for note in diary.notes)
        if all(words in said for words in MISFORTUNES):
            return
    assert [words for words in MISFORTUNES if words not in said] == []
