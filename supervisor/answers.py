"""What is written on an answer before the caller gets it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..messages.errors import NoDeploymentsAvailable
from ..messages.outcomes import Attempt, RouteInfo

if TYPE_CHECKING:
    from ..messages.commands import Unassigned
    from ..messages.settings import Deployment
    from .request_state import RequestState

__all__ = ["hidden_params", "nobody_for", "route_of"]


def route_of(
    state: RequestState, group: str, seconds: float, attempt_seconds: float, cost: float | None
) -> RouteInfo:
    """The route of a request whose current attempt succeeded on a deployment of `group`."""
    assert state.deployment_id is not None, "answered by nobody"
    last = Attempt(group, state.deployment_id, None, attempt_seconds, state.wait)
    return RouteInfo(
        state.request_id,
        group,
        state.deployment_id,
        (*state.attempts, last),
        state.retries,
        state.fallbacks,
        state.waited,
        seconds,
        cost,
        cache_hit=False,
        strategy=state.strategy,
        hedges=state.hedges,
    )


def hidden_params(route: RouteInfo, deployment: Deployment | None) -> dict[str, Any]:
    """`_hidden_params` with the names people use today."""
    return {
        "model_id": route.deployment_id,
        "api_base": None if deployment is None else deployment.api_base,
        "custom_llm_provider": None if deployment is None else deployment.provider,
        "response_cost": route.cost,
        "cache_hit": route.cache_hit,
        "additional_headers": {
            "x-litellm-model-group": route.model_group,
            "x-litellm-attempted-retries": route.retries,
            "x-litellm-attempted-fallbacks": route.fallbacks,
        },
    }


def nobody_for(model: str, message: Unassigned, now: float) -> NoDeploymentsAvailable:
    """The error of a request that its group cannot place, with every reason."""
    retry_after = None if message.earliest is None else max(0.0, message.earliest - now)
    error = NoDeploymentsAvailable(_why_nobody(message, retry_after), model=model, retry_after=retry_after)
    error.left_out = message.left_out
    error.left_out_by_reason = message.left_out_by_reason
    return error


def _why_nobody(message: Unassigned, retry_after: float | None) -> str:
    """`no deployment of "gpt-4" is available: 2 cooling_down, 1 rpm; try again in 3.2 s`."""
    counts = dict(message.left_out_by_reason)
    for item in message.left_out:
        counts[item.reason] = counts.get(item.reason, 0) + 1
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "it has none"
    full = "; as many wait as may (max_queue)" if message.full else ""
    when = "" if retry_after is None else f"; try again in {retry_after:.3g} s"
    return f'no deployment of "{message.group}" is available: {why}{full}{when}'
