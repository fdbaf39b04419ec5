"""Where a request goes before its strategy is asked: to its session's deployment, or to a warm one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...messages.values import replace
from .rendezvous import Sessions
from .strategies.base import Pick
from .strategies.tiers import Tiers
from .warm import WARM, WarmPrefixes

if TYPE_CHECKING:
    import random

    from ...messages.wishes import Wishes
    from .strategies.base import Candidate, Query, Strategy
    from .view import View

__all__ = ["Affinity"]


class Affinity:
    """Sessions and warm prompts of one group."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.warm = WarmPrefixes()

    def pick(
        self, wishes: Wishes, view: View, strategy: Strategy, query: Query, rng: random.Random
    ) -> Pick | None:
        """The session's own, else a warm one of the lowest order, else whom the strategy picks."""
        if wishes.session is not None:
            return self.sessions.pick(wishes.session, view, query)
        refused: set[str] = set()
        for name in self.warm.places(wishes.prefixes, query.now):
            candidate = view.members.get(name)
            if candidate is None or not view.is_eligible(name) or _has_to_wait(strategy, candidate):
                continue
            if query.admits(candidate):
                return Pick(candidate, None, None, (), WARM)
            refused.add(name)
        if refused:  # nobody is asked twice
            admits = query.admits
            query = replace(query, admits=lambda other: other.id not in refused and admits(other))
        return strategy.pick(query, rng)


def _has_to_wait(strategy: Strategy, candidate: Candidate) -> bool:
    """Whether somebody of a lower order goes first, however warm it is."""
    return isinstance(strategy, Tiers) and strategy.goes_before(candidate)
