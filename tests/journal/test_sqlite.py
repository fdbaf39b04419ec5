"""The file: what may be in it, who may have it, and what happens when the disk does not play along."""

import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from turnout.actors.journal import writer
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.ports import JournalError, Snapshot, UnreadableEventError, UnwritableEventError
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.actors.journal.store import Journal
from turnout.messages.errors import ConfigurationError
from turnout.messages.events import CallOpened

WAIT = 20.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def store(path):
    store = SqliteStore(path, busy_seconds=0.01)
    yield store
    store.close()


@pytest.fixture
def journal(store, monkeypatch):
    monkeypatch.setattr(writer, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(writer, "LONGEST_PAUSE_SECONDS", 0.002)
    journal = Journal(store)
    yield journal
    journal.close()


def line(position, version=None, stream="deployment/a"):
    return Recorded(position, stream, version or position, 1.0 * position, CallOpened("c", "r" * 100, 0.5))


def append(journal, count=1):
    for _ in range(count):
        version = journal.version("deployment/a") + 1
        journal.append("deployment/a", version, 1.0, CallOpened("c", "r" * 100, 0.5))


def until(condition):
    ticks = threading.Event()
    for _ in range(int(WAIT * 1000)):
        if condition():
            return
        ticks.wait(0.001)
    raise AssertionError("it did not come about")


# -- opening


def test_a_file_that_is_no_database_is_a_clear_error_and_stays_as_it_is(path):
    path.write_bytes(b"these are my notes, not a journal" * 100)
    with pytest.raises(
        ConfigurationError, match=r"journal '.*journal\.db' cannot be opened: file is not a database"
    ):
        SqliteStore(path)
    assert path.read_bytes() == b"these are my notes, not a journal" * 100


def test_a_database_of_something_else_is_a_clear_error_and_stays_as_it_is(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE runs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"journal\.db' is a SQLite database of something else"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_a_clear_error(path):
    SqliteStore(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 2")
    newer.close()
    with pytest.raises(ConfigurationError, match="has schema version 2; this Turnout knows 1"):
        SqliteStore(path)


def test_a_journal_without_its_tables_is_a_clear_error(path):
    SqliteStore(path).close()
    damaged = sqlite3.connect(path)
    damaged.execute("DROP TABLE snapshots")
    damaged.close()
    with pytest.raises(ConfigurationError, match="is damaged: it lacks tables"):
        SqliteStore(path)


def test_a_journal_whose_tables_have_names_that_are_no_text_is_a_clear_error(path):
    SqliteStore(path).close()
    damaged = sqlite3.connect(path)
    damaged.execute("PRAGMA writable_schema = ON")
    broken = "('table', cast(x'C5' AS TEXT), cast(x'C5' AS TEXT), 999, 'CREATE nothing')"
    damaged.execute(f"INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES {broken}")
    damaged.commit()
    damaged.close()
    with pytest.raises(ConfigurationError, match=r"journal\.db' cannot be opened"):
        SqliteStore(path)


def test_a_version_that_is_no_number_is_a_clear_error(store, path):
    store.append([line(1)])
    damaged = sqlite3.connect(path)
    damaged.execute("UPDATE runs SET version = 'one'")
    damaged.commit()
    damaged.close()
    with pytest.raises(JournalError, match="a version or a position is no number"):
        store.last_version("deployment/a")


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"there is no folder '.*nowhere'"):
        SqliteStore(tmp_path / "nowhere" / "journal.db")


def test_a_folder_in_place_of_the_file_is_a_clear_error(path):
    path.mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot be opened: unable to open database file"):
        SqliteStore(path)


def test_an_empty_file_becomes_a_journal(path):
    path.touch()
    SqliteStore(path).close()
    assert path.stat().st_size > 0


def test_a_file_that_was_refused_can_be_opened_once_it_is_right(path):
    path.write_bytes(b"x" * 1000)
    with pytest.raises(ConfigurationError):
        SqliteStore(path)
    path.unlink()
    SqliteStore(path).close()


# -- one writer


def test_a_second_router_is_refused(store, path):
    with pytest.raises(ConfigurationError, match=rf"in use by another router \(process {os.getpid()}\)"):
        SqliteStore(path)


def test_a_second_router_in_another_process_is_refused_until_the_first_is_gone(path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigurationError, match=rf"in use by another router \(process {holder.pid}\)"):
        SqliteStore(path)
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    SqliteStore(path).close()


HOLD = """
import sys
from turnout.actors.journal.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_the_file_can_be_looked_into_while_the_router_writes(store, path):
    store.append([line(1), line(2, 1, "deployment/b"), line(3, 2)])
    with sqlite3.connect(path) as other:
        rows = other.execute(
            "SELECT position, stream, version, at, type FROM events ORDER BY position"
        ).fetchall()
    other.close()
    assert rows == [
        (1, "deployment/a", 1, 1.0, "call_opened"),
        (2, "deployment/b", 1, 2.0, "call_opened"),
        (3, "deployment/a", 2, 3.0, "call_opened"),
    ]


def test_events_that_are_committed_while_they_are_read_are_read_once(journal, store, monkeypatch):
    disk = threading.Lock()
    write = store.append

    def slow(batch):
        with disk:
            write(batch)

    append(journal)
    journal.confirm().get(timeout=WAIT)
    monkeypatch.setattr(store, "append", slow)
    with disk:
        append(journal, 3)
        reading = journal.read()
        assert next(reading).version == 1
    journal.confirm().get(timeout=WAIT)
    assert [again.version for again in reading] == [2, 3, 4]


# -- a disk that fails


def test_a_full_disk_degrades_and_recovers(journal, store):
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    append(journal, 500)
    with pytest.raises(JournalError, match=r"journal\.db': database or disk is full"):
        journal.confirm().get(timeout=WAIT)
    assert "full" in journal.health().reason
    assert len(list(journal.read())) == 500
    until(lambda: journal._writer._failures)
    store._database.execute("PRAGMA max_page_count = 100000")
    journal_ok(journal)
    assert store.last_version("deployment/a") == 500


def journal_ok(journal):
    until(lambda: journal.health().ok)
    journal.confirm().get(timeout=WAIT)


def test_someone_elses_lock_degrades_and_recovers(journal, store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    append(journal, 3)
    until(lambda: not journal.health().ok)
    assert "database is locked" in journal.health().reason
    other.execute("ROLLBACK")
    other.close()
    journal_ok(journal)
    assert store.last_version("deployment/a") == 3


def test_a_file_that_is_moved_away_degrades_and_recovers_when_it_is_back(journal, store, path):
    append(journal)
    journal.confirm().get(timeout=WAIT)
    path.rename(path.with_suffix(".gone"))
    append(journal)
    until(lambda: not journal.health().ok)
    assert "was removed or replaced" in journal.health().reason
    path.with_suffix(".gone").rename(path)
    journal_ok(journal)
    assert store.last_version("deployment/a") == 2


def test_a_damaged_file_is_a_clear_error_when_it_is_read(store, path):
    store.append([line(n) for n in range(1, 2000)])
    store.close()
    with path.open("r+b") as file:
        file.seek(40_000)
        file.write(b"\xff" * (path.stat().st_size - 40_000))
    again = SqliteStore(path)
    with pytest.raises((JournalError, UnreadableEventError), match="journal"):
        list(again.read())
    again.close()


def test_a_damaged_row_is_a_clear_error(store):
    store.append([line(1), line(2)])
    store._database.execute("UPDATE runs SET events = substr(events, 1, 30)")
    with pytest.raises(UnreadableEventError, match=r"row 2 \(stream 'deployment/a'\) is damaged"):
        list(store.read())


def test_an_event_of_a_newer_version_is_a_clear_error_and_those_before_are_read(store):
    store.append([line(1)])
    store.append([line(2)])
    store._database.execute(
        "UPDATE runs SET events = replace(events, 'call_opened', 'call_foreseen') WHERE last = 2"
    )
    reading = store.read()
    assert next(reading) == line(1)
    with pytest.raises(UnreadableEventError, match="'call_foreseen'"):
        next(reading)


def test_writing_and_reading_after_close_are_clear_errors(store):
    store.close()
    with pytest.raises(JournalError, match="was closed"):
        store.append([line(1)])
    with pytest.raises(JournalError, match="cannot be read"):
        list(store.read())


def test_a_commit_that_went_through_in_spite_of_its_error_is_not_doubled(store):
    class Moody:
        def __init__(self, database):
            self.database, self.errors = database, 1

        def execute(self, *args):
            result = self.database.execute(*args)
            if self.errors:
                self.errors -= 1
                raise sqlite3.OperationalError("disk I/O error")
            return result

    real, store._database = store._database, Moody(store._database)
    with pytest.raises(JournalError, match="disk I/O error"):
        store.append([line(1), line(2)])
    store.append([line(1), line(2)])
    store._database = real
    store.append([line(3)])
    assert list(store.read()) == [line(1), line(2), line(3)]


def test_a_batch_of_several_statements_is_written_whole_or_not_at_all(store):
    store.append([line(1)])
    bad = CallOpened("\ud800", "r", 0.5)
    many = [line(n) for n in range(2, 5001)]
    with pytest.raises(UnwritableEventError):
        store.append([*many, Recorded(5001, "deployment/a", 5001, 1.0, bad)])
    assert store.last_position() == 1
    store.append(many)
    assert store.last_position() == 5000


def test_snapshots_that_wait_together_are_one_commit_of_500_at_most(journal, store):
    commits, held, free = [], threading.Event(), threading.Event()
    write = store.append

    def held_up(batch):
        held.set()
        free.wait(WAIT)
        write(batch)

    store.append = held_up
    append(journal)
    held.wait(WAIT)
    streams = [f"deployment/{n}" for n in range(2 * writer.MAX_SNAPSHOTS + 1)]
    for number, stream in enumerate(streams):
        journal.save_snapshot(Snapshot(stream, 1, 1, 1.0, {"n": number}))
    store._database.set_trace_callback(lambda statement: commits.append(statement.partition(" ")[0]))
    free.set()
    until(lambda: not journal._writer._snapshots)
    assert commits.count("COMMIT") == 3
    assert [store.snapshot(stream).state["n"] for stream in streams] == list(range(len(streams)))


def test_snapshots_are_kept_all_or_none(store):
    store.save_snapshot(Snapshot("deployment/a", 1, 1, 1.0, {"n": 1}))
    newer, broken = Snapshot("deployment/a", 2, 2, 2.0, {"n": 2}), Snapshot("deployment/b", 1, None, 1.0, {})
    with pytest.raises(JournalError, match="NOT NULL"):
        store.save_snapshots([newer, broken])
    assert store.snapshot("deployment/a").state == {"n": 1}
    store.save_snapshots([newer])
    assert store.snapshot("deployment/a").state == {"n": 2}


def test_a_batch_may_touch_any_number_of_streams(store):
    lines = [line(n, 1, f"request/{n}") for n in range(1, 40_001)]
    store.append(lines)
    assert list(store.read()) == lines


# -- positions


def test_positions_are_not_given_out_twice_even_when_rows_are_removed(store, path):
    store.append([line(1), line(2), line(3)])
    store.save_snapshot(Snapshot("deployment/a", 3, 3, 1.0, {}))
    store._database.execute("DELETE FROM runs")
    store._database.execute("DELETE FROM snapshots")
    store.close()
    again = SqliteStore(path)
    assert again.last_position() == 3
    again.close()


def test_commits_that_span_pages_of_rows_are_read_in_order(store):
    """A commit of 1,000 streams is four pages of a reader; its events interleave over all of them."""
    lines = [line(n, (n - 1) // 1000 + 1, f"deployment/{n * 7919 % 1000}") for n in range(1, 3001)]
    store.append(lines)
    more = [line(n, (n - 1) // 1000 + 1, f"deployment/{n * 7919 % 1000}") for n in range(3001, 5001)]
    store.append(more)
    assert list(store.read()) == lines + more
    assert list(store.read(after=1234, limit=2000)) == (lines + more)[1234:3234]


def test_a_folder_with_odd_characters_is_fine(tmp_path):
    folder = tmp_path / "a b?c#d%20ü"
    folder.mkdir()
    store = SqliteStore(folder / "x?mode=memory.db")
    store.append([line(1)])
    assert list(store.read()) == [line(1)]
    store.close()
    assert (folder / "x?mode=memory.db").is_file()
    with SqliteReader.open(folder / "x?mode=memory.db") as journal:
        assert list(journal.read()) == [line(1)]
