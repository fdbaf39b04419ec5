"""A streamed answer, as the caller holds it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..actors.runtime.channel import ChannelClosed
from ..messages.errors import MidStreamError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    from ..actors.runtime.channel import Channel
    from ..messages.outcomes import RouteInfo
    from ..messages.responses import ModelResponseStream

__all__ = ["ModelStream", "SpeechStream", "TextCompletionStream", "stream_class"]


class ModelStream:
    """Chunks of one answer; iterate it with `for` or with `async for`.

    Leaving the loop, `close()`, `aclose()` or dropping the stream aborts the call upstream. When the
    provider breaks off, iteration ends in `MidStreamError` with the text that came, never silently.

    Attributes:
        request_id: names the request in `router.events()`.
    """

    def __init__(
        self,
        request_id: str,
        channel: Channel[ModelResponseStream],
        left: Callable[[str], None],
        forgot: Callable[[str], None],
    ) -> None:
        self.request_id = request_id
        self._channel = channel
        self._left = left
        self._forgot = forgot
        self._text: list[str] = []
        self._ended = False
        self._route: RouteInfo | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request_id} · {'ended' if self._ended else 'open'}>"

    @property
    def route(self) -> RouteInfo:
        """What happened on the way; known once the stream has ended well."""
        if self._route is None:
            msg = "a stream's route is known when it has ended"
            raise AttributeError(msg)
        return self._route

    @property
    def text(self) -> str:
        """The text that was read so far (of the first choice)."""
        return "".join(self._text)

    def finish(self, route: RouteInfo) -> None:
        """The Supervisor's last word on a stream that ended well."""
        self._route = route

    # -- reading

    def __iter__(self) -> Iterator[ModelResponseStream]:
        try:
            while True:
                try:
                    chunk = self._channel.get()
                except ChannelClosed as closed:
                    self._end(closed)
                    return
                self._note(chunk)
                yield chunk
        finally:
            self.close()

    def __next__(self) -> ModelResponseStream:
        try:
            chunk = self._channel.get()
        except ChannelClosed as closed:
            self._end(closed)
            raise StopIteration from None
        except BaseException:
            self.close()
            raise
        self._note(chunk)
        return chunk

    async def __aiter__(self) -> AsyncIterator[ModelResponseStream]:
        channel = self._channel
        try:
            while True:
                try:
                    # not `get_async`, which is one more coroutine for each chunk
                    while (chunk := channel.get_nowait()) is None:
                        await channel.changed()
                except ChannelClosed as closed:
                    self._end(closed)
                    return
                self._note(chunk)
                yield chunk
        finally:
            self.close()

    async def __anext__(self) -> ModelResponseStream:
        try:
            chunk = await self._channel.get_async()
        except ChannelClosed as closed:
            self._end(closed)
            raise StopAsyncIteration from None
        except BaseException:
            self.close()
            raise
        self._note(chunk)
        return chunk

    def _note(self, chunk: Any) -> None:
        """Keep its text, which a `MidStreamError` will want to tell."""
        for choice in chunk.choices:
            if choice.index == 0 and choice.delta.content:
                self._text.append(choice.delta.content)

    def _end(self, closed: ChannelClosed) -> None:
        self._ended = True
        error = closed.error
        if isinstance(error, MidStreamError):
            error.text = self.text
        if error is not None:
            raise error from error.__cause__

    # -- leaving

    def close(self) -> None:
        """Stop reading; a call still under way is aborted upstream. Idempotent."""
        if not self._ended:
            self._ended = True
            self._channel.abandon()
            self._left(self.request_id)

    async def aclose(self) -> None:
        """The same, for async callers."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._ended:
            self._ended = True
            self._channel.abandon()
            self._forgot(self.request_id)


class TextCompletionStream(ModelStream):
    """Chunks of a text completion, each in the shape of a `TextCompletionResponse`."""

    def _note(self, chunk: Any) -> None:
        for choice in chunk.choices:
            if choice.index == 0 and choice.text:
                self._text.append(choice.text)


class SpeechStream(ModelStream):
    """Sound as it comes: bytes, piece by piece. What breaks off ends in `MidStreamError`, here as well."""

    def _note(self, chunk: Any) -> None:
        """There is no text in it."""

    def stream_to_file(self, file: str | os.PathLike[str]) -> None:
        """Write it to a file while it comes. What has come stays there when it breaks off."""
        with Path(file).open("wb") as target:
            target.writelines(self)  # type: ignore[arg-type]  # bytes

    async def astream_to_file(self, file: str | os.PathLike[str]) -> None:
        """The same, awaited: the disk is waited for in a thread."""
        target = await asyncio.to_thread(Path(file).open, "wb")
        try:
            async for piece in self:
                await asyncio.to_thread(target.write, piece)  # type: ignore[arg-type]  # bytes
        finally:
            await asyncio.to_thread(target.close)


_CLASSES: dict[str, type[ModelStream]] = {"speech": SpeechStream, "text_completion": TextCompletionStream}


def stream_class(kind: str) -> type[ModelStream]:
    """What holds a stream that answers this kind of request."""
    return _CLASSES.get(kind, ModelStream)
