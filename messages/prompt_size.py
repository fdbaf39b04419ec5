"""How large a prompt is, without counting a token: bytes of text, and what does not depend on them. Pure.

Nothing is encoded for plain ASCII, and nothing is read twice.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import msgspec

from .values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BYTES_PER_TOKEN",
    "IMAGE_TOKENS",
    "LOW_DETAIL_TOKENS",
    "TOKENS_PER_MESSAGE",
    "PromptSize",
    "bytes_of",
    "chat_size",
    "estimate",
    "message_texts",
    "tools_text",
]

BYTES_PER_TOKEN = 4
"""Of English text, roughly, until a deployment has told what its prompts really cost."""

TOKENS_PER_MESSAGE = 4
"""What a chat format adds to each message."""

IMAGE_TOKENS = 765
"""An image of 1024 × 1024 in high detail: what OpenAI says it costs."""

LOW_DETAIL_TOKENS = 85
"""One in low detail."""

_IMAGES = frozenset({"image", "image_url", "input_image"})


class PromptSize(Value, frozen=True):
    """UTF-8 bytes of text, and tokens of all the rest: the frame of each message, and images."""

    text_bytes: int = 0
    fixed_tokens: int = 0


def chat_size(messages: Iterable[dict[str, Any]], tools: Any = None) -> PromptSize:
    """The size of a chat with the tools it offers."""
    text_bytes = fixed = 0
    for message in messages:
        fixed += TOKENS_PER_MESSAGE
        content = message.get("content")
        if type(content) is str:
            text_bytes += bytes_of(content)
        elif isinstance(content, list):
            parts = [part for part in content if isinstance(part, dict)]
            text_bytes += sum(bytes_of(text) for part in parts if isinstance(text := part.get("text"), str))
            fixed += sum(_image(part) for part in parts if part.get("type") in _IMAGES)
        calls = message.get("tool_calls")
        if calls:
            text_bytes += len(_json(calls))
    return PromptSize(text_bytes + (len(_json(tools)) if tools else 0), fixed)


def estimate(size: PromptSize, tokens_per_byte: float | None = None) -> int:
    """About how many tokens it is."""
    if tokens_per_byte is None:
        return size.fixed_tokens - (-size.text_bytes // BYTES_PER_TOKEN)
    return size.fixed_tokens + ceil(size.text_bytes * tokens_per_byte)


def message_texts(messages: Iterable[dict[str, Any]]) -> Iterable[str]:
    """All texts whose bytes `chat_size` counts."""
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, dict) and isinstance(part.get("text"), str):
                    yield part["text"]
        if message.get("tool_calls"):
            yield _json(message["tool_calls"]).decode()


def tools_text(tools: Any) -> str:
    """Tools as a text of the length they have."""
    return _json(tools).decode() if tools else ""


def bytes_of(text: str) -> int:
    """UTF-8 bytes of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _image(part: dict[str, Any]) -> int:
    url = part.get("image_url")
    low = part.get("detail") == "low" or (isinstance(url, dict) and url.get("detail") == "low")
    return LOW_DETAIL_TOKENS if low else IMAGE_TOKENS


def _json(value: Any) -> bytes:
    """What is no JSON will be refused by whoever sends it."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b""


_encode = msgspec.json.Encoder(enc_hook=lambda value: type(value).__qualname__).encode
