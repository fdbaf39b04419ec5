"""What a callback is told, in the words its users know. Pure.

Made where the callback runs, out of what the attempt left behind: the way of a request pays for a
small tuple and no more.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from ...messages.deployment import OF_THE_MODEL
from ...messages.redaction import is_secret_name
from ...messages.values import Message
from ..providers.endpoints import OPENAI_FORMAT
from .masked_key import MaskedKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Call
    from ...messages.deployment import Deployment
    from ...messages.errors import RequestError
    from .hooks import Event

__all__ = ["DeploymentFacts", "Report", "arguments_of"]

_EVENT_TYPES = {
    "pre_api_call": "pre_api_call",
    "post_api_call": "post_api_call",
    "stream_event": "stream_event",
    "success_event": "successful_api_call",
    "failure_event": "failed_api_call",
}
_NOBODY = {"model": None, "api_key": None, "api_base": None, "api_version": None, "custom_llm_provider": None}
_NOT_OPTIONAL = frozenset({"file", "input", "messages", "metadata", "prompt", "stream"})


class DeploymentFacts:
    """What every call of a deployment is told with; made once for each."""

    __slots__ = ("api_base", "api_key", "api_version", "deployment", "group", "info", "model", "provider")

    def __init__(self, deployment: Deployment) -> None:
        endpoint = OPENAI_FORMAT.get(deployment.provider)
        key = deployment.api_key
        self.deployment = deployment
        self.group = deployment.model_name
        self.provider = deployment.provider
        self.model = deployment.model
        self.api_key = None if key is None else MaskedKey(key.get_secret_value())
        self.api_base = deployment.api_base or (None if endpoint is None else endpoint.base)
        self.api_version = deployment.api_version
        stated = ((name, getattr(deployment, name)) for name in OF_THE_MODEL)
        known = {name: value for name, value in stated if value is not None}
        self.info = {"id": deployment.id, **known, **deployment.model_info}

    def model_of(self, call: Call) -> str:
        """The provider's name for what this call asks."""
        return self.model if call.wildcard is None else self.model.replace("*", call.wildcard, 1)


class Report(Message, frozen=True):
    """One thing that happened to one attempt.

    Attributes:
        facts: of the deployment; None when a cache answered before one was chosen.
        subject: the answer or the chunk.
        joined: gives the answer, where one must be made for those who want to see it.
    """

    HANDLES: ClassVar[frozenset[str]] = frozenset({"error", "joined", "subject"})

    event: Event
    call: Call
    facts: DeploymentFacts | None
    started_at: float
    at: float
    subject: Any = None
    error: RequestError | None = None
    cost: float | None = None
    cache_hit: bool = False
    joined: Callable[[], Any] | None = None


def arguments_of(report: Report) -> tuple[Any, ...]:
    """The arguments of the methods (and functions) that are told of it."""
    answer = report.subject if report.joined is None else report.joined()
    kwargs = _kwargs(report)
    if report.event == "pre_api_call":
        return kwargs["model"], kwargs["messages"], kwargs
    if report.call.stream and report.event == "success_event":
        kwargs["complete_streaming_response"] = answer
    return kwargs, answer, kwargs["start_time"], kwargs["end_time"]


def _kwargs(report: Report) -> dict[str, Any]:
    call, facts = report.call, report.facts
    request = call.request
    wire = request.wire_params()
    metadata = getattr(request, "metadata", None)
    kind = request.KIND
    kwargs = {
        "log_event_type": _EVENT_TYPES[report.event],
        "litellm_call_id": call.call_id,
        "request_id": call.request_id,
        "call_type": kind if call.blocking else f"a{kind}",
        "model": request.model if facts is None else facts.model_of(call),
        "messages": wire.get("messages"),
        "input": wire.get("input", wire.get("prompt", wire.get("messages"))),
        "stream": call.stream,
        "user": wire.get("user"),
        "metadata": metadata,
        "litellm_params": _litellm_params(report, metadata),
        "optional_params": _masked({n: value for n, value in wire.items() if n not in _NOT_OPTIONAL}),
        "response_cost": report.cost,
        "cache_hit": report.cache_hit,
        "start_time": _local(report.started_at),
        "end_time": _local(report.at),
    }
    if report.error is not None:
        kwargs["exception"] = report.error
    return kwargs


def _litellm_params(report: Report, metadata: Any) -> dict[str, Any]:
    facts = report.facts
    own = metadata if isinstance(metadata, dict) else {}
    if facts is None:
        group = report.call.request.model
        return {**_NOBODY, "metadata": {**own, "model_group": group}, "model_info": {}}
    info = facts.info.copy()  # a callback may write into it
    model = f"{facts.provider}/{facts.model_of(report.call)}"
    return {
        "model": model,
        "api_key": facts.api_key,
        "api_base": facts.api_base,
        "api_version": facts.api_version,
        "custom_llm_provider": facts.provider,
        "metadata": {
            **own,
            "model_group": facts.group,
            "deployment": model,
            "api_base": facts.api_base,
            "model_info": info,
        },
        "model_info": info,
    }


def _masked(params: dict[str, Any]) -> dict[str, Any]:
    """The request's own parameters, its keys masked; any header may be one."""
    for name, value in params.items():
        if name == "extra_headers" and isinstance(value, dict):
            params[name] = {header: MaskedKey(str(text)) for header, text in value.items()}
        elif isinstance(value, str) and is_secret_name(name):
            params[name] = MaskedKey(value)
    return params


def _local(at: float) -> datetime:
    # naive on purpose: what users subtract from it and compare with it is `datetime.now()`
    return datetime.fromtimestamp(at)  # noqa: DTZ006
