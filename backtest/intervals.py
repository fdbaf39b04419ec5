"""How sure a figure is, from the plays of several seeds. Pure.

Each seed draws its providers anew, as uncertain as the record leaves them, and then the day. So the plays
spread as such days would, and an interval says where one more of them would lie, in 95 of 100 cases.
"""

from __future__ import annotations

import math
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Estimate", "estimate"]

_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t for 95 % on both sides, by degrees of freedom from 1."""


MOST_LOG = 700.0
"""What is more, as two plays that have nothing in common may give, is no number any more."""

RARE = 5.0
"""Events in a play up to which they are taken to come by chance alone."""


class Estimate(NamedTuple):
    """A mean, and the interval of one more play; with one play, no interval at all."""

    mean: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval, give or take a rounding."""
        slack = 1e-9 + 1e-6 * abs(value)
        return self.low - slack <= value <= self.high + slack

    @property
    def differs(self) -> bool:
        """Of a difference: whether it is one, and no luck."""
        return self.low > 0.0 or self.high < 0.0


def estimate(values: Sequence[float], unit: float | None = None, *, by_share: bool = False) -> Estimate:
    """From one value for each play.

    `by_share`: it is off by a share of it rather than by an amount, as seconds are: it may well be twice as
    much, and not as well nothing.

    `unit` is what one event adds to a figure that counts them. What is rare may come in none of the plays,
    or equally often in all: such a figure is taken to vary by as much as chance alone makes it. What is not
    rare may be kept even by more than chance, as a router keeps the shares of its deployments.
    """
    mean, many = fmean(values), len(values)
    if many < 2:
        return Estimate(mean, -math.inf, math.inf)
    least = 0.0 if unit is None else math.sqrt(unit * (min(mean, RARE * unit) + unit / many))
    far = _student(many - 1) * math.sqrt(1.0 + 1.0 / many)
    if by_share and min(values) > 0.0:
        logs = [math.log(value) for value in values]
        middle, off = fmean(logs), far * max(stdev(logs), least / mean)
        return Estimate(mean, _exp(middle - off), _exp(middle + off))
    off = far * max(stdev(values), least)
    return Estimate(mean, mean - off, mean + off)


def _exp(value: float) -> float:
    return math.exp(min(value, MOST_LOG))


def _student(freedom: int) -> float:
    return _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.46 / freedom
