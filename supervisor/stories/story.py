"""Events in plain words, for logs and for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...messages.events import (
    AttemptFailed,
    BudgetExhausted,
    CacheHit,
    CacheLost,
    CacheRestored,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    CooldownEnded,
    CooldownStarted,
    DeploymentAdded,
    DeploymentPicked,
    DeploymentRemoved,
    DeploymentRestarted,
    DeploymentRetired,
    EventsLost,
    FellBack,
    HedgeSettled,
    LimitsObserved,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RetryScheduled,
    WaitStarted,
)
from ...messages.figures import in_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...messages.events import Event
    from ...messages.outcomes import Decision, LeftOut

__all__ = ["in_words"]

SHOWN = 8
"""Left-out candidates and scores that a line names; the rest are counted."""


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
        f"({event.kind}, about {event.input_tokens} tokens, due in {event.deadline - at:.0f} s{priority})"
    )


def _picked(event: DeploymentPicked, at: float) -> str:
    decision = event.decision
    beside = " (beside the one before)" if event.hedge else ""
    parts = [
        f"attempt {event.attempt}{beside}: {decision.deployment_id} by {decision.strategy}",
        f"{decision.eligible} eligible",
        *_scores(decision),
    ]
    return ", ".join(parts) + _but_for(decision.left_out, decision.left_out_by_reason, at)


def _scores(decision: Decision) -> list[str]:
    """What was compared, if anything was: `score 2 (us 3, ap 5)`; whether chance had a say."""
    parts = []
    if decision.score is not None:
        own = decision.deployment_id
        others = [f"{name} {score:.4g}" for name, score in decision.considered if name != own][:SHOWN]
        parts.append(f"score {decision.score:.4g}" + (f" ({', '.join(others)})" if others else ""))
    if decision.draw is not None:
        parts.append(f"drawn with {decision.draw:.4f}")
    return parts


def _but_for(left_out: Iterable[LeftOut], by_reason: dict[str, int], at: float) -> str:
    out = _left_out(left_out, by_reason, at)
    return f"; left out: {out}" if out else ""


def _left_out(left_out: Iterable[LeftOut], by_reason: dict[str, int], at: float) -> str:
    """`us cooling_down for 3.2 s, ap rpm for 12 s, 40 more: tpm`."""
    named = [_why(left, at) for left in left_out]
    counts = [f"{count} more: {reason}" for reason, count in sorted(by_reason.items())]
    if len(named) > SHOWN:
        counts.append(f"{len(named) - SHOWN} more")
    return ", ".join([*named[:SHOWN], *counts])


def _why(left: LeftOut, at: float) -> str:
    needs = "" if left.need is None else f" (needs {left.need:g}, has {left.has or 0:g})"
    until = "" if left.until is None else f" for {in_seconds(max(0.0, left.until - at))}"
    return f"{left.deployment_id} {left.reason}{needs}{until}"


def _waits(event: WaitStarted, at: float) -> str:
    until = (
        "" if event.until is None else f", the first release is in {in_seconds(max(0.0, event.until - at))}"
    )
    return f"waits in group {event.group!r}{until}" + _but_for(event.left_out, {}, at)


def _failed(event: AttemptFailed | CallFailed, _at: float) -> str:
    where = event.deployment_id if isinstance(event, AttemptFailed) else None
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
    cost = "at an unknown price" if event.cost is None else f"for ${event.cost:.6f}"
    whose = "with the answer of" if event.cached else "by"
    waited = f", {event.waited:.3f} s of them waiting" if event.waited else ""
    return f"answered {whose} {event.deployment_id} after {event.seconds:.3f} s{waited}, {cost}"


def _request_failed(event: RequestFailed, at: float) -> str:
    words = f"ends in {event.error} after {event.seconds:.3f} s and {event.attempts} attempts"
    return words + _but_for(event.left_out, event.left_out_by_reason, at)


def _cached(event: CacheHit, _at: float) -> str:
    what = "by the answer to an identical request" if event.shared else "from the cache"
    return f"answered {what}, {event.age:.3f} s old"


def _hedged(event: HedgeSettled, _at: float) -> str:
    return f"the other attempt was faster: {event.deployment_id} is given up after {event.seconds:.3f} s"


def _cancelled(event: RequestCancelled, _at: float) -> str:
    return f"its caller left after {event.seconds:.3f} s"


# -- deployments


def _started(event: CallStarted, _at: float) -> str:
    probe = ", the probe after a cooldown" if event.probe else ""
    return f"call {event.call_id} begins, {event.reserved} tokens set aside{probe}"


def _opened(event: CallOpened, _at: float) -> str:
    return f"call {event.call_id} has its first content after {event.ttft:.3f} s"


def _settled(event: CallSucceeded | CallCancelled, _at: float) -> str:
    end = "succeeded" if isinstance(event, CallSucceeded) else f"given up ({event.reason})"
    tokens = f"{event.prompt_tokens} + {event.completion_tokens} tokens"
    return f"call {event.call_id} {end} after {event.seconds:.3f} s, {tokens}"


def _cools_down(event: CooldownStarted, _at: float) -> str:
    again = "" if event.trips <= 1 else f", for the {event.trips}. time in a row"
    return f"cools down for {event.seconds:g} s because of {event.error}{again}"


def _limited(event: LimitsObserved, at: float) -> str:
    used = f"{event.requests} requests and {event.tokens} tokens"
    return f"the provider counts {used} more than we do, for {in_seconds(event.until - at)}"


def _budget(event: BudgetExhausted, at: float) -> str:
    until = "" if event.until is None else f", for {in_seconds(max(0.0, event.until - at))}"
    return f"budget {event.budget} is used up: ${event.spent:.4g} of ${event.limit:.4g}{until}"


# -- the router


def _added(event: DeploymentAdded, _at: float) -> str:
    return f"deployment {event.deployment_id} joins group {event.group!r}"


def _removed(event: DeploymentRemoved, _at: float) -> str:
    return f"deployment {event.deployment_id} leaves group {event.group!r}"


def _restarted(event: DeploymentRestarted, _at: float) -> str:
    return f"the actor of {event.deployment_id} is restarted, for the {event.restarts}. time"


def _retired(event: DeploymentRetired, _at: float) -> str:
    return f"deployment {event.deployment_id} is taken out of rotation: its actor crashes again and again"


_WORDS: dict[type, Callable[[Any, float], str]] = {
    AttemptFailed: _failed,
    BudgetExhausted: _budget,
    CacheHit: _cached,
    CacheLost: lambda event, _at: f"the cache cannot be used ({event.error}); requests go on without it",
    CacheRestored: lambda event, _at: f"the cache is back, after {event.lost} lost looks and writes",
    CallCancelled: _settled,
    CallFailed: _failed,
    CallOpened: _opened,
    CallStarted: _started,
    CallSucceeded: _settled,
    CooldownEnded: lambda _event, _at: "is well again: the probe succeeded",
    CooldownStarted: _cools_down,
    DeploymentAdded: _added,
    DeploymentPicked: _picked,
    DeploymentRemoved: _removed,
    DeploymentRestarted: _restarted,
    DeploymentRetired: _retired,
    EventsLost: lambda event, _at: f"the journal could not take {event.count} events",
    FellBack: _falls_back,
    HedgeSettled: _hedged,
    LimitsObserved: _limited,
    RequestAccepted: _accepted,
    RequestCancelled: _cancelled,
    RequestFailed: _request_failed,
    RequestSucceeded: _succeeded,
    RetryScheduled: _retries,
    WaitStarted: _waits,
}
