"""What the group believes of one deployment: its last word, and what was sent to it since. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from ...messages.commands import UNLIMITED
from ...messages.outcomes import LeftOut
from ...messages.values import replace
from .left_out import MIN_WAIT_SECONDS

if TYPE_CHECKING:
    from ...messages.commands import DeploymentStatus
    from .strategies.base import Candidate
    from .view import View

__all__ = ["Mirror", "believe", "count_start", "presume_released"]


@define(eq=False)
class Mirror:
    """What the roster notes of a candidate.

    Attributes:
        ref: its actor's address.
        sent: calls sent to it, ever; `status.seen` says how many of them it has handled.
        under_way: the tokens of those it has not handled yet, oldest first.
        tokens_until: until when `status.tokens_left` can be believed.
        starts_until: the same of `status.starts_left`.
        probing: it came out of a cooldown by the clock, and gets a single call to prove itself.
        views: the parts of the group it belongs to.
        yardstick: the vocabulary by which prompts are counted for it; None: they are estimated.
        spot: a number made of its name, for those that need one (see `rendezvous`).
    """

    ref: Any
    sent: int
    under_way: list[int] = field(factory=list)
    tokens_under_way: int = 0
    tokens_until: float | None = None
    starts_until: float | None = None
    probing: bool = False
    views: tuple[View, ...] = ()
    spot: int | None = None
    yardstick: str | None = None

    def heard(self, seen: int) -> None:
        """It has handled `seen` calls by now."""
        if seen > self.sent:
            self.sent = seen
        under_way = self.under_way
        handled = len(under_way) - self.sent + seen
        if handled == 1:  # as with nearly every word of it
            self.tokens_under_way -= under_way.pop(0)
        elif handled > 1:
            self.tokens_under_way -= sum(under_way[:handled])
            del under_way[:handled]

    def count(self, tokens: int) -> None:
        """One more call is on its way."""
        self.sent += 1
        self.under_way.append(tokens)
        self.tokens_under_way += tokens


def believe(candidate: Candidate, status: DeploymentStatus, now: float) -> LeftOut | None:
    """Take over a deployment's word; why the candidate must now be left out, if it must."""
    mirror: Mirror = candidate.mirror
    mirror.heard(status.seen)
    on_the_way = mirror.sent - status.seen
    candidate.status = status
    candidate.open = status.open + on_the_way
    candidate.capacity = status.capacity - on_the_way
    candidate.tokens_used = status.tokens_used + mirror.tokens_under_way
    until = status.tokens_until
    mirror.tokens_until = None if until is None else max(until, now + MIN_WAIT_SECONDS)
    until = status.starts_until
    mirror.starts_until = None if until is None else max(until, now + MIN_WAIT_SECONDS)
    mirror.probing = False
    blocked = status.blocked
    if blocked is None:
        return None if candidate.capacity > 0 else _exhausted(candidate)
    if blocked.until is not None and blocked.until <= now:
        return replace(blocked, until=now + MIN_WAIT_SECONDS)
    return blocked


def count_start(candidate: Candidate, tokens: int) -> LeftOut | None:
    """A call is on its way; why the candidate must now be left out, if it must."""
    candidate.mirror.count(tokens)
    candidate.open += 1
    candidate.capacity -= 1
    candidate.tokens_used += tokens
    return None if candidate.capacity > 0 else _exhausted(candidate)


def presume_released(candidate: Candidate, item: LeftOut) -> LeftOut | None:
    """The time of `item` is over: a probe after a cooldown, else what its limits allow at most.

    Nobody has said so, and the deployment may refuse. Its open calls are known, though: with none
    to spare it is left out for that.
    """
    deployment = candidate.deployment
    parallel = deployment.max_parallel_requests
    candidate.mirror.probing = item.reason == "cooling_down"
    most = 1 if candidate.mirror.probing else deployment.rpm or UNLIMITED
    candidate.capacity = most if parallel is None else min(most, parallel - candidate.open)
    return None if candidate.capacity > 0 else _exhausted(candidate)


def _exhausted(candidate: Candidate) -> LeftOut:
    """What we sent has used up what it would take: name the limit that binds."""
    deployment = candidate.deployment
    parallel = deployment.max_parallel_requests
    if parallel is None or candidate.open < parallel:
        if candidate.mirror.probing:
            return LeftOut(candidate.id, "cooling_down")
        if deployment.rpm is not None:
            return LeftOut(candidate.id, "rpm", None, 1, 0)
    return LeftOut(candidate.id, "parallel", None, candidate.open + 1, parallel)
