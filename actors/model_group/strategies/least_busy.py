"""`least-busy`: the candidate with the fewest open calls. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .count_buckets import CountBuckets
from .lowest import fewest

if TYPE_CHECKING:
    import random

    from .base import Candidate, Pick, Query

__all__ = ["LeastBusy"]


class LeastBusy:
    """Fewest open calls, ties at random.

    `Candidate.open` counts a pick at once, so a burst of N spreads.
    """

    name = "least-busy"

    def __init__(self) -> None:
        self._buckets = CountBuckets()

    def add(self, candidate: Candidate, now: float) -> None:
        self._buckets.put(candidate, candidate.open)

    def remove(self, candidate: Candidate) -> None:
        self._buckets.drop(candidate)

    def update(self, candidate: Candidate, now: float) -> None:
        self._buckets.move(candidate.id, candidate.open)

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        """The roster has counted it in `open` already."""

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        return fewest(self._buckets, query.admits, rng)
