"""Do 95 of 100 such days lie in the brackets? `python -m bench.brackets --worlds 60`.

A backtest plays the settings of a record again, unchanged, and says in brackets where 95 of 100 such days
lie. Here are those days: of a world whose truth is known one day is recorded, and others, with luck that the
record did not have, are held against the brackets. The recorded day itself lies in them more often, since the
model was made from it; that says nothing of how wide they should be.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

from attrs import define, field

from turnout.backtest.backtest import SEEDS, compare
from turnout.backtest.figures import SHARE
from turnout.backtest.setups import as_recorded

from .backtest import days_of
from .ground_truths import draw_world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnout.backtest.comparison import Comparison
    from turnout.backtest.figures import Figures

    from .ground_truths import World

__all__ = ["Tally", "held", "main"]

DAYS = 10
LEAST, MOST = 0.93, 0.99
"""Shares of fresh days in their brackets between which the brackets are what they are said to be."""

IDEAL = 2.0 * 1.96 * 2.0**0.5
"""Standard deviations of a day's luck that a bracket is wide, at best: of the record's and of its own."""


@define
class Tally:
    """Of one figure: fresh days held against brackets, and how many lay in them, above and below.

    Attributes:
        recorded: of the recorded days the share in their brackets.
        wide: how many times as wide as it must be each bracket is.
    """

    inside: int = 0
    above: int = 0
    below: int = 0
    recorded: list[bool] = field(factory=list)
    wide: list[float] = field(factory=list)

    @property
    def days(self) -> int:
        return self.inside + self.above + self.below

    def take(self, other: Tally) -> None:
        """Add what another one counted."""
        self.inside += other.inside
        self.above += other.above
        self.below += other.below
        self.recorded += other.recorded
        self.wide += other.wide


def held(world: World, days: int = DAYS, seeds: int = SEEDS) -> dict[str, Tally]:
    """By figure: fresh days of a world held against the brackets of one record of it."""
    record = world.recorded(1)
    found = compare(record, [as_recorded(record)], seeds)
    fresh = days_of(world, world.setup, range(1_001, 1_001 + days))
    return {name: tally for name in found.metrics if (tally := _tally(found, name, fresh)) is not None}


def _tally(found: Comparison, name: str, fresh: Sequence[Figures]) -> Tally | None:
    told, known = found.usual.estimate(name), found.recorded.get(name)
    values = [day.get(name) for day in fresh]
    if told is None or known is None:
        return None
    tally = Tally(recorded=[told.holds(known)])
    real = [value for value in values if value is not None]
    for value in real:
        if told.holds(value):
            tally.inside += 1
        elif value > told.high:
            tally.above += 1
        else:
            tally.below += 1
    luck = stdev(real) if len(real) > 1 else 0.0
    if luck > 0.0:
        tally.wide.append((told.high - told.low) / (IDEAL * luck))
    return tally


def main() -> int:
    """Count, show, and give 0 when the brackets are what they are said to be."""
    parser = argparse.ArgumentParser(prog="python -m bench.brackets", description=__doc__)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--requests", type=int, default=600)
    arguments = parser.parse_args()
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for count in range(1, arguments.worlds + 1):
        world = draw_world(arguments.first + count - 1, arguments.requests)
        for name, tally in held(world, arguments.days).items():
            tallies["share of each" if name.startswith(SHARE) else name].take(tally)
        if sys.stderr.isatty() or count % 10 == 0:
            print(f"{count} worlds", file=sys.stderr, flush=True)
    every = Tally()
    for tally in tallies.values():
        every.take(tally)
    tallies["all"] = every
    print(f"{'':<24}{'days':>7}{'inside':>9}{'above':>9}{'below':>9}{'recorded':>10}{'wide':>7}")
    for name, tally in tallies.items():
        print(_line(name, tally))
    return 0 if LEAST <= every.inside / every.days <= MOST else 1


def _line(name: str, tally: Tally) -> str:
    shares = "".join(
        f"{100.0 * count / max(1, tally.days):>7.1f} %" for count in (tally.inside, tally.above, tally.below)
    )
    wide = f"{median(tally.wide):>7.2f}" if tally.wide else ""
    return f"{name:<24}{tally.days:>7}{shares}{100.0 * fmean(tally.recorded):>8.1f} %{wide}"


if __name__ == "__main__":
    sys.exit(main())
