"""Which deployments of a group suit one kind of request. Pure.

What is asked here never changes while a deployment is what it is (its tags, its region, its context
window, what it can do), so the answer is the name of an index, and no request looks for it among the
deployments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ...messages.capabilities import droppable, lacking, listed_params
from ...messages.outcomes import LeftOut
from ...messages.regions import lies_in, region_of

if TYPE_CHECKING:
    from ...messages.deployment import Deployment
    from .strategies.base import Candidate

__all__ = ["DEFAULT_TAG", "EVERYONE", "Suit"]

DEFAULT_TAG = "default"
"""Deployments with this tag serve requests without tags, and those whose tags nobody has."""


@frozen(cache_hash=True)
class Suit:
    """A kind of request, as far as the choice of deployments is concerned; equal ones share an index.

    Attributes:
        by_tags: whether tags count at all.
        tags: those of which one must be there, or all when `every`.
        without: those that must not.
        region: where it must be.
        needs: what it must not be known to be unable to do.
        params: parameters it must not be known not to support.
        drops: whether parameters it does not support are left out; None: the deployment says.
        beyond: a context window of so many tokens is too small, by the yardstick that counts.
    """

    by_tags: bool = False
    tags: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    every: bool = False
    region: str | None = None
    needs: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    drops: bool | None = None
    beyond: tuple[tuple[str | None, int], ...] = ()

    def rank(self, candidate: Candidate) -> int | None:
        """How well it suits; only those of the lowest rank that the group has are used. None: not at all."""
        rank = self._tag_rank(candidate.deployment.tags) if self.by_tags else 0
        return None if rank is None or self.obstacle(candidate) is not None else rank

    def _tag_rank(self, tags: tuple[str, ...]) -> int | None:
        if not self.without.isdisjoint(tags):
            return None
        wanted = self.tags
        if wanted and (wanted.issubset(tags) if self.every else not wanted.isdisjoint(tags)):
            return 0
        if DEFAULT_TAG in tags:
            return 1
        return None if wanted else 2

    def obstacle(self, candidate: Candidate) -> LeftOut | None:
        """What stands in the way beside its tags."""
        deployment = candidate.deployment
        if self.region is not None:
            region = region_of(deployment)
            if not lies_in(region, self.region):
                return LeftOut(candidate.id, "region", detail=region)
        if self.needs or self.params:
            unable = self._cannot(deployment)
            if unable is not None:
                return LeftOut(candidate.id, "capability", detail=unable)
        window = candidate.facts.max_input_tokens
        if window is not None and self.beyond:
            yardstick = candidate.mirror.yardstick
            if any(name == yardstick and window <= floor for name, floor in self.beyond):
                return LeftOut(candidate.id, "context_window", None, None, window, yardstick)
        return None

    def _cannot(self, deployment: Deployment) -> str | None:
        """The first thing needed that it is known not to be able to do, and would not leave out either."""
        drops = deployment.drop_params if self.drops is None else self.drops
        missing = lacking(deployment)
        for need in self.needs:
            if need in missing and not (drops and droppable(need)):
                return need
        listed = None if drops else listed_params(deployment)
        if listed is None:
            return None
        taken = listed.union(deployment.additional_drop_params)
        return next((name for name in self.params if name not in taken), None)

    def misfit(self, candidate: Candidate) -> LeftOut:
        """Why it does not suit, for one that does not."""
        tags = candidate.deployment.tags
        obstacle = None if self.by_tags and self._tag_rank(tags) is None else self.obstacle(candidate)
        return obstacle or LeftOut(candidate.id, "tags", detail=", ".join(tags) or None)


EVERYONE = Suit()
