"""The journal in one SQLite file.

Rows are *runs*: the events of one stream in one statement, as a JSON array of
``[position, at, type, type_version, fields]``. A busy router has five events in one row, so a row's
cost (its index entry above all) is paid a fifth as often; the view ``events`` shows them one by one
to whoever looks into the file with `sqlite3`.

A commit is one statement, or few. sqlite3 lets go of the interpreter in every step and, with a busy main
thread, gets it back only after the switch interval (5 ms): `executemany` with its step per row
manages 80 events a second where this manages 80,000.

`synchronous=FULL`: a commit survives a power cut, not only a crash of the process. It costs an
fsync per group, in the writer's thread, and with that `confirm()` means what it says.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from functools import cache
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...messages.errors import ConfigurationError
from .codec import Recorded, decode_event
from .ports import JournalError, Snapshot, UnreadableEventError, UnwritableEventError
from .sqlite_file import FileLock, open_for_reading, open_for_writing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["SqliteStore"]

BUSY_SECONDS = 1.0
"""How long a statement waits for someone else who has the file locked."""

SLICE = 2_048
"""Events in one statement. Encoding them holds the interpreter for about 2 ms; then others have a turn."""

PAGE = 256
"""Rows that a reader fetches at a time, so that it keeps no transaction open."""

_LAST_POSITION = """
SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'runs'), 0),
           ifnull((SELECT max(position) FROM snapshots), 0))
"""

_LAST_VERSION = """
SELECT max(ifnull((SELECT version FROM runs WHERE stream = ?1 ORDER BY last DESC LIMIT 1), 0),
           ifnull((SELECT version FROM snapshots WHERE stream = ?1), 0))
