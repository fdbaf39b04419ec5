"""The smallest request that shows whether a deployment answers, by its mode. Pure.

A mode that is not in the table cannot be checked: a picture or a minute of speech is no small request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...messages.embeddings import EmbeddingRequest
from ...messages.moderations import ModerationRequest
from ...messages.requests import CompletionRequest
from ...messages.text_completions import TextCompletionRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.deployment import Deployment
    from ...messages.requests import Request

__all__ = ["Minimal", "minimal_request"]

TEXT = "Hi"

_THINKERS = ("o1", "o3", "o4", "gpt-5")
"""Models that count what they think as output, and so call the limit by another name."""


class Minimal(NamedTuple):
    """A request to check a deployment with; without one, why there is none.

    `wildcard` takes the place of the `*` in the deployment's model.
    """

    request: Request | None = None
    wildcard: str | None = None
    why_not: str = ""


def minimal_request(deployment: Deployment) -> Minimal:
    """The request that checks this deployment."""
    model, wildcard = deployment.model, None
    if "*" in model:
        model = str(deployment.model_info.get("health_check_model") or "")
        wildcard = _captured(deployment, model)
        if wildcard is None:
            return Minimal(why_not="its model is a wildcard: name one in model_info.health_check_model")
    make = _BY_MODE.get(deployment.mode)
    if make is None:
        return Minimal(why_not=f"there is no small request for mode {deployment.mode}")
    return Minimal(make(deployment.model_name, model), wildcard)


def _captured(deployment: Deployment, model: str) -> str | None:
    """What the `*` stands for in `model`, which may be written with its provider."""
    head, _, tail = deployment.model.partition("*")
    name = model.removeprefix(f"{deployment.provider}/")
    if len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
        return name[len(head) : len(name) - len(tail)]
    return None


def _chat(group: str, model: str) -> Request:
    messages = [{"role": "user", "content": TEXT}]
    if model.startswith(_THINKERS):
        return CompletionRequest(model=group, messages=messages, max_completion_tokens=1)
    return CompletionRequest(model=group, messages=messages, max_tokens=1)


_BY_MODE: dict[str, Callable[[str, str], Request]] = {
    "chat": _chat,
    "completion": lambda group, _model: TextCompletionRequest(model=group, prompt=TEXT, max_tokens=1),
    "embedding": lambda group, _model: EmbeddingRequest(model=group, input=TEXT),
    "moderation": lambda group, _model: ModerationRequest(model=group, input=TEXT),
}
