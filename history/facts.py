"""What is shown of a moment: plain values, JSON-able. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actors.deployment.parts import Totals

if TYPE_CHECKING:
    from ..actors.deployment.state import DeploymentState
    from ..supervisor.request_state import RequestState
    from .replay import Moment

__all__ = ["COUNTS", "as_data", "deployment_facts", "request_facts"]

COUNTS = tuple(name for name in Totals.__slots__ if name != "__weakref__")
"""What a deployment counts since its beginning."""


def as_data(moment: Moment) -> dict[str, Any]:
    """A moment as plain values."""
    at = moment.at
    return {
        "position": moment.position,
        "at": at,
        "deployments": {
            name: deployment_facts(state, moment.groups[name], at)
            for name, state in moment.deployments.items()
        },
        "requests": {name: request_facts(state, at) for name, state in moment.requests.items()},
        "budgets": moment.budgets,
    }


def deployment_facts(state: DeploymentState, group: str | None, at: float) -> dict[str, Any]:
    """How a deployment is, what it has open, used and left, and what it counted so far."""
    limits, window, breaker = state.limits, state.window, state.breaker
    own = state.ledger
    return {
        "group": group,
        "status": status_of(state, removed=group is None, at=at),
        "cooling_until": breaker.until if breaker.state(at) == "open" else None,
        "trips": breaker.trips,
        "open": len(state.open),
        "max_parallel": limits.max_parallel,
        "requests_in_window": window.starts,
        "rpm": limits.rpm,
        "tokens_in_window": window.tokens,
        "tpm": limits.tpm,
        "budget": None if own is None else own.describe(at),
        **{name: getattr(state.totals, name) for name in COUNTS},
    }


def status_of(state: DeploymentState, *, removed: bool, at: float) -> str:
    """removed, cooling, half-open, unhealthy or well."""
    breaker = state.breaker.state(at)
    if removed:
        return "removed"
    if breaker != "closed" and not state.limits.cooldown.off:
        return "cooling" if breaker == "open" else "half-open"
    return "well" if state.sickness is None else "unhealthy"


def request_facts(state: RequestState, at: float) -> dict[str, Any]:
    """Where a request stands."""
    return {
        "group": state.group,
        "first_group": state.first_group,
        "phase": state.phase,
        "deployment": state.deployment_id if state.phase == "calling" else None,
        "attempt": state.attempt,
        "retries": state.retries,
        "fallbacks": state.fallbacks,
        "accepted_at": state.accepted_at,
        "deadline": state.deadline,
        "seconds": max(0.0, at - state.accepted_at),
        "failed": [f"{attempt.deployment_id}: {attempt.error}" for attempt in state.attempts],
    }
