"""Weighted choice by position: a tree of running sums. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

__all__ = ["WeightTree"]

FANOUT = 32
"""Children of a node. Wide, since a node is searched and summed in C, and levels are walked in
Python: 10,000 weights take three levels."""


class _Level:
    """Numbers in nodes of `FANOUT`, with the running sums of each node."""

    __slots__ = ("nodes", "values")

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.nodes = [
            list(accumulate(values[start : start + FANOUT])) for start in range(0, len(values), FANOUT)
        ]


class WeightTree:
    """Weights by position; setting one and finding one by its share both take O(log n).

    Sums are always made anew from the weights, so setting a weight to 0 and back again leaves
    every sum exactly as it was.
    """

    __slots__ = ("_down", "_up", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self._build([0.0] * FANOUT)

    def _build(self, weights: list[float]) -> None:
        self._up = [_Level(weights)]
        while len(self._up[-1].nodes) > 1:
            self._up.append(_Level([node[-1] for node in self._up[-1].nodes]))
        self._down = [level.nodes for level in reversed(self._up)]

    def __getitem__(self, position: int) -> float:
        weights = self._up[0].values
        return weights[position] if position < len(weights) else 0.0

    def __setitem__(self, position: int, weight: float) -> None:
        if self[position] == weight:
            return
        weights = self._up[0].values
        if position >= len(weights):
            self._build(weights + [0.0] * max(len(weights), position + 1 - len(weights)))
        for level in self._up:
            level.values[position] = weight
            position //= FANOUT
            start = position * FANOUT
            node = level.nodes[position] = list(accumulate(level.values[start : start + FANOUT]))
            weight = node[-1]
        self.total = weight

    def find(self, share: float) -> int:
        """The position that `share` falls on, for a share in [0, total).

        Never a position of weight 0 while the total is positive, whatever rounding does.
        """
        position = 0
        for nodes in self._down:
            sums = nodes[position]
            child = bisect_right(sums, share)
            if child == len(sums):
                child = bisect_left(sums, sums[-1])
            if child:
                share -= sums[child - 1]
            position = position * FANOUT + child
        return position
