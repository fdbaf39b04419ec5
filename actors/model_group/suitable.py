"""Which deployments of a group suit one kind of request. Pure.

What is asked here never changes while a deployment is what it is (its tags), so
the answer is the name of an index, and no request looks for it among the deployments.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from ...messages.outcomes import LeftOut
from ...messages.wishes import NOT_TAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.settings import RouterSettings
    from ...messages.wishes import Wishes
    from .strategies.base import Candidate

__all__ = ["DEFAULT_TAG", "Rules", "Suit", "rules_of"]

DEFAULT_TAG = "default"
"""Deployments with this tag serve requests without tags, and those whose tags nobody has."""


@frozen
class Suit:
    """A kind of request, as far as the choice of deployments is concerned; equal ones share an index.

    Attributes:
        by_tags: whether tags count at all.
        tags: those of which one must be there, or all when `every`.
        without: those that must not.
    """

    by_tags: bool = False
    tags: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    every: bool = False

    def rank(self, candidate: Candidate) -> int | None:
        """How well it suits; only those of the lowest rank that the group has are used. None: not at all."""
        return self._tag_rank(candidate.deployment.tags) if self.by_tags else 0

    def _tag_rank(self, tags: tuple[str, ...]) -> int | None:
        if not self.without.isdisjoint(tags):
            return None
        wanted = self.tags
        if wanted and (wanted.issubset(tags) if self.every else not wanted.isdisjoint(tags)):
            return 0
        if DEFAULT_TAG in tags:
            return 1
        return None if wanted else 2

    def misfit(self, candidate: Candidate) -> LeftOut:
        """Why it does not suit, for one that does not."""
        return LeftOut(candidate.id, "tags", detail=", ".join(candidate.deployment.tags) or None)


EVERYONE = Suit()


@frozen
class Rules:
    """What the settings say about who suits.

    Attributes:
        plain: the suit of a request without wishes.
        suit: that of one with some.
    """

    plain: Suit = EVERYONE
    suit: Callable[[Wishes], Suit] = lambda _wishes: EVERYONE


def rules_of(settings: RouterSettings) -> Rules:
    """What a group goes by."""
    if not settings.enable_tag_filtering:
        return Rules()
    every = not settings.tag_filtering_match_any
    return Rules(Suit(by_tags=True, every=every), partial(_tagged, every))


def _tagged(every: bool, wishes: Wishes) -> Suit:  # noqa: FBT001  (bound by name above)
    without = frozenset(tag.lstrip(NOT_TAG) for tag in wishes.tags if tag.startswith(NOT_TAG))
    wanted = frozenset(tag for tag in wishes.tags if not tag.startswith(NOT_TAG))
    return Suit(by_tags=True, tags=wanted, without=without, every=every)
