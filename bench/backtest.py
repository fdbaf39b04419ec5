"""Does a backtest pick the truly better of two settings? `python -m bench.backtest --cases 200`.

A case is a world, two settings drawn for it, and a figure in which they truly differ by a tenth or more. The
truth is known from plays of the true world under both, with days of luck that the record did not have; the
backtest has one record, made under settings of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.backtest import SEEDS, compare
from turnout.backtest.figures import figures_of
from turnout.backtest.providers import fit_model
from turnout.backtest.setups import as_recorded, with_settings

from .ground_truths import World, draw_changes, draw_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnout.backtest.comparison import Comparison
    from turnout.backtest.figures import Figures
    from turnout.backtest.setups import Setup

__all__ = ["Case", "Pick", "cases", "days_of", "judge"]

FIGURES = ("p50", "p95", "first token p95", "errors", "bill")
LEAST_DIFFERENCE = 0.10
LEAST_ERRORS = 0.01
"""Where neither setting has this share of errors, a tenth more of them is nothing to choose by."""

SURE = 3.0
"""Standard errors by which the true difference must be known: a case without a truth is none."""

TRUE_DAYS = 5
STEP = 4
"""Plays of each between two looks at whether more are needed; never more than the tool plays by default."""

CLEAR = 7.0
"""Standard errors by which two must differ in the plays so far for no more to be needed."""


@frozen
class Case:
    """Two settings of a world, and the figure in which they truly differ."""

    world: World
    one: Setup
    other: Setup
    figure: str
    truly: tuple[float, float]


@frozen
class Pick:
    """What a backtest said of a case: what each setting comes to, and what it could not know.

    `warned`: it said that a deployment is hardly known, or loaded as it never was, which one of the two
    settings would send calls to.
    """

    case: Case
    said: tuple[float, float]
    warned: bool

    @property
    def right(self) -> bool:
        better, worse = self.case.truly[0] < self.case.truly[1], self.said[0] < self.said[1]
        return better == worse


def cases(first: int, many: int, requests: int = 600) -> Iterator[Case]:
    """So many cases, from worlds numbered `first` on."""
    found, number = 0, first
    while found < many:
        case = _case(number, requests)
        number += 1
        if case is not None:
            found += 1
            yield case


def _case(number: int, requests: int) -> Case | None:
    """The world of a number, if two settings drawn for it truly differ."""
    world = draw_world(number, requests)
    rng = make_rng(number + (1 << 32))
    usual = world.setup
    one, other = (with_settings(usual, name, draw_changes(rng, usual.settings)) for name in ("A", "B"))
    if one.settings == other.settings:
        return None
    days = [days_of(world, setup, range(101, 103)) for setup in (one, other)]
    if not any(_differ(days, figure, LEAST_DIFFERENCE / 2) for figure in FIGURES):
        return None
    later = range(103, 101 + TRUE_DAYS)
    days = [each + days_of(world, setup, later) for each, setup in zip(days, (one, other), strict=True)]
    differing = [figure for figure in FIGURES if _surely(days, figure)]
    if not differing:
        return None
    figure = rng.choice(differing)
    truly = tuple(fmean(_values(each, figure)) for each in days)
    return Case(world, one, other, figure, (truly[0], truly[1]))


def days_of(world: World, setup: Setup, seeds: range) -> list[Figures]:
    """Days of the true world under these settings, each with its own luck."""
    began, ended = world.arrivals[0].at, world.arrivals[-1].at
    return [figures_of(world.played(setup, seed), began, ended) for seed in seeds]


def _values(days: list[Figures], figure: str) -> list[float]:
    return [value for day in days if (value := day.get(figure)) is not None]


def _differ(days: list[list[Figures]], figure: str, least: float) -> bool:
    one, other = (_values(each, figure) for each in days)
    if len(one) != len(days[0]) or len(other) != len(days[1]):
        return False
    low, high = sorted((fmean(one), fmean(other)))
    return high > 0.0 and high - low >= least * high and (figure != "errors" or high >= LEAST_ERRORS)


def _surely(days: list[list[Figures]], figure: str) -> bool:
    if not _differ(days, figure, LEAST_DIFFERENCE):
        return False
    pairs = zip(*(_values(each, figure) for each in days), strict=True)
    off = [one - other for one, other in pairs]
    return abs(fmean(off)) > SURE * stdev(off) / len(off) ** 0.5


def judge(case: Case) -> Pick:
    """Record the world once, and ask a backtest of that record which is better."""
    record = case.world.recorded(1)
    usual = as_recorded(record)
    setups = [evolve(usual, name=each.name, settings=each.settings) for each in (case.one, case.other)]
    model = fit_model(record, record.listings)
    found = compare(record, setups, STEP, model=model)
    while len(found.usual.plays) < SEEDS and not _clear(found, case.figure):
        more = compare(record, setups, STEP, model=model, first=len(found.usual.plays) + 1)
        found = _with(found, more)
    told = [column.estimate(case.figure) for column in found.columns]
    said = [0.0 if each is None else each.mean for each in told]
    warned = any(each.startswith(("how d", "whether d")) for each in found.unknown)
    return Pick(case, (said[0], said[1]), warned)


def _with(found: Comparison, more: Comparison) -> Comparison:
    """The plays of both."""
    both = zip(found.columns, more.columns, strict=True)
    columns = tuple(evolve(one, plays=(*one.plays, *other.plays)) for one, other in both)
    return evolve(found, columns=columns, unknown=(*found.unknown, *more.unknown))


def _clear(found: Comparison, figure: str) -> bool:
    """Whether more plays would hardly find the other one better."""
    one, other = (column.values(figure) for column in found.columns)
    if one is None or other is None:
        return False
    off = [a - b for a, b in zip(one, other, strict=True)]
    return abs(fmean(off)) > CLEAR * stdev(off) / len(off) ** 0.5


def main() -> int:
    """Judge, tell of each that was wrong, and give 0 when 95 of 100 were right."""
    parser = argparse.ArgumentParser(prog="python -m bench.backtest", description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--requests", type=int, default=600)
    arguments = parser.parse_args()
    right, by_figure, knew = 0, Counter[str](), Counter[bool]()
    for number, case in enumerate(cases(arguments.first, arguments.cases, arguments.requests), start=1):
        pick = judge(case)
        right += pick.right
        if not pick.warned:
            knew[pick.right] += 1
        by_figure[f"{case.figure}: {'right' if pick.right else 'wrong'}"] += 1
        if not pick.right:
            _tell(pick)
        if sys.stderr.isatty() or number % 10 == 0:
            print(f"{number} cases, {right} right", file=sys.stderr, flush=True)
    for line, count in sorted(by_figure.items()):
        print(f"{line:<24}{count:>5}")
    print(f"{right} of {arguments.cases} right")
    print(f"{knew[True]} of {knew.total()} right where the backtest did not say that it cannot know")
    return 0 if right >= 0.95 * arguments.cases else 1


def _tell(pick: Pick) -> None:
    case = pick.case
    changed = [
        {name: value for name, value in each.settings.items() if value != case.world.settings.get(name)}
        for each in (case.one, case.other)
    ]
    print(
        f"world {case.world.number} {case.world.kinds}, recorded with {case.world.settings}: "
        f"{case.figure} is truly {case.truly[0]:.4g} and {case.truly[1]:.4g}, "
        f"said to be {pick.said[0]:.4g} and {pick.said[1]:.4g}: {changed[0]} and {changed[1]}"
        f"{' (and said that it cannot know)' if pick.warned else ''}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
