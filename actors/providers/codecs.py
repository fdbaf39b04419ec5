"""The codec for a deployment and a kind of request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...messages.errors import ConfigurationError
from .address import AzureAddress, OpenAIAddress
from .chat import ChatCodec
from .embeddings import EmbeddingCodec
from .endpoints import AZURE, OPENAI_FORMAT
from .images import ImageCodec
from .moderations import ModerationCodec
from .speech import SpeechCodec
from .text_completions import TextCompletionCodec
from .transcriptions import TranscriptionCodec

if TYPE_CHECKING:
    from ...messages.deployment import Deployment
    from .openai import OpenAICodec
    from .wire import Codec

__all__ = ["codec_for"]

_KINDS: dict[str, type[OpenAICodec]] = {
    "completion": ChatCodec,
    "embedding": EmbeddingCodec,
    "image_generation": ImageCodec,
    "moderation": ModerationCodec,
    "speech": SpeechCodec,
    "text_completion": TextCompletionCodec,
    "transcription": TranscriptionCodec,
}


def codec_for(deployment: Deployment, kind: str = "completion") -> Codec:
    """The codec for requests of a kind (see `Request.KIND`), built for one deployment.

    Raises:
        ConfigurationError: its provider's wire format is not built yet, or the deployment lacks
            what the provider needs.
    """
    provider = deployment.provider
    if provider in AZURE:
        return _KINDS[kind](deployment, AzureAddress(deployment))
    if provider in OPENAI_FORMAT:
        return _KINDS[kind](deployment, OpenAIAddress(deployment))
    speaks = ", ".join(sorted([*OPENAI_FORMAT, *AZURE]))
    msg = (
        f"deployment {deployment.id}: provider {provider!r} has a wire format that is not built yet; "
        f"until then {deployment.model!r} in {deployment.model_name!r} can only be mocked (built: {speaks})"
    )
    raise ConfigurationError(msg)
