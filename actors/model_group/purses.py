"""What a group knows of money: which budgets a call concerns, and which of them leave too little. Pure.

A deployment tells what is left of its own budget in its status; of a budget that is shared the
Treasury tells those whom it refused. As with all that a group mirrors, the owner has the last word.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...messages.budgets import Purse, tags_of
from ...messages.outcomes import LeftOut
from ...messages.values import replace
from ..deployment.price_data import PriceBook

if TYPE_CHECKING:
    from collections.abc import Collection

    from ...messages.commands import Call
    from ...messages.deployment import Deployment
    from ..deployment.pricing import Expected
    from .strategies.base import Candidate

__all__ = ["AWAY_SECONDS", "Purses"]

AWAY_SECONDS = 1.0
"""How long a Treasury that is being restarted is not asked; it says earlier when it is back."""


NOTHING = 5e-13
"""US dollars, half of the least that the owners of budgets count: sums of floats differ by less."""


class Purses:
    """One group's view of the budgets.

    Args:
        providers, tags: for which of them there are shared budgets.

    Attributes:
        matter: whether a budget may rule out anybody right now.
        short: deployments that were left out for a budget of their own, with the US dollars it lacked
            room for; they have not heard of it yet.
    """

    __slots__ = ("_books", "_heard_of_it", "_low", "_owners", "_providers", "_tags", "matter", "short")

    def __init__(self, providers: Collection[str] = (), tags: Collection[str] = ()) -> None:
        self._providers = {name: f"provider:{name}" for name in providers}
        self._tags = {name: f"tag:{name}" for name in tags}
        self._low: dict[str, Purse] = {}
        """Shared budgets that refused one of our calls."""
        self._owners: set[str] = set()
        """Deployments with a budget of their own."""
        self._books: dict[str, PriceBook] = {}
        self._heard_of_it: dict[str, float] = {}
        """Deployments that were told that they are short, and until when that is no news."""
        self.matter = False
        self.short: dict[str, float] = {}

    def _changed(self) -> None:
        self.matter = bool(self._low or self._owners)

    # -- who is there

    def joined(self, deployment: Deployment) -> None:
        """A deployment is in the group."""
        if deployment.max_budget is not None:
            self._owners.add(deployment.id)
            self._changed()

    def left(self, deployment_id: str) -> None:
        """It no longer is."""
        self._owners.discard(deployment_id)
        self._books.pop(deployment_id, None)
        self._heard_of_it.pop(deployment_id, None)
        self._changed()

    # -- the Treasury's word

    def heard(self, budget: str, purse: Purse | None) -> None:
        """What is left of a shared budget; None: nobody knows, ask."""
        if purse is None:
            self._low.pop(budget, None)
        else:
            self._low[budget] = purse
        self._changed()

    def away(self, budgets: tuple[str, ...], now: float) -> None:
        """The Treasury cannot be asked: nothing that needs it may start meanwhile."""
        for name in budgets:
            self._low[name] = Purse(0.0, now + AWAY_SECONDS, sooner=True)
        self._changed()

    def sent(self, budgets: tuple[str, ...], cost: float) -> None:
        """A call was sent to the Treasury: it counts before we hear of it."""
        for name in budgets:
            purse = self._low.get(name)
            if purse is not None:
                self._low[name] = replace(purse, left=purse.left - cost, sooner=True)

    # -- deciding

    def budgets(self, deployment: Deployment, call: Call) -> tuple[str, ...]:
        """The shared budgets that a call there concerns."""
        provider = self._providers.get(deployment.provider)
        names = () if provider is None else (provider,)
        if not self._tags:
            return names
        tags = dict.fromkeys(tags_of(call.request))
        return names + tuple(self._tags[tag] for tag in tags if tag in self._tags)

    def expected(self, candidate: Candidate, call: Call, now: float) -> Expected | None:
        """What the call is expected to cost there; None when the price is unknown."""
        book = self._books.get(candidate.id)
        if book is None:
            book = self._books[candidate.id] = PriceBook(candidate.deployment, now)
        return book.expected(call, candidate.status.mean_output, now)

    def too_poor(self, candidate: Candidate, call: Call, now: float) -> LeftOut | None:
        """Which budget leaves too little for the call there; None when none is known to."""
        own = candidate.status.purse
        shared = self.budgets(candidate.deployment, call) if self._low else ()
        if own is None and not shared:
            return None
        cost = self.expected(candidate, call, now)
        if cost is None:
            return None
        if own is not None:
            left_out = _short(candidate.id, own, cost, None, now)
            if left_out is not None:
                self._note_short(candidate.id, own, left_out, now)
                return left_out
        for name in shared:
            purse = self._low.get(name)
            if purse is None:
                continue
            if purse.until is not None and purse.until <= now:
                del self._low[name]
                self._changed()
                continue
            left_out = _short(candidate.id, purse, cost, name, now)
            if left_out is not None:
                return left_out
        return None

    def _note_short(self, deployment_id: str, own: Purse, left_out: LeftOut, now: float) -> None:
        """Its budget may be used up, which is for it to say: once in a period, or while calls are open."""
        if now < self._heard_of_it.get(deployment_id, now):
            return
        self.short[deployment_id] = left_out.need or 0.0
        if not own.sooner:
            self._heard_of_it[deployment_id] = math.inf if own.until is None else own.until


def _short(deployment_id: str, purse: Purse, cost: Expected, name: str | None, now: float) -> LeftOut | None:
    if purse.until is not None and purse.until <= now:
        return None
    need = purse.need(cost.cost, cost.least)
    if purse.left > 0 and need < purse.left + NOTHING:
        return None
    if need > purse.limit:  # and never will be enough
        return LeftOut(deployment_id, "budget", None, need, purse.left, name)
    return LeftOut(deployment_id, "budget", purse.until, need, purse.left, name, purse.sooner)
