"""Server-sent events, read incrementally: bytes in, events out.

The grammar is that of the HTML standard, section 9.2.6. The common case (lines ended by LF, one
`data` line per event, a read that ends with an event) is one `split` and one slice per event.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["MAX_EVENT_BYTES", "EventTooLargeError", "SseEvent", "SseReader"]

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of one event, comments included. A chunk of text has some hundred bytes, an image a few million."""

_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """An event is larger than the reader's bound; the stream cannot be read on."""


class SseEvent(Struct, frozen=True, gc=False):
    """One event. `data` is UTF-8, not yet decoded; `name` is empty when the stream gave none."""

    data: bytes
    name: bytes = b""


class SseReader:
    """Reads one stream. What is after its last blank line is no event and never given out.

    Args:
        max_event_bytes: an event with more ends in :class:`EventTooLargeError`.
    """

    __slots__ = ("_after_cr", "_begun", "_max", "_rest")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._rest = bytearray()
        self._begun = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes.

        Raises:
            EventTooLargeError: one is larger than the bound.
        """
        if not self._begun:
            data = self._without_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        if not self._rest and data[-2:] == b"\n\n":
            return self._events(data[:-2])
        complete = self._completed_by(data)
        events = self._events(complete) if complete else []
        if len(self._rest) > self._max:
            raise self._too_large()
        return events

    def _completed_by(self, data: bytes) -> bytes:
        """All that has come up to the last blank line; what follows it waits."""
        rest = self._rest
        # only the new part is searched, so an event that comes byte by byte costs linear time
        seam = max(0, len(rest) - 1)
        rest += data
        end = rest.rfind(b"\n\n", seam)
        if end < 0:
            return b""
        complete = bytes(rest[:end])
        del rest[: end + 2]
        return complete

    def _events(self, complete: bytes) -> list[SseEvent]:
        events = []
        for block in complete.split(b"\n\n"):
            if len(block) > self._max:
                raise self._too_large()
            if block[:6] == b"data: " and b"\n" not in block:
                events.append(SseEvent(block[6:]))
            else:
                event = _parse(block)
                if event is not None:
                    events.append(event)
        return events

    def _without_bom(self, data: bytes) -> bytes:
        """`data` without a byte order mark, which may come in pieces; only at the very beginning."""
        data = bytes(self._rest) + data
        self._rest.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._rest += data
            return b""
        self._begun = True
        return data.removeprefix(_BOM)

    def _with_line_feeds(self, data: bytes) -> bytes:
        """CRLF and CR as LF. A CR at the end of a read is a line end at once; the LF after it is dropped."""
        if not data:
            return data
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
            if not data:
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _too_large(self) -> EventTooLargeError:
        msg = f"an event of more than {self._max} bytes"
        return EventTooLargeError(msg)


def _parse(block: bytes) -> SseEvent | None:
    """The event of a block in which no line is empty but perhaps the first and the last."""
    data: list[bytes] = []
    name = b""
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return SseEvent(b"\n".join(data), name) if data else None
