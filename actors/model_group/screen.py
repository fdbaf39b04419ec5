"""What one request rules out, on top of what its group leaves out for everybody. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...messages.outcomes import MAX_LEFT_OUT, LeftOut
from .near_limit import could_fit
from .stand_in import misfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Assign
    from .purses import Purses
    from .strategies.base import Candidate

__all__ = ["Screen"]

_FOR_GOOD = frozenset({"failed_in_this_request", "rpm", "tpm", "budget", "context_window", "capability"})
"""Reasons that, without a release, no waiting will change for this request."""


class Screen:
    """Says for one request, candidate by candidate, who will do, and remembers who would not.

    Attributes:
        named: those met that would not do, `MAX_LEFT_OUT` at most.
        more: how many more of them there were, by reason.
        earliest: the first known moment at which one of those met may do.
        unknown: whether one of those met may do, but nobody knows when.
        unfit: how many met will never do.
        countable: whether one of those met may do, should its prompt be shorter than it was estimated.
    """

    __slots__ = (
        "_call",
        "_demand",
        "_excluded",
        "_group",
        "_now",
        "_parallel",
        "_purses",
        "_refused",
        "_request",
        "_sizes_matter",
        "countable",
        "earliest",
        "more",
        "named",
        "never",
        "unfit",
        "unknown",
    )

    def __init__(
        self, assign: Assign, now: float, group: str, *, sizes_matter: bool, purses: Purses | None = None
    ) -> None:
        self._now = now
        self._call = assign.call
        self._purses = purses if purses is not None and purses.matter else None
        self._group = group
        self._request = assign.call.request
        self._demand = assign.call.demand
        self._parallel = assign.call.request.max_parallel_requests
        self._sizes_matter = sizes_matter
        self._excluded = assign.exclude
        self.never = assign.never
        self._refused = {item.deployment_id: item for item in assign.left_out}
        self.countable = False
        self._forget()

    def _forget(self) -> None:
        self.named: list[LeftOut] = []
        self.more: dict[str, int] = {}
        self.earliest: float | None = None
        self.unknown = False
        self.unfit = 0

    def allow_excluded(self) -> None:
        """Start over, and let those do that failed in this request."""
        self._excluded = frozenset()
        self._forget()

    def admits(self, candidate: Candidate) -> bool:
        """Whether the candidate will do. Those barred by name are not noted: they are known."""
        if self._bar(candidate.id) is not None:
            return False
        misfit = self._misfit(candidate)
        if misfit is None:
            return True
        self._note(misfit)
        return False

    def fits(self, candidate: Candidate) -> bool:
        """The same without a note, for one that is left out already."""
        return self._bar(candidate.id) is None and self._misfit(candidate) is None

    def note_barred(self, eligible: Callable[[str], bool]) -> None:
        """Note those ruled out by name who are eligible otherwise, in the same order in every run."""
        if not (self.never or self._excluded or self._refused):
            return
        for deployment_id in sorted({*self.never, *self._excluded, *self._refused}):
            item = self._bar(deployment_id)
            if item is not None and eligible(deployment_id):
                self._note(item)

    def only_failed(self, candidate: Candidate) -> bool:
        """Whether nothing stands against the candidate but that it failed in this request."""
        return candidate.id not in self._refused and self._misfit(candidate) is None

    def _bar(self, deployment_id: str) -> LeftOut | None:
        if deployment_id in self.never or deployment_id in self._excluded:
            return LeftOut(deployment_id, "failed_in_this_request")
        return self._refused.get(deployment_id)

    def _misfit(self, candidate: Candidate) -> LeftOut | None:
        parallel = self._parallel
        if parallel is not None and candidate.open >= parallel:
            return LeftOut(candidate.id, "parallel", None, candidate.open + 1, parallel)
        if candidate.deployment.model_name != self._group:
            lacking = misfit(candidate.deployment, self._request, self._demand)
            if lacking is not None:
                return lacking
        if self._demand.inputs > 1 and candidate.deployment.rpm is not None:
            too_many = self._too_many(candidate, candidate.deployment.rpm)
            if too_many is not None:
                return too_many
        if self._sizes_matter and candidate.deployment.tpm is not None:
            too_large = self._too_large(candidate, candidate.deployment.tpm)
            if too_large is not None:
                return too_large
        purses = self._purses
        return None if purses is None else purses.too_poor(candidate, self._call, self._now)

    def _too_many(self, candidate: Candidate, rpm: int) -> LeftOut | None:
        """A batch that is divided takes several starts; the same holds for its word on those."""
        need = self._demand.starts(candidate.deployment.batch)
        if need > rpm:
            return LeftOut(candidate.id, "rpm", None, need, rpm)
        status, mirror = candidate.status, candidate.mirror
        until = mirror.starts_until
        if status.starts_left is None or until is None or self._now >= until:
            return None
        left = status.starts_left - (mirror.sent - status.seen)
        return LeftOut(candidate.id, "rpm", until, need, left) if need > left else None

    def _too_large(self, candidate: Candidate, tpm: int) -> LeftOut | None:
        """Its own word on its tokens holds until the next of them leave its window; then we ask."""
        status = candidate.status
        demand, yardstick = self._demand, candidate.mirror.yardstick
        need = demand.reservation(status.mean_output, tpm, status.tokens_per_byte, yardstick)
        if need > tpm:
            self.countable |= could_fit(candidate, demand, ever=True)
            return LeftOut(candidate.id, "tpm", None, need, tpm)
        until = candidate.mirror.tokens_until
        if status.tokens_left is None or until is None or self._now >= until:
            return None
        left = status.tokens_left - candidate.mirror.tokens_under_way
        if need <= left:
            return None
        self.countable |= could_fit(candidate, demand)
        return LeftOut(candidate.id, "tpm", until, need, left)

    def _note(self, item: LeftOut) -> None:
        if len(self.named) < MAX_LEFT_OUT:
            self.named.append(item)
        else:
            self.more[item.reason] = self.more.get(item.reason, 0) + 1
        if item.until is not None:
            self.earliest = item.until if self.earliest is None else min(self.earliest, item.until)
        if item.sooner:
            self.unknown = True
        elif item.until is not None:
            pass
        elif item.reason in _FOR_GOOD:
            self.unfit += 1
        else:
            self.unknown = True
