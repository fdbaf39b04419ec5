"""OpenAI's other endpoints, written: what a model says to each kind of request. Pure."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .wire import CHARS_PER_TOKEN, BadRequest, number, words_about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["KINDS", "PATHS", "Reply"]

MAX_INPUTS = 2048
"""Of one embedding request, as OpenAI has it."""

MAX_DIMENSIONS = 4096
MAX_IMAGES = 10
AUDIO_BYTES_PER_WORD = 400
SECONDS_PER_BYTE = 1 / 16_000
PIXEL = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    )
).decode()
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
    "self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence",
    "violence/graphic",
)  # fmt: skip
VIOLENT = "kill"
"""A text with this word in it is flagged."""

AUDIO = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
}

PATHS = {
    "text_completion": "/completions",
    "embedding": "/embeddings",
    "image_generation": "/images/generations",
    "transcription": "/audio/transcriptions",
    "speech": "/audio/speech",
    "moderation": "/moderations",
}

Json = dict[str, Any]


@frozen
class Reply:
    """What a model says: as a whole, and in the parts in which it is streamed.

    `content` is given the answer's name and time; `parts` is empty for what is never streamed.
    """

    content: Callable[[str, int], Json | bytes]
    kind: str = "application/json"
    parts: Callable[[str, int], list[bytes]] | None = None


def _prompts(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        msg = "a text, or a non-empty list of texts or tokens, is missing"
        raise BadRequest(msg)
    return [value] if type(value[0]) is int else value


def _tokens(item: Any) -> int:
    return -(-len(item) // CHARS_PER_TOKEN) if isinstance(item, str) else len(item)


def _usage(prompt: int, completion: int | None = None) -> Json:
    if completion is None:
        return {"prompt_tokens": prompt, "total_tokens": prompt}
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


# -- text completions


def text_completion(body: Mapping[str, Any], model: str, length: int) -> Reply:
    """It repeats each prompt, in `length` words."""
    prompts = _prompts(body.get("prompt"))
    most = number(body, "max_tokens", length)
    said = [words_about(model, item if isinstance(item, str) else str(item), length) for item in prompts]
    reason = "stop" if max(map(len, said)) <= most else "length"
    said = [words[:most] for words in said]
    usage = _usage(sum(map(_tokens, prompts)), sum(map(len, said)))

    def head(name: str, created: int) -> Json:
        return {"id": f"cmpl-{name}", "object": "text_completion", "created": created, "model": model}

    def whole(name: str, created: int) -> Json:
        choices = [_choice(index, " ".join(words), reason) for index, words in enumerate(said)]
        return {**head(name, created), "choices": choices, "usage": usage}

    def parts(name: str, created: int) -> list[bytes]:
        documents = [{**head(name, created), "choices": [choice]} for choice in _word_by_word(said, reason)]
        if (body.get("stream_options") or {}).get("include_usage"):
            documents.append({**head(name, created), "choices": [], "usage": usage})
        return [*(b"data: %s\n\n" % json.dumps(one).encode() for one in documents), b"data: [DONE]\n\n"]

    return Reply(whole, parts=parts if body.get("stream") else None)


def _choice(index: int, text: str, reason: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def _word_by_word(said: list[tuple[str, ...]], reason: str) -> Iterator[Json]:
    for index, words in enumerate(said):
        for position, word in enumerate(words):
            yield _choice(index, word if position == 0 else f" {word}", None)
        yield _choice(index, "", reason)


# -- embeddings


def embedding(body: Mapping[str, Any], model: str, _length: int) -> Reply:
    """A vector for each input, the same for the same input."""
    inputs = _prompts(body.get("input"))
    if len(inputs) > MAX_INPUTS:
        msg = f"'input' must have at most {MAX_INPUTS} items"
        raise BadRequest(msg)
    dimensions = number(body, "dimensions", 8, MAX_DIMENSIONS)
    packed = body.get("encoding_format") == "base64"
    vectors = [vector(item, dimensions) for item in inputs]
    rows = [
        {"object": "embedding", "index": index, "embedding": _packed(row) if packed else row}
        for index, row in enumerate(vectors)
    ]
    usage = _usage(sum(map(_tokens, inputs)))
    document = {"object": "list", "data": rows, "model": model, "usage": usage}
    return Reply(lambda _name, _created: document)


def vector(item: Any, dimensions: int) -> list[float]:
    """Numbers from -1 to 1 that an input always has and few others have."""
    seed = json.dumps(item).encode()
    numbers = (zlib.crc32(seed, index) / 2**31 - 1 for index in range(dimensions))
    return [struct.unpack("f", struct.pack("f", one))[0] for one in numbers]


def _packed(row: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


# -- images


def image_generation(body: Mapping[str, Any], model: str, _length: int) -> Reply:
    """One pixel each, in the answer or behind an address that leads nowhere."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        msg = "'prompt' must be a text"
        raise BadRequest(msg)
    count = number(body, "n", 1, MAX_IMAGES)
    in_tokens = model.startswith("gpt-image")
    packed = in_tokens or body.get("response_format") == "b64_json"

    def whole(name: str, created: int) -> Json:
        images = [
            {"b64_json": PIXEL} if packed else {"url": f"https://images.invalid/{name}-{index}.png"}
            for index in range(count)
        ]
        document: Json = {"created": created, "data": images}
        if in_tokens:
            given, made = _tokens(prompt), 100 * count
            details = {"text_tokens": given, "image_tokens": 0}
            document["usage"] = {
                "input_tokens": given,
                "output_tokens": made,
                "total_tokens": given + made,
                "input_tokens_details": details,
            }
        return document

    return Reply(whole)


