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

import logging
import math
import os
import sqlite3
from contextlib import contextmanager, suppress
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from ...messages.errors import ConfigurationError
from . import sqlite_trim
from .ports import JournalError, Trimming, UnwritableEventError
from .retention import apart
from .sqlite_checkpoints import OpenRequests, keep_snapshot
from .sqlite_file import FileLock, open_for_reading, open_for_writing
from .sqlite_reader import LAST_POSITION, SqliteReader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from .codec import Recorded
    from .ports import Holdings, Snapshot

__all__ = ["SqliteStore"]

log = logging.getLogger("turnout.journal")

BUSY_SECONDS = 1.0
"""How long a statement waits for someone else who has the file locked."""

SLICE = 2_048
"""Events in one statement. Encoding them holds the interpreter for about 2 ms; then others have a turn."""

STAYS_LARGE = (
    "was made by an older version: what is removed leaves room that is used again, but the file gets no "
    "smaller; `turnout trim`, while no router has it, mends that"
)

_SAVE = "INSERT OR REPLACE INTO snapshots (stream, version, position, at, state) VALUES (?, ?, ?, ?, ?)"

_encode = msgspec.json.Encoder().encode


class SqliteStore(SqliteReader):
    """Events and snapshots in a file, written through one connection and read through another.

    Raises:
        ConfigurationError: the file is not a journal of ours, or another router has it.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = os.path.realpath(path)
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            msg = f"journal {self.path!r}: there is no folder {folder!r}"
            raise ConfigurationError(msg)
        self._lock = FileLock(self.path)
        try:
            self._database = open_for_writing(self.path, busy_seconds)
        except BaseException:
            self._lock.release()
            raise
        self._file = _identity(self.path)
        super().__init__(self.path, open_for_reading(self.path, busy_seconds))
        self._unsure = False
        self._closed = False
        self._open_requests = OpenRequests()
        self._trim: Generator[None, None, frozenset[str]] | None = None
        self._trimmed_to = 0
        self._apart = math.inf
        """Router time after which another snapshot of a stream is kept, beside the latest."""

    def __repr__(self) -> str:
        return f"<SqliteStore {self.path!r}{' · closed' if self._closed else ''}>"

    # -- writing

    def append(self, batch: Sequence[Recorded]) -> None:
        with self._trouble():
            new = batch
            if self._unsure:
                # the try before may have worked for all that its error said
                last = self._database.execute(LAST_POSITION).fetchone()[0]
                new = [recorded for recorded in batch if recorded.position > last]
            self._unsure = True
            self._write(new)
            self._open_requests.follow(batch, self._database)
            self._unsure = False

    def _write(self, batch: Sequence[Recorded]) -> None:
        """One statement is a transaction of its own; several are put into one."""
        if len(batch) <= SLICE:
            _insert(self._database, batch)
            return
        with self._transaction() as database:
            for start in range(0, len(batch), SLICE):
                _insert(database, batch[start : start + SLICE])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # some errors have rolled back already
                database.execute("ROLLBACK")
            raise

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self.save_snapshots((snapshot,))

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        rows = [(s.stream, s.version, s.position, s.at, _encode(s.state).decode()) for s in snapshots]
        with self._trouble(), self._transaction() as database:
            for row in rows:
                database.execute(_SAVE, row)
                if row[1]:  # a stream without events, such as `usage`, is its own and nobody else's
                    keep_snapshot(database, row, self._apart)

    # -- forgetting

    def holdings(self) -> Holdings:
        with self._trouble():
            return sqlite_trim.holdings(self._database)

    def last_before(self, at: float) -> int:
        with self._trouble():
            return sqlite_trim.last_before(self._database, at)

    def trim(self, cut: int, reason: str, now: float) -> Trimming:
        if self._trim is None or cut != self._trimmed_to:
            if self._trim is not None:
                self._trim.close()
            if not self._trimmed_to and not sqlite_trim.shrinks(self._database):
                log.warning("journal %r %s", self.path, STAYS_LARGE)
            self._trimmed_to = cut
            self._trim = sqlite_trim.trim(self._database, self._transaction, cut, reason, now)
        try:
            with self._trouble():
                next(self._trim)
        except StopIteration as end:
            self._trim = None
            self._apart = apart(self.trimmed().at, now)
            return Trimming(more=False, uncovered=end.value)
        except BaseException:
            self._trim = None  # what was committed stands; the next one goes on from there
            raise
        return Trimming(more=True)

    def compact(self) -> None:
        """Give all free room back to the file system, which takes its time."""
        with self._trouble():
            sqlite_trim.compact(self._database)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """What SQLite says, as our error. A file that was moved away takes writes, and loses them."""
        try:
            if self._closed or _identity(self.path) != self._file:
                msg = f"journal {self.path!r} was {'closed' if self._closed else 'removed or replaced'}"
                raise JournalError(msg)
            yield
        except sqlite3.Error as error:
            msg = f"journal {self.path!r}: {error}"
            raise JournalError(msg) from error

    # -- the end

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        super().close()
        self._database.close()  # the last one to leave folds the write-ahead log into the file
        self._lock.release()


def _identity(path: str) -> tuple[int, int] | None:
    """Which file this is, whatever its name; None when there is none."""
    try:
        found = os.stat(path)
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
