"""What a request needs its deployment to be able to do, and what a deployment is known to be unable to.

A deployment says so in its `model_info`: `supports_vision`, `supports_function_calling`,
`supports_response_schema`, `supports_audio_input` (False: it cannot), and `supported_openai_params` (a
parameter that is not listed is not supported). What it does not say it is believed to be able to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .deployment import Deployment
    from .requests import Request

__all__ = [
    "CAPABILITIES",
    "IMAGE_PARTS",
    "droppable",
    "dropped",
    "lacking",
    "listed_params",
    "needs_of",
    "optional_params",
]

CAPABILITIES = ("audio_input", "function_calling", "response_schema", "vision")

IMAGE_PARTS = frozenset({"image_url", "input_image", "image"})
_AUDIO_PARTS = frozenset({"input_audio"})

_PARAMS = {
    "function_calling": frozenset(
        {"functions", "function_call", "parallel_tool_calls", "tool_choice", "tools"}
    ),
    "response_schema": frozenset({"response_format"}),
}
"""The parameters through which a request makes use of a capability."""

_ALWAYS = frozenset(
    """
    extra_body extra_headers file input messages model organization prompt stream stream_options voice
    """.split()
)
"""What every deployment takes, or what is not the model's business."""


def needs_of(request: Request) -> tuple[str, ...]:
    """The capabilities that a request makes use of, sorted."""
    needs = set(_needed_parts(getattr(request, "messages", None) or ()))
    extra = request.__pydantic_extra__ or {}
    if extra.get("tools") or extra.get("functions"):
        needs.add("function_calling")
    if _wants_schema(extra.get("response_format")):
        needs.add("response_schema")
    return tuple(sorted(needs))


def _needed_parts(messages: Iterable[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            kinds = {part.get("type") for part in content if isinstance(part, dict)}
            if not IMAGE_PARTS.isdisjoint(kinds):
                yield "vision"
            if not _AUDIO_PARTS.isdisjoint(kinds):
                yield "audio_input"


def _wants_schema(wanted: Any) -> bool:
    """Plain JSON (`{"type": "json_object"}`) is no schema."""
    if isinstance(wanted, dict):
        return wanted.get("type") == "json_schema"
    return wanted is not None


def optional_params(request: Request) -> tuple[str, ...]:
    """The parameters that a deployment may not support, sorted."""
    given = (name for name, value in request.wire_params().items() if value is not None)
    return tuple(sorted(name for name in given if name not in _ALWAYS))


def lacking(deployment: Deployment) -> frozenset[str]:
    """The capabilities that it says it has not."""
    info = deployment.model_info
    return frozenset(name for name in CAPABILITIES if info.get(f"supports_{name}") is False)


def listed_params(deployment: Deployment) -> frozenset[str] | None:
    """The parameters that it supports, if it lists them."""
    listed = deployment.model_info.get("supported_openai_params")
    return frozenset(listed) if isinstance(listed, (list, tuple)) else None


def dropped(deployment: Deployment, params: Mapping[str, Any], *, unsupported: bool) -> frozenset[str]:
    """Which of a call's parameters are left out of what is sent.

    Args:
        deployment: who is asked.
        params: the call's parameters.
        unsupported: whether those that it does not support are (`drop_params`).
    """
    gone = {name for name in deployment.additional_drop_params if name in params}
    if unsupported:
        listed = listed_params(deployment)
        if listed is not None:
            gone |= {name for name in params if name not in listed and name not in _ALWAYS}
        for capability in lacking(deployment):
            if capability != "response_schema" or _wants_schema(params.get("response_format")):
                gone |= _PARAMS.get(capability, frozenset()) & params.keys()
    return frozenset(gone)


def droppable(capability: str) -> bool:
    """Whether a request can do without it, by leaving parameters out."""
    return capability in _PARAMS
