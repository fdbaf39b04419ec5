"""What comes back: OpenAI-shaped values with attribute and item access.

``r.choices[0].message.content`` and ``r["choices"][0]["message"]["content"]`` are the same.
Fields that a provider adds are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from .outcomes import RouteInfo

    Answer = Any
    """A whole answer of any kind: it can be `routed`."""

__all__ = [
    "Choice",
    "Delta",
    "Message",
    "ModelResponse",
    "ModelResponseStream",
    "Record",
    "ResponseUsage",
    "Routed",
    "StreamChoice",
]


class Record(BaseModel):
    """A pydantic model that can be read like a dict too."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and hasattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)

    def keys(self) -> list[str]:
        return [*self.__dict__, *(self.__pydantic_extra__ or ())]

    def json(self, **kwargs: Any) -> str:
        """As JSON text, the name that users of the OpenAI client of old expect."""
        return self.model_dump_json(**kwargs)


class Message(Record):
    role: str = "assistant"
    content: str | None = None
    tool_calls: list[Any] | None = None


class Choice(Record):
    index: int = 0
    message: Message
    finish_reason: str | None = None


class ResponseUsage(Record):
    """OpenAI's usage block; `prompt_tokens_details` and the like are kept as extra fields.

    A field that the provider left out is None: nobody knows, which is not the same as 0.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Routed(Record):
    """An answer that came through a router, in its provider's shape."""

    # slots, and hidden from pydantic: its private attributes cost a call into Python per response
    __slots__ = ("_describe", "_route")
    if TYPE_CHECKING:
        _route: RouteInfo
        _describe: Callable[[RouteInfo], dict[str, Any]]

    def characters(self) -> int:
        """Characters of text that it holds, for an estimate of what it used."""
        return 0

    def routed(self, route: RouteInfo, describe: Callable[[RouteInfo], dict[str, Any]]) -> None:
        """The router's last word on an answer; `describe` gives `_hidden_params` when asked for."""
        _set_route(self, route)
        _set_describe(self, describe)

    @property
    def route(self) -> RouteInfo:
        """What happened on the way: who served, how many attempts, what it cost.

        Raises:
            AttributeError: for a response that did not come through a router.
        """
        return self._route

    @property
    def _hidden_params(self) -> dict[str, Any]:
        """The names people use today: `model_id`, `api_base`, `response_cost`, `cache_hit`, ..."""
        return self._describe(self._route)


_set_route = Routed.__dict__["_route"].__set__
_set_describe = Routed.__dict__["_describe"].__set__


class ModelResponse(Routed):
    """A chat completion in OpenAI's shape, with `.route`."""

    id: str
    object: str = "chat.completion"
    created: int | None = 0
    model: str | None = None
    choices: list[Choice]
    usage: ResponseUsage | None = None

    def characters(self) -> int:
        return sum(len(choice.message.content or "") for choice in self.choices)


class Delta(Record):
    role: str | None = None
    content: str | None = None
    tool_calls: list[Any] | None = None


class StreamChoice(Record):
    index: int = 0
    delta: Delta = Field(default_factory=Delta)
    finish_reason: str | None = None


class ModelResponseStream(Record):
    """One chunk of a streamed chat completion, in OpenAI's shape."""

    id: str | None = None
    object: str = "chat.completion.chunk"
    created: int | None = 0
    model: str | None = None
    choices: list[StreamChoice]
    usage: ResponseUsage | None = None
