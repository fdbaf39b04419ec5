"""Runs worlds: one seed, many seeds, the same seed twice."""

from __future__ import annotations

import gc
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from .audit.violation import Violation
from .chance import SeededChance
from .crashes import only_our_crashes
from .marks import Marks
from .world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .chance import Chance
    from .diary import Diary

__all__ = ["DEFAULT_HOURS", "TWICE_EVERY", "Outcome", "Summary", "run_seed", "run_seeds", "run_world"]

DEFAULT_HOURS = 0.02
"""A world's own time until its faults stop: 72 s, in which a minute's limits come and go."""

TWICE_EVERY = 20
"""One seed in so many is run a second time, and must record the same bytes."""


@frozen
class Outcome:
    """What came of one world.

    Attributes:
        seed: that made it; None when something else drew.
        hours: of its own time with faults.
        problem: what went wrong, None when all was well.
        invariant: which invariant it broke; "error" when the simulator itself failed.
        options: the world, in one line.
        digest: of every byte that was recorded.
        requests, events, steps: how much happened.
        what: the problem, less the words of the invariant.
    """

    seed: int | None
    hours: float
    problem: str | None
    invariant: str | None
    options: str
    digest: str
    requests: int
    events: int
    steps: int
    what: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        return self.problem is None


def run_world(
    chance: Chance,
    hours: float,
    marks: Marks,
    most_requests: int | None = None,
    diary: Diary | None = None,
    *,
    to_the_end: bool = True,
) -> Outcome:
    """Let one world live. A violation is an outcome, not an exception.

    With `most_requests` it ends when more have come than that, and unless `to_the_end` when its faults stop.
    A `diary` is kept of what happens.
    """
    problem = invariant = None
    what = ""
    world = None
    with only_our_crashes() as crashes, _no_collector():
        try:
            world = World(chance, hours, marks, crashes, diary)
            if to_the_end:
                world.live(most_requests)
            else:
                world.suffer(most_requests)
        except Violation as violation:
            problem, invariant, what = str(violation), violation.invariant, violation.what
        except Exception as error:  # noqa: BLE001  (whatever it is, it has a seed)
            problem, invariant = f"{type(error).__name__}: {error}\n{traceback.format_exc()}", "error"
        if world is not None:
            if diary is not None:
                diary.end(world)
            world.abandon()
    return Outcome(
        getattr(chance, "seed", None),
        hours,
        problem,
        invariant,
        "no world was made" if world is None else repr(world.options),
        "" if world is None else world.digest,
        0 if world is None else world.callers.asked,
        0 if world is None else world.events,
        0 if world is None else world.steps,
        what,
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """A stream in a circle of references is dropped when the collector runs, which no seed decides."""
    runs = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if runs:
            gc.enable()


def run_seed(seed: int, hours: float = DEFAULT_HOURS, marks: Marks | None = None) -> Outcome:
    """Let the world of one seed live."""
    return run_world(SeededChance(seed), hours, Marks() if marks is None else marks)


@define
class Summary:
    """What came of many worlds.

    Attributes:
        failures: those that went wrong.
        marks: how often each mark was reached, over all of them.
    """

    marks: Marks = field(factory=Marks)
    seeds: int = 0
    twice: int = 0
    requests: int = 0
    events: int = 0
    failures: list[Outcome] = field(factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.requests += outcome.requests
        self.events += outcome.events
        if not outcome.ok:
            self.failures.append(outcome)


def run_seeds(seeds: Iterable[int], hours: float, summary: Summary) -> Iterator[Outcome]:
    """Let many worlds live, one after the other; `summary` grows meanwhile."""
    for seed in seeds:
        outcome = run_seed(seed, hours, summary.marks)
        if outcome.ok and seed % TWICE_EVERY == 0:
            outcome = _the_same_again(outcome)
            summary.twice += 1
        summary.add(outcome)
        yield outcome


def _the_same_again(first: Outcome) -> Outcome:
    """I9."""
    assert first.seed is not None
    second = run_seed(first.seed, first.hours)
    if second.digest == first.digest:
        return first
    what = f"the second run of the same seed recorded other bytes: {first.digest}, {second.digest}"
    violation = Violation("I9", what)
    return Outcome(
        first.seed,
        first.hours,
        str(violation),
        "I9",
        first.options,
        first.digest,
        first.requests,
        first.events,
        first.steps,
    )
