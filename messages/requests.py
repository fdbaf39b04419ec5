"""What a caller asks for. Validated here, at the edge, and nowhere else.

A request has two kinds of field. *Routing* fields steer Turnout and stay here; everything else is
a *wire* parameter and is passed to the provider as it was given, known to us or not.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

from .caching import CacheControls, parse_controls
from .errors import BadRequestError
from .outcomes import Demand
from .prompt_size import chat_size, estimate
from .wishes import check_metadata, check_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CompletionRequest", "Request", "Switch", "WholeRequest"]

MAX_PRIORITY = 255


def _messages(value: Any) -> Any:
    """A non-empty list of role-bearing dicts. The dicts themselves are neither copied nor read."""
    if not isinstance(value, (list, tuple)) or not value:
        msg = "must be a non-empty list of messages"
        raise ValueError(msg)
    for position, message in enumerate(value):
        if isinstance(message, BaseModel):
            return [m.model_dump(exclude_none=True) if isinstance(m, BaseModel) else m for m in value]
        if not isinstance(message, dict):
            msg = f"message {position} must be a dict with 'role' and 'content', not {type(message).__name__}"
            raise ValueError(msg)
        if not isinstance(message.get("role"), str):
            msg = f"message {position} has no 'role'"
            raise ValueError(msg)
    return value


def _hedge_after(value: Any) -> Any:
    """Seconds above 0, or a percentile from "p1" to "p99"."""
    if isinstance(value, str) and re.fullmatch("p[1-9][0-9]?", value):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    msg = 'must be a number of seconds above 0, or a percentile such as "p95"'
    raise ValueError(msg)


def _switch(value: Any) -> Any:
    """None is how many programs say that they do not set it."""
    return False if value is None else value


def _cache_controls(value: Any) -> CacheControls | None:
    return None if value is None else parse_controls(value)


HedgeAfter = Annotated[float | str, PlainValidator(_hedge_after)]
Messages = Annotated[Any, BeforeValidator(_messages)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Fallback = str | dict[str, Any]


class Request(BaseModel):
    """What every kind of request has in common: the model asked for, and the routing fields.

    Raises:
        BadRequestError: when a field is wrong; it names the field and what is allowed.
    """

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, protected_namespaces=())

    KIND: ClassVar[str]
    ROUTING: ClassVar[frozenset[str]]

    model: str = Field(min_length=1)

    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    stream_timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    num_retries: int | None = Field(default=None, ge=0)
    fallbacks: list[Fallback] | list[dict[str, list[Fallback]]] | None = None
    context_window_fallbacks: list[Fallback] | list[dict[str, list[Fallback]]] | None = None
    content_policy_fallbacks: list[Fallback] | list[dict[str, list[Fallback]]] | None = None
    context_window_fallback_dict: dict[str, Any] | None = None
    disable_fallbacks: Switch = False
    priority: int | None = Field(default=None, ge=0, le=MAX_PRIORITY)
    routing_strategy: str | None = None
    tags: Annotated[list[str] | None, BeforeValidator(check_tags)] = None
    metadata: Annotated[dict[str, Any] | None, BeforeValidator(check_metadata)] = None
    allowed_model_region: str | None = Field(default=None, min_length=1, max_length=64)
    drop_params: bool | None = None
    session_id: str | None = Field(default=None, min_length=1)
    max_parallel_requests: int | None = Field(default=None, ge=1)
    cache: Annotated[CacheControls | None, PlainValidator(_cache_controls)] = None
    caching: bool | None = None
    hedge_after: HedgeAfter | None = None

    mock_response: Any = None
    mock_delay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    mock_timeout: bool | None = None
    mock_tool_calls: list[Any] | None = None
    mock_testing_fallbacks: Switch = False
    mock_testing_context_fallbacks: Switch = False
    mock_testing_content_policy_fallbacks: Switch = False
    mock_testing_rate_limit_error: Switch = False

    def __init__(self, **data: Any) -> None:
        try:  # what BaseModel does, without the way there
            self.__pydantic_validator__.validate_python(data, self_instance=self)
        except ValidationError as error:
            raise BadRequestError(_describe(type(self).__name__, error)) from None

    def demand(self) -> Demand:
        """What this request is expected to use."""
        return Demand(0)

    def overridden(self, overrides: Mapping[str, Any]) -> Self:
        """The same request with some fields replaced, validated again."""
        given = {name: self.__dict__[name] for name in self.__pydantic_fields_set__ if name in self.__dict__}
        return type(self)(**{**given, **(self.__pydantic_extra__ or {}), **overrides})

    def wire_params(self) -> dict[str, Any]:
        """Everything that goes to the provider, without `model`; a new dict, its values shared."""
        params = dict(self.__pydantic_extra__ or ())
        routing = self.ROUTING
        values = self.__dict__
        for name in self.__pydantic_fields_set__:
            if name not in routing and name in values:
                params[name] = values[name]
        return params


def _not_streamed(value: Any) -> bool:
    if value:
        msg = "an answer of this kind comes in one piece; leave it out"
        raise ValueError(msg)
    return False


class WholeRequest(Request):
    """What the kinds of request have in common whose answers come in one piece."""

    stream: Annotated[bool, PlainValidator(_not_streamed)] = False


class CompletionRequest(Request):
    """A chat completion. `router.ask(CompletionRequest(model="gpt-4", messages=[...]))`.

    `messages` holds OpenAI-shaped dicts. `stream=True` makes the answer an iterator of chunks.
    Any other keyword (`temperature`, `tools`, `response_format`, ...) reaches the provider as given.
    """

    KIND: ClassVar[str] = "completion"

    messages: Messages
    stream: Switch = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1)

    def demand(self) -> Demand:
        """The prompt's estimated tokens, and the most it may answer (for all `n` answers)."""
        most = self.max_completion_tokens or self.max_tokens
        if most is not None and self.n is not None:
            most *= self.n
        extra = self.__pydantic_extra__ or {}
        size = chat_size(self.messages, extra.get("tools") or extra.get("functions"))
        return Demand(estimate(size), most, size.text_bytes, size.fixed_tokens)


Request.ROUTING = frozenset(Request.model_fields)
WholeRequest.ROUTING = frozenset(WholeRequest.model_fields)


def _describe(what: str, error: ValidationError) -> str:
    """One line for the first thing that is wrong, without the value (it may be a prompt)."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    first = problems[0]
    path = ".".join(str(part) for part in first["loc"]) or what
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{what}.{path}: {first['msg'].removeprefix('Value error, ')}{more}"
