"""Sound to text and text to sound: what is asked, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, PlainValidator

from .outcomes import Demand
from .prompt_size import estimate
from .requests import Request, Switch, WholeRequest
from .responses import Routed
from .texts import size_of
from .uploads import parse_upload

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from .outcomes import RouteInfo

__all__ = ["SpeechRequest", "SpeechResponse", "TranscriptionRequest", "TranscriptionResponse"]


class TranscriptionRequest(WholeRequest):
    """The text of a recording: a path, bytes, an open file, or a tuple of a name and one of these.

    It is sent as it is read, piece by piece, and never held as a whole. `language`, `prompt`,
    `response_format`, ... reach the provider as given.
    """

    KIND: ClassVar[str] = "transcription"

    file: Annotated[Any, PlainValidator(parse_upload)]

    def demand(self) -> Demand:
        """Nobody knows what is in it."""
        return Demand(0)


class TranscriptionResponse(Routed):
    """A text in OpenAI's shape, with `.route`; `segments`, `words`, `duration`, ... are kept.

    With `response_format` "text", "srt" or "vtt" `text` is all that came.
    """

    text: str
    usage: dict[str, Any] | None = None

    def characters(self) -> int:
        return len(self.text)


def _voice(value: Any) -> Any:
    if isinstance(value, (str, dict)) and value:
        return value
    msg = "must name a voice"
    raise ValueError(msg)


class SpeechRequest(Request):
    """A text as sound. `stream=True` makes the answer an iterator of bytes, as they come."""

    KIND: ClassVar[str] = "speech"

    input: str = Field(min_length=1)
    voice: Annotated[Any, BeforeValidator(_voice)]
    stream: Switch = False

    def demand(self) -> Demand:
        """Its tokens."""
        size = size_of(self.input)
        return Demand(estimate(size), 0, size.text_bytes, size.fixed_tokens)


class SpeechResponse(bytes):
    """The sound: bytes, with `.route`.

    Attributes:
        content_type: what the provider says they are, such as "audio/mpeg".
    """

    content_type: str
    _route: RouteInfo
    _describe: Callable[[RouteInfo], dict[str, Any]]

    def __new__(cls, content: bytes, content_type: str = "") -> Self:
        sound = super().__new__(cls, content)
        sound.content_type = content_type
        return sound

    def __repr__(self) -> str:
        return f"<SpeechResponse {len(self)} bytes · {self.content_type or 'of an unnamed type'}>"

    __str__ = __repr__

    def characters(self) -> int:
        """It holds no text."""
        return 0

    def routed(self, route: RouteInfo, describe: Callable[[RouteInfo], dict[str, Any]]) -> None:
        """The router's last word on it; see `Routed.routed`."""
        self._route = route
        self._describe = describe

    @property
    def route(self) -> RouteInfo:
        """What happened on the way; see `Routed.route`."""
        return self._route

    @property
    def _hidden_params(self) -> dict[str, Any]:
        return self._describe(self._route)

    @property
    def content(self) -> bytes:
        """The bytes themselves."""
        return bytes(self)

    def read(self) -> bytes:
        """The bytes themselves."""
        return self.content

    def iter_bytes(self, chunk_size: int = 65536) -> Iterator[bytes]:
        """The bytes in pieces."""
        for start in range(0, len(self), chunk_size):
            yield self[start : start + chunk_size]

    def write_to_file(self, file: str | os.PathLike[str]) -> None:
        """Write them to a file, which is made or replaced."""
        Path(file).write_bytes(self)

    def stream_to_file(self, file: str | os.PathLike[str]) -> None:
        """The same. To write sound while it comes, ask for a stream."""
        self.write_to_file(file)
