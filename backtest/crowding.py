"""By how much a deployment is slower for each other call that it is busy with. Pure.

A call is held against its neighbours in time, within a stretch of one level: so a slow hour, in which calls
pile up *because* they are slow, is no proof of anything. What is left may be too little to be sure, and a
deployment that got few calls so far may get many: so what is found is not one number but how likely each
is, and each play draws one.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

__all__ = ["NO_EVIDENCE", "Growths", "evidence", "growths"]

NEIGHBOURS = 24
"""Calls around one that say what was usual just then."""

TRIED = (0.0, *(0.005 * 1.25**step for step in range(25)))
"""Shares slower for each other call: none, and from half a percent to one and more."""

NO_EVIDENCE = (0.0,) * len(TRIED)

RARE = 0.1
"""Of deployments before anything is known of them, the share that the load slows down."""

FEW = 8
"""Calls of which nothing can be told."""


@frozen
class Growths:
    """How likely each share of `TRIED` is.

    Attributes:
        likely: the one in the middle.
        weights: of each.
    """

    likely: float = 0.0
    weights: tuple[float, ...] = (1.0, *NO_EVIDENCE[1:])

    def drawn(self, rng: random.Random) -> float:
        """The share in one play."""
        return rng.choices(TRIED, self.weights)[0]


def growths(told: Sequence[Sequence[float]]) -> Growths:
    """From what each kind of call of one deployment tells; see `evidence`."""
    each = [sum(of) for of in zip(NO_EVIDENCE, *told, strict=True)]
    most = max(each)
    weights = [math.exp(log - most) * RARE / (len(TRIED) - 1) for log in each]
    weights[0] = math.exp(each[0] - most) * (1.0 - RARE)
    total = sum(weights)
    sums = accumulate(weights)
    likely = next(share for share, sum_ in zip(TRIED, sums, strict=True) if sum_ >= 0.5 * total)
    return Growths(likely, tuple(weight / total for weight in weights))


def evidence(logs: Sequence[float], busy: Sequence[int], levels: Sequence[int]) -> tuple[float, ...]:
    """For each of `TRIED` the logarithm of how much likelier it makes these calls than none does.

    Args:
        logs: by what each call was off what its size says, as logarithms, in the order of their starts.
        busy: how many others were open when it started.
        levels: where stretches of one level begin, the first at 0.
    """
    if len(logs) < FEW or max(busy) == min(busy):
        return NO_EVIDENCE
    bounds = list(pairwise((*levels, len(logs))))
    off = _tamed(_beside_neighbours(logs, bounds))
    nothing = sum(each * each for each in off)
    variance = nothing / len(off)
    if variance <= 0.0:
        return NO_EVIDENCE
    told = []
    for tried in TRIED:
        by_busy = [math.log1p(tried * open_calls) for open_calls in range(max(busy) + 1)]
        slower = _beside_neighbours([by_busy[open_calls] for open_calls in busy], bounds)
        left = sum((one - other) ** 2 for one, other in zip(off, slower, strict=True))
        told.append((nothing - left) / (2.0 * variance))
    return tuple(told)


def _beside_neighbours(values: Sequence[float], bounds: Sequence[tuple[int, int]]) -> list[float]:
    """Each less the mean of those around it."""
    sums = [0.0, *accumulate(values)]
    left = []
    for low, high in bounds:
        for index in range(low, high):
            start = max(low, min(index - NEIGHBOURS // 2, high - NEIGHBOURS))
            end = min(high, start + NEIGHBOURS)
            left.append(values[index] - (sums[end] - sums[start]) / (end - start))
    return left


def _tamed(values: list[float]) -> list[float]:
    """What is absurdly far out is no farther than three times the middle."""
    reach = 3.0 * sorted(abs(value) for value in values)[len(values) // 2]
    return [min(max(value, -reach), reach) for value in values]
