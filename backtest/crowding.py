"""By how much a deployment is slower for each other call that it is busy with. Pure.

A call is held against its neighbours in time, within a stretch of one level: so a slow hour, in which calls
pile up *because* they are slow, is no proof of anything.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["crowding"]

NEIGHBOURS = 24
"""Calls around one that say what was usual just then."""

GROWTHS = tuple(0.005 * 1.25**step for step in range(25))
"""Shares slower for each other call, of which the best is taken: from half a percent to one and more."""

SURE = 14.0
"""By so much, in variances of a call, it must explain them better than nothing does."""


def crowding(logs: Sequence[float], busy: Sequence[int], levels: Sequence[int]) -> float:
    """The share by which a call takes longer for each other one that is open; 0 when none is plain.

    Args:
        logs: by what each call was off what its size says, as logarithms, in the order of their starts.
        busy: how many others were open when it started.
        levels: where stretches of one level begin, the first at 0.
    """
    if len(logs) < NEIGHBOURS or max(busy) == min(busy):
        return 0.0
    bounds = list(pairwise((*levels, len(logs))))
    off = _tamed(_beside_neighbours(logs, bounds))
    nothing = sum(each * each for each in off)
    best, growth = math.inf, 0.0
    for tried in GROWTHS:
        by_busy = [math.log1p(tried * open_calls) for open_calls in range(max(busy) + 1)]
        slower = _beside_neighbours([by_busy[open_calls] for open_calls in busy], bounds)
        left = sum((one - other) ** 2 for one, other in zip(off, slower, strict=True))
        if left < best:
            best, growth = left, tried
    variance = nothing / len(off)
    return growth if variance > 0.0 and nothing - best > SURE * variance else 0.0


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
