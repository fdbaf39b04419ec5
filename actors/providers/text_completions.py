"""Text completions, whole and streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ...messages.text_completions import TextCompletionResponse
from . import glance
from .failures import unusable
from .openai import DocumentCodec, EventStream, set_stream
from .usage import usage_of

if TYPE_CHECKING:
    from ...messages.commands import Call
    from ...messages.outcomes import Usage

__all__ = ["TextCompletionCodec", "TextStream"]


class TextCompletionCodec(DocumentCodec):
    """Text completions of one deployment."""

    PATH: ClassVar[str] = "/completions"
    MEMBER: ClassVar[str] = "choices"
    ANSWER = TextCompletionResponse

    def adapt(self, params: dict[str, Any], call: Call) -> None:
        set_stream(params, stream=call.stream, asks_usage=self.asks_usage)

    def check(self, response: TextCompletionResponse, call: Call) -> None:
        if not response.choices:
            raise unusable(self.deployment, "200 without choices")
        if response.id is None:
            response.id = call.call_id

    def usage(self, response: TextCompletionResponse, call: Call) -> Usage | None:
        return None if response.usage is None else usage_of(response.usage)

    def stream(self, call: Call) -> TextStream:
        return TextStream(self.deployment, call, show_usage=self.shows_usage(call))


class TextStream(EventStream):
    """One streamed text completion."""

    __slots__ = ()

    CHUNK = TextCompletionResponse
    GLANCE = glance.TEXT

    def has_content(self, chunk: TextCompletionResponse) -> bool:
        """Whether there is text in it, or an end."""
        return any(choice.text or choice.finish_reason is not None for choice in chunk.choices)
