"""Streams that are kept: recorded on their way to the caller, and played back to those who ask later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ..runtime.channel import CAPACITY, Channel, Sealed
from .answers import pack_part, unpack_chunk

if TYPE_CHECKING:
    from ..runtime.dispatcher import Dispatcher

__all__ = ["MAX_TAPE_BYTES", "PlaybackChannel", "TapedChannel"]

T = TypeVar("T")

MAX_TAPE_BYTES = 1024 * 1024
"""Of a stream that are recorded; a longer one is not kept."""

NOT_KEPT = frozenset({"content_filter"})
"""Finish reasons of answers that are given to nobody who asks later."""


class TapedChannel(Channel[T]):
    """Writes down what passes through, as it is before the reader can change it.

    Others may wait for this very stream, so a reader who is slow does not slow it down: what waits to be
    read is bounded by what is recorded. A stream too long to be recorded obeys its reader again.

    Attributes:
        tape: the chunks as JSON; None when there were too many.
        kept: whether it may be given to others later.
    """

    __slots__ = ("_taped", "kept", "tape")

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)
        self.tape: list[bytes] | None = []
        self.kept = True
        self._taped = 0

    @property
    def full(self) -> bool:
        """Whether the producer should wait; not while it is recorded."""
        return self.tape is None and super().full

    def put(self, item: T | Sealed) -> None:
        """Hand over one chunk, and record it."""
        if self.tape is not None and not self.abandoned:
            self._record(item, self.tape)
        super().put(item)

    def _record(self, chunk: Any, tape: list[bytes]) -> None:
        sealed = type(chunk) is Sealed
        part = chunk.data if sealed else pack_part(chunk)
        self._taped += len(part)
        if self._taped > MAX_TAPE_BYTES:
            self.tape = None
            return
        tape.append(part)
        # one that is sealed ends nothing: there is no finish reason in it
        if not sealed and not NOT_KEPT.isdisjoint(choice.finish_reason for choice in chunk.choices):
            self.kept = False


class PlaybackChannel(Channel[Any]):
    """A recorded stream, for one reader: each chunk is made when it is read."""

    __slots__ = ("_kind",)

    def __init__(self, dispatcher: Dispatcher, kind: str, parts: tuple[bytes, ...]) -> None:
        super().__init__(dispatcher, max(CAPACITY, len(parts)))
        self._kind = kind
        for part in parts:
            self.put(part)
        self.close()

    def get_nowait(self) -> Any:
        """The next chunk.

        Raises:
            ChannelClosed: that was all.
        """
        part = super().get_nowait()
        assert part is not None, "closed, so there is a chunk or the end"
        return unpack_chunk(self._kind, part)
