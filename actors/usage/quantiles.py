"""Quantiles of a stream of seconds in bounded memory: a DDSketch. Pure.

What it says is within 1 % of the true value, whatever the distribution; two of them add up to exactly
what one that had seen everything would be, and the order of the values does not matter, so a replay in
other portions gives the same (Masson, Rim, Lee: DDSketch, VLDB 2019). The arithmetic is the library's.
"""

from __future__ import annotations

from typing import Any

from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import CollapsingLowestDenseStore

__all__ = ["MAX_BINS", "RELATIVE_ACCURACY", "Quantiles"]

RELATIVE_ACCURACY = 0.01

MAX_BINS = 1024
"""Values that lie within a factor of 780 million; below that the shortest are taken together."""

_mapping = LogarithmicMapping(RELATIVE_ACCURACY)
_key = _mapping.key
_SHORTEST = 1e-6
"""Seconds that count as none: a fake clock does not move while a mock answers."""


class Quantiles:
    """How a quantity of seconds is spread."""

    __slots__ = ("_store", "_zeros", "longest", "total")

    def __init__(self) -> None:
        self._store: Any = None
        self._zeros = 0
        self.total = 0.0
        self.longest = 0.0

    def __repr__(self) -> str:
        return f"<Quantiles of {self.count} · {self.total:g} s>"

    @property
    def count(self) -> int:
        """How many values there were."""
        return self._zeros + (0 if self._store is None else round(self._store.count))

    def add(self, seconds: float) -> None:
        """Take one more value; one below 0 counts as 0."""
        if seconds < _SHORTEST:
            self._zeros += 1
            return
        store = self._store
        if store is None:
            store = self._store = CollapsingLowestDenseStore(MAX_BINS)
        store.add(_key(seconds))
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds

    def merge(self, other: Quantiles) -> None:
        """Take all that `other` has taken; it stays as it is."""
        self._zeros += other._zeros
        self.total += other.total
        self.longest = max(self.longest, other.longest)
        if other._store is not None:
            if self._store is None:
                self._store = CollapsingLowestDenseStore(MAX_BINS)
            self._store.merge(other._store)

    def at(self, share: float) -> float | None:
        """The value that `share` (0 to 1) of all values do not exceed; None when there are none."""
        count = self.count
        if not count:
            return None
        rank = share * (count - 1)
        if rank < self._zeros:
            return 0.0
        value: float = _mapping.value(self._store.key_at_rank(rank - self._zeros))
        return min(value, self.longest)

    @property
    def mean(self) -> float | None:
        """The exact mean; None when there are no values."""
        count = self.count
        return self.total / count if count else None

    def snapshot(self) -> list[Any]:
        """JSON-able, and as small as the values are alike."""
        bins: list[float] = []
        store = self._store
        if store is not None:
            for key, weight in enumerate(store.bins, store.offset):
                if weight:
                    bins += (key, weight)
        return [self._zeros, self.total, self.longest, bins]

    @classmethod
    def restore(cls, state: list[Any]) -> Quantiles:
        """What `snapshot` gave."""
        made = cls()
        made._zeros, made.total, made.longest, bins = state
        if bins:
            made._store = CollapsingLowestDenseStore(MAX_BINS)
            for key, weight in zip(bins[::2], bins[1::2], strict=True):
                made._store.add(int(key), weight)
        return made
