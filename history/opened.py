"""Which requests were open at a moment, without reading all that came before. Pure, given a file to read."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from ..actors.journal.open_scan import OF_INTEREST, REQUEST, OpenScan
from ..actors.journal.sqlite_reader import items_of
from ..supervisor.fleet.manager import ROUTER_STREAM

if TYPE_CHECKING:
    from ..actors.journal.sqlite_history import SqliteHistory

__all__ = ["open_streams"]


def open_streams(history: SqliteHistory, position: int) -> dict[str, int]:
    """The requests that were open after the event at `position`, oldest first: stream and first position.

    Begins with the last note of the writer's, which is at most some 50,000 events old. A file without
    notes is read from its beginning.
    """
    noted, streams = history.requests_noted(position)
    scan = OpenScan(streams)
    for row in history.rows_of(REQUEST.rstrip("/"), ROUTER_STREAM, noted):
        if row.batch > position:
            break
        for at, _, kind, _, _ in items_of(row):
            if kind in OF_INTEREST and noted < at <= position:
                scan.see(at, row.stream, kind)
    return dict(sorted(scan.streams.items(), key=itemgetter(1)))
