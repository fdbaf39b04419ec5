"""The smallest request that shows whether a deployment answers, by its mode. Pure.

A mode that is not in the table cannot be checked: a picture is no small request.
"""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING, NamedTuple

from ...messages.audio import SpeechRequest, TranscriptionRequest
from ...messages.embeddings import EmbeddingRequest
from ...messages.moderations import ModerationRequest
from ...messages.requests import CompletionRequest
from ...messages.text_completions import TextCompletionRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.deployment import Deployment
    from ...messages.requests import Request

__all__ = ["Minimal", "minimal_request"]

TEXT = "Hi"

SILENCE_SECONDS = 0.5
"""Of the recording that is sent; OpenAI refuses one below 0.1."""

VOICE = "alloy"
"""Where `model_info.health_check_voice` names no other."""

_FRAMES_A_SECOND = 8000

_THINKERS = ("o1", "o3", "o4", "gpt-5")
"""Models that count what they think as output, and so call the limit by another name."""


class Minimal(NamedTuple):
    """A request to check a deployment with; without one, why there is none.

    `wildcard` takes the place of the `*` in the deployment's model.
    """

    request: Request | None = None
    wildcard: str | None = None
    why_not: str = ""


def minimal_request(deployment: Deployment) -> Minimal:
    """The request that checks this deployment."""
    model, wildcard = deployment.model, None
    if "*" in model:
        model = str(deployment.model_info.get("health_check_model") or "")
        wildcard = _captured(deployment, model)
        if wildcard is None:
            return Minimal(why_not="its model is a wildcard: name one in model_info.health_check_model")
    make = _BY_MODE.get(deployment.mode)
    if make is None:
        return Minimal(why_not=f"there is no small request for mode {deployment.mode}")
    return Minimal(make(deployment, model), wildcard)


def _captured(deployment: Deployment, model: str) -> str | None:
    """What the `*` stands for in `model`, which may be written with its provider."""
    head, _, tail = deployment.model.partition("*")
    name = model.removeprefix(f"{deployment.provider}/")
    if len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
        return name[len(head) : len(name) - len(tail)]
    return None


def _chat(deployment: Deployment, model: str) -> Request:
    group = deployment.model_name
    messages = [{"role": "user", "content": TEXT}]
    if model.startswith(_THINKERS):
        return CompletionRequest(model=group, messages=messages, max_completion_tokens=1)
    return CompletionRequest(model=group, messages=messages, max_tokens=1)


def _completion(deployment: Deployment, _model: str) -> Request:
    return TextCompletionRequest(model=deployment.model_name, prompt=TEXT, max_tokens=1)


def _embedding(deployment: Deployment, _model: str) -> Request:
    return EmbeddingRequest(model=deployment.model_name, input=TEXT)


def _moderation(deployment: Deployment, _model: str) -> Request:
    return ModerationRequest(model=deployment.model_name, input=TEXT)


def _speech(deployment: Deployment, _model: str) -> Request:
    voice = deployment.model_info.get("health_check_voice") or VOICE
    return SpeechRequest(model=deployment.model_name, input=TEXT, voice=voice)


def _transcription(deployment: Deployment, _model: str) -> Request:
    return TranscriptionRequest(model=deployment.model_name, file=("silence.wav", _silence()))


def _silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_FRAMES_A_SECOND)
        sound.writeframes(bytes(2 * int(SILENCE_SECONDS * _FRAMES_A_SECOND)))
    return file.getvalue()


_BY_MODE: dict[str, Callable[[Deployment, str], Request]] = {
    "audio_speech": _speech,
    "audio_transcription": _transcription,
    "chat": _chat,
    "completion": _completion,
    "embedding": _embedding,
    "moderation": _moderation,
}
