"""A few seeds, those that ever failed, and the same seed twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from turnout.testing.simulation.run import DEFAULT_HOURS, Summary, run_seed, run_seeds

KEPT = Path(__file__).with_name("seeds_that_failed.txt")
SEEDS = 20
CAP_SECONDS = 60.0
"""On a slow machine fewer of them are run; the first few always are."""


def kept_seeds():
    for line in KEPT.read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield int(words[0]), float(words[1])


@pytest.mark.parametrize(("seed", "hours"), list(kept_seeds()))
def test_a_seed_that_failed_once_is_run_for_ever(seed, hours):
    outcome = run_seed(seed, hours)
    assert outcome.ok, outcome.problem


def test_a_few_seeds_break_no_invariant():
    """I1-I12, in the same worlds each time; those nobody has seen come after the tests (`.ci/run`)."""
    begun = time.monotonic()
    for number, outcome in enumerate(run_seeds(range(SEEDS), DEFAULT_HOURS, Summary()), 1):
        assert outcome.ok, _again(outcome)
        if number >= 5 and time.monotonic() - begun > CAP_SECONDS:
            break


def _again(outcome):
    return f"{outcome.problem}\npython -m turnout simulate --seed {outcome.seed} --hours {outcome.hours:g}"


@pytest.mark.parametrize("seed", range(20, 26))
def test_the_same_seed_records_the_same_bytes(seed):
    """I9"""
    first, second = run_seed(seed), run_seed(seed)
    assert first.ok
    assert first.events > 0
    assert first.digest == second.digest
    assert first.digest != run_seed(seed + 100).digest
