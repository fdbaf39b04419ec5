"""`simple-shuffle`: a random candidate, by weight when weights are set. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Pick
from .urn import Urn

if TYPE_CHECKING:
    import random

    from .base import Candidate, Query

__all__ = ["SimpleShuffle"]


class SimpleShuffle:
    """Random, weighted by the first of `weight`, `rpm`, `tpm` that any candidate sets."""

    name = "simple-shuffle"

    def __init__(self) -> None:
        self._urn = Urn()

    def add(self, candidate: Candidate, now: float) -> None:
        self._urn.add(candidate)

    def remove(self, candidate: Candidate) -> None:
        self._urn.remove(candidate)

    def update(self, candidate: Candidate, now: float) -> None:
        """Nothing that changes while a candidate is eligible has a say here."""

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        """Nor has how much it has been used."""

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        urn = self._urn
        items = urn.items
        if len(items) <= 1:
            return Pick(items[0]) if items and query.admits(items[0]) else None
        draw = rng.random()
        weights = urn.weights
        position = int(draw * len(items)) if weights is None else weights.find(draw * weights.total)
        candidate = items[position]
        if query.admits(candidate):
            return Pick(candidate, None, draw)
        other = urn.draw_other([position], query.admits, rng)
        return None if other is None else Pick(items[other[0]], None, other[1])
