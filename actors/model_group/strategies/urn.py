"""The eligible candidates as an urn: drawn evenly, or by weight. Pure."""

from __future__ import annotations

from itertools import accumulate
from bisect import bisect_right
from typing import TYPE_CHECKING

from attrs import define, field

from .chance import in_random_order
from .weight_tree import WeightTree

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .base import Candidate

__all__ = ["MAX_REDRAWS", "Urn"]

MAX_REDRAWS = 16
"""Draws that may be refused before one pass over the urn finds out who is admitted at all."""


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
        drawn = self._by_weight(gone, admits, rng) or self._evenly(gone, admits, rng)
        return drawn or self._among_all(gone, admits, rng)

    def _by_weight(
        self, gone: list[int], admits: Callable[[Candidate], bool], rng: random.Random
    ) -> tuple[int, float] | None:
        tree = self.weights
        if tree is None:
            return None
        taken = [(position, tree[position]) for position in gone]
        for position, _ in taken:
            tree[position] = 0
        try:
            for _ in range(MAX_REDRAWS):
                if not tree.total > 0:
                    return None
                draw = rng.random()
                position = tree.find(draw * tree.total)
                if admits(self.items[position]):
                    return position, draw
                gone.append(position)
                taken.append((position, tree[position]))
                tree[position] = 0
        finally:
            for position, weight in taken:
                tree[position] = weight
        return None

    def _evenly(
        self, gone: list[int], admits: Callable[[Candidate], bool], rng: random.Random
    ) -> tuple[int, float] | None:
        if self.weights is not None and not self._weighted_are_gone(gone):
            return None
        asked = set(gone)
        tries = MAX_REDRAWS + len(asked)
        for position, draw in in_random_order(len(self.items), rng):
            if not tries:
                break
            tries -= 1
            if position in asked:
                continue
            if admits(self.items[position]):
                return position, draw
            gone.append(position)
        return None

    def _weighted_are_gone(self, gone: list[int]) -> bool:
        basis = next(basis for basis in self._bases if basis.set_by)
        return sum(1 for position in gone if basis.tree[position]) == basis.tree.positive

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
        tree = self.weights
        sums = list(accumulate(tree[position] for position in left)) if tree is not None else []
        draw = rng.random()
        if not sums or not sums[-1] > 0:
            return left[int(draw * len(left))], draw
        return left[min(bisect_right(sums, draw * sums[-1]), len(left) - 1)], draw
