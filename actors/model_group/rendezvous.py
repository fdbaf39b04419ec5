"""Sticky sessions: weighted rendezvous hashing, with its winners remembered. Pure.

Every deployment draws a number for a session; the lowest wins. The draw depends on the two names and
the weight and on nothing else, so a session moves only when its deployment is out, the sessions of
one that is out spread over all others by weight, and each moves back when its own is back.

Drawing for all takes a pass over the group, so the first few in line are kept for each session.
They are drawn anew when the membership changed, and more of them when all of these are out.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from operator import itemgetter
from typing import TYPE_CHECKING

from attrs import define

from .strategies.base import Pick
from .strategies.tiers import order_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .strategies.base import Candidate, Query
    from .view import View

__all__ = ["MAX_LINE", "MAX_SESSIONS", "SHORTLIST", "STICKY", "Sessions", "in_line"]

MAX_SESSIONS = 10_000
"""Sessions of a group that are remembered. One that was forgotten finds the same deployment again."""

SHORTLIST = 4
"""Deployments in line that are drawn for a session; four times as many when all of these are out."""

MAX_LINE = 64
"""The most that are kept for a session. With all of these out, each of its requests draws anew."""

STICKY = "sticky-session"
"""What a decision gives as its strategy."""

Draw = tuple[float, bool, float]
"""Order, whether it weighs nothing, and the number drawn: the lowest goes first."""

_MASK = (1 << 64) - 1


@define(eq=False)
class _Line:
    """The first in line of a session, for the members a view had at `version`."""

    version: int
    first: list[tuple[Draw, Candidate]]


class Sessions:
    """Who serves which session; the session that was not heard of for the longest is forgotten first."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, object], _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def pick(self, session: int, view: View, query: Query) -> Pick | None:
        """The first in line that is eligible and admitted; None when nobody is."""
        line = self._line(session, view)
        seen = 0
        while True:
            for draw, candidate in line.first[seen:]:
                if view.is_eligible(candidate.id) and query.admits(candidate):
                    return _picked(draw, candidate, line)
            seen = len(line.first)
            if seen >= len(view.members):
                return None
            if seen >= MAX_LINE:
                return self._pick_behind(session, view, line, query)
            line.first = in_line(session, view.members.values(), min(4 * seen, MAX_LINE))

    @staticmethod
    def _pick_behind(session: int, view: View, line: _Line, query: Query) -> Pick | None:
        """All that are remembered are out: look among the others."""
        asked = {candidate.id for _, candidate in line.first}
        for draw, candidate in in_line(session, view.members.values(), len(view.members)):
            if candidate.id not in asked and view.is_eligible(candidate.id) and query.admits(candidate):
                return _picked(draw, candidate, line)
        return None

    def _line(self, session: int, view: View) -> _Line:
        key = (session, view.suit)
        line = self._lines.pop(key, None)
        if line is None or line.version != view.version:
            line = _Line(view.version, in_line(session, view.members.values(), SHORTLIST))
        if len(self._lines) >= MAX_SESSIONS:
            del self._lines[next(iter(self._lines))]
        self._lines[key] = line
        return line


def _picked(draw: Draw, candidate: Candidate, line: _Line) -> Pick:
    """The pick, beside the two that come first in line."""
    first = tuple((other.id, drawn[2]) for drawn, other in line.first[:2])
    return Pick(candidate, draw[2], None, first, STICKY)


def in_line(session: int, members: Iterable[Candidate], most: int) -> list[tuple[Draw, Candidate]]:
    """The first `most` of the members for this session, each with its draw."""
    tiers: dict[float, list[Candidate]] = {}
    for candidate in members:
        tiers.setdefault(order_of(candidate.deployment), []).append(candidate)
    line: list[tuple[Draw, Candidate]] = []
    for order in sorted(tiers):
        weight = _weights(tiers[order])
        draws = (
            (_draw(session, candidate, order, weight(candidate)), candidate) for candidate in tiers[order]
        )
        line += heapq.nsmallest(most - len(line), draws, key=itemgetter(0))
        if len(line) >= most:
            break
    return line


def _weights(tier: list[Candidate]) -> Callable[[Candidate], float]:
    """By the first of `weight`, `rpm`, `tpm` that any of them sets, as `simple-shuffle` does."""
    for setting in ("weight", "rpm", "tpm"):
        if any(getattr(candidate.deployment, setting) is not None for candidate in tier):
            return lambda candidate: getattr(candidate.deployment, setting) or 0.0
    return lambda _candidate: 1.0


def _draw(session: int, candidate: Candidate, order: float, weight: float) -> Draw:
    """An exponential draw of rate `weight`: the lowest of such draws is each one's by its weight."""
    number = -math.log(uniform(session, spot(candidate)))
    return (order, False, number / weight) if weight > 0 else (order, True, number)


def spot(candidate: Candidate) -> int:
    """A number made of the deployment's name, once."""
    known: int | None = candidate.mirror.spot
    if known is None:
        digest = hashlib.blake2b(candidate.id.encode(), digest_size=8).digest()
        known = candidate.mirror.spot = int.from_bytes(digest, "big")
    return known


def uniform(session: int, place: int) -> float:
    """A number in (0, 1) made of both (the finaliser of splitmix64)."""
    mixed = ((session ^ place) + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    mixed ^= mixed >> 31
    return ((mixed >> 11) + 0.5) * 2.0**-53
