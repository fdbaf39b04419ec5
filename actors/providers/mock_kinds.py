"""What a mock answers to the kinds of request beside chat completions. Pure.

A maker gives the answer and its usage, or None when such a mock answers no request of its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...messages.embeddings import EmbeddingResponse
from ...messages.outcomes import Usage
from ...messages.texts import each

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.requests import Request
    from ...messages.responses import Answer

__all__ = ["MAKERS", "Asked", "Made"]


class Asked(NamedTuple):
    """What an answer is made for."""

    request: Request
    input_tokens: int
    name: str
    model: str
    created: int


class Made(NamedTuple):
    """An answer, and what making it used; None when its own usage block says that."""

    answer: Answer
    usage: Usage | None


def _embedding(asked: Asked, mock: Any) -> Made | None:
    """One vector for every input, or a list of them, one for each."""
    if isinstance(mock, EmbeddingResponse):
        return Made(mock.model_copy(deep=True), None)
    if isinstance(mock, dict):
        return Made(EmbeddingResponse.model_validate({"model": asked.model, **mock}), None)
    if not isinstance(mock, (list, tuple)) or not mock:
        return None
    wanted = len(each(asked.request.input))  # type: ignore[attr-defined]
    vectors = mock if isinstance(mock[0], (list, tuple)) else [mock] * wanted
    if len(vectors) != wanted:
        msg = f"{len(vectors)} vectors for {wanted} inputs"
        raise ValueError(msg)
    return Made(embeddings(asked.model, vectors, asked.input_tokens), Usage(asked.input_tokens, 0))


def embeddings(model: str, vectors: Any, tokens: int) -> EmbeddingResponse:
    """An answer that holds these vectors."""
    data = [{"index": index, "embedding": list(vector)} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return EmbeddingResponse.model_validate({"data": data, "model": model, "usage": usage})


MAKERS: dict[str, Callable[[Asked, Any], Made | None]] = {
    "embedding": _embedding,
}
