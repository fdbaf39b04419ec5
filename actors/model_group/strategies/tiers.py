"""A strategy within each `order`: the lowest that has somebody goes first. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from itertools import islice
from typing import TYPE_CHECKING

from attrs import define, field

from ....messages.outcomes import MAX_LEFT_OUT, LeftOut

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ....messages.deployment import Deployment
    from .base import Candidate, Pick, Query, Strategy

__all__ = ["Tiers", "order_of"]


def order_of(deployment: Deployment) -> float:
    """Lower goes first; those without an order go last."""
    return math.inf if deployment.order is None else deployment.order


@define(eq=False)
class _Tier:
    """The candidates of one order, and the index over them."""

    strategy: Strategy
    eligible: dict[str, Candidate] = field(factory=dict)
    named: tuple[LeftOut, ...] | None = None
    """The first of them as left out for their order; made when it is asked for."""

    def aside(self) -> tuple[LeftOut, ...]:
        if self.named is None:
            self.named = tuple(LeftOut(name, "order") for name in islice(self.eligible, MAX_LEFT_OUT))
        return self.named


class Tiers:
    """An index per order, each made by `make`. The next order is asked only when no lower one will do."""

    def __init__(self, make: Callable[[], Strategy]) -> None:
        self._make = make
        self._tiers: dict[float, _Tier] = {}
        self._orders: list[float] = []
        """Those that have somebody, lowest first."""
        self.name = self._tier(math.inf).strategy.name

    def _tier(self, order: float) -> _Tier:
        tier = self._tiers.get(order)
        if tier is None:
            tier = self._tiers[order] = _Tier(self._make())
        return tier

    def _of(self, candidate: Candidate) -> _Tier:
        return self._tier(order_of(candidate.deployment))

    def add(self, candidate: Candidate, now: float) -> None:
        tier = self._of(candidate)
        if not tier.eligible:
            insort(self._orders, order_of(candidate.deployment))
        tier.eligible[candidate.id] = candidate
        tier.named = None
        tier.strategy.add(candidate, now)

    def remove(self, candidate: Candidate) -> None:
        tier = self._of(candidate)
        tier.strategy.remove(candidate)
        if tier.eligible.pop(candidate.id, None) is not None:
            tier.named = None
            if not tier.eligible:
                del self._orders[bisect_left(self._orders, order_of(candidate.deployment))]

    def update(self, candidate: Candidate, now: float) -> None:
        self._of(candidate).strategy.update(candidate, now)

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        self._of(candidate).strategy.started(candidate, tokens, now)

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        for order in self._orders:
            pick = self._tiers[order].strategy.pick(query, rng)
            if pick is not None:
                return pick
        return None

    def goes_before(self, candidate: Candidate) -> bool:
        """Whether somebody of a lower order is eligible."""
        return bool(self._orders) and self._orders[0] < order_of(candidate.deployment)

    def aside(self, candidate: Candidate) -> tuple[tuple[LeftOut, ...], int]:
        """Who was not asked since `candidate` goes before them: some of them, and how many in all."""
        later = self._orders[bisect_left(self._orders, order_of(candidate.deployment)) + 1 :]
        named: tuple[LeftOut, ...] = ()
        count = 0
        for order in later:
            tier = self._tiers[order]
            count += len(tier.eligible)
            if len(named) < MAX_LEFT_OUT:
                named += tier.aside()
        return named[:MAX_LEFT_OUT], count
