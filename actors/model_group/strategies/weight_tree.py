"""Weighted choice by position: a tree of sums. Pure."""

from __future__ import annotations

__all__ = ["WeightTree"]


class WeightTree:
    """Weights by position; setting one and finding one by its share both take O(log n).

    An implicit binary tree in a list: node i has the children 2i and 2i + 1 and holds their sum, so
    setting a weight to 0 and back again leaves every sum exactly as it was.
    """

    __slots__ = ("_leaves", "_sums")

    def __init__(self) -> None:
        self._leaves = 1
        self._sums: list[float] = [0.0, 0.0]

    @property
    def total(self) -> float:
        return self._sums[1]

    def __getitem__(self, position: int) -> float:
        return self._sums[self._leaves + position] if position < self._leaves else 0.0

    def __setitem__(self, position: int, weight: float) -> None:
        if position >= self._leaves:
            if not weight:
                return
            self._grow(position)
        sums = self._sums
        node = self._leaves + position
        if sums[node] == weight:
            return
        sums[node] = weight
        while node > 1:
            node >>= 1
            sums[node] = sums[2 * node] + sums[2 * node + 1]

    def _grow(self, position: int) -> None:
        weights = self._sums[self._leaves :]
        while self._leaves <= position:
            self._leaves *= 2
        weights += [0.0] * (self._leaves - len(weights))
        self._sums = [0.0] * self._leaves + weights
        for node in range(self._leaves - 1, 0, -1):
            self._sums[node] = self._sums[2 * node] + self._sums[2 * node + 1]

    def find(self, share: float) -> int:
        """The position that `share` falls on, for a share in [0, total).

        Never a position of weight 0 while the total is positive, whatever rounding does.
        """
        sums = self._sums
        leaves = self._leaves
        node = 1
        while node < leaves:
            node *= 2
            left = sums[node]
            if share >= left and sums[node + 1]:
                share -= left
                node += 1
        return node - leaves
