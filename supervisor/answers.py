"""What is written on an answer before the caller gets it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..messages.errors import (
    ContextWindowExceededError,
    NoDeploymentsAvailable,
    RequestError,
    UnsupportedParamsError,
)
from ..messages.figures import in_seconds
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


_OF_THE_REQUEST = frozenset({"tags", "region", "capability", "context_window"})
"""Reasons that lie in the request and pass with no time."""


def nobody_for(model: str, message: Unassigned, now: float) -> RequestError:
    """The error of a request that its group cannot place, with every reason.

    Where nothing stands in the way but what the request asks for, it is the request's error: its prompt is
    too long for each that would have done otherwise, or it needs what none of these can do.
    """
    counts = dict(message.left_out_by_reason)
    for item in message.left_out:
        counts[item.reason] = counts.get(item.reason, 0) + 1
    retry_after = None if message.earliest is None else max(0.0, message.earliest - now)
    error: RequestError
    if counts.keys() <= _OF_THE_REQUEST and "context_window" in counts:
        error = ContextWindowExceededError(_too_long(message), model=model)
    elif counts.keys() <= _OF_THE_REQUEST and "capability" in counts:
        error = UnsupportedParamsError(_unable(message), model=model)
    else:
        error = NoDeploymentsAvailable(
            _why_nobody(message, counts, retry_after), model=model, retry_after=retry_after
        )
    error.left_out = message.left_out
    error.left_out_by_reason = message.left_out_by_reason
    error.left_out_at = now
    return error


def _too_long(message: Unassigned) -> str:
    """`the prompt has about 5012 tokens; the largest context window in "gpt-4" that would do has 4096`."""
    rows = [item for item in message.left_out if item.reason == "context_window"]
    need = max((item.need or 0 for item in rows), default=0)
    has = max((item.has or 0 for item in rows), default=0)
    return (
        f"the prompt has about {need:.0f} tokens; "
        f'the largest context window in "{message.group}" that would do has {has:.0f}'
    )


def _unable(message: Unassigned) -> str:
    """`no deployment of "gpt-4" can do what the request needs: vision`."""
    names = {item.detail for item in message.left_out if item.reason == "capability" and item.detail}
    return f'no deployment of "{message.group}" can do what the request needs: {", ".join(sorted(names))}'


def _why_nobody(message: Unassigned, counts: dict[str, int], retry_after: float | None) -> str:
    """`no deployment of "gpt-4" is available: 2 cooling_down, 1 rpm; try again in 3.2 s`."""
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "it has none"
    full = "; as many wait as may (max_queue)" if message.full else ""
    when = "" if retry_after is None else f"; try again in {in_seconds(retry_after)}"
    return f'no deployment of "{message.group}" is available: {why}{full}{when}'
