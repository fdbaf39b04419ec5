"""The views of a group: one for each kind of request that came of late. Pure.

A request without wishes goes to the `base`. A view is filled once, by looking at every deployment,
and kept current from then on; so is every candidate's list of the views it is in. At most
`MAX_VIEWS` are kept, and the one that was not asked for the longest makes room for another.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from .kinds import Kinds
from .left_out import LeftOutTable
from .strategies.tiers import Tiers, order_of
from .suitable import EVERYONE
from .view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...messages.commands import Call
    from ...messages.outcomes import LeftOut
    from .kinds import Rules
    from .strategies.base import Candidate, Strategy
    from .suitable import Suit

__all__ = ["MAX_OTHER_STRATEGIES", "MAX_VIEWS", "Views"]

MAX_VIEWS = 64
"""Views of a group that are kept beside its base."""

MAX_OTHER_STRATEGIES = 8
"""Strategies that single requests named whose indexes a view keeps; the oldest makes room for a ninth."""


class Views:
    """Every view of one group, over the candidates `by_id` and the table of all that are left out.

    Args:
        strategy: the index that the base begins with.
        make: an empty index of the strategy of this name, the group's own or another.
    """

    def __init__(
        self,
        by_id: dict[str, Candidate],
        table: LeftOutTable,
        strategy: Strategy,
        make: Callable[[str], Strategy],
        rules: Rules,
    ) -> None:
        self._by_id = by_id
        self._table = table
        self._make = make
        self.kinds = Kinds(rules)
        self._name = strategy.name
        self._orders: Counter[float] = Counter()
        self._kept: dict[Suit, View] = {}
        self._changes = 0
        self.tiered = False
        """Whether deployments differ in their `order`; without, there are no tiers to ask."""
        self.base = View(rules.plain, self._table_for(rules.plain), strategy)

    def __iter__(self) -> Iterator[View]:
        yield self.base
        yield from self._kept.values()

    def __len__(self) -> int:
        return 1 + len(self._kept)

    def of(self, call: Call, now: float) -> View:
        """The view for such a request."""
        suit = self.kinds.of(call)
        if suit == self.base.suit:
            return self.base
        view = self._kept.pop(suit, None)
        if view is None:
            if len(self._kept) >= MAX_VIEWS:
                self._let_go(self._kept.pop(next(iter(self._kept))))
            view = View(suit, self._table_for(suit), self._index(self._name))
            self._fill(view, now)
        self._kept[suit] = view
        return view

    def strategy(self, view: View, name: str, now: float) -> Strategy:
        """The index of a view for the strategy of this name.

        Raises:
            ConfigurationError: there is no such strategy.
        """
        if name == self._name:
            return view.default
        strategy = view.others.get(name)
        if strategy is None:
            strategy = self._index(name)
            view.keep(name, strategy, MAX_OTHER_STRATEGIES, now)
        return strategy

    # -- members

    def join(self, candidate: Candidate, now: float) -> None:
        """It is among the candidates, and in the table if it is left out."""
        self._orders[order_of(candidate.deployment)] += 1
        self._settle_tiers(now)
        self.kinds.join(candidate)
        for view in self:
            former = view.rank
            rank = view.count(candidate)
            if rank is not None and former is not None and rank < former:
                self._fill(view, now)  # it suits better than all that were there: they are out
            elif rank is not None and rank == view.rank:
                self._enrol(view, candidate, now)
            else:
                view.note_misfit(candidate)

    def leave(self, candidate: Candidate, now: float, *, was_out: bool) -> None:
        """It is not among the candidates any more, nor in the table, in which it may have been."""
        order = order_of(candidate.deployment)
        self._orders[order] -= 1
        if not self._orders[order]:
            del self._orders[order]
        self.kinds.leave(candidate)
        for view in self:
            former = view.rank
            view.uncount(candidate)
            if view.members.pop(candidate.id, None) is not None:
                self._changed(view)
                view.table.drop(candidate.id)
                if not was_out:
                    view.expel(candidate)
                if view.rank != former:
                    self._fill(view, now)  # the next best will have to do
        candidate.mirror.views = ()
        self._settle_tiers(now)

    def _enrol(self, view: View, candidate: Candidate, now: float) -> None:
        view.members[candidate.id] = candidate
        self._changed(view)
        candidate.mirror.views += (view,)
        item = self._table.get(candidate.id)
        if item is None:
            view.admit(candidate, now)
        elif view.table is not self._table:
            view.table.put(item)

    def _changed(self, view: View) -> None:
        self._changes += 1
        view.version = self._changes

    def _fill(self, view: View, now: float) -> None:
        self._let_go(view)
        view.start_over(self._table_for(view.suit), self._index(self._name))
        ranks = [(candidate, view.count(candidate)) for candidate in self._by_id.values()]
        best = view.rank
        for candidate, rank in ranks:
            if rank is not None and rank == best:
                self._enrol(view, candidate, now)
            else:
                view.note_misfit(candidate)

    @staticmethod
    def _let_go(view: View) -> None:
        for candidate in view.members.values():
            mirror = candidate.mirror
            mirror.views = tuple(other for other in mirror.views if other is not view)

    def _settle_tiers(self, now: float) -> None:
        """Tiers are for groups whose deployments differ in their order; the others do without."""
        tiered = len(self._orders) > 1
        if tiered is self.tiered:
            return
        self.tiered = tiered
        for view in self:
            view.reindex(self._index(self._name))
            view.index(view.default, now)

    def _index(self, name: str) -> Strategy:
        return Tiers(partial(self._make, name)) if self.tiered else self._make(name)

    def _table_for(self, suit: Suit) -> LeftOutTable:
        """Where everybody suits, the table of all is the view's own."""
        return self._table if suit == EVERYONE else LeftOutTable()

    # -- left out, and back

    def leave_out(self, candidate: Candidate, item: LeftOut) -> None:
        """Note in every view why it is left out; see `expel` for one that was not."""
        table = self._table
        table.put(item)
        for view in candidate.mirror.views:
            if view.table is not table:
                view.table.put(item)

    def expel(self, candidate: Candidate) -> None:
        for view in candidate.mirror.views:
            view.expel(candidate)

    def take_back(self, candidate: Candidate, now: float) -> None:
        """It is eligible again."""
        self._table.drop(candidate.id)
        for view in candidate.mirror.views:
            view.table.drop(candidate.id)
            view.admit(candidate, now)
