"""What a mock answers to the kinds of request beside chat completions. Pure.

A maker gives the answer and its usage, or None when such a mock answers no request of its kind.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from ...messages.audio import SpeechResponse, TranscriptionResponse
from ...messages.embeddings import EmbeddingResponse
from ...messages.images import ImageResponse
from ...messages.moderations import ModerationResponse
from ...messages.outcomes import Usage
from ...messages.prompt_size import PromptSize, bytes_of, estimate
from ...messages.text_completions import TextCompletionResponse
from ...messages.texts import each
from .images import usage_of_images
from .usage import usage_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...messages.requests import Request
    from ...messages.responses import Answer

__all__ = ["CHUNKERS", "MAKERS", "Asked", "Made", "words_of"]


PIECE_BYTES = 4096
"""Of sound in a mock's stream."""


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


def _text_completion(asked: Asked, mock: Any) -> Made | None:
    """The same text for every prompt."""
    if isinstance(mock, TextCompletionResponse):
        return Made(mock.model_copy(deep=True), None)
    head = {"id": f"cmpl-{asked.name}", "created": asked.created, "model": asked.model}
    if isinstance(mock, dict):
        return Made(TextCompletionResponse.model_validate({**head, **mock}), None)
    if not isinstance(mock, str):
        return None
    count = len(each(asked.request.prompt)) * (getattr(asked.request, "n", None) or 1)  # type: ignore[attr-defined]
    choices = [{"index": index, "text": mock, "finish_reason": "stop"} for index in range(count)]
    used = Usage(asked.input_tokens, count * estimate(PromptSize(bytes_of(mock))))
    usage = {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
    }
    return Made(TextCompletionResponse.model_validate({**head, "choices": choices, "usage": usage}), used)


def _text_chunks(answer: TextCompletionResponse, *, show_usage: bool) -> Iterator[TextCompletionResponse]:
    """The chunks of an answer: word by word, then the end."""
    head = {"id": answer.id, "created": answer.created, "model": answer.model}

    def chunk(index: int, text: str, finish: str | None = None) -> TextCompletionResponse:
        choice = {"index": index, "text": text, "finish_reason": finish}
        return TextCompletionResponse.model_validate({**head, "choices": [choice]})

    for choice in answer.choices:
        for word in words_of(choice.text):
            yield chunk(choice.index, word)
        yield chunk(choice.index, "", choice.finish_reason or "stop")
    if show_usage and answer.usage is not None:
        told: dict[str, Any] = {**head, "choices": [], "usage": answer.usage.model_dump()}
        yield TextCompletionResponse.model_validate(told)


def words_of(text: str) -> list[str]:
    """The words of a text, each with the space before it; joined they are the text."""
    if not text:
        return []
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def _image_generation(asked: Asked, mock: Any) -> Made | None:
    """An address, or bytes that are handed on in base64."""
    if isinstance(mock, ImageResponse):
        answer = mock.model_copy(deep=True)
    elif isinstance(mock, dict):
        answer = ImageResponse.model_validate({"created": asked.created, **mock})
    elif isinstance(mock, (str, bytes)):
        image = {"url": mock} if isinstance(mock, str) else {"b64_json": b64encode(mock).decode()}
        count = getattr(asked.request, "n", None) or 1
        answer = ImageResponse.model_validate({"created": asked.created, "data": [image] * count})
    else:
        return None
    return Made(answer, usage_of_images(answer))


def _transcription(_asked: Asked, mock: Any) -> Made | None:
    """A text."""
    if isinstance(mock, TranscriptionResponse):
        answer = mock.model_copy(deep=True)
    elif isinstance(mock, (str, dict)):
        answer = TranscriptionResponse.model_validate({"text": mock} if isinstance(mock, str) else mock)
    else:
        return None
    if answer.usage is not None:
        return Made(answer, usage_from(answer.usage))
    return Made(answer, Usage(0, estimate(PromptSize(bytes_of(answer.text)))))


def _speech(asked: Asked, mock: Any) -> Made | None:
    """Bytes."""
    if not isinstance(mock, (bytes, bytearray)):
        return None
    kind = getattr(mock, "content_type", "audio/mpeg")
    used = Usage(characters=len(asked.request.input))  # type: ignore[attr-defined]
    return Made(SpeechResponse(bytes(mock), kind), used)


def _sound_pieces(answer: SpeechResponse, *, show_usage: bool) -> Iterator[bytes]:  # noqa: ARG001
    """As a connection would hand it on."""
    return answer.iter_bytes(PIECE_BYTES)


def _moderation(asked: Asked, mock: Any) -> Made | None:
    """True: every input is flagged; False: none is."""
    if isinstance(mock, ModerationResponse):
        return Made(mock.model_copy(deep=True), Usage(asked.input_tokens, 0))
    head = {"id": f"modr-{asked.name}", "model": asked.model}
    if isinstance(mock, bool):
        given: Any = asked.request.input  # type: ignore[attr-defined]
        parts = isinstance(given, str) or isinstance(given[0], dict)
        verdict: dict[str, Any] = {"flagged": mock, "categories": {}, "category_scores": {}}
        mock = {"results": [verdict] * (1 if parts else len(given))}
    if not isinstance(mock, dict):
        return None
    return Made(ModerationResponse.model_validate({**head, **mock}), Usage(asked.input_tokens, 0))


MAKERS: dict[str, Callable[[Asked, Any], Made | None]] = {
    "embedding": _embedding,
    "image_generation": _image_generation,
    "moderation": _moderation,
    "speech": _speech,
    "text_completion": _text_completion,
    "transcription": _transcription,
}

CHUNKERS: dict[str, Callable[..., Iterator[Any]]] = {
    "speech": _sound_pieces,
    "text_completion": _text_chunks,
}
"""How the answers of the kinds that are streamed come apart."""
