"""Reading the journal in a SQLite file, beside the router that writes it or after it.

Nothing here locks the file or changes it; what is committed is seen.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self

import msgspec

from ...messages.errors import ConfigurationError
from .codec import Recorded, decode_event
from .ports import JournalError, Snapshot, Trimmed, UnreadableEventError
from .sqlite_file import DAMAGED, check_that_it_is_ours, cut_short, open_for_looking

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType

__all__ = ["LAST_POSITION", "NAMES", "SELECT", "Row", "SqliteReader", "events_of", "items_of", "snapshot_in"]

PAGE = 256
"""Rows that a reader fetches at a time, so that it keeps no transaction open."""

SCANNED = 4096
"""Events among which a moment is looked for one by one, when halving has come so close."""

BUSY_SECONDS = 1.0
"""How long a statement waits for someone else who has the file locked."""

LAST_CHARACTER = "\U0010ffff"

LAST_POSITION = """
SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'runs'), 0),
           ifnull((SELECT max(position) FROM snapshots), 0))
"""

_LAST_VERSION = """
SELECT max(ifnull((SELECT version FROM runs WHERE stream = ?1 ORDER BY last DESC LIMIT 1), 0),
           ifnull((SELECT version FROM snapshots WHERE stream = ?1), 0))
"""

# From name to name along the index, jumping over the requests ("0" is the character after "/").
NAMES = """
WITH RECURSIVE names(name) AS (
    SELECT min(stream) FROM runs
    UNION ALL
    SELECT (SELECT min(stream) FROM runs
            WHERE stream > iif(name >= 'request/' AND name < 'request0', 'request0', name))
    FROM names WHERE name IS NOT NULL
)
"""
_STREAMS = f"{NAMES} SELECT name FROM names WHERE name IS NOT NULL UNION SELECT stream FROM snapshots"  # noqa: S608

SELECT = "SELECT last, stream, version, batch, events FROM runs"
_LOAD = "SELECT stream, version, position, at, state FROM snapshots WHERE stream = ?"
_ANY_OF_KIND = "SELECT 1 FROM runs WHERE stream >= ? AND stream < ? LIMIT 1"
# From the end backwards: by the index it would be a walk through all of the kind. The plus signs forbid it.
_LAST_OF_KIND = "SELECT stream FROM runs WHERE +stream >= ? AND +stream < ? ORDER BY last DESC LIMIT 1"
_BEGINNING = "SELECT DISTINCT stream FROM runs WHERE stream >= ? AND stream < ? ORDER BY stream LIMIT ?"
_HAS_TRIMS = "SELECT count(*) FROM pragma_table_info('trims') WHERE name = 'swept'"
_TRIMMED = "SELECT position, at, events, lost, trimmed_at, reason FROM trims"
_NEAR = f"{SELECT} WHERE last >= ? ORDER BY last LIMIT 1"

Item = tuple[int, float, str, int, msgspec.Raw]
_items_of = msgspec.json.Decoder(list[Item]).decode
Row = tuple[int, str, int, int, str]


class SqliteReader:
    """The reading half of a journal in a file. Any thread may read.

    Args:
        path: for errors.
        connection: one that cannot write.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._reader = connection
        self._reading = threading.Lock()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, busy_seconds: float = BUSY_SECONDS) -> SqliteReader:
        """Look into a journal, also one that a router has open.

        Raises:
            ConfigurationError: there is no such file, or it is no journal of ours.
        """
        file = os.path.realpath(path)
        problem = _problem_with(file)
        if problem is not None:
            msg = f"journal {file!r}: {problem}"
            raise ConfigurationError(msg)
        try:
            connection = open_for_looking(file, busy_seconds)
            try:
                check_that_it_is_ours(connection, file)
            except BaseException:
                connection.close()
                raise
        except DAMAGED as error:
            msg = f"journal {file!r} cannot be read: {error}{cut_short(file)}"
            raise ConfigurationError(msg) from None
        return SqliteReader(file, connection)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._reading:
            self._reader.close()

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """See the file as it is now, whatever is written meanwhile.

        Not for long beside a busy router: its write-ahead log grows until this is over.
        """
        self._ask("BEGIN")
        try:
            yield
        finally:
            with self._reading, suppress(sqlite3.Error):  # a torn file's is over already
                self._reader.execute("ROLLBACK")

    # -- looking

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        events = self._of_stream(stream, after) if stream is not None else self._of_all(after)
        return islice(events, limit)

    def _of_stream(self, stream: str, after: int) -> Iterator[Recorded]:
        for row in self._rows("stream = ? AND last > ?", (stream,), after):
            yield from events_of(row, after)

    def _of_all(self, after: int) -> Iterator[Recorded]:
        # batches follow one another; the runs of one batch lie side by side and are put in order
        for _, rows in groupby(self._rows("last > ?", (), after), key=itemgetter(3)):
            batch = [recorded for row in rows for recorded in events_of(row, after)]
            batch.sort(key=lambda recorded: recorded.position)
            yield from batch

    def _rows(self, where: str, args: tuple[str, ...], after: int) -> Iterator[Row]:
        query = f"{SELECT} WHERE {where} ORDER BY last LIMIT {PAGE}"
        while page := self.rows_asked(query, *args, after):
            yield from page
            after = page[-1][0]

    def last_position(self) -> int:
        return self._number(LAST_POSITION)

    def last_version(self, stream: str) -> int:
        return self._number(_LAST_VERSION, stream)

    def _number(self, query: str, *args: str) -> int:
        found = self._ask(query, *args)[0][0]
        if type(found) is not int:
            msg = f"journal {self.path!r} is damaged: a version or a position is no number"
            raise JournalError(msg)
        return found

    def versions(self) -> dict[str, int]:
        names = [name for (name,) in self._ask(_STREAMS) if not name.startswith("request/")]
        return {name: self.last_version(name) for name in names}

    def snapshot(self, stream: str) -> Snapshot | None:
        found = self._ask(_LOAD, stream)
        return snapshot_in(found[0]) if found else None

    def trimmed(self) -> Trimmed:
        """What retention removed so far."""
        rows = self._ask(_TRIMMED) if self._ask(_HAS_TRIMS)[0][0] else ()  # older files lack the table
        return Trimmed(*rows[0]) if rows else Trimmed()

    def _ask(self, query: str, *args: Any) -> list[Any]:
        try:
            with self._reading:
                return self._reader.execute(query, args).fetchall()
        except DAMAGED as error:
            msg = f"journal {self.path!r} cannot be read: {error}{cut_short(self.path)}"
            raise JournalError(msg) from error

    def rows_asked(self, query: str, *args: Any) -> list[Row]:
        """Rows of `SELECT`, that are rows: in a damaged file a column may be nothing at all.

        Raises:
            JournalError: one is not.
        """
        rows: list[Row] = self._ask(query, *args)
        for last, stream, version, batch, events in rows:
            if not (
                type(stream) is type(events) is str and type(last) is type(version) is type(batch) is int
            ):
                msg = f"journal {self.path!r} is damaged: row {last} lacks what every row has"
                raise JournalError(msg)
        return rows

    def last_stream(self, kind: str) -> str | None:
        """The stream of this kind (``"request"``, ``"deployment"``) that was written to last."""
        kinds = (f"{kind}/", f"{kind}0")
        if not self._ask(_ANY_OF_KIND, *kinds):
            return None
        found = self._ask(_LAST_OF_KIND, *kinds)
        return found[0][0] if found else None

    def beginning_with(self, beginning: str, most: int) -> list[str]:
        """Streams whose names begin so, that many of them at most."""
        found = self._ask(_BEGINNING, beginning, f"{beginning}{LAST_CHARACTER}", most)
        return [name for (name,) in found]

    def first_after(self, at: float) -> int:
        """The position of the first event after router time `at`; with none, one more than the last."""
        low, high = 0, self.last_position()
        while high - low > SCANNED:
            middle = (low + high) // 2
            row = self.rows_asked(_NEAR, middle + 1)[0]  # the last event has a row, so there is one
            *_, ended = events_of(row, 0)
            if ended.at <= at:
                low = ended.position
            else:
                high = middle
        return next(
            (found.position for found in self._of_all(low) if found.at > at), self.last_position() + 1
        )


