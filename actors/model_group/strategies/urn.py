"""The eligible candidates as an urn: drawn evenly, or by weight. Pure."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from attrs import define, field

from .weight_tree import WeightTree

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .base import Candidate

__all__ = ["MAX_REDRAWS", "Urn"]

MAX_REDRAWS = 16
"""Draws that may be refused before one pass over the urn finds out who is admitted at all."""

_NO_WEIGHTS = WeightTree()
"""Weighs everything 0, and stays so: only zeros are ever set in it."""


@define(eq=False)
class _Basis:
    """One setting that may give the weights."""

    setting: str
    set_by: int = 0
    """Candidates in the urn that set it."""
    tree: WeightTree = field(factory=WeightTree)


class Urn:
    """Candidates in a dense list, with the weights that are in force.

    The weights are the first of `weight`, `rpm`, `tpm` that any candidate in the urn sets; unset
    counts 0. None set, or nothing but zeros: every candidate is as likely as another. Each setting
    keeps its own tree, so a change of the setting in force costs nothing.

    Attributes:
        items: the candidates; a position holds until the next `add` or `remove`.
        weights: the tree in force, by position; None when the draw is even.
    """

    __slots__ = ("_bases", "_positions", "items", "weights")

    def __init__(self) -> None:
        self.items: list[Candidate] = []
        self.weights: WeightTree | None = None
        self._positions: dict[str, int] = {}
        self._bases = (_Basis("weight"), _Basis("rpm"), _Basis("tpm"))

    def add(self, candidate: Candidate) -> None:
        self.remove(candidate)
        position = len(self.items)
        self._positions[candidate.id] = position
        self.items.append(candidate)
        for basis in self._bases:
            weight = getattr(candidate.deployment, basis.setting)
            if weight is not None:
                basis.set_by += 1
                basis.tree[position] = weight
        self._settle_weights()

    def remove(self, candidate: Candidate) -> None:
        """Take it out; the last candidate moves into its place."""
        position = self._positions.pop(candidate.id, None)
        if position is None:
            return
        gone = self.items[position]
        last = self.items.pop()
        end = len(self.items)
        if position != end:
            self.items[position] = last
            self._positions[last.id] = position
        for basis in self._bases:
            if getattr(gone.deployment, basis.setting) is not None:
                basis.set_by -= 1
            basis.tree[position] = basis.tree[end]
            basis.tree[end] = 0
        self._settle_weights()

    def _settle_weights(self) -> None:
        basis = next((basis for basis in self._bases if basis.set_by), None)
        self.weights = basis.tree if basis is not None and basis.tree.total > 0 else None

    def draw_other(
        self, gone: list[int], admits: Callable[[Candidate], bool], rng: random.Random
    ) -> tuple[int, float] | None:
        """An admitted candidate beside those at the positions `gone`, and the number that drew it.

        The distribution is that of drawing without replacement. A candidate of weight 0 is drawn
        only when no other is left: a weight is never a limit. Positions refused join `gone`.
        """
        tree = self.weights or _NO_WEIGHTS
        hidden = [(position, tree[position]) for position in gone]
        for position in gone:
            tree[position] = 0
        try:
            for _ in range(MAX_REDRAWS):
                left = len(self.items) - len(gone)
                if not left:
                    return None
                draw = rng.random()
                total = tree.total
                position = tree.find(draw * total) if total > 0 else _beside(gone, int(draw * left))
                if admits(self.items[position]):
                    return position, draw
                gone.append(position)
                hidden.append((position, tree[position]))
                tree[position] = 0
        finally:
            for position, weight in hidden:
                tree[position] = weight
        return self._among_all(gone, admits, rng)

    def _among_all(
        self, gone: list[int], admits: Callable[[Candidate], bool], rng: random.Random
    ) -> tuple[int, float] | None:
        """The one pass, when draw after draw was refused."""
        asked = set(gone)
        left = [
            position
            for position, candidate in enumerate(self.items)
            if position not in asked and admits(candidate)
        ]
        if not left:
            return None
        tree = self.weights or _NO_WEIGHTS
        heavy = [position for position in left if tree[position]]
        draw = rng.random()
        if not heavy:
            return left[int(draw * len(left))], draw
        sums = list(accumulate(tree[position] for position in heavy))
        return heavy[min(bisect_right(sums, draw * sums[-1]), len(heavy) - 1)], draw


def _beside(gone: list[int], rank: int) -> int:
    """The position that is number `rank` among those not in `gone`."""
    for position in sorted(gone):
        if position > rank:
            break
        rank += 1
    return rank
