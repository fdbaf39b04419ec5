"""Looking for certain events in a journal file, however big: SQLite passes over what holds none of them."""

from __future__ import annotations

from itertools import groupby, takewhile
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from .sqlite_reader import SELECT, events_of

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

    from .codec import Recorded
    from .sqlite_reader import Row, SqliteReader

__all__ = ["search"]

PORTION = 10_000
"""Positions that one statement looks at, so that what is found is shown at once, and Ctrl-C is heard."""

_BATCH = itemgetter(3)
_POSITION = attrgetter("position")


def search(
    reader: SqliteReader,
    after: int = 0,
    until: int | None = None,
    *,
    kind: str | None = None,
    streams: Container[str] | None = None,
    types: Collection[str] | None = None,
) -> Iterator[Recorded]:
    """The events behind position `after` that are wanted, in order.

    Args:
        reader: of the file.
        after: where to begin.
        until: the last position that is wanted; None goes to the end.
        kind: of the stream: ``"deployment"`` or ``"request"``; None is any.
        streams: names of streams; None is any.
        types: names of events; None is any.
    """
    end = reader.last_position()
    until = end if until is None else min(until, end)
    for batch, rows in groupby(_rows(reader, after, end, kind, types), key=_BATCH):
        if batch > until:
            return
        events = [
            recorded
            for row in rows
            if streams is None or row[1] in streams
            for recorded in events_of(row, after, types)
        ]
        events.sort(key=_POSITION)
        yield from takewhile(lambda recorded: recorded.position <= until, events)


def _rows(
    reader: SqliteReader, after: int, end: int, kind: str | None, types: Collection[str] | None
) -> Iterator[Row]:
    """Rows that may hold what is wanted: a name of a type may also stand in some field."""
    where, args = ["last > ? AND last <= ?"], []
    if kind is not None:
        where.append("+stream >= ? AND +stream < ?")  # by the index it would be all of the kind, unordered
        args += [f"{kind}/", f"{kind}0"]
    if types is not None:
        where.append(f"({' OR '.join(['instr(events, ?)'] * len(types)) or 'false'})")
        args += [f'"{name}"' for name in types]
    query = f"{SELECT} WHERE {' AND '.join(where)} ORDER BY last"
    for first in range(after, end, PORTION):
        yield from reader.rows_asked(query, first, min(first + PORTION, end), *args)
