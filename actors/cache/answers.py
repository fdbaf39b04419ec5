"""Answers as bytes, and back: whoever is given one from the cache is given their own.

JSON, since other processes read it, too, and since nothing that is read can run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...messages.caching import Kept
from ...messages.embeddings import EmbeddingResponse
from ...messages.joined import JoinedAnswer
from ...messages.responses import ModelResponse, ModelResponseStream
from ...messages.text_completions import TextCompletionResponse

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "CACHED_KINDS",
    "GarbageError",
    "joined_answer",
    "pack",
    "pack_answer",
    "pack_part",
    "unpack",
    "unpack_answer",
    "unpack_chunk",
]

_ANSWERS: dict[str, type[BaseModel]] = {
    "completion": ModelResponse,
    "embedding": EmbeddingResponse,
    "text_completion": TextCompletionResponse,
}
_CHUNKS: dict[str, type[BaseModel]] = {
    "completion": ModelResponseStream,
    "text_completion": TextCompletionResponse,
}

CACHED_KINDS = frozenset(_ANSWERS)
"""Kinds of request whose answers are cached; those of the others are files, or verdicts of the moment."""


class GarbageError(Exception):
    """What a store holds under a key is no answer to it."""


class _Envelope(msgspec.Struct, frozen=True):
    """An answer as a store holds it."""

    kind: str
    stream: bool
    group: str
    deployment_id: str
    at: float
    parts: list[msgspec.Raw]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Envelope).decode


def pack_answer(response: Any, source: Any) -> bytes:
    """A whole answer as JSON: the very bytes it came in, where they are at hand.

    Args:
        response: the answer.
        source: what it was made of (see `CallOutcome.source`); None when nobody has it.
    """
    if type(source) is bytes:
        return source
    if source is not None:
        try:  # no `suppress`, which costs as much as the rest
            return _encode(source)
        except (TypeError, ValueError):
            pass  # tools of the user's own classes, for one
    return pack_part(response)


def pack_part(value: Any) -> bytes:
    """One answer, or one chunk, as JSON: all that was set, and no more."""
    text: bytes = value.__pydantic_serializer__.to_json(value, exclude_unset=True)
    return text


def unpack_answer(kept: Kept) -> Any:
    """A whole answer."""
    return _ANSWERS[kept.kind].model_validate_json(kept.parts[0])


def unpack_chunk(kind: str, part: bytes) -> Any:
    """One chunk of a stream."""
    return _CHUNKS[kind].model_validate_json(part)


def joined_answer(kept: Kept) -> Any:
    """A stream as a whole answer, for callbacks."""
    joined = JoinedAnswer()
    for part in kept.parts:
        joined.add(unpack_chunk(kept.kind, part))
    return joined.response(None, "cached")


def pack(kept: Kept) -> bytes:
    """What a store is given to hold."""
    parts = [msgspec.Raw(part) for part in kept.parts]
    return _encode(_Envelope(kept.kind, kept.stream, kept.group, kept.deployment_id, kept.at, parts))


def unpack(data: bytes) -> Kept:
    """What a store held, looked at to the last part: it may come from anyone.

    Raises:
        GarbageError: it is no answer.
    """
    try:
        envelope = _decode(data)
        kept = Kept(
            envelope.kind,
            envelope.stream,
            envelope.group,
            envelope.deployment_id,
            envelope.at,
            tuple(bytes(part) for part in envelope.parts),
        )
        if kept.stream:
            for part in kept.parts:
                unpack_chunk(kept.kind, part)
        else:
            unpack_answer(kept)
    except (msgspec.MsgspecError, ValueError, LookupError) as error:
        raise GarbageError(type(error).__name__) from None
    return kept
