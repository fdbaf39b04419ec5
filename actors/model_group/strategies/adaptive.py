"""`adaptive`: two candidates drawn by weight, the lower load wins. Pure.

The power of two choices (Mitzenmacher 2001) over a peak-sensitive moving average of latency (the
"peak EWMA" of Finagle): close to the best of all, at the cost of two, and a burst does not fall on
the one that looked best a moment ago.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...deployment.latency import DECAY_SECONDS
from .base import Pick
from .urn import Urn

if TYPE_CHECKING:
    import random

    from .base import Candidate, Query

__all__ = ["EXPLORATION", "OLD_SHARE", "Adaptive"]

EXPLORATION = 0.01
"""Share of the picks that go to any candidate, whatever its load: so a recovery is noticed."""

OLD_SHARE = 0.25
"""What at least remains of a latency as it ages: in quiet times the order by latency holds."""


class Adaptive:
    """Load = seconds this request may take × (open calls + 1) × (1 + penalty for failures).

    A candidate that was never measured gets its first call at once; while that is under way, or
    when it has failed of late, it is taken to be as fast as the one it is compared with.
    """

    name = "adaptive"

    def __init__(self) -> None:
        self._urn = Urn()

    def add(self, candidate: Candidate, now: float) -> None:
        self._urn.add(candidate)

    def remove(self, candidate: Candidate) -> None:
        self._urn.remove(candidate)

    def update(self, candidate: Candidate, now: float) -> None:
        """Loads are worked out when two are compared."""

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        """The roster has counted it in `open` already."""

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        urn = self._urn
        items = urn.items
        count = len(items)
        if count <= 1:
            return Pick(items[0]) if items and query.admits(items[0]) else None
        draw = rng.random()
        exploring = draw < EXPLORATION
        share = draw / EXPLORATION if exploring else (draw - EXPLORATION) / (1.0 - EXPLORATION)
        weights = None if exploring else urn.weights
        # A share may be rounded up to 1.
        first = min(int(share * count), count - 1) if weights is None else weights.find(share * weights.total)
        if not query.admits(items[first]):
            return self._redraw([first], query, rng)
        if exploring:
            return Pick(items[first], None, draw)
        second = self._another(first, query, rng)
        return Pick(items[first]) if second is None else _lighter(items[first], items[second], draw, query)

    def _another(self, first: int, query: Query, rng: random.Random) -> int | None:
        """The position of a second candidate; None when there is none that is admitted."""
        urn = self._urn
        weights = urn.weights
        if weights is None:
            second = int(rng.random() * (len(urn.items) - 1))
            second += second >= first
        else:
            second = weights.find(rng.random() * weights.total)
        if second != first and query.admits(urn.items[second]):
            return second
        gone = [first] if second == first else [first, second]
        drawn = urn.draw_other(gone, query.admits, rng)
        return None if drawn is None else drawn[0]

    def _redraw(self, gone: list[int], query: Query, rng: random.Random) -> Pick | None:
        """The first draw was refused: two others."""
        items = self._urn.items
        first = self._urn.draw_other(gone, query.admits, rng)
        if first is None:
            return None
        gone.append(first[0])
        second = self._urn.draw_other(gone, query.admits, rng)
        if second is None:
            return Pick(items[first[0]])
        return _lighter(items[first[0]], items[second[0]], first[1], query)


def _lighter(one: Candidate, other: Candidate, draw: float, query: Query) -> Pick:
    seconds, others = _seconds(one, query), _seconds(other, query)
    load = _load(one, _assumed(one, others) if seconds is None else seconds, query.now)
    others_load = _load(other, _assumed(other, seconds) if others is None else others, query.now)
    if load <= others_load:
        return Pick(one, load, draw, ((one.id, load), (other.id, others_load)))
    return Pick(other, others_load, draw, ((other.id, others_load), (one.id, load)))


def _seconds(candidate: Candidate, query: Query) -> float | None:
    """How long the request may take there; None when nothing was ever measured."""
    status = candidate.status
    if status.measured_at is None:
        return None
    output = query.demand.output_tokens
    if output is None:
        output = status.mean_output
    kept = max(OLD_SHARE, _faded(query.now - status.measured_at))
    return (status.ttft + output * status.per_token) * kept


def _assumed(candidate: Candidate, others: float | None) -> float:
    """In place of a measurement: nothing for the first call, then as long as the other one takes."""
    if candidate.open == 0 and not candidate.status.penalty:
        return 0.0
    return 1.0 if others is None else others


def _load(candidate: Candidate, seconds: float, now: float) -> float:
    status = candidate.status
    load = seconds * (candidate.open + 1)
    if not status.penalty:
        return load
    return load * (1.0 + status.penalty * _faded(now - status.penalised_at))


def _faded(age: float) -> float:
    return math.exp(-max(0.0, age) / DECAY_SECONDS)
