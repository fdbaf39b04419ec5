"""When a deployment was not well: stretches in which its calls failed far more often than else. Pure.

Each call scores the log of how much likelier it is of a deployment that is down, or ill, than of one that is
well; and an episode costs what chance would make. The way through all calls that scores most tells the
episodes (Viterbi's). So one that goes down again and again does just that, and is not ill for all that time.
What few calls a deployment that cools down gets are enough: five failures in a row are no accident, however
long they took.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Episode", "episodes"]

LEVELS = (0.9, 0.4)
"""Shares of failing calls inside an episode that are looked for: what is down, and what is ill."""

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


def episodes(failed: Sequence[bool]) -> list[Episode]:
    """The episodes among calls in the order of their starts; they do not overlap.

    Begins with a deployment that is well, and looks again with what is usual outside of what was found: so
    a deployment that always fails now and then has no episodes in the end.
    """
    states, usual = [0] * len(failed), WELL
    for _ in range(ROUNDS):
        levels = [level for level in LEVELS if usual < level / 2.0]
        before, states = states, _likeliest(failed, levels, usual)
        if states == before:
            break
        usual = _usual(failed, states)
    return _runs(failed, states)


def _usual(failed: Sequence[bool], states: Sequence[int]) -> float:
    """The share of calls that fail outside of all episodes; half a failure more, for what was not seen."""
    outside = [bad for bad, state in zip(failed, states, strict=True) if not state]
    return (sum(outside) + 0.5) / (len(outside) + 1.0)


def _likeliest(failed: Sequence[bool], levels: Sequence[float], usual: float) -> list[int]:
    """For each call 0 where all was well, else in which of these levels it was, from 1 on."""
    begins = math.log(len(failed) + 1) + CHANCE
    bad = [math.log(level / usual) for level in levels]
    good = [math.log((1.0 - level) / (1.0 - usual)) for level in levels]
    scores = [0.0, *(-begins for _ in levels)]
    came_from: list[list[int]] = []
    for failure in failed:
        best = max(range(len(scores)), key=scores.__getitem__)
        start = scores[best] - begins
        stays = [0 if scores[0] >= scores[best] else best]
        stays += [state if scores[state] >= start else best for state in range(1, len(scores))]
        gained = bad if failure else good
        scores = [scores[best]] + [
            max(score, start) + gain for score, gain in zip(scores[1:], gained, strict=True)
        ]
        came_from.append(stays)
    return _back(came_from, max(range(len(scores)), key=scores.__getitem__))


def _back(came_from: Sequence[Sequence[int]], last: int) -> list[int]:
    """The way that ends in this state."""
    states = []
    state = last
    for stays in reversed(came_from):
        states.append(state)
        state = stays[state]
    states.reverse()
    return states


def _runs(failed: Sequence[bool], states: Sequence[int]) -> list[Episode]:
    found: list[Episode] = []
    first = 0
    for state, of in groupby(states):
        after = first + sum(1 for _ in of)
        if state:
            found.append(Episode(first, after - 1, sum(failed[first:after])))
        first = after
    return found