"""

# From name to name along the index, jumping over the requests ("0" is the character after "/").
_STREAMS = """
WITH RECURSIVE names(name) AS (
    SELECT min(stream) FROM runs
    UNION ALL
    SELECT (SELECT min(stream) FROM runs
            WHERE stream > iif(name >= 'request/' AND name < 'request0', 'request0', name))
    FROM names WHERE name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL UNION SELECT stream FROM snapshots
"""

_SELECT = "SELECT last, stream, version, batch, events FROM runs"
_SAVE = "INSERT OR REPLACE INTO snapshots (stream, version, position, at, state) VALUES (?, ?, ?, ?, ?)"
_LOAD = "SELECT stream, version, position, at, state FROM snapshots WHERE stream = ?"

_encode = msgspec.json.Encoder().encode
_Items = list[tuple[int, float, str, int, msgspec.Raw]]
_items_of = msgspec.json.Decoder(_Items).decode
_Row = tuple[int, str, int, int, str]


class SqliteStore:
    """Events and snapshots in a file, written through one connection and read through another.

    Raises:
        ConfigurationError: the file is not a journal of ours, or another router has it.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = Path(path).resolve()
        if not self.path.parent.is_dir():
            msg = f"journal {str(self.path)!r}: there is no folder {str(self.path.parent)!r}"
            raise ConfigurationError(msg)
        self._lock = FileLock(self.path)
        try:
            self._database = open_for_writing(self.path, busy_seconds)
        except BaseException:
            self._lock.release()
            raise
        self._file = _identity(self.path)
        self._reader = open_for_reading(self.path, busy_seconds)
        self._reading = threading.Lock()
        self._unsure = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<SqliteStore {str(self.path)!r}{' · closed' if self._closed else ''}>"

    # -- writing

    def append(self, batch: Sequence[Recorded]) -> None:
        with self._trouble():
            if self._unsure:
                # the try before may have worked for all that its error said
                last = self._database.execute(_LAST_POSITION).fetchone()[0]
                batch = [recorded for recorded in batch if recorded.position > last]
            self._unsure = True
            self._write(batch)
            self._unsure = False

    def _write(self, batch: Sequence[Recorded]) -> None:
        """One statement is a transaction of its own; several are put into one."""
        database = self._database
        if len(batch) <= SLICE:
            _insert(database, batch)
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(batch), SLICE):
                _insert(database, batch[start : start + SLICE])
            database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # some errors have rolled back already
                database.execute("ROLLBACK")
            raise

    def save_snapshot(self, snapshot: Snapshot) -> None:
        state = _encode(snapshot.state).decode()
        row = (snapshot.stream, snapshot.version, snapshot.position, snapshot.at, state)
        with self._trouble():
            self._database.execute(_SAVE, row)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """What SQLite says, as our error. A file that was moved away takes writes, and loses them."""
        try:
            if self._closed or _identity(self.path) != self._file:
                msg = f"journal {str(self.path)!r} was {'closed' if self._closed else 'removed or replaced'}"
                raise JournalError(msg)
            yield
        except sqlite3.Error as error:
            msg = f"journal {str(self.path)!r}: {error}"
            raise JournalError(msg) from error

    # -- reading

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        events = self._of_stream(stream, after) if stream is not None else self._of_all(after)
        return islice(events, limit)

    def _of_stream(self, stream: str, after: int) -> Iterator[Recorded]:
        for row in self._rows("stream = ? AND last > ?", (stream,), after):
            yield from _events(row, after)

    def _of_all(self, after: int) -> Iterator[Recorded]:
        # batches follow one another; the runs of one batch lie side by side and are put in order
        for _, rows in groupby(self._rows("last > ?", (), after), key=itemgetter(3)):
            batch = [recorded for row in rows for recorded in _events(row, after)]
            batch.sort(key=lambda recorded: recorded.position)
            yield from batch

    def _rows(self, where: str, args: tuple[str, ...], after: int) -> Iterator[_Row]:
        query = f"{_SELECT} WHERE {where} ORDER BY last LIMIT {PAGE}"
        while page := self._ask(query, *args, after):
            yield from page
            after = page[-1][0]

    def last_position(self) -> int:
        return int(self._ask(_LAST_POSITION)[0][0])

    def last_version(self, stream: str) -> int:
        return int(self._ask(_LAST_VERSION, stream)[0][0])

    def versions(self) -> dict[str, int]:
        names = [name for (name,) in self._ask(_STREAMS) if not name.startswith("request/")]
        return {name: self.last_version(name) for name in names}

    def snapshot(self, stream: str) -> Snapshot | None:
        for name, version, position, at, state in self._ask(_LOAD, stream):
            return Snapshot(name, version, position, at, msgspec.json.decode(state))
        return None

    def _ask(self, query: str, *args: Any) -> list[Any]:
        try:
            with self._reading:
                return self._reader.execute(query, args).fetchall()
        except sqlite3.Error as error:
            msg = f"journal {str(self.path)!r} cannot be read: {error}"
            raise JournalError(msg) from error

    # -- the end

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._reading:
            self._reader.close()
        self._database.close()  # the last one to leave folds the write-ahead log into the file
        self._lock.release()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever its name; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _insert(database: sqlite3.Connection, batch: Sequence[Recorded]) -> None:
    """Insert with one statement, its rows filled up to a size whose statement is prepared already."""
    rows = _rows(batch)
    if rows:
        size = 1 << (len(rows) // 5 - 1).bit_length()
        rows.extend([None] * (size * 5 - len(rows)))
        database.execute(_insert_statement(size), rows)


@cache
def _insert_statement(rows: int) -> str:
    values = ",".join(["(?,?,?,?,?)"] * rows)
    return (
        "INSERT INTO runs (last, stream, version, batch, events) "  # noqa: S608  (nothing but question marks)
        f"SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL"
    )


def _rows(batch: Sequence[Recorded]) -> list[Any]:
    """The columns of every run of `batch`, one after the other."""
    streams: dict[str, list[Recorded]] = {}
    for recorded in batch:
        run = streams.get(recorded.stream)
        if run is None:
            streams[recorded.stream] = [recorded]
        else:
            run.append(recorded)
    rows: list[Any] = []
    for stream, run in streams.items():
        for part in _contiguous(run):
            end = part[-1]
            rows += (end.position, stream, end.version, batch[0].position, _text(part))
    return rows


def _contiguous(run: list[Recorded]) -> Iterable[list[Recorded]]:
    """The run, or its parts when events are missing inside: a row holds versions without a gap."""
    if run[-1].version - run[0].version + 1 == len(run):
        return (run,)
    numbered = enumerate(run)
    return [
        [recorded for _, recorded in part]
        for _, part in groupby(numbered, key=lambda pair: pair[1].version - pair[0])
    ]


def _text(run: list[Recorded]) -> str:
    try:
        return _encode([(r.position, r.at, (e := r.event).TYPE, e.VERSION, e) for r in run]).decode()
    except (TypeError, ValueError, RecursionError):
        _blame(run)
        raise


def _blame(run: list[Recorded]) -> None:
    """Find the event that cannot be encoded."""
    for recorded in run:
        try:
            _encode(recorded.event)
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"{recorded.event.TYPE} in {recorded.stream!r} is not JSON-able ({type(error).__name__})"
            raise UnwritableEventError(msg, recorded.position) from None


def _events(row: _Row, after: int) -> Iterator[Recorded]:
    last, stream, version, _, text = row
    try:
        items = _items_of(text)
    except msgspec.MsgspecError as error:
        msg = f"the journal's row {last} (stream {stream!r}) is damaged: {error}"
        raise UnreadableEventError(msg) from error
    version -= len(items)
    for position, at, kind, kind_version, data in items:
        version += 1
        if position > after:
            yield Recorded(position, stream, version, at, decode_event(kind, kind_version, data))
