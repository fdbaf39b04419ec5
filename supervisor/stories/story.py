"""Events in plain words, for logs and for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...messages.events import (
    AttemptFailed,
    CacheHit,
    DeploymentPicked,
    FellBack,
    HedgeRefused,
    HedgeSettled,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RetryScheduled,
    WaitStarted,
)
from ...messages.figures import in_seconds, millionths
from ...messages.reasons import SHOWN, left_out_in_words
from .story_of_fleet import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...messages.events import Event
    from ...messages.outcomes import Decision, LeftOut

__all__ = ["in_words"]


def in_words(event: Event, at: float) -> str:
    """One line that says what happened at router time `at`."""
    words = _WORDS.get(type(event))
    return event.TYPE.replace("_", " ") if words is None else words(event, at)


# -- requests


def _accepted(event: RequestAccepted, at: float) -> str:
    what = "a stream" if event.stream else "an answer"
    priority = "" if event.priority is None else f", priority {event.priority}"
    return (
        f"accepted: {what} from group {event.group!r} "
        f"({event.kind}, about {event.input_tokens} tokens, "
        f"due in {in_seconds(event.deadline - at)}{priority})"
    )


def _picked(event: DeploymentPicked, at: float) -> str:
    decision = event.decision
    beside = " (beside the one before)" if event.hedge else ""
    parts = [
        f"attempt {event.attempt}{beside}: {decision.deployment_id} by {decision.strategy}",
        _candidates(decision),
        *_scores(decision),
    ]
    return ", ".join(parts) + _but_for(decision.left_out, decision.left_out_by_reason, at)


def _candidates(decision: Decision) -> str:
    """`1 eligible`, `2 eligible (eu, us)`, `10000 eligible`."""
    names = decision.candidates
    return f"{decision.eligible} eligible" + (f" ({', '.join(names)})" if len(names) > 1 else "")


def _scores(decision: Decision) -> list[str]:
    """What was compared, if anything was: `score 2 (us 3, ap 5)`; whether chance had a say."""
    parts = []
    if decision.score is not None:
        own = decision.deployment_id
        others = [f"{name} {score:.4g}" for name, score in decision.considered if name != own][:SHOWN]
        parts.append(f"score {decision.score:.4g}" + (f" ({', '.join(others)})" if others else ""))
    if decision.draw is not None and decision.eligible > 1:  # of one, chance had nothing to decide
        parts.append(f"drawn with {decision.draw:.4f}")
    return parts


def _but_for(left_out: Iterable[LeftOut], by_reason: dict[str, int], at: float) -> str:
    out = left_out_in_words(left_out, by_reason, at)
    return f"; left out: {out}" if out else ""


def _waits(event: WaitStarted, at: float) -> str:
    until = "" if event.until is None else f", the first release is in {_in(event.until, at)}"
    return f"waits in group {event.group!r}, where nobody is eligible{until}" + _but_for(
        event.left_out, {}, at
    )


def _in(moment: float, at: float) -> str:
    return in_seconds(max(0.0, moment - at))


def _failed(event: AttemptFailed, _at: float) -> str:
    where = event.deployment_id
    after = "" if event.retry_after is None else f", retry after {event.retry_after:g} s"
    who = f"{where} " if where else ""
    return f"{who}failed: {event.error} ({event.status_code}) after {event.seconds:.3f} s{after}"


def _retries(event: RetryScheduled, at: float) -> str:
    when = f"in {event.seconds:.2f} s" if event.seconds else "at once"
    words = f"retry in group {event.group!r} {when} because of {event.error}"
    return words + _but_for(event.left_out, event.left_out_by_reason, at)


def _falls_back(event: FellBack, at: float) -> str:
    words = f"falls back from group {event.from_group!r} to {event.to_group!r} because of {event.error}"
    return words + _but_for(event.left_out, event.left_out_by_reason, at)


def _succeeded(event: RequestSucceeded, _at: float) -> str:
    cost = "at an unknown price" if event.cost is None else f"for {millionths(event.cost)}"
    whose = "with the answer of" if event.cached else "by"
    waited = f", {event.waited:.3f} s of them waiting" if event.waited else ""
    return f"answered {whose} {event.deployment_id} after {event.seconds:.3f} s{waited}, {cost}"


def _request_failed(event: RequestFailed, at: float) -> str:
    attempts = {0: "", 1: " and 1 attempt"}.get(event.attempts, f" and {event.attempts} attempts")
    words = f"ends in {event.error} ({event.status_code}) after {event.seconds:.3f} s{attempts}"
    return words + _but_for(event.left_out, event.left_out_by_reason, at)


def _cached(event: CacheHit, _at: float) -> str:
    what = "by the answer to an identical request" if event.shared else "from the cache"
    return f"answered {what}, {event.age:.3f} s old"


def _hedged(event: HedgeSettled, _at: float) -> str:
    return f"the other attempt was faster: {event.deployment_id} is given up after {event.seconds:.3f} s"


def _cancelled(event: RequestCancelled, _at: float) -> str:
    return f"its caller left after {event.seconds:.3f} s"


def _alone(_event: HedgeRefused, _at: float) -> str:
    return "nobody can take a second attempt after all: the first goes on alone"


_WORDS: dict[type, Callable[[Any, float], str]] = {
    **WORDS,
    AttemptFailed: _failed,
    CacheHit: _cached,
    DeploymentPicked: _picked,
    FellBack: _falls_back,
    HedgeRefused: _alone,
    HedgeSettled: _hedged,
    RequestAccepted: _accepted,
    RequestCancelled: _cancelled,
    RequestFailed: _request_failed,
    RequestSucceeded: _succeeded,
    RetryScheduled: _retries,
    WaitStarted: _waits,
}
