"""Embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ...messages.embeddings import EmbeddingResponse
from ...messages.texts import each
from .failures import unusable
from .openai import DocumentCodec
from .usage import usage_of

if TYPE_CHECKING:
    from ...messages.commands import Call
    from ...messages.outcomes import Usage

__all__ = ["EmbeddingCodec"]

MAX_EMBEDDINGS_BYTES = 256 * 1024 * 1024
"""Of one answer: 2048 vectors of 3072 numbers are 140 MB."""


class EmbeddingCodec(DocumentCodec):
    """Embeddings of one deployment."""

    PATH: ClassVar[str] = "/embeddings"
    MEMBER: ClassVar[str] = "data"
    ANSWER = EmbeddingResponse

    max_body = MAX_EMBEDDINGS_BYTES

    def check(self, response: EmbeddingResponse, call: Call) -> None:
        wanted, got = len(each(call.request.input)), len(response.data)  # type: ignore[attr-defined]
        if got != wanted:
            raise unusable(self.deployment, f"200 with {got} embeddings for {wanted} inputs")
        response.data.sort(key=_index)

    def usage(self, response: EmbeddingResponse, call: Call) -> Usage | None:
        return None if response.usage is None else usage_of(response.usage)


def _index(item: Any) -> int:
    index: int = item.index
    return index
