"""The file of a SQLite journal: whose it is, what is in it, and who may write to it."""

from __future__ import annotations

import fcntl
import os
import sqlite3

from ...messages.errors import ConfigurationError

__all__ = [
    "APPLICATION_ID",
    "DAMAGED",
    "SCHEMA_VERSION",
    "FileLock",
    "check_that_it_is_ours",
    "cut_short",
    "has_log",
    "open_for_looking",
    "open_for_reading",
    "open_for_writing",
]

APPLICATION_ID = 0x7475726E
"""What makes a SQLite file one of ours: "turn"."""

SCHEMA_VERSION = 1

DAMAGED = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file may raise: SQLite's words for it may hold a piece that is no text."""

HEADER_BYTES = 100
"""In which SQLite says how large a file is."""

CACHED_STATEMENTS = 32
"""Inserts come in twelve sizes; beside them a handful of others."""

PAGE_BYTES = 16_384
"""Large pages: requests have random names, so a commit touches much of the index, page by page."""

CACHE_KIB = 32_768
"""More than a commit ever touches."""

CHECKPOINT_PAGES = 256
"""Pages in the write-ahead log, 4 MB, at which the writer copies them into the file: as much as SQLite's own
1000 are meant for, with pages a quarter of ours. More would be copied while somebody waits for the close."""

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE runs (
    last INTEGER PRIMARY KEY AUTOINCREMENT,  -- position of the last event; never given out twice
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,                -- of the last event
    batch INTEGER NOT NULL,                  -- position of the first event of the statement
    events TEXT NOT NULL
);
CREATE INDEX runs_of_stream ON runs (stream);
CREATE TABLE snapshots (
    stream TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at REAL NOT NULL,
    state TEXT NOT NULL
) WITHOUT ROWID;
CREATE VIEW events AS
    SELECT value ->> 0 AS position, stream, version - json_array_length(runs.events) + 1 + key AS version,
           value ->> 1 AS at, value ->> 2 AS type, value ->> 3 AS type_version, value -> 4 AS fields
    FROM runs, json_each(runs.events);
"""
# What came later. Older files are given it when they are next written to, older versions pass it over.
_LATER_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS snapshot_history (  -- earlier snapshots, some of them: see sqlite_checkpoints
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at REAL NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS snapshots_of_stream ON snapshot_history (stream, position);
CREATE TABLE IF NOT EXISTS open_requests (     -- those that were open after the event at `position`
    position INTEGER PRIMARY KEY,
    requests TEXT NOT NULL                     -- JSON: [[stream, position of its first event], ...]
);
CREATE TABLE IF NOT EXISTS trims (             -- one row: what retention removed, see ports.Trimmed
    position INTEGER NOT NULL,
    at REAL NOT NULL,
    events INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    trimmed_at REAL NOT NULL,
    reason TEXT NOT NULL,
    swept INTEGER NOT NULL                     -- how far the latest trim has come; `position` when it is done
);
COMMIT;
"""
# Files of a while ago have it with three columns, and nothing in it.
_HAS_TRIMS = "SELECT count(*) FROM pragma_table_info('trims') WHERE name = 'swept'"
_LATER_TABLES = {"snapshot_history", "open_requests", "trims"}
_SEAL = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"


