"""When a deployment was not well: stretches in which its calls failed far more often than else. Pure.

Each call scores the log of how much likelier it is inside an episode than outside of one; episodes are all
stretches of maximal score that chance would not have made. What few calls a deployment that cools down
gets are enough: five failures in a row are no accident, however long they took.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Episode", "episodes"]

LEVELS = (0.9, 0.4)
"""Shares of failing calls inside an episode that are looked for: first what is down, then what is ill."""

ROUNDS = 8
WELL = 0.02
"""The share of calls that fail of a deployment that is well, to begin with."""

CHANCE = 3.0
"""Beside the log of the number of calls: what a stretch must score to be no accident."""


class Episode(NamedTuple):
    """Calls `first` to `last` (inclusive), of which `failed` failed."""

    first: int
    last: int
    failed: int

    @property
    def calls(self) -> int:
        return self.last - self.first + 1


class _Piece(NamedTuple):
    """A stretch of calls, and the sum of scores before it and behind it."""

    first: int
    last: int
    left: float
    right: float


def episodes(failed: Sequence[bool]) -> list[Episode]:
    """The episodes among calls in the order of their starts; they do not overlap."""
    inside = [False] * len(failed)
    for level in LEVELS:
        inside = _marked(failed, inside, level)
    return _runs(failed, inside)


def _marked(failed: Sequence[bool], before: list[bool], level: float) -> list[bool]:
    """The calls inside an episode, those `before` included.

    Begins with a deployment that is well, and looks again with what is usual outside of what was found: so
    a deployment that always fails now and then has no episodes in the end.
    """
    inside, usual = before, WELL
    for _ in range(ROUNDS):
        marked = list(before)
        for first, last in _stretches(failed, level, usual):
            marked[first : last + 1] = [True] * (last - first + 1)
        usual = _usual(failed, marked)
        if marked == inside:
            break
        inside = marked
        if usual >= level / 2.0:
            return before
    return inside


def _usual(failed: Sequence[bool], inside: Sequence[bool]) -> float:
    """The share of calls that fail outside of all episodes; half a failure more, for what was not seen."""
    outside = [bad for bad, within in zip(failed, inside, strict=True) if not within]
    return (sum(outside) + 0.5) / (len(outside) + 1.0)


def _stretches(failed: Sequence[bool], level: float, usual: float) -> list[tuple[int, int]]:
    """All maximal scoring stretches (Ruzzo and Tompa's, in linear time) above what chance makes."""
    bad = math.log(level / usual)
    good = math.log((1.0 - level) / (1.0 - usual))
    done: list[_Piece] = []
    stack: list[_Piece] = []
    total = 0.0
    for index, failure in enumerate(failed):
        before = total
        total += bad if failure else good
        if failure and not _put(stack, _Piece(index, index, before, total)):
            done.extend(stack[:-1])  # the sum was never as low: nothing before can grow any more
            del stack[:-1]
    least = math.log(len(failed) + 1) + CHANCE
    return [(first, last) for first, last, left, right in (*done, *stack) if right - left > least]


def _put(stack: list[_Piece], piece: _Piece) -> bool:
    """Add a failing call, joined with what it makes one stretch with; False when all before it is settled."""
    while True:
        place = next((i for i in range(len(stack) - 1, -1, -1) if stack[i].left < piece.left), None)
        if place is None or stack[place].right >= piece.right:
            stack.append(piece)
            return place is not None
        piece = piece._replace(first=stack[place].first, left=stack[place].left)
        del stack[place:]


def _runs(failed: Sequence[bool], inside: Sequence[bool]) -> list[Episode]:
    found: list[Episode] = []
    first: int | None = None
    for index, within in enumerate([*inside, False]):
        if within and first is None:
            first = index
        elif not within and first is not None:
            found.append(Episode(first, index - 1, sum(failed[first:index])))
            first = None
    return found
