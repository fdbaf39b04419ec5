"""The beginnings of a prompt, as numbers: two prompts that begin alike share some of them.

Providers keep what they made of a prompt's beginning for a while, if it is long enough (1,024 tokens
with most), and charge a fraction for it when the next prompt begins the same. The numbers say nothing
of the prompt.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .requests import Request

__all__ = ["MAX_PREFIX_BYTES", "MIN_PREFIX_BYTES", "prefixes_of"]

MIN_PREFIX_BYTES = 4096
"""The shortest beginning that is looked at: about 1,024 tokens. The next is twice as long, and so on."""

MAX_PREFIX_BYTES = 262_144
"""The longest."""


def prefixes_of(request: Request) -> tuple[int, ...]:
    """A number for the first 4 KiB of the prompt, 8 KiB, 16 KiB, ...; the longest first.

    The prompt is its tools and then its messages, in the order in which a provider reads them.
    """
    digest = hashlib.blake2b(digest_size=8)
    numbers: list[int] = []
    boundary, size = MIN_PREFIX_BYTES, 0
    for part in _parts(request):
        rest = memoryview(part)
        while size + len(rest) >= boundary:
            digest.update(rest[: boundary - size])
            rest = rest[boundary - size :]
            size = boundary
            numbers.append(int.from_bytes(digest.copy().digest(), "big"))
            boundary *= 2
            if boundary > MAX_PREFIX_BYTES:
                return tuple(reversed(numbers))
        digest.update(rest)
        size += len(rest)
    return tuple(reversed(numbers))


def _parts(request: Request) -> Iterator[bytes]:
    tools = (request.__pydantic_extra__ or {}).get("tools")
    if tools:
        yield _plain(tools)
    for message in getattr(request, "messages", None) or ():
        content = message.get("content")
        yield message["role"].encode("utf-8", "replace") + b"\0"
        if isinstance(content, str):
            yield content.encode("utf-8", "replace")
        elif content is not None:
            yield _plain(content)
        if message.get("tool_calls"):
            yield _plain(message["tool_calls"])
        yield b"\0"


def _plain(value: Any) -> bytes:
    """JSON; what is none says nothing."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return b""


_encode = msgspec.json.Encoder(order="deterministic", enc_hook=lambda value: type(value).__qualname__).encode
