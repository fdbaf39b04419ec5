"""Chat completions, whole and streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError

from ...messages.responses import ModelResponse, ModelResponseStream
from . import glance
from .address import CHAT
from .failures import unusable
from .openai import EventStream, OpenAICodec, json_or_none, set_stream, what_is_wrong
from .usage import usage_of
from .wire import Decoded

if TYPE_CHECKING:
    from ...messages.commands import Call

__all__ = ["ChatCodec", "ChatStream"]

_parse_response = ModelResponse.model_validate_json


class ChatCodec(OpenAICodec):
    """Chat completions of one deployment."""

    PATH: ClassVar[str] = CHAT

    def adapt(self, params: dict[str, Any], call: Call) -> None:
        set_stream(params, stream=call.stream, asks_usage=self.asks_usage)

    def decode(self, body: bytes, call: Call, kind: str = "") -> Decoded:
        try:
            response: ModelResponse | None = _parse_response(body)
        except ValidationError:
            response = None  # gone before anything is raised: its text quotes the answer
        source: bytes | None = body
        if response is None:
            response, source = self._salvaged(body, call), None
        if not response.choices:
            raise self.complained(body, call) or unusable(self.deployment, "200 without choices")
        return Decoded(response, None if response.usage is None else usage_of(response.usage), source)

    def _salvaged(self, body: bytes, call: Call) -> ModelResponse:
        """An answer that lacks no more than its id; anything else is an error."""
        value = json_or_none(body)
        if isinstance(value, dict) and isinstance(value.get("choices"), list) and value.get("id") is None:
            try:
                return ModelResponse.model_validate({**value, "id": call.call_id})
            except ValidationError:
                pass  # what is wrong with it is said below
        what = what_is_wrong(body, value, "choices")
        raise self.complained(body, call) or unusable(self.deployment, what)

    def stream(self, call: Call) -> ChatStream:
        return ChatStream(self.deployment, call, show_usage=self.shows_usage(call))


class ChatStream(EventStream):
    """One streamed chat completion."""

    __slots__ = ()

    CHUNK = ModelResponseStream
    GLANCE = glance.CHAT

    def has_content(self, chunk: ModelResponseStream) -> bool:
        """Whether there is more in it than a role: text, tool calls, a refusal, reasoning, the end."""
        for choice in chunk.choices:
            delta = choice.delta
            if delta.content or delta.tool_calls or choice.finish_reason is not None:
                return True
            extra = delta.__pydantic_extra__
            if extra and any(extra.values()):
                return True
        return False
