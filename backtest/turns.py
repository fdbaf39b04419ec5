"""When a deployment was down between the calls that saw it: as often, and as long, as it usually is. Pure.

One that cools down is asked once in a while, and what it was in between nobody saw: two calls that failed
half a minute apart may be one outage or two. So it is taken to go down and come back by chance, at two rates
that the calls make more or less likely (a chain of two states, in continuous time); each play draws both, and
then a way that agrees with all that was seen.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

__all__ = ["Sight", "Turns", "turns_of"]

MEAN_UP = tuple(8.0 * 2.0**step for step in range(12))
MEAN_DOWN = tuple(2.0 * 2.0**step for step in range(12))
"""Seconds that are tried: until it goes down, and until it is back."""

SHORT = 0.2
"""Of the changes to be expected between two calls: below it there was none, or the one that was seen."""

TRIES = 64
"""Ways that are drawn between two calls until one ends as it was seen to end."""

BINS = 8.0
"""Lengths of gaps that are told apart, for each time that they double."""


class Sight(NamedTuple):
    """What a call saw."""

    at: float
    down: bool


class _Rates(NamedTuple):
    """A second, to go down and to come back."""

    fall: float
    rise: float

    def likely(self, gap: float, *, was: bool, is_: bool) -> float:
        """The probability that it is like that after a gap."""
        both = self.fall + self.rise
        usual = self.fall / both
        down = usual + ((1.0 if was else 0.0) - usual) * math.exp(-both * gap)
        return max(1e-12, down if is_ else 1.0 - down)


@frozen
class Turns:
    """What was seen, and how likely each pair of rates makes it."""

    sights: tuple[Sight, ...]
    rates: tuple[_Rates, ...]
    weights: tuple[float, ...]

    def drawn(self, rng: random.Random, began: float, ended: float) -> list[tuple[float, float]]:
        """The outages of one play, in their order: each from when until when."""
        rates = rng.choices(self.rates, self.weights)[0]
        sights = self.sights
        first, last = sights[0], sights[-1]
        changes = [began + (first.at - began) * rng.random()] if first.down else []
        for early, late in pairwise(sights):
            changes += _between(rng, rates, early, late)
        changes += _walk(rng, rates, last, ended)
        if len(changes) % 2:
            changes.append(max(ended, last.at) + 1.0)
        return list(zip(changes[::2], changes[1::2], strict=True))


def turns_of(sights: Sequence[Sight]) -> Turns:
    """From what the calls of a deployment saw, in the order of their starts; there must be one."""
    gaps = Counter(
        (round(BINS * math.log2(late.at - early.at)), early.down, late.down)
        for early, late in pairwise(sights)
        if late.at > early.at
    )
    rates = tuple(_Rates(1.0 / up, 1.0 / down) for up in MEAN_UP for down in MEAN_DOWN)
    logs = [
        sum(
            many * math.log(each.likely(2.0 ** (length / BINS), was=was, is_=is_))
            for (length, was, is_), many in gaps.items()
        )
        for each in rates
    ]
    most = max(logs)
    return Turns(tuple(sights), rates, tuple(math.exp(log - most) for log in logs))


def _between(rng: random.Random, rates: _Rates, early: Sight, late: Sight) -> list[float]:
    """When it changed between two calls, given what both saw."""
    gap = late.at - early.at
    if gap * (rates.fall + rates.rise) > SHORT:
        for _ in range(TRIES):
            changes = list(_walk(rng, rates, early, late.at))
            if len(changes) % 2 == (early.down != late.down):
                return changes
    return [early.at + gap * rng.random()] if early.down != late.down else []


def _walk(rng: random.Random, rates: _Rates, since: Sight, until: float) -> Iterator[float]:
    """When it changes from then on."""
    at, down = since
    while True:
        at += rng.expovariate(rates.rise if down else rates.fall)
        if at >= until:
            return
        down = not down
        yield at
