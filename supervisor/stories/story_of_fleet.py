"""What deployments, budgets and the router record, in plain words; see :mod:`.story`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...messages.events import (
    BudgetExhausted,
    BudgetReserved,
    BudgetSettled,
    CacheLost,
    CacheRestored,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    CheckStarted,
    ClockSetBack,
    CooldownEnded,
    CooldownStarted,
    CostReset,
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentRestarted,
    DeploymentRetired,
    DeploymentUpdated,
    EventsLost,
    HealthChecked,
    LimitsObserved,
    ModelListSet,
    RouterStarted,
    RouterStopped,
)
from ...messages.figures import dollars, in_seconds, spent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WORDS"]


def _started(event: CallStarted, _at: float) -> str:
    probe = ", the probe after a cooldown" if event.probe else ""
    return f"call {event.call_id} begins, {event.reserved} tokens set aside{probe}"


def _opened(event: CallOpened, _at: float) -> str:
    return f"call {event.call_id} has its first content after {event.ttft:.3f} s"


def _succeeded(event: CallSucceeded, _at: float) -> str:
    tokens = f"{event.prompt_tokens} + {event.completion_tokens} tokens"
    return f"call {event.call_id} succeeded after {event.seconds:.3f} s, {tokens}"


def _failed(event: CallFailed, _at: float) -> str:
    after = "" if event.retry_after is None else f", retry after {event.retry_after:g} s"
    what = f"{event.error} ({event.status_code})"
    return f"call {event.call_id} failed: {what} after {event.seconds:.3f} s{after}{_used(event)}"


def _given_up(event: CallCancelled, _at: float) -> str:
    return f"call {event.call_id} is given up ({event.reason}) after {event.seconds:.3f} s{_used(event)}"


def _used(event: CallFailed | CallCancelled) -> str:
    """What a call used, where it did: also one that comes to nothing may have to be paid for."""
    tokens, price = event.prompt_tokens + event.completion_tokens, spent(event.cost, event.charged)
    used = f", {event.prompt_tokens} + {event.completion_tokens} tokens" if tokens else ""
    return used + (f", {price}" if price and (tokens or event.cost or event.charged) else "")


def _abandoned(event: CallAbandoned, _at: float) -> str:
    return f"call {event.call_id} was open when its router or actor ended: nobody knows what became of it"


def _cools_down(event: CooldownStarted, _at: float) -> str:
    again = "" if event.trips <= 1 else f", {event.trips} times in a row now"
    return f"cools down for {event.seconds:g} s because of {event.error}{again}"


def _limited(event: LimitsObserved, at: float) -> str:
    used = f"{event.requests} requests and {event.tokens} tokens"
    return f"the provider counts {used} more than we do, for {in_seconds(event.until - at)}"


def _set_back(event: ClockSetBack, _at: float) -> str:
    return f"the clock was set back by {in_seconds(event.seconds)} while the router was away"


def _checked(event: HealthChecked, _at: float) -> str:
    end = "well" if event.well else f"{event.error or 'not well'} ({event.status_code})"
    return f"health check: {end} after {event.seconds:.3f} s"


def _used_up(event: BudgetExhausted, at: float) -> str:
    until = "" if event.until is None else f", for {in_seconds(max(0.0, event.until - at))}"
    return f"budget {event.budget} is used up: ${event.spent:.4g} of ${event.limit:.4g}{until}"


def _set_aside(event: BudgetReserved, _at: float) -> str:
    amounts = ", ".join(f"{dollars(amount)} of {name}" for name, amount in event.amounts.items())
    return f"set aside for call {event.call_id}: {amounts}"


def _settled(event: BudgetSettled, _at: float) -> str:
    cost = "an unknown sum, as was set aside" if event.cost is None else dollars(event.cost)
    return f"call {event.call_id} is charged {cost}"


def _joins(event: DeploymentAdded, _at: float) -> str:
    return f"deployment {event.deployment_id} joins group {event.group!r}"


def _changes(event: DeploymentUpdated, _at: float) -> str:
    return f"deployment {event.deployment_id} of group {event.group!r} goes on under another configuration"


def _leaves(event: DeploymentRemoved, _at: float) -> str:
    return f"deployment {event.deployment_id} leaves group {event.group!r}"


def _replaced(event: ModelListSet, _at: float) -> str:
    came, changed, went = len(event.added), len(event.updated), len(event.removed)
    return f"the deployments are replaced: {came} came, {changed} changed, {went} went"


def _restarted(event: DeploymentRestarted, _at: float) -> str:
    times = "" if event.restarts == 1 else f", {event.restarts} times by now"
    return f"the actor of {event.deployment_id} crashed ({event.error}) and is restarted{times}"


def _retired(event: DeploymentRetired, _at: float) -> str:
    return f"deployment {event.deployment_id} is taken out of rotation: its actor crashes again and again"


def _router_started(event: RouterStarted, _at: float) -> str:
    names = ", ".join(sorted(event.settings))
    return f"a router starts{f', its own settings: {names}' if names else ''}"


WORDS: dict[type, Callable[[Any, float], str]] = {
    BudgetExhausted: _used_up,
    BudgetReserved: _set_aside,
    BudgetSettled: _settled,
    CacheLost: lambda event, _at: f"the cache cannot be used ({event.error}); requests go on without it",
    CacheRestored: lambda event, _at: f"the cache is back, after {event.lost} lost looks and writes",
    CallAbandoned: _abandoned,
    CallCancelled: _given_up,
    CallFailed: _failed,
    CallOpened: _opened,
    CallStarted: _started,
    CallSucceeded: _succeeded,
    CheckStarted: lambda event, _at: f"a health check begins, {event.reserved} tokens set aside",
    ClockSetBack: _set_back,
    CooldownEnded: lambda _event, _at: "is well again: the probe succeeded",
    CooldownStarted: _cools_down,
    CostReset: lambda _event, _at: "the statistics count money from nothing again",
    DeploymentAdded: _joins,
    DeploymentRemoved: _leaves,
    DeploymentRestarted: _restarted,
    DeploymentRetired: _retired,
    DeploymentUpdated: _changes,
    EventsLost: lambda event, _at: f"the journal could not take {event.count} events",
    HealthChecked: _checked,
    LimitsObserved: _limited,
    ModelListSet: _replaced,
    RouterStarted: _router_started,
    RouterStopped: lambda _event, _at: "the router stops in good order",
}
"""By event: what it says at router time `at`."""
