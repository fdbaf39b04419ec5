"""`latency-based-routing`: the candidate that was fastest of late. Pure."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

from attrs import define

from .lowest import lowest
from .ranking import Ranking

if TYPE_CHECKING:
    import random

    from .base import Candidate, Pick, Query

__all__ = ["DEFAULT_TTL", "LatencyBased"]

DEFAULT_TTL = 3600.0
"""Seconds for which a measured latency counts."""


@define(eq=False)
class _Timing:
    """What a candidate is ranked by. `due`: its oldest sample is in the heap of expiries."""

    candidate: Candidate
    samples: tuple[tuple[float, float], ...] | None = None
    unseen: bool = True
    due: bool = False
    eligible: bool = True


class LatencyBased:
    """Lowest mean latency of the last 10 calls younger than `ttl` seconds; unseen ones first.

    Among those within the fraction `buffer` of the lowest: at random. Several unseen ones share
    what comes before their first answers: the fewest open calls first.
    """

    name = "latency-based-routing"

    def __init__(self, ttl: float = DEFAULT_TTL, buffer: float = 0.0) -> None:
        self._ttl = ttl
        self._buffer = buffer
        self._ranking: Ranking[Candidate] = Ranking()
        self._timings: dict[str, _Timing] = {}
        self._expiries: list[tuple[float, int, _Timing]] = []
        self._order = count()

    def add(self, candidate: Candidate, now: float) -> None:
        timing = self._timings.get(candidate.id)
        if timing is None:
            timing = self._timings[candidate.id] = _Timing(candidate)
        timing.candidate, timing.eligible = candidate, True
        self._ranking.put(candidate.id, self._measure(timing, now), candidate)

    def remove(self, candidate: Candidate) -> None:
        self._ranking.drop(candidate.id)
        timing = self._timings.get(candidate.id)
        if timing is not None:
            timing.eligible = False
            if not timing.due:
                del self._timings[candidate.id]

    def update(self, candidate: Candidate, now: float) -> None:
        timing = self._timings.get(candidate.id)
        if timing is None or not timing.eligible:
            return
        samples = candidate.status.latency
        if timing.unseen or (samples is not timing.samples and samples != timing.samples):
            self._ranking.move(candidate.id, self._measure(timing, now))

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        """A call that has not ended says nothing about latency."""

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        expiries = self._expiries
        while expiries and expiries[0][0] <= query.now:
            self._expire(heapq.heappop(expiries)[2], query.now)
        return lowest(self._ranking, query.admits, rng, self._buffer)

    def _measure(self, timing: _Timing, now: float) -> float:
        """The key to rank by: the mean, or a negative one for the unseen, fewest open first."""
        timing.samples = samples = timing.candidate.status.latency
        # Reckoned as the expiry below is, to the last bit: a sample that still counts is never due already.
        values = [seconds for at, seconds in samples if at + self._ttl > now]
        timing.unseen = not values
        if not values:
            return -1.0 / (1 + timing.candidate.open)
        if not timing.due:
            timing.due = True
            oldest = samples[-len(values)][0]
            heapq.heappush(self._expiries, (oldest + self._ttl, next(self._order), timing))
        return sum(values) / len(values)

    def _expire(self, timing: _Timing, now: float) -> None:
        timing.due = False
        if timing.eligible:
            self._ranking.move(timing.candidate.id, self._measure(timing, now))
        else:
            del self._timings[timing.candidate.id]
