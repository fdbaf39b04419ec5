"""What a deployment is for, where its configuration does not say. Pure."""

from __future__ import annotations

__all__ = ["mode_of"]

_BEGINNINGS = (
    (("text-embedding-",), "embedding"),
    (("dall-e", "gpt-image-"), "image_generation"),
    (("omni-moderation-", "text-moderation-"), "moderation"),
    (("whisper", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"), "audio_transcription"),
    (("tts-", "gpt-4o-mini-tts"), "audio_speech"),
    (("gpt-3.5-turbo-instruct", "davinci-002", "babbage-002"), "completion"),
)


def mode_of(model: str) -> str:
    """The mode of a model by its name, which may be written with its provider; chat, if it tells nothing."""
    name = model.rpartition("/")[2]
    return next((mode for beginnings, mode in _BEGINNINGS if name.startswith(beginnings)), "chat")