def _problem_with(file: str) -> str | None:
    """Why there is no journal to be looked into, if that is plain without a look."""
    try:
        return None if stat.S_ISREG(os.stat(file).st_mode) else "this is no file"
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except OSError as error:
        return str(error.strerror)


def events_of(row: Row, after: int, types: Collection[str] | None = None) -> Iterator[Recorded]:
    """The events in a row that are behind position `after`, and of the wanted types.

    Raises:
        UnreadableEventError: on reaching one that is damaged, or not known here.
    """
    stream, version = row[1:3]
    items = items_of(row)
    version -= len(items)
    for position, at, kind, kind_version, data in items:
        version += 1
        if position > after and (types is None or kind in types):
            yield Recorded(position, stream, version, at, decode_event(kind, kind_version, data))


def items_of(row: Row) -> list[Item]:
    """The events in a row as they are stored: position, time, type, type's version, fields.

    Raises:
        UnreadableEventError: it is damaged.
    """
    try:
        return _items_of(row[4])
    except msgspec.MsgspecError as error:
        msg = f"the journal's row {row[0]} (stream {row[1]!r}) is damaged: {error}"
        raise UnreadableEventError(msg) from error


def snapshot_in(row: tuple[Any, ...]) -> Snapshot:
    """The snapshot in a row: stream, version, position, at, state.

    Raises:
        UnreadableEventError: it is no JSON.
    """
    stream, version, position, at, state = row
    try:
        return Snapshot(stream, version, position, at, msgspec.json.decode(state))
    except (msgspec.MsgspecError, TypeError) as error:
        msg = f"the snapshot of {stream!r} at position {position} is damaged: {error}"
        raise UnreadableEventError(msg) from error
