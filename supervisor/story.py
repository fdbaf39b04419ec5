"""Events in plain words, for logs and for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages.events import (
    AttemptFailed,
    CacheHit,
    CallFailed,
    CooldownStarted,
    DeploymentPicked,
    FellBack,
    RequestAccepted,
    RequestFailed,
    RequestSucceeded,
    RetryScheduled,
    WaitStarted,
)

if TYPE_CHECKING:
    from ..messages.events import Event

__all__ = ["in_words"]


def in_words(event: Event) -> str:  # noqa: C901, PLR0911  (one line for each kind of event)
    """One line that says what happened."""
    match event:
        case RequestAccepted():
            what = "a stream" if event.stream else "an answer"
            return f"accepted: {what} from group {event.group!r}"
        case CacheHit():
            what = "by the answer to an identical request" if event.shared else "from the cache"
            return f"answered {what}, {event.age:.3f} s old"
        case DeploymentPicked():
            return f"attempt {event.attempt}: {_decision(event)}"
        case AttemptFailed() | CallFailed():
            after = "" if event.retry_after is None else f", retry after {event.retry_after:g} s"
            return f"failed: {event.error} ({event.status_code}) after {event.seconds:.3f} s{after}"
        case RetryScheduled():
            when = f"in {event.seconds:.2f} s" if event.seconds else "at once"
            return f"retry in group {event.group!r} {when}"
        case WaitStarted():
            return f"waits: nothing in group {event.group!r} is eligible"
        case FellBack():
            return f"falls back from group {event.from_group!r} to {event.to_group!r}"
        case RequestSucceeded():
            cost = "at an unknown price" if event.cost is None else f"for ${event.cost:.6f}"
            return f"answered by {event.deployment_id} after {event.seconds:.3f} s, {cost}"
        case RequestFailed():
            return f"ends in {event.error} after {event.seconds:.3f} s and {event.attempts} attempts"
        case CooldownStarted():
            return f"cools down for {event.seconds:g} s because of {event.error}"
        case _:
            return event.TYPE.replace("_", " ")


def _decision(event: DeploymentPicked) -> str:
    decision = event.decision
    out = ", ".join(f"{left.deployment_id} {left.reason}" for left in decision.left_out)
    picked = f"{decision.deployment_id} by {decision.strategy}, {decision.eligible} eligible"
    return f"{picked} (left out: {out})" if out else picked
