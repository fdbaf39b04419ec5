"""A streamed answer put together again, as it comes, for those who are told of it at its end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .responses import ModelResponse

if TYPE_CHECKING:
    from .outcomes import Usage

__all__ = ["MAX_JOINED_CHARS", "MAX_JOINED_CHOICES", "MAX_JOINED_TOOL_CALLS", "JoinedAnswer"]

MAX_JOINED_CHARS = 8 * 1024 * 1024
"""Of one answer; what comes after is not kept, and the answer is marked `truncated`."""

MAX_JOINED_CHOICES = 128
MAX_JOINED_TOOL_CALLS = 128


class _Choice:
    __slots__ = ("finish_reason", "plain", "role", "text", "tool_calls")

    def __init__(self) -> None:
        self.role = "assistant"
        self.plain = False  # of a text completion, which has no messages
        self.text: list[str] = []
        self.tool_calls: dict[int, dict[str, Any]] = {}
        self.finish_reason: str | None = None


class JoinedAnswer:
    """Takes chunks, keeps their text, gives the whole answer."""

    __slots__ = ("_choices", "_first", "_left", "_truncated", "_usage")

    def __init__(self) -> None:
        self._first: Any = None
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None
        self._left = MAX_JOINED_CHARS
        self._truncated = False

    def add(self, chunk: Any) -> None:
        """Take a chunk: of a chat, or of a text completion. Others (a sound's bytes) are passed over."""
        if not hasattr(chunk, "choices"):
            return
        if self._first is None:
            self._first = chunk
        if chunk.usage is not None:
            self._usage = chunk.usage
        for part in chunk.choices:
            choice = self._choices.get(part.index)
            if choice is None:
                if len(self._choices) >= MAX_JOINED_CHOICES:
                    self._truncated = True
                    continue
                choice = self._choices[part.index] = _Choice()
            self._join(choice, part)

    def _join(self, choice: _Choice, part: Any) -> None:
        if part.finish_reason is not None:
            choice.finish_reason = part.finish_reason
        delta = getattr(part, "delta", None)
        if delta is None:
            choice.plain = True
            if part.text and self._fits(part.text):
                choice.text.append(part.text)
            return
        if delta.role:
            choice.role = delta.role
        if delta.content and self._fits(delta.content):
            choice.text.append(delta.content)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._join_tool_call(choice, call)

    def _fits(self, text: str) -> bool:
        self._left -= len(text)
        if self._left < 0:
            self._truncated = True
            return False
        return True

    def _join_tool_call(self, choice: _Choice, call: Any) -> None:
        if not isinstance(call, dict):
            return
        index = call.get("index")
        index = index if isinstance(index, int) else len(choice.tool_calls)
        known = choice.tool_calls.get(index)
        if known is None:
            if len(choice.tool_calls) >= MAX_JOINED_TOOL_CALLS:
                self._truncated = True
                return
            known = choice.tool_calls[index] = {
                "id": None,
                "type": "function",
                "function": {"name": "", "arguments": []},
            }
        for name in ("id", "type"):
            if call.get(name):
                known[name] = call[name]
        function = call.get("function")
        if isinstance(function, dict):
            if function.get("name"):
                known["function"]["name"] = function["name"]
            piece = function.get("arguments")
            if isinstance(piece, str) and piece and self._fits(piece):
                known["function"]["arguments"].append(piece)

    def response(self, usage: Usage | None, call_id: str) -> ModelResponse:
        """What has come so far as one answer; `usage` is what the call was settled with."""
        first = self._first
        made = {
            "id": (first.id if first is not None else None) or f"chatcmpl-{call_id}",
            "created": 0 if first is None else first.created,
            "model": None if first is None else first.model,
            "choices": [_whole(index, choice) for index, choice in sorted(self._choices.items())],
            "usage": _usage(usage) if self._usage is None else self._usage,
        }
        if self._truncated:
            made["truncated"] = True
        return ModelResponse.model_validate(made)


def _whole(index: int, choice: _Choice) -> dict[str, Any]:
    calls = [
        {**call, "function": {**call["function"], "arguments": "".join(call["function"]["arguments"])}}
        for _, call in sorted(choice.tool_calls.items())
    ]
    text = "".join(choice.text)
    message = {
        "role": choice.role,
        "content": text if text or not calls else None,
        "tool_calls": calls or None,
    }
    whole = {"index": index, "message": message, "finish_reason": choice.finish_reason}
    return {**whole, "text": text} if choice.plain else whole


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
