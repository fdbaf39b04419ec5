"""The smallest request that shows whether a deployment answers, by its mode. Pure.

A mode that is not in the table has no endpoint here, so nothing can be asked of it.
"""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING, NamedTuple

from ...messages.audio import SpeechRequest, TranscriptionRequest
from ...messages.embeddings import EmbeddingRequest
from ...messages.errors import BadRequestError
from ...messages.health_rules import is_checked
from ...messages.images import ImageGenerationRequest
from ...messages.moderations import ModerationRequest
from ...messages.requests import CompletionRequest
from ...messages.text_completions import TextCompletionRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...messages.deployment import Deployment
    from ...messages.requests import Request

    _Made = tuple[type[Request], dict[str, Any]]

__all__ = ["CHECK_SECONDS", "IMAGE_CHECK_SECONDS", "Minimal", "minimal_request"]

CHECK_SECONDS = 30.0
"""How long a health check may take: a model that is being loaded answers late."""

IMAGE_CHECK_SECONDS = 120.0
"""The same where an image is asked for: painting one takes longer than saying a word."""

TEXT = "Hi"

PICTURE = "a white square"
"""What an image is asked of: little to paint, and nothing that a content policy minds."""

SILENCE_SECONDS = 0.5
"""Of the recording that is sent; OpenAI refuses one below 0.1."""

VOICE = "alloy"
"""Where `model_info.health_check_voice` names no other."""

_FRAMES_A_SECOND = 8000

_THINKERS = ("o1", "o3", "o4", "gpt-5")
"""Models that count what they think as output, and so call the limit by another name."""


_CHEAPEST: tuple[tuple[str, dict[str, str]], ...] = (
    ("dall-e-2", {"size": "256x256"}),
    ("gpt-image-", {"size": "1024x1024", "quality": "low"}),
)
"""What makes an image cheap, by how a model's name begins; others make what they make unasked."""


class Minimal(NamedTuple):
    """A request to check a deployment with; without one, why there is none.

    `wildcard` takes the place of the `*` in the deployment's model; `seconds` is the time it has.
    """

    request: Request | None = None
    wildcard: str | None = None
    why_not: str = ""
    seconds: float = CHECK_SECONDS


def minimal_request(deployment: Deployment, *, in_background: bool = False) -> Minimal:
    """The request that checks this deployment, now that somebody asks or (`in_background`) it is time."""
    info = deployment.model_info
    if not is_checked(info, in_background=in_background):
        return Minimal(why_not=f"its model_info.health_check is {info['health_check']!r}")
    model, wildcard = deployment.model, None
    if "*" in model:
        model = str(info.get("health_check_model") or "")
        wildcard = _captured(deployment, model)
        if wildcard is None:
            return Minimal(why_not="its model is a wildcard: name one in model_info.health_check_model")
    make = _BY_MODE.get(deployment.mode)
    if make is None:
        return Minimal(why_not=f"no request here is for mode {deployment.mode}")
    kind, fields = make(deployment, model)
    try:
        request = kind(**{"model": deployment.model_name, **fields, **info.get("health_check_params", {})})
    except BadRequestError as error:
        return Minimal(why_not=f"its model_info.health_check_params are wrong: {error.message}")
    return Minimal(request, wildcard, seconds=IMAGE_CHECK_SECONDS if make is _image else CHECK_SECONDS)


def _captured(deployment: Deployment, model: str) -> str | None:
    """What the `*` stands for in `model`, which may be written with its provider."""
    head, _, tail = deployment.model.partition("*")
    name = model.removeprefix(f"{deployment.provider}/")
    if len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
        return name[len(head) : len(name) - len(tail)]
    return None


def _chat(_deployment: Deployment, model: str) -> _Made:
    limit = "max_completion_tokens" if model.startswith(_THINKERS) else "max_tokens"
    return CompletionRequest, {"messages": [{"role": "user", "content": TEXT}], limit: 1}


def _completion(_deployment: Deployment, _model: str) -> _Made:
    return TextCompletionRequest, {"prompt": TEXT, "max_tokens": 1}


def _embedding(_deployment: Deployment, _model: str) -> _Made:
    return EmbeddingRequest, {"input": TEXT}


def _image(deployment: Deployment, model: str) -> _Made:
    name = (deployment.base_model or model).rpartition("/")[2]
    cheapest = next((fields for beginning, fields in _CHEAPEST if name.startswith(beginning)), {})
    return ImageGenerationRequest, {"prompt": PICTURE, **cheapest}


def _moderation(_deployment: Deployment, _model: str) -> _Made:
    return ModerationRequest, {"input": TEXT}


def _speech(deployment: Deployment, _model: str) -> _Made:
    return SpeechRequest, {"input": TEXT, "voice": deployment.model_info.get("health_check_voice") or VOICE}


def _transcription(_deployment: Deployment, _model: str) -> _Made:
    return TranscriptionRequest, {"file": ("silence.wav", _silence())}


def _silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_FRAMES_A_SECOND)
        sound.writeframes(bytes(2 * int(SILENCE_SECONDS * _FRAMES_A_SECOND)))
    return file.getvalue()


_BY_MODE: dict[str, Callable[[Deployment, str], _Made]] = {
    "audio_speech": _speech,
    "audio_transcription": _transcription,
    "chat": _chat,
    "completion": _completion,
    "embedding": _embedding,
    "image_generation": _image,
    "moderation": _moderation,
}
