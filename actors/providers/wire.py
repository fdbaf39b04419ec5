"""What a wire format must do: a call into an HTTP request, and the answer back into ours.

A codec belongs to one deployment and is built once: its URL, its headers and its default
parameters are ready before the first call. It does no I/O and keeps nothing between calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import httpx

    from ...messages.commands import Call
    from ...messages.outcomes import Usage
    from ...messages.responses import Answer

__all__ = ["MAX_BODY_BYTES", "NO_STREAMS", "Codec", "Decoded", "Pieces", "Post", "StreamDecoder", "head_of"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of a whole answer, where its kind does not say otherwise; one with more is an error."""

NO_STREAMS = ("application/json", "text/html")
"""How the Content-Type of what is no stream begins, where its kind does not say otherwise."""


@runtime_checkable
class Pieces(Protocol):
    """A body that is made as it is sent.

    Attributes:
        off_loop: making a piece may take a while, and is to be done in a thread.
    """

    off_loop: bool

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """No more are wanted. Idempotent."""


class Post(NamedTuple):
    """A request as the bytes that travel: `head` ends with its empty line; `url` is where to connect."""

    url: str
    head: bytes
    body: bytes | Pieces


def head_of(method: str, url: httpx.URL, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A request's line and headers in HTTP/1.1, without the empty line that ends them.

    Raises:
        ValueError: a part of it would break out of its line.
    """
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), url.raw_path)]
    lines += [b"%s: %s" % header for header in headers]
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        msg = "a part of the request would break out of its line"
        raise ValueError(msg)
    return b"\r\n".join([*lines, b""])


@frozen
class Decoded:
    """A whole answer. `usage` is None when the provider did not say.

    `source` is the body, where the response is that and nothing else.
    """

    response: Answer
    usage: Usage | None
    source: bytes | None = None


class StreamDecoder(Protocol):
    """Reads one streamed answer.

    Attributes:
        feed: takes bytes as they come, gives the events that they complete.
        usage: what the provider has said so far.
        done: the stream said that it is over; nothing after it counts.
    """

    feed: Callable[[bytes], list[Any]]
    usage: Usage | None
    done: bool

    def decode(self, event: Any) -> Any:
        """The chunk to hand on; None for an event that is not the caller's business.

        Raises:
            RequestError: the event is an error, or no chunk.
        """

    def pass_on(self, event: Any) -> Any:
        """The same for a stream that has begun: a chunk that says nothing to us may be `Sealed`."""

    def has_content(self, chunk: Any) -> bool:
        """Whether the stream has begun with this chunk: an error after it can be hidden no more."""

    def finish(self) -> None:
        """The bytes have ended, or `done` is set.

        Raises:
            RequestError: too early.
        """


class Codec(Protocol):
    """The wire format of one kind of request of one deployment.

    Attributes:
        max_body: bytes that an answer may have.
        no_streams: how the Content-Type of what is no stream begins.
    """

    max_body: int
    no_streams: tuple[str, ...]

    def encode(self, call: Call) -> httpx.Request:
        """The request, complete with `Host` and `Content-Length`, for any httpx transport.

        Raises:
            BadRequestError: a parameter cannot be written as JSON or as a header.
        """

    def post(self, call: Call) -> Post:
        """The same request as bytes, for our own transport; raises the same."""

    def decode(self, body: bytes, call: Call, kind: str = "") -> Decoded:
        """The answer in a body that came with status 200 and a Content-Type of `kind`.

        Raises:
            RequestError: it is not one.
        """

    def stream(self, call: Call) -> StreamDecoder:
        """A decoder for this call's events."""
