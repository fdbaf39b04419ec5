"""Speech: a text goes out, bytes come back, whole or as they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ...messages.audio import SpeechResponse
from ...messages.outcomes import Usage
from .failures import unusable
from .openai import OpenAICodec
from .wire import NO_STREAMS, Decoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Call
    from ...messages.deployment import Deployment

__all__ = ["SoundStream", "SpeechCodec"]


class SpeechCodec(OpenAICodec):
    """Speech of one deployment. What is spoken is told by nobody: its characters are counted here."""

    PATH: ClassVar[str] = "/audio/speech"

    no_streams = (*NO_STREAMS, "text/plain")

    def adapt(self, params: dict[str, Any], call: Call) -> None:
        params.pop("stream", None)  # it always comes as it is made

    def decode(self, body: bytes, call: Call, kind: str = "") -> Decoded:
        if kind.startswith(("application/json", "text/")):
            what = f"200 with {kind.partition(';')[0][:60]} in place of sound"
            raise self.complained(body, call) or unusable(self.deployment, what)
        if not body:
            raise unusable(self.deployment, "200 with an empty body")
        return Decoded(SpeechResponse(body, kind), _usage(call))

    def stream(self, call: Call) -> SoundStream:
        return SoundStream(self.deployment, call)


class SoundStream:
    """Sound as it comes; see :class:`~.wire.StreamDecoder`."""

    __slots__ = ("_begun", "_deployment", "done", "feed", "usage")

    def __init__(self, deployment: Deployment, call: Call) -> None:
        self._deployment = deployment
        self._begun = False
        self.usage: Usage | None = _usage(call)
        self.done = False
        self.feed: Callable[[bytes], list[Any]] = _as_it_comes

    def decode(self, event: bytes) -> bytes:
        self._begun = True
        return event

    pass_on = decode

    def has_content(self, chunk: bytes) -> bool:
        return bool(chunk)

    def finish(self) -> None:
        if not self._begun:
            raise unusable(self._deployment, "200 with an empty body")


def _as_it_comes(data: bytes) -> list[Any]:
    return [data]


def _usage(call: Call) -> Usage:
    return Usage(characters=len(call.request.input))  # type: ignore[attr-defined]
