"""Price lists in the order of what a given request would cost. Pure.

What a request costs is a·x + b·y: a input tokens at x dollars, b output tokens at y. The order
changes with the ratio of a to b, so no single sorted list will do. But the cost along any direction
(a, b) is a mix, with positive factors, of the costs along two fixed directions beside it. So there
is one sorted list per fixed direction, and a query walks the two lists beside its own direction in
step: whatever has not come up in either costs at least the mix of the two keys reached. (That is
the threshold algorithm of Fagin, Lotem and Naor, 2001.) With directions a factor 16 apart the
cheapest is found after a step or two, for 10 price lists as for 10,000.

A deployment's own mean output makes b differ by candidate; it is moved into y instead: the cost is
then a·x + 1·(mean·y), and candidates of one price list are in order of their mean.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from attrs import define, field

from .ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base import Candidate

__all__ = ["PriceIndex", "PriceList", "Prices", "Tier", "tier_from"]

Prices = tuple[float, float]
"""US dollars for a token of input and for one of output."""

STEPS = 5
"""Directions to either side of 1:1; beyond them come input alone and output alone."""

RATIOS = tuple(16.0**step for step in range(-STEPS, STEPS + 1))
"""Output tokens to an input token, by direction."""

ROOM = 1.3
"""The learned mean of a price list may rise by this factor before its key is made anew."""

MARGIN = 0.9
"""That key is made for this fraction of the lowest mean, so that it may fall a little, too."""

ROUNDING = 1.0 - 1e-12
"""Costs worked out in two ways may differ by this factor."""


@define(eq=False)
class PriceList:
    """The candidates with one pair of prices, in US dollars a token, in order of mean output.

    Attributes:
        lowest: the lowest mean output of the members.
        floor: at most that, and not much below it: what the learned directions go by.
    """

    input_price: float
    output_price: float
    members: Ranking[Candidate] = field(factory=Ranking)
    lowest: float = 0.0
    floor: float = 0.0


class Tier(NamedTuple):
    """Members `start` to `end` of a price list, all of which would cost the same."""

    cost: float
    prices: PriceList
    start: int
    end: int


class PriceIndex:
    """Candidates whose prices are known. Changes and queries take O(log n) for a few directions."""

    __slots__ = ("_fixed", "_learned", "_lists", "_prices")

    def __init__(self) -> None:
        self._lists: dict[Prices, PriceList] = {}
        self._prices: dict[str, PriceList] = {}
        self._fixed: dict[int, Ranking[PriceList]] = {}
        """By direction, those asked for so far: what tokens cost."""
        self._learned: dict[int, Ranking[PriceList]] = {}
        """The same for input tokens and `floor`, the learned output."""

    def put(self, candidate: Candidate, prices: Prices) -> None:
        """Add the candidate, or change its prices."""
        self.drop(candidate)
        entry = self._lists.get(prices) or self._begin(prices, candidate.status.mean_output)
        self._prices[candidate.id] = entry
        entry.members.put(candidate.id, candidate.status.mean_output, candidate)
        self._keep_floor(entry)

    def drop(self, candidate: Candidate) -> None:
        entry = self._prices.pop(candidate.id, None)
        if entry is None:
            return
        entry.members.drop(candidate.id)
        if entry.members:
            self._keep_floor(entry)
            return
        prices = (entry.input_price, entry.output_price)
        del self._lists[prices]
        for ranking in (*self._fixed.values(), *self._learned.values()):
            ranking.drop(prices)

    def update(self, candidate: Candidate) -> None:
        """Its mean output may have changed."""
        entry = self._prices.get(candidate.id)
        if entry is not None and entry.members.move(candidate.id, candidate.status.mean_output):
            self._keep_floor(entry)

    def cheapest(self, input_tokens: int, output_tokens: int | None) -> list[tuple[float, PriceList]]:
        """The price lists that were compared, with their costs; the cheapest are among them, all.

        `input_tokens` is at least 1; `output_tokens` None stands for each candidate's own mean.
        """
        if len(self._lists) <= 1:
            return [
                (tier_from(entry, input_tokens, output_tokens, 0).cost, entry)
                for entry in self._lists.values()
            ]
        found: dict[PriceList, float] = {}
        best = math.inf
        for floor, entries in self._come_up(input_tokens, output_tokens):
            if floor > best and len(found) > 1:  # one beside the cheapest, to explain it with
                break
            for entry in entries:
                if entry not in found:
                    output = entry.lowest if output_tokens is None else output_tokens
                    cost = input_tokens * entry.input_price + output * entry.output_price
                    found[entry] = cost
                    if cost < best:
                        best = cost
        return [(cost, entry) for entry, cost in found.items()]

    def ascending(self, input_tokens: int, output_tokens: int | None) -> Iterator[Tier]:
        """All tiers, lowest cost first."""
        waiting: list[tuple[float, int, Tier]] = []
        seen: set[PriceList] = set()  # asked, never walked
        order = 0
        for floor, entries in chain(self._come_up(input_tokens, output_tokens), _END):
            while waiting and waiting[0][0] < floor:
                tier = heapq.heappop(waiting)[2]
                if tier.end < len(tier.prices.members):
                    order += 1
                    rest = tier_from(tier.prices, input_tokens, output_tokens, tier.end)
                    heapq.heappush(waiting, (rest.cost, order, rest))
                yield tier
            for entry in entries:
                if entry not in seen:
                    seen.add(entry)
                    order += 1
                    tier = tier_from(entry, input_tokens, output_tokens, 0)
                    heapq.heappush(waiting, (tier.cost, order, tier))

    def _come_up(self, a: int, output: int | None) -> Iterator[tuple[float, tuple[PriceList, ...]]]:
        """The walk: price lists, each time with what they and all later ones cost at least."""
        if len(self._lists) == 1:
            return iter([(0.0, tuple(self._lists.values()))])
        low, share, other_share = _beside(a, 1 if output is None else output)
        rows, others = self._direction(low, output is None), self._direction(low + 1, output is None)
        share *= ROUNDING
        other_share *= ROUNDING
        return (
            (share * row[0] + other_share * other[0], (row[2], other[2]))
            for row, other in zip(rows, others, strict=True)
        )

    def _direction(self, direction: int, learned: bool) -> Ranking[PriceList]:  # noqa: FBT001
        """The price lists along a direction; sorted when it is asked for the first time."""
        directions, key = (self._learned, _learned) if learned else (self._fixed, _fixed)
        ranking = directions.get(direction)
        if ranking is None:
            ranking = directions[direction] = Ranking(
                (name, key(direction, entry), entry) for name, entry in self._lists.items()
            )
        return ranking

    def _begin(self, prices: Prices, mean: float) -> PriceList:
        entry = self._lists[prices] = PriceList(*prices, floor=MARGIN * mean)
        for direction, ranking in self._fixed.items():
            ranking.put(prices, _fixed(direction, entry), entry)
        self._rank_learned(entry)
        return entry

    def _keep_floor(self, entry: PriceList) -> None:
        """Keep `floor` below the lowest mean, and near it."""
        entry.lowest = lowest = entry.members[0][0]
        if not entry.floor <= lowest <= entry.floor * ROOM:
            entry.floor = MARGIN * lowest
            self._rank_learned(entry)

    def _rank_learned(self, entry: PriceList) -> None:
        name = (entry.input_price, entry.output_price)
        for direction, ranking in self._learned.items():
            ranking.put(name, _learned(direction, entry), entry)


_END: tuple[tuple[float, tuple[PriceList, ...]], ...] = ((math.inf, ()),)
"""After the walk: nothing that is left can come up."""


def tier_from(prices: PriceList, input_tokens: int, output_tokens: int | None, start: int) -> Tier:
    """The members from `start` on that cost the same."""
    members = prices.members
    if output_tokens is not None:
        cost = input_tokens * prices.input_price + output_tokens * prices.output_price
        return Tier(cost, prices, start, len(members))
    mean = members[start][0]
    end = start + 1 if start + 1 == len(members) else members.end_of(mean)
    return Tier(input_tokens * prices.input_price + mean * prices.output_price, prices, start, end)


def _fixed(direction: int, entry: PriceList) -> float:
    return _along(direction, entry.input_price, entry.output_price)


def _learned(direction: int, entry: PriceList) -> float:
    return _along(direction, entry.input_price, entry.output_price * entry.floor)


def _along(direction: int, x: float, y: float) -> float:
    """The cost of one step in a direction."""
    if direction < -STEPS:
        return x
    return y if direction > STEPS else x + RATIOS[direction + STEPS] * y


def _beside(a: float, b: float) -> tuple[int, float, float]:
    """The lower of the two directions beside (a, b), and the shares of both that make it up."""
    if b <= a * RATIOS[0]:
        share = b / RATIOS[0]
        return -STEPS - 1, a - share, share
    if b >= a * RATIOS[-1]:
        return STEPS, a, b - a * RATIOS[-1]
    place = bisect_right(RATIOS, b / a, 1, len(RATIOS) - 1) - 1
    here = RATIOS[place]
    share = (b - a * here) / (RATIOS[place + 1] - here)
    return place - STEPS, a - share, share
