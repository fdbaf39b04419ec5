"""What is written on an answer before the caller gets it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..messages.outcomes import Attempt, RouteInfo

if TYPE_CHECKING:
    from ..messages.settings import Deployment
    from .request_state import RequestState

__all__ = ["hidden_params", "route_of"]


def route_of(state: RequestState, seconds: float, attempt_seconds: float, cost: float | None) -> RouteInfo:
    """The route of a request whose current attempt succeeded."""
    assert state.deployment_id is not None, "answered by nobody"
    last = Attempt(state.group, state.deployment_id, None, attempt_seconds, state.wait)
    return RouteInfo(
        state.request_id,
        state.group,
        state.deployment_id,
        (*state.attempts, last),
        state.retries,
        state.fallbacks,
        state.waited,
        seconds,
        cost,
        cache_hit=False,
        strategy=state.strategy,
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
