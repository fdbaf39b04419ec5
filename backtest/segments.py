"""Where a series of measurements changes its level: a slow evening, a fast morning. Pure.

Seeded binary segmentation: every stretch of a family of overlapping ones, from all of the series down to
a few points, is asked for its best split; the clearest goes first, and what contains it is out.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["change_points"]

LEAST = 6
"""Measurements on either side of a change."""

PENALTY, PENALTY_PER_LOG = 8.0, 3.0
"""What a split must gain, in squared standard deviations, beside what chance finds in so many places."""


class _Split(NamedTuple):
    gain: float
    at: int
    low: int
    high: int


def change_points(values: Sequence[float]) -> list[int]:
    """Indexes at which another level begins, in order."""
    size = len(values)
    if size < 2 * LEAST:
        return []
    tamed = _tamed(values)
    variance = sum((b - a) ** 2 for a, b in pairwise(tamed)) / (2.0 * (size - 1))
    if variance <= 0.0:
        variance = 1e-12
    sums = [0.0, *accumulate(tamed)]
    least = (PENALTY + PENALTY_PER_LOG * math.log(size)) * variance
    found = [split for low, high in _stretches(size) if (split := _best(sums, low, high)).gain > least]
    found.sort(reverse=True)
    chosen: list[int] = []
    for split in found:
        if not any(split.low < other < split.high for other in chosen):
            chosen.append(split.at)
    return sorted(chosen)


def _tamed(values: Sequence[float]) -> list[float]:
    """Without what lies absurdly far out, which would be a level of its own."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 50], ordered[-1 - len(ordered) // 50]
    reach = high - low
    return [min(max(value, low - reach), high + reach) for value in values]


def _stretches(size: int) -> Iterator[tuple[int, int]]:
    """Stretches of half the length, and half of that, each overlapping the next by a half."""
    length = size
    while length >= 2 * LEAST:
        step = max(1, length // 2)
        for low in range(0, max(1, size - length + 1), step):
            yield low, low + length
        if (size - length) % step:
            yield size - length, size
        length = length * 5 // 8


def _best(sums: Sequence[float], low: int, high: int) -> _Split:
    """The split that explains most of the variance."""
    total, length, start = sums[high] - sums[low], high - low, sums[low]
    whole = total * total / length
    best, at = 0.0, low + LEAST
    for place in range(low + LEAST, high - LEAST + 1):
        before = sums[place] - start
        count = place - low
        after = total - before
        gain = before * before / count + after * after / (length - count)
        if gain > best:
            best, at = gain, place
    return _Split(best - whole, at, low, high)