# -- audio


def transcription(body: Mapping[str, Any], model: str, _length: int) -> Reply:
    """It tells the file's name and size, which is all it has heard."""
    if "file_bytes" not in body:
        msg = "'file' is missing"
        raise BadRequest(msg)
    size = body["file_bytes"]
    text = f"This is {model}. I heard {size} bytes of {body['file_name']}."
    wanted = body.get("response_format", "json")
    seconds = max(1, round(size * SECONDS_PER_BYTE))
    if wanted in ("text", "srt", "vtt"):
        return Reply(lambda _name, _created: f"{text}\n".encode(), "text/plain; charset=utf-8")
    document: Json = {"text": text, "usage": {"type": "duration", "seconds": seconds}}
    if wanted == "verbose_json":
        document |= {"task": "transcribe", "language": "english", "duration": float(seconds), "segments": []}
    return Reply(lambda _name, _created: document)


def speech(body: Mapping[str, Any], _model: str, length: int) -> Reply:
    """Bytes that are no sound, some hundred for every word; always streamed."""
    for name in ("input", "voice"):
        if not body.get(name):
            msg = f"'{name}' is missing"
            raise BadRequest(msg)
    wanted = body.get("response_format", "mp3")
    if wanted not in AUDIO:
        msg = f"'response_format' must be one of {', '.join(AUDIO)}"
        raise BadRequest(msg)
    noise = f"{wanted}:{body['voice']}:{body['input']}|".encode()
    piece = (noise * (AUDIO_BYTES_PER_WORD // len(noise) + 1))[:AUDIO_BYTES_PER_WORD]
    return Reply(
        lambda _name, _created: piece * length, AUDIO[wanted], lambda _name, _created: [piece] * length
    )


# -- moderations


def moderation(body: Mapping[str, Any], model: str, _length: int) -> Reply:
    """A text with a certain word in it is flagged."""
    results = [_judged(item) for item in _prompts(body.get("input"))]
    return Reply(lambda name, _created: {"id": f"modr-{name}", "model": model, "results": results})


def _judged(item: Any) -> Json:
    text = item.get("text", "") if isinstance(item, dict) else str(item)
    violent = VIOLENT in text
    flags = {name: violent and name == "violence" for name in CATEGORIES}
    return {
        "flagged": violent,
        "categories": flags,
        "category_scores": {name: 0.9 if flag else 0.01 for name, flag in flags.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


KINDS: dict[str, Callable[[Mapping[str, Any], str, int], Reply]] = {
    "text_completion": text_completion,
    "embedding": embedding,
    "image_generation": image_generation,
    "transcription": transcription,
    "speech": speech,
    "moderation": moderation,
}
