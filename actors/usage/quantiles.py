"""Quantiles of a stream of seconds in bounded memory: a DDSketch. Pure.

What it says is within 1 % of the true value, whatever the distribution; two of them add up to exactly
what one that had seen everything would be, and the order of the values does not matter, so a replay in
other portions gives the same (Masson, Rim, Lee: DDSketch, VLDB 2019). The arithmetic is the library's.
"""

from __future__ import annotations

from math import ceil, log
from typing import Any

from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import CollapsingLowestDenseStore

__all__ = ["MAX_BINS", "RELATIVE_ACCURACY", "Quantiles"]

RELATIVE_ACCURACY = 0.01

MAX_BINS = 1024
"""Values that lie within a factor of 780 million; below that the shortest are taken together."""

MAX_RECENT = 64
"""Bins that are counted beside the sketch until somebody asks: values are alike, and a dict is quicker."""

_mapping = LogarithmicMapping(RELATIVE_ACCURACY)
_PER_BIN = 1 / log(_mapping.gamma)
_SHORTEST = 1e-6
"""Seconds that count as none: a fake clock does not move while a mock answers."""


class Quantiles:
    """How a quantity of seconds is spread."""

    __slots__ = ("_recent", "_store", "_zeros", "count", "longest", "total")

    def __init__(self) -> None:
        self._store: Any = None
        self._recent: dict[int, int] = {}
        self._zeros = 0
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def __repr__(self) -> str:
        return f"<Quantiles of {self.count} · {self.total:g} s>"

    def add(self, seconds: float) -> None:
        """Take one more value; one below 0 counts as 0."""
        self.count += 1
        if seconds < _SHORTEST:
            self._zeros += 1
            return
        key = ceil(log(seconds) * _PER_BIN)  # what the mapping's `key` does, in a third of the time
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds
        recent = self._recent
        times = recent.get(key)
        if times is not None:
            recent[key] = times + 1
            return
        recent[key] = 1
        if len(recent) > MAX_RECENT:
            self._settled()

    def _settled(self) -> Any:
        """The store, with everything in it; None when there was never anything."""
        recent, store = self._recent, self._store
        if recent:
            if store is None:
                store = self._store = CollapsingLowestDenseStore(MAX_BINS)
            for key, times in recent.items():
                store.add(key, times)
            recent.clear()
        return store

    def merge(self, other: Quantiles) -> None:
        """Take all that `other` has taken; what it holds stays as it is."""
        self._zeros += other._zeros
        self.count += other.count
        self.total += other.total
        self.longest = max(self.longest, other.longest)
        theirs = other._settled()
        if theirs is not None:
            if self._settled() is None:
                self._store = CollapsingLowestDenseStore(MAX_BINS)
            self._store.merge(theirs)

    def at(self, share: float) -> float | None:
        """The value that `share` (0 to 1) of all values do not exceed; None when there are none."""
        if not self.count:
            return None
        rank = share * (self.count - 1)
        if rank < self._zeros:
            return 0.0
        value: float = _mapping.value(self._settled().key_at_rank(rank - self._zeros))
        return min(value, self.longest)

    @property
    def mean(self) -> float | None:
        """The exact mean; None when there are no values."""
        return self.total / self.count if self.count else None

    def snapshot(self) -> list[Any]:
        """JSON-able, and as small as the values are alike."""
        bins: list[float] = []
        store = self._settled()
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
        made.count = made._zeros + round(sum(bins[1::2]))
        if bins:
            made._store = CollapsingLowestDenseStore(MAX_BINS)
            for key, weight in zip(bins[::2], bins[1::2], strict=True):
                made._store.add(int(key), weight)
        return made
