"""Which requests were open at a moment, without reading all that came before. Pure, given a file to read."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.journal.ports import UnreadableEventError
from ..messages.events import EVENT_TYPES, RequestAccepted, RouterStarted
from .world import ENDINGS, REQUEST

if TYPE_CHECKING:
    from ..actors.journal.sqlite_history import Row, SqliteHistory

__all__ = ["open_streams"]

_items_of = msgspec.json.Decoder(list[tuple[int, float, str, int, msgspec.Raw]]).decode
_ENDS = frozenset(name for name, kind in EVENT_TYPES.items() if kind in ENDINGS)
_BEGINS = RequestAccepted.TYPE
_STARTED = RouterStarted.TYPE
ROUTER = "router"


def open_streams(history: SqliteHistory, position: int) -> dict[str, int]:
    """The requests that were open after the event at `position`, oldest first: stream and first position.

    Begins with the last note of the writer's, which is at most some 50,000 events old. A file without
    notes is read from its beginning.
    """
    noted, streams = history.requests_noted(position)
    for row in history.rows(noted):
        if row.batch > position:
            break
        if row.stream.startswith(REQUEST):
            _follow(row, noted, position, streams)
        elif row.stream == ROUTER:
            _interrupt(row, noted, position, streams)
    return dict(sorted(streams.items(), key=itemgetter(1)))


def _follow(row: Row, noted: int, position: int, streams: dict[str, int]) -> None:
    for at, _, kind, _, _ in _items(row):
        if noted < at <= position:
            if kind == _BEGINS:
                streams[row.stream] = at
            elif kind in _ENDS:
                streams.pop(row.stream, None)


def _interrupt(row: Row, noted: int, position: int, streams: dict[str, int]) -> None:
    """A router that starts has none of the requests of the one before."""
    for at, _, kind, _, _ in _items(row):
        if noted < at <= position and kind == _STARTED:
            for stream in [stream for stream, first in streams.items() if first < at]:
                del streams[stream]


def _items(row: Row) -> list[tuple[int, float, str, int, Any]]:
    try:
        return _items_of(row.events)
    except msgspec.MsgspecError as error:
        msg = f"the journal's row {row.last} (stream {row.stream!r}) is damaged: {error}"
        raise UnreadableEventError(msg) from error