class FileLock:
    """Held by the one process that may write to `path`; ends with the process, however that ends.

    A lock file of its own: SQLite's locks on the database would be dropped by any other use of it.

    Raises:
        ConfigurationError: another router has the file, or its folder cannot be written to.
    """

    def __init__(self, path: str) -> None:
        name = f"{path}.lock"
        try:
            self._file: int | None = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            msg = f"journal {path!r} cannot be opened: {error.strerror} ({os.path.basename(name)})"
            raise ConfigurationError(msg) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            msg = f"journal {path!r} is in use by another router (process {owner or 'unknown'})"
            raise ConfigurationError(msg) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another have it. The lock file stays: removing it would race with who opens it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def open_for_writing(path: str, busy_seconds: float) -> sqlite3.Connection:
    """A connection to the journal at `path`, which is made when there is none.

    Raises:
        ConfigurationError: the file is something else, newer than we are, or cannot be written to.
    """
    try:
        database = sqlite3.connect(
            path,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
    except DAMAGED as error:
        raise _unusable(path, error) from None
    try:
        _set_up(database, path)
    except BaseException as error:
        database.close()
        if isinstance(error, DAMAGED):
            raise _unusable(path, error) from None
        raise
    return database


def _unusable(path: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"journal {path!r} cannot be opened: {error}")


def _set_up(database: sqlite3.Connection, path: str) -> None:
    database.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; others stay as they are
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    _claim(database, path)
    if database.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        msg = f"journal {path!r} is on a file system that SQLite cannot keep a write-ahead log on"
        raise ConfigurationError(msg)
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")


def _claim(database: sqlite3.Connection, path: str) -> None:
    """See that the file is ours, or empty and thus ours from now on. Changes nothing of others."""
    ours = database.execute("PRAGMA application_id").fetchone()[0]
    if ours == 0 and database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # retention gives pages back
        database.executescript(_SCHEMA + _SEAL)
    tables = check_that_it_is_ours(database, path)
    if "trims" in tables and not database.execute(_HAS_TRIMS).fetchone()[0]:
        database.execute("DROP TABLE trims")
        tables.discard("trims")
    if not tables >= _LATER_TABLES:
        database.executescript(_LATER_SCHEMA)


def check_that_it_is_ours(database: sqlite3.Connection, path: str) -> set[str]:
    """See that the file is a journal that this Turnout understands; the tables it has.

    Raises:
        ConfigurationError: it is something else, or newer than we are, or damaged.
    """
    ours = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if ours != APPLICATION_ID:
        something = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        what = (
            "is a SQLite database of something else" if something else "is empty: no router was started on it"
        )
        msg = f"journal {path!r} {what}"
        raise ConfigurationError(msg)
    if version != SCHEMA_VERSION:
        msg = (
            f"journal {path!r} has schema version {version}; this Turnout knows {SCHEMA_VERSION}: "
            "use the newer one that wrote it"
        )
        raise ConfigurationError(msg)
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"runs", "snapshots"} <= tables:
        msg = f"journal {path!r} is damaged: it lacks tables"
        raise ConfigurationError(msg)
    return tables


def cut_short(path: str) -> str:
    """What to add to an error about a file that lacks its end; nothing when it has all it says it has."""
    try:
        there = os.stat(path).st_size
        with open(path, "rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return ""
    if len(header) < HEADER_BYTES or not header.startswith(b"SQLite format 3\0"):
        return ""
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    size = (page if page > 1 else 65_536) * pages
    return f" (it is cut short: {there:,} of its {size:,} bytes are there)" if there < size else ""


def _address(path: str) -> str:
    """The file as a URI, in which only these characters mean something to SQLite."""
    return "file://" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def open_for_reading(path: str, busy_seconds: float) -> sqlite3.Connection:
    """A connection that sees what is committed and cannot write."""
    return sqlite3.connect(
        f"{_address(path)}?mode=ro",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def has_log(path: str) -> bool:
    """Whether some of what was written is, or may be, in the write-ahead log beside the file."""
    return os.path.exists(f"{path}-wal")


def open_for_looking(path: str, busy_seconds: float) -> sqlite3.Connection:
    """The same beside nobody, or beside the router that has the file; no other file is made.

    A journal that nobody has open has no write-ahead log. SQLite would make one, and leave it there, so the
    file is taken for one that does not change: what is written to it from now on is not seen.
    """
    if has_log(path):
        return open_for_reading(path, busy_seconds)
    return sqlite3.connect(
        f"{_address(path)}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )
