"""Cutting a journal's past off in a SQLite file, a bounded piece at a time.

A trim goes through its phases, each in transactions of at most `ROWS` rows:

1. survey: which requests were open at the cut; that is noted, and in the same transaction the table
   `trims` tells of the cut. From here on moments before it are gone, whatever is still there;
2. requests that an earlier trim left since they were open then, and are over now;
3. the rows between the last cut and this one: requests that were over at the cut, each of them whole;
4. every other stream: the last snapshot not after the cut is kept for good, what came before it goes;
5. snapshots and notes that nothing begins with any more; then pages are given back.

A crash between two transactions leaves a file that is right; the next trim begins with what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...messages.events import EventsLost
from . import sqlite_trim_sql as sql
from .open_scan import OF_INTEREST, OpenScan
from .ports import ACCOUNT, Holdings, Trimmed
from .retention import apart
from .sqlite_reader import LAST_POSITION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Generator
    from contextlib import AbstractContextManager

    Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]

__all__ = ["ROWS", "STREAMS", "VACUUM_PAGES", "compact", "holdings", "last_before", "shrinks", "trim"]

ROWS = 1_000
"""Rows that one step looks at, or removes: some milliseconds, in which no commit is made."""

STREAMS = 200
"""Streams of owners that one step looks after."""

VACUUM_PAGES = 256
"""Pages that one step gives back to the file system: 4 MB."""

SPARE = 8
"""The file may be empty to one part in so many: what comes next finds its room there."""

_encode = msgspec.json.Encoder().encode
_names_in = msgspec.json.Decoder(list[str]).decode
_pairs_in = msgspec.json.Decoder(list[tuple[str, int]]).decode
_seen_in = msgspec.json.Decoder(list[tuple[int, str, str]]).decode
_counts_in = msgspec.json.Decoder(list[tuple[str, int, int]]).decode
_KINDS = _encode(sorted(OF_INTEREST)).decode()


def holdings(database: sqlite3.Connection) -> Holdings:
    """What the file holds."""
    row = _row(database, sql.TRIMS)
    trimmed, swept = (Trimmed(), 0) if row is None else (Trimmed(*row[:-1]), row[-1])
    floor = trimmed.position
    return Holdings(
        trimmed,
        database.execute(LAST_POSITION).fetchone()[0],
        _value(database, sql.FIRST_AT, floor),
        _value(database, sql.COUNTED, ACCOUNT) or 0,
        (_pages(database, "page_count") - _pages(database, "freelist_count")) * _pages(database, "page_size"),
        unfinished=swept < floor,
    )


def last_before(database: sqlite3.Connection, at: float) -> int:
    """The position of the last row that ends not after router time `at`; 0 for none. Halves its way there."""
    low, high = 0, database.execute(LAST_POSITION).fetchone()[0]
    while low < high:
        middle = (low + high) // 2
        last, ended = _row(database, sql.NEAR, middle + 1) or (high + 1, None)
        if ended is not None and ended <= at:
            low = last
        else:
            high = middle
    return int(low)


def shrinks(database: sqlite3.Connection) -> bool:
    """Whether the file gets smaller: those of before there was retention only use their room again."""
    return bool(database.execute("PRAGMA auto_vacuum").fetchone()[0] == 2)


def compact(database: sqlite3.Connection) -> None:
    """Give all free room back; a file that never did learns to, and is written anew for that."""
    if shrinks(database):
        database.executescript("PRAGMA incremental_vacuum")
    else:
        database.executescript("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def trim(
    database: sqlite3.Connection, transaction: Transaction, cut: int, reason: str, now: float
) -> Generator[None, None, frozenset[str]]:
    """Trim, and stop wherever commits may come between; gives the streams that no snapshot covers."""
    floor, swept = (_row(database, "SELECT position, swept FROM trims")) or (0, 0)
    counted = _value(database, sql.COUNTED, ACCOUNT) or 0
    cut = max(floor, _boundary(database, min(cut, counted)))
    if cut == floor == swept:
        return frozenset()
    trimmer = _Trim(database, transaction, cut, now)
    yield from trimmer.survey()
    trimmer.begin(None if cut == floor else (_value(database, sql.AT, cut), now, reason))
    yield
    yield from trimmer.forget_what_was_open()
    yield from trimmer.sweep(swept)
    uncovered = yield from trimmer.cover()
    yield from trimmer.tidy_up()
    return uncovered


def _boundary(database: sqlite3.Connection, cut: int) -> int:
    """The last position not after `cut` at which no row has events on both sides."""
    batch = _value(database, sql.BATCH, cut)
    return cut if batch is None else min(cut, batch - 1)


class _Trim:
    """One trim, to a position between two batches."""

    def __init__(self, database: sqlite3.Connection, transaction: Transaction, cut: int, now: float) -> None:
        self._database = database
        self._transaction = transaction
        self._cut = cut
        self._now = now
        self._at = 0.0
        self._stale = 0.0
        self._open: dict[str, int] = {}
        self._base = cut

    # -- 1

    def survey(self) -> Generator[None, None, None]:
        noted = _row(self._database, sql.NOTED, self._cut)
        done, streams = (0, {}) if noted is None else (noted[0], dict(_pairs_in(noted[1])))
        scan = OpenScan(streams)
        while done < self._cut:
            last, seen = self._database.execute(sql.SURVEY, (done, self._cut, ROWS, _KINDS)).fetchone()
            for position, stream, kind in sorted(_seen_in(seen)):
                scan.see(position, stream, kind)
            done = self._cut if last is None else last
            yield
        self._open = scan.streams
        # the story of a request that is open includes what its deployments recorded meanwhile
        self._base = min([self._cut, *(first - 1 for first in scan.streams.values())])

    def begin(self, told: tuple[float | None, float, str] | None) -> None:
        """Tell of the cut, in one transaction with what was open then; None: it was told before."""
        with self._transaction() as database:
            database.execute(sql.NOTE, (self._cut, _encode(list(self._open.items())).decode()))
            database.execute(sql.BEGIN)
            if told is not None:
                database.execute(sql.CUT, (self._cut, *told))
        self._at = _value(self._database, "SELECT at FROM trims")
        self._stale = self._now - apart(self._at, self._now)

    # -- 2 and 3

    def forget_what_was_open(self) -> Generator[None, None, None]:
        were = _names_in(_value(self._database, sql.WERE_OPEN, self._cut))
        over = [stream for stream in were if stream not in self._open]
        for start in range(0, len(over), ROWS):
            portion: list[str] = over[start : start + ROWS]
            while portion:
                with self._transaction():
                    portion = self._forget(portion)
                yield

    def sweep(self, swept: int) -> Generator[None, None, None]:
        while swept < self._cut:
            with self._transaction() as database:
                last, streams = database.execute(sql.SWEEP, (swept, self._cut, ROWS)).fetchone()
                over = [stream for stream in _names_in(streams) if stream not in self._open]
                if not self._forget(over):  # else there is more here
                    swept = self._cut if last is None else last
                    database.execute(sql.SWEPT, (swept,))
            yield

    def _forget(self, streams: Collection[str]) -> list[str]:
        """Remove requests, each whole, as many as may be in one step; gives those that are left.

        One that was not open and yet goes on after the cut lost its beginning long ago.
        """
        if not streams:
            return []
        told = self._database.execute(
            sql.OF_STREAMS, (_encode(list(streams)).decode(), self._cut)
        ).fetchone()[0]
        rows = events = 0
        chosen: list[str] = []
        counts = _counts_in(told)
        for stream, count, number in counts:
            if chosen and rows + count > ROWS:
                break
            chosen.append(stream)
            rows, events = rows + count, events + number
        if chosen:
            self._database.execute(sql.FORGET, (_encode(chosen).decode(), self._cut))
            self._database.execute(sql.REMOVED, (events, 0))
        return [stream for stream, _, _ in counts[len(chosen) :]]

    # -- 4

    def cover(self) -> Generator[None, None, frozenset[str]]:
        owners = _names_in(_value(self._database, sql.OWNERS))
        uncovered: list[str] = []
        for start in range(0, len(owners), STREAMS):
            portion = _encode(owners[start : start + STREAMS]).decode()
            with self._transaction() as database:
                database.execute(sql.KEEP, (portion, self._base, self._at))
            while self._remove_covered(portion):
                yield
            uncovered += _names_in(_value(self._database, sql.UNCOVERED, portion, self._stale))
            yield
        return frozenset(uncovered)

    def _remove_covered(self, portion: str) -> bool:
        """Remove what stands before the snapshots that were kept; whether there may be more."""
        with self._transaction() as database:
            rows, events = database.execute(sql.COVERED, (portion, self._base, self._at, ROWS)).fetchone()
            if rows == "[]":
                return False
            lost = _value(database, sql.LOST, rows, EventsLost.TYPE)
            database.execute(sql.REMOVE, (rows,))
            database.execute(sql.REMOVED, (events, lost))
        return True

    # -- 5

    def tidy_up(self) -> Generator[None, None, None]:
        database = self._database
        while database.execute(sql.PRUNE, (self._base, self._at, ROWS)).rowcount == ROWS:
            yield
        database.execute(sql.DROP_NOTES, (self._cut,))
        yield
        while shrinks(database) and self._has_spare_pages():
            database.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")  # `execute` gives back one
            yield
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # only now does the file get smaller

    def _has_spare_pages(self) -> bool:
        free, pages = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("freelist_count", "page_count")
        )
        return bool(free * SPARE > pages)


def _pages(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _row(database: sqlite3.Connection, query: str, *args: Any) -> Any:
    return database.execute(query, args).fetchone()


def _value(database: sqlite3.Connection, query: str, *args: Any) -> Any:
    row = database.execute(query, args).fetchone()
    return None if row is None else row[0]
