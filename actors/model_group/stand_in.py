"""Whether a deployment of another group can do what a request needs. Pure.

`routing_strategy_args={"substitutes": {"gpt-4": ["gpt-3.5-turbo"]}}` lets cheaper groups stand in.
A stand-in must be known to do tools and images where the request has them: its users did not ask for
it by name, so in doubt it does not fit. An unknown context window is no doubt: most have room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...messages.outcomes import LeftOut

if TYPE_CHECKING:
    from ...messages.deployment import Deployment
    from ...messages.outcomes import Demand
    from ...messages.requests import Request

__all__ = ["misfit"]

_IMAGE_PARTS = frozenset({"image_url", "input_image", "image"})


def misfit(deployment: Deployment, request: Request, demand: Demand) -> LeftOut | None:
    """Why it cannot stand in for this request; None when it can."""
    most, need = deployment.max_input_tokens, demand.input_tokens
    if most is not None and need > most:
        return LeftOut(deployment.id, "context_window", None, need, most)
    info = deployment.model_info
    if _has_tools(request) and not info.get("supports_function_calling"):
        return LeftOut(deployment.id, "capability", detail="function_calling")
    if _has_images(request) and not info.get("supports_vision"):
        return LeftOut(deployment.id, "capability", detail="vision")
    return None


def _has_tools(request: Request) -> bool:
    return bool(getattr(request, "tools", None) or getattr(request, "functions", None))


def _has_images(request: Request) -> bool:
    messages: list[dict[str, Any]] = getattr(request, "messages", None) or []
    contents = (message.get("content") for message in messages)
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return any(isinstance(part, dict) and part.get("type") in _IMAGE_PARTS for part in parts)
