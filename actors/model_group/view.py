"""Those of a group that suit one kind of request, and the indexes over them. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ...messages.outcomes import MAX_CANDIDATES, MAX_LEFT_OUT, LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .left_out import LeftOutTable
    from .strategies.base import Candidate, Strategy
    from .suitable import Suit

__all__ = ["Summary", "View", "summed"]

Summary = tuple[tuple[LeftOut, ...], dict[str, int]]
"""Some that are left out, and how many more there are by reason. Shared: not to be changed."""


class View:
    """A part of a group, kept current like the group itself.

    Attributes:
        suit: the kind of request it is for.
        table: those of its members that are left out for now.
        members: those that suit, by id.
        default: the index of the group's own strategy.
        others: the indexes of strategies that requests named.
        strategies: all of these.
        version: another one for each change of the members, and for each view.
    """

    __slots__ = (
        "_before",
        "_misfits",
        "_named",
        "_ranks",
        "_summary",
        "default",
        "members",
        "others",
        "strategies",
        "suit",
        "table",
        "version",
    )

    def __init__(self, suit: Suit, table: LeftOutTable, default: Strategy) -> None:
        self.suit = suit
        self.version = 0
        self.start_over(table, default)

    def start_over(self, table: LeftOutTable, default: Strategy) -> None:
        """Without members, as if it were new."""
        self.table = table
        self.members: dict[str, Candidate] = {}
        self._ranks: dict[int, int] = {}
        self._misfits: dict[str, int] = {}
        self._named: dict[str, LeftOut] = {}
        self._before: Summary | None = None
        self._summary: Summary | None = None
        self.reindex(default)

    def reindex(self, default: Strategy) -> None:
        """Take an empty index; those of other strategies are made when they are asked for again."""
        self.default = default
        self.others: dict[str, Strategy] = {}
        self.strategies: tuple[Strategy, ...] = (default,)

    @property
    def eligible(self) -> int:
        """How many are in its indexes."""
        return len(self.members) - len(self.table.by_id)

    def is_eligible(self, deployment_id: str) -> bool:
        return deployment_id in self.members and deployment_id not in self.table.by_id

    # -- who belongs here

    @property
    def rank(self) -> int | None:
        """How well its members suit: as well as anybody in the group does. None: nobody does."""
        return min(self._ranks, default=None)

    def count(self, candidate: Candidate) -> int | None:
        """There is one more in the group; how well it suits."""
        rank = self.suit.rank(candidate)
        if rank is not None:
            self._ranks[rank] = self._ranks.get(rank, 0) + 1
        return rank

    def uncount(self, candidate: Candidate) -> None:
        """There is one fewer in the group. If it was a member, see `drop`."""
        rank = self.suit.rank(candidate)
        if rank is not None:
            self._ranks[rank] -= 1
            if not self._ranks[rank]:
                del self._ranks[rank]
        if candidate.id not in self.members:
            self._named.pop(candidate.id, None)
            self._misfits[self.suit.misfit(candidate).reason] -= 1
            self._before = None

    def note_misfit(self, candidate: Candidate) -> None:
        """It is in the group, and not for this kind of request."""
        item = self.suit.misfit(candidate)
        self._misfits[item.reason] = self._misfits.get(item.reason, 0) + 1
        if len(self._named) < MAX_LEFT_OUT:
            self._named[item.deployment_id] = item
        self._before = None

    # -- in its indexes, or left out

    def admit(self, candidate: Candidate, now: float) -> None:
        for strategy in self.strategies:
            strategy.add(candidate, now)

    def expel(self, candidate: Candidate) -> None:
        for strategy in self.strategies:
            strategy.remove(candidate)

    def index(self, strategy: Strategy, now: float) -> None:
        """Let the (empty) strategy know all that are eligible."""
        out = self.table.by_id
        for candidate in self.members.values():
            if candidate.id not in out:
                strategy.add(candidate, now)

    def keep(self, name: str, strategy: Strategy, most: int, now: float) -> None:
        """Keep the (empty) index of a strategy that a request named; the oldest makes room for it."""
        if len(self.others) >= most:
            del self.others[next(iter(self.others))]
        self.others[name] = strategy
        self.strategies = (self.default, *self.others.values())
        self.index(strategy, now)

    # -- explaining

    def candidates(self) -> tuple[str, ...]:
        """The ids of those in its indexes; none of them where the view is large."""
        if len(self.members) > MAX_CANDIDATES:
            return ()
        out = self.table.by_id
        return tuple(name for name in self.members if name not in out) if out else tuple(self.members)

    def summary(self) -> Summary:
        """Who of the whole group is left out here."""
        before = self.table.summary()
        if not self._misfits:
            return before
        if before is not self._before or self._summary is None:
            self._before = before
            self._summary = self.with_misfits(before)
        return self._summary

    def with_misfits(self, before: Summary) -> Summary:
        """`before`, and those that are not for this kind of request."""
        return summed(before, tuple(self._named.values()), self._misfits) if self._misfits else before


def summed(before: Summary, named: tuple[LeftOut, ...], counts: Mapping[str, int]) -> Summary:
    """`before` with others added, of whom some are `named` and `counts` has all by reason."""
    first, more = before
    named = tuple(islice(named, MAX_LEFT_OUT - len(first)))
    total = {**more}
    for reason, count in counts.items():
        total[reason] = total.get(reason, 0) + count
    for item in named:
        total[item.reason] -= 1
    return first + named, {reason: total[reason] for reason in sorted(total) if total[reason]}
