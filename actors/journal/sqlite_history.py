"""What else a journal file knows: rows as they are stored, earlier snapshots, what was removed, its size.

Files of before this was kept lack the tables; they simply know less.
"""

from __future__ import annotations

import math
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from .ports import JournalError
from .sqlite_reader import snapshot_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .ports import Snapshot
    from .sqlite_reader import SqliteReader

__all__ = ["Row", "SqliteHistory"]

STEPS_BETWEEN_LOOKS = 100_000
"""Steps of SQLite's machine between two calls of who watches a long statement."""

FAULTS = 5
"""Faults that SQLite is asked to name; a file with one has many."""

SNAPSHOT_TABLES = ("snapshots", "snapshot_history")
"""The latest of each stream, which a router begins with; and some of those before, its copy among them."""

_PLACES = "SELECT stream, position FROM {}"
_AT = (
    "SELECT stream, version, position, at, state FROM {} "
    "WHERE stream = ? AND position <= ? AND at <= ? ORDER BY position DESC LIMIT 1"
)
_COPIES = """
SELECT a.stream, a.position FROM snapshots a JOIN snapshot_history b USING (stream, position)
WHERE (a.version, a.at, a.state) <> (b.version, b.at, b.state)
"""
_NOTED = "SELECT position, requests FROM open_requests WHERE position <= ? ORDER BY position DESC LIMIT 1"
_noted = msgspec.json.Decoder(list[tuple[str, int]]).decode
_position = itemgetter(2)


class Row(NamedTuple):
    """A run of one stream's events, as stored: `last` and `version` are those of its last event."""

    last: int
    stream: str
    version: int
    batch: int
    events: str


class SqliteHistory:
    """Looks deeper into a file that a reader has open."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader
        self._tables = {name for (name,) in reader._ask("SELECT name FROM sqlite_master")}

    def __repr__(self) -> str:
        return f"<SqliteHistory {self._reader.path!r}>"

    @property
    def _snapshot_tables(self) -> list[str]:
        """In their order: of two snapshots at one place, a router would take the first."""
        return [table for table in SNAPSHOT_TABLES if table in self._tables]

    @property
    def keeps_snapshots(self) -> bool:
        """Whether earlier snapshots than the latest can be there."""
        return "snapshot_history" in self._tables

    def last_written(self) -> int:
        """The last position that an event was ever written at, whether or not it is still there."""
        found = self._reader._ask("SELECT seq FROM sqlite_sequence WHERE name = 'runs'")
        return int(found[0][0]) if found else 0

    def rows(self, after: int = 0) -> Iterator[Row]:
        """The rows whose last event is after `after`, in the order of those."""
        return map(Row._make, self._reader._rows("last > ?", (), after))

    def rows_of(self, kind: str, stream: str, after: int = 0) -> Iterator[Row]:
        """Those of streams of one kind, and of one other stream; SQLite passes over the rest."""
        where = "(+stream = ? OR (+stream >= ? AND +stream < ?)) AND last > ?"
        return map(Row._make, self._reader._rows(where, (stream, f"{kind}/", f"{kind}0"), after))

    def first_position(self) -> int:
        """The position of the first event that is there; 0 for none."""
        first = next(iter(self._reader.read(limit=1)), None)
        return 0 if first is None else first.position

    def snapshot_places(self) -> list[tuple[str, int]]:
        """Where there is a snapshot: its stream and position, each stream's in order."""
        tables = self._snapshot_tables
        places = {place for table in tables for place in self._reader._ask(_PLACES.format(table))}
        if any(type(stream) is not str or type(position) is not int for stream, position in places):
            msg = f"journal {self._reader.path!r} is damaged: a snapshot is nobody's, or of no position"
            raise JournalError(msg)
        return sorted(places)

    def copies_that_differ(self) -> list[tuple[str, int]]:
        """Where the latest snapshot of a stream is not what its copy among the earlier ones says."""
        return sorted(self._reader._ask(_COPIES)) if self.keeps_snapshots else []

    def snapshot_of(self, stream: str, position: int) -> Snapshot | None:
        """The snapshot at this place; None when a later one has taken it.

        Raises:
            UnreadableEventError: it is no JSON.
        """
        found = self.snapshot_at(stream, position, math.inf)
        return found if found is not None and found.position == position else None

    def snapshot_at(self, stream: str, position: int, at: float) -> Snapshot | None:
        """The newest snapshot of a stream that is not after `position`, nor after router time `at`.

        A snapshot forgets what was over when it was taken, which may be later than the event before it.
        """
        found = [
            row
            for table in self._snapshot_tables
            for row in self._reader._ask(_AT.format(table), stream, position, at)
        ]
        return snapshot_in(max(found, key=_position)) if found else None

    def requests_noted(self, position: int) -> tuple[int, dict[str, int]]:
        """Which requests were open at some moment not after `position`, and at which.

        By stream, each with the position of its first event. With none noted: nothing, at position 0.
        """
        if "open_requests" not in self._tables:
            return 0, {}
        found = self._reader._ask(_NOTED, position)
        return (found[0][0], dict(_noted(found[0][1]))) if found else (0, {})

    def used_bytes(self) -> int:
        """Bytes of the file that hold something; free pages are not counted."""
        pages, free, size = (
            self._reader._ask(f"PRAGMA {name}")[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def faults(self, watch: Callable[[], object]) -> list[str]:
        """What SQLite finds wrong with the file's structure; `watch` is called now and then meanwhile.

        It may raise, and that ends the search.
        """
        raised: list[BaseException] = []

        def look() -> int:
            try:
                watch()
            except BaseException as error:  # noqa: BLE001  (raised again below: SQLite would swallow it)
                raised.append(error)
                return 1
            return 0

        connection = self._reader._reader
        connection.set_progress_handler(look, STEPS_BETWEEN_LOOKS)
        try:
            found = [str(text) for (text,) in self._reader._ask(f"PRAGMA quick_check({FAULTS})")]
        except Exception:
            if raised:
                raise raised[0] from None
            raise
        finally:
            connection.set_progress_handler(None, 0)
        return [] if found == ["ok"] else found
