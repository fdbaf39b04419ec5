"""When a journal is trimmed, how far, and what is said of it."""

import itertools
import sqlite3
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ConfigurationError
from turnout.actors.journal import retention, sqlite, sqlite_trim, trimmer
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.memory import MemoryStore
from turnout.actors.journal.ports import ACCOUNT, Holdings, JournalError, Snapshot, Trimmed, Trimming
from turnout.actors.journal.retention import Retention, decide
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.store import Journal, open_journal
from turnout.actors.journal.trimmer import EVERY_SECONDS, Trimmer
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.messages.events import CooldownEnded, RequestAccepted, RequestCancelled, WaitStarted
from turnout.testing import FakeClock
from turnout.testing.faulty_journal import FaultyStore

WAIT = 20.0

# -- how far


def held(**facts):
    told = {"trimmed": Trimmed(), "last": 1000, "first_at": 0.0, "counted": 1000, "bytes": 0, **facts}
    return Holdings(**told)


def test_without_limits_nothing_is_cut():
    assert not Retention()
    assert decide(Retention(), held(bytes=10**12)).cut == 0


def test_what_is_too_old_is_cut_and_what_is_not_is_not():
    rules = Retention(max_age=100.0)
    assert rules.overdue(held(first_at=0.0), now=100.5) is None
    assert rules.overdue(held(first_at=0.0), now=101.5) == pytest.approx(1.5)
    assert rules.overdue(held(first_at=None), now=10**6) is None
    assert Retention(max_age=10**6).overdue(held(), now=10**6 + 59) is None
    assert Retention(max_age=10**6).overdue(held(), now=10**6 + 61) == 61
    assert decide(rules, held(), aged=300).cut == 300


def test_a_file_that_is_too_large_is_cut_to_nine_tenths_of_its_limit():
    rules = Retention(max_bytes=1000)
    assert decide(rules, held(bytes=1000)).cut == 0
    many = {"bytes": 2000, "last": 100_000, "counted": 100_000}
    decision = decide(rules, held(**many))
    assert (decision.cut, decision.reason) == (pytest.approx(55_000, abs=1), "journal_max_bytes")
    assert decide(rules, held(**many, trimmed=Trimmed(position=50_000))).cut == pytest.approx(77_500, abs=1)
    assert decide(rules, held(**{**many, "bytes": 1001})).cut == pytest.approx(10_090, abs=1)


def test_a_cut_for_size_is_no_shorter_than_a_batch():
    rules = Retention(max_bytes=1_000_000)
    few = held(bytes=1_000_001, last=10_000, counted=10_000, trimmed=Trimmed(position=5_000))
    assert decide(rules, few).cut == 5_000 + sqlite.SLICE == 5_000 + retention.MIN_CUT


@given(
    aged=st.integers(0, 2000),
    counted=st.integers(0, 2000),
    floor=st.integers(0, 1000),
    size=st.integers(0, 10**6),
    limit=st.none() | st.integers(1, 10**6),
)
def test_a_cut_is_never_undone_never_beyond_the_account_and_goes_as_far_as_asked(
    aged, counted, floor, size, limit
):
    rules = Retention(max_bytes=limit)
    holdings = held(counted=counted, trimmed=Trimmed(position=floor), bytes=size)
    decision = decide(rules, holdings, aged)
    assert decision.cut >= floor
    assert decision.cut <= max(floor, counted)
    if decision.cut > floor:
        assert decision.held or decision.cut >= aged
    elif aged > floor:
        assert decision.held


# -- when


class Scripted:
    """A store that holds what it is told, and notes how it is trimmed."""

    def __init__(self):
        self.held = held()
        self.steps = []
        self.uncovered = frozenset()
        self.error = None

    def holdings(self):
        if self.error is not None:
            raise self.error
        return self.held

    def last_before(self, at):
        return int(at)

    def trim(self, cut, reason, now):
        self.steps.append(cut)
        more = len(self.steps) % 3 != 0
        return Trimming(more, frozenset() if more else self.uncovered)


@pytest.fixture
def trimming():
    clock, told, asked = FakeClock(start=1000.0), Scripted(), []
    one = Trimmer(told, Retention(max_age=100.0, max_bytes=1000), clock.now)
    one.on_trim = asked.append
    one.clock, one.told, one.asked = clock, told, asked
    return one


def turns(one):
    """Turns until it has had enough."""
    count = 1
    while one.turn():
        count += 1
        assert count < 100
    return count


def test_it_looks_every_ten_seconds_and_goes_on_step_by_step(trimming):
    assert turns(trimming) == 4
    assert trimming.told.steps == [900, 900, 900]
    assert not trimming.turn()
    assert trimming.seconds() == EVERY_SECONDS
    trimming.clock.advance(EVERY_SECONDS)
    assert trimming.seconds() == 0
    assert turns(trimming) == 4


def test_a_trim_that_was_cut_short_is_ended_although_nothing_new_is_too_old(trimming):
    trimming.told.held = held(first_at=990.0, trimmed=Trimmed(position=300), unfinished=True)
    turns(trimming)
    assert trimming.told.steps == [300, 300, 300]


def test_snapshots_are_asked_for_and_not_again_and_again(trimming):
    trimming.told.uncovered = frozenset({"router"})
    turns(trimming)
    assert trimming.asked == [frozenset({"router"})]
    assert trimming.seconds() == trimmer.SOON_SECONDS
    for _ in range(5):
        trimming.clock.advance(1.0)
        turns(trimming)
    assert len(trimming.asked) == 1
    trimming.clock.advance(EVERY_SECONDS)
    turns(trimming)
    assert len(trimming.asked) == 2


def test_what_the_account_has_not_counted_has_it_save_a_snapshot(trimming):
    trimming.told.held = held(counted=0)
    turns(trimming)
    assert (trimming.told.steps, trimming.asked) == ([], [frozenset()])


def test_a_limit_that_cannot_be_kept_is_said_once(trimming, caplog):
    full = held(first_at=990.0, bytes=5000, last=1000, trimmed=Trimmed(position=900))
    trimming.told.held = full
    for _ in range(3):
        turns(trimming)
        trimming.clock.advance(EVERY_SECONDS)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "holds 5,000 bytes, more than journal_max_bytes (1,000)" in caplog.text
    trimming.told.held = held(first_at=990.0, bytes=10)
    turns(trimming)
    trimming.clock.advance(EVERY_SECONDS)
    trimming.told.held = full
    turns(trimming)
    assert len(caplog.records) == 2


def test_an_account_that_never_counts_is_a_limit_that_cannot_be_kept(trimming, caplog):
    trimming.told.held = held(first_at=990.0, bytes=5000, counted=0, last=10**6)
    for _ in range(3):
        turns(trimming)
        trimming.clock.advance(EVERY_SECONDS)
    assert caplog.text.count("more than journal_max_bytes") == 1


def test_trouble_is_said_once_and_it_is_tried_again(trimming, caplog):
    trimming.told.error = JournalError("the database is locked")
    for _ in range(3):
        assert not trimming.turn()
        trimming.clock.advance(EVERY_SECONDS)
    assert caplog.text.count("not trimmed now: the database is locked") == 1
    trimming.told.error = None
    turns(trimming)
    assert trimming.told.steps


# -- on a journal


def lines(count, first=1, at=0.0):
    """Requests of two events each, every one in a batch of its own."""
    for number in range(count):
        position = first + 2 * number
        name = f"r{position}"
        accepted = RequestAccepted(name, "chat", "g", "g", stream=False, deadline=9e9, input_tokens=1)
        ended = RequestCancelled(name, 1, 0.5)
        yield [
            Recorded(position, f"request/{name}", 1, at + number, accepted),
            Recorded(position + 1, f"request/{name}", 2, at + number, ended),
        ]


def filled(path, requests, at=0.0):
    one = SqliteStore(path)
    one.append([recorded for pair in lines(requests, at=at) for recorded in pair])
    return one


def trim_all(one, cut):
    steps = 1
    while one.trim(cut, "a test", 0.0).more:
        steps += 1
    return steps


def test_a_limit_on_a_store_that_cannot_forget_is_refused():
    class Plain:
        def __getattr__(self, name):
            if name in ("holdings", "last_before", "trim", "trimmed"):
                raise AttributeError(name)
            return lambda *_: 0

        append = read = last_position = last_version = versions = lambda *_: 0
        save_snapshot = snapshot = close = lambda *_: 0

    dispatcher = ManualDispatcher(FakeClock())
    with pytest.raises(
        ConfigurationError, match=r"journal_max_age: Plain cannot forget events; it lacks holdings"
    ):
        open_journal(Plain(), dispatcher, Retention(max_age=1.0))


def test_no_step_removes_more_than_a_thousand_rows(tmp_path):
    one = SqliteStore(tmp_path / "j.db")
    one._database.execute("PRAGMA synchronous = OFF")
    for pair in lines(2500):
        one.append(pair[:1])
        one.append(pair[1:])
    one.save_snapshot(Snapshot(ACCOUNT, 0, 5000, 1.0, {}))
    count = "SELECT count(*) FROM runs"
    before = one._database.execute(count).fetchone()[0]
    steps = []
    while one.trim(5000, "a test", 0.0).more:
        now = one._database.execute(count).fetchone()[0]
        steps.append(before - now)
        before = now
    assert (sum(steps), max(steps)) == (5000, sqlite_trim.ROWS)
    one.close()


def test_long_stories_that_end_together_go_in_several_steps(tmp_path):
    one = SqliteStore(tmp_path / "j.db")
    one._database.execute("PRAGMA synchronous = OFF")
    names = [f"r{number}" for number in range(40)]
    position = 0
    for version in range(1, 61):  # rows of all of them lie side by side
        batch = []
        for name in names:
            position += 1
            said = RequestCancelled(name, 1, 0.5) if version == 60 else WaitStarted(name, "g", None)
            batch.append(Recorded(position, f"request/{name}", version, float(version), said))
        one.append(batch)
    one.save_snapshot(Snapshot(ACCOUNT, 0, position, 1.0, {}))
    seen = []
    while one.trim(position, "a test", 0.0).more:
        left = [recorded.version for recorded in one.read()]
        assert len(left) % 60 == 0  # each goes whole
        seen.append(len(left))
    removed = [before - after for before, after in itertools.pairwise([2400, *seen])]
    assert (sum(removed), max(removed)) == (2400, 960)
    one.close()


def test_the_file_gets_smaller(tmp_path):
    path = tmp_path / "j.db"
    one = SqliteStore(path)
    for pair in lines(1):
        one.append(pair)
    for batch in range(40):
        one.append([recorded for pair in lines(2000, first=3 + 4000 * batch) for recorded in pair])
    one.save_snapshot(Snapshot(ACCOUNT, 0, one.last_position(), 1.0, {}))
    one._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before, used = path.stat().st_size, one.holdings().bytes
    trim_all(one, one.last_position() // 2)
    assert one.holdings().bytes < 0.6 * used
    assert path.stat().st_size < 0.7 * before
    one.close()


def old_file(path):
    """As an earlier version made it: it never gives pages back, and knows of no trims."""
    filled(path, 3000).close()
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;")
    database.executescript("DROP TABLE trims; CREATE TABLE trims (position INTEGER, at REAL, events INTEGER)")
    assert database.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    database.close()


def test_a_file_of_before_uses_its_room_again_and_says_that_it_stays_large(tmp_path, caplog):
    path = tmp_path / "j.db"
    old_file(path)
    one = SqliteStore(path)
    one.save_snapshot(Snapshot(ACCOUNT, 0, 6000, 1.0, {}))
    used = one.holdings().bytes
    pages = one._database.execute("PRAGMA page_count").fetchone()
    for cut in (3000, 6000):
        trim_all(one, cut)
    assert one.holdings().bytes < used / 2
    assert one._database.execute("PRAGMA page_count").fetchone() == pages
    assert caplog.text.count("the file gets no smaller; `turnout trim`") == 1
    one.compact()
    assert one._database.execute("PRAGMA page_count").fetchone() < pages
    one.close()


def test_a_cut_goes_between_two_batches_never_through_one(tmp_path):
    one = filled(tmp_path / "j.db", 3)
    one.append([recorded for pair in lines(3, first=7) for recorded in pair])
    one.save_snapshot(Snapshot(ACCOUNT, 0, 12, 1.0, {}))
    trim_all(one, 9)
    assert one.trimmed().position == 6
    assert [recorded.position for recorded in one.read()] == list(range(7, 13))
    one.close()


def test_a_damaged_row_is_no_obstacle(tmp_path):
    one = filled(tmp_path / "j.db", 10)
    one.append([Recorded(21, "deployment/a", 1, 100.0, CooldownEnded())])
    one._database.execute("UPDATE runs SET events = '[[' WHERE last = 4")
    one.save_snapshot(Snapshot(ACCOUNT, 0, 21, 1.0, {}))
    trim_all(one, 20)
    assert [recorded.position for recorded in one.read()] == [21]
    one.close()


# -- beside the events


def journal_of(one, clock, rules):
    return Journal(one, ManualDispatcher(clock), retention=rules)


def add(journal, count, now):
    for _ in range(count):
        name = f"r{journal.position}"
        accepted = RequestAccepted(name, "chat", "g", "g", stream=False, deadline=9e9, input_tokens=1)
        journal.append(f"request/{name}", 1, now, accepted)
        journal.append(f"request/{name}", 2, now, RequestCancelled(name, 1, 0.5))


@pytest.mark.parametrize("make", [MemoryStore, FaultyStore, "sqlite"])
def test_a_journal_without_a_thread_forgets_as_it_is_written(tmp_path, make):
    clock = FakeClock(start=1000.0)
    one = SqliteStore(tmp_path / "j.db") if make == "sqlite" else make()
    journal = journal_of(one, clock, Retention(max_age=100.0))
    for _ in range(20):
        add(journal, 1000, clock.now())
        journal.save_snapshot(Snapshot(ACCOUNT, 0, journal.position, clock.now(), {}))
        clock.advance(30)
    left = list(journal.read())
    assert 4 * 2000 <= len(left) <= 6 * 2000
    assert min(recorded.at for recorded in left) >= clock.now() - 100 - 30 - 30
    assert journal.trimmed().events + len(left) == journal.position == 40_000
    journal.close()


def test_a_disk_that_fails_fails_no_append(tmp_path, caplog):
    clock, one = FakeClock(start=1000.0), FaultyStore()
    journal = journal_of(one, clock, Retention(max_age=100.0))
    add(journal, 100, clock.now())
    journal.save_snapshot(Snapshot(ACCOUNT, 0, journal.position, clock.now(), {}))
    clock.advance(1000)
    one.trim = FaultyStore("failing").trim
    add(journal, 100, clock.now())
    journal.confirm().get()
    assert "not trimmed now: the disk is full" in caplog.text
    assert journal.health().ok
    assert len(list(one.read())) == 400
    journal.close()


class Ticking:
    """Real threads, and a clock that is moved by hand."""

    def __init__(self, clock):
        self.clock = clock

    def call_soon(self, callback):
        callback()


def test_an_idle_writer_forgets_in_its_own_thread(tmp_path, monkeypatch, writing):
    monkeypatch.setattr(trimmer, "EVERY_SECONDS", 0.01)
    clock, one = FakeClock(start=1000.0), SqliteStore(tmp_path / "j.db")
    threads = set()
    trim = one.trim
    monkeypatch.setattr(one, "trim", lambda *a: threads.add(threading.current_thread().name) or trim(*a))
    monkeypatch.setattr(trimmer.Trimmer, "seconds", lambda self: 0.001)
    journal = Journal(one, Ticking(clock), retention=Retention(max_age=100.0))
    asked = threading.Event()
    journal.on_trim(lambda streams: asked.set())
    add(journal, 100, clock.now())
    clock.advance(1000)
    assert asked.wait(20)
    assert len(list(journal.read())) == 200
    journal.save_snapshot(Snapshot(ACCOUNT, 0, 200, clock.now(), {}))
    clock.advance(100)
    writing.until(lambda: not list(journal.read()))
    assert threads == {"turnout-journal"}
    journal.close()


def test_who_waits_for_the_disk_waits_for_one_step_of_a_trim_at_most(tmp_path, monkeypatch, writing):
    clock, one = FakeClock(start=1000.0), filled(tmp_path / "j.db", 5000)
    one.save_snapshot(Snapshot(ACCOUNT, 0, 10_000, 1.0, {}))
    monkeypatch.setattr(sqlite_trim, "ROWS", 10)
    stepping, steps, trim = threading.Event(), threading.Semaphore(0), one.trim

    def one_step(*args):
        stepping.set()
        assert steps.acquire(timeout=WAIT)
        return trim(*args)

    monkeypatch.setattr(one, "trim", one_step)
    journal = Journal(one, Ticking(FakeClock(start=9000.0)), retention=Retention(max_age=100.0))
    for _ in range(5):
        assert stepping.wait(WAIT)
        stepping.clear()
        add(journal, 1, clock.now())
        confirmed = journal.confirm()
        steps.release()
        writing.until(confirmed.done)
        assert confirmed.succeeded
    monkeypatch.setattr(one, "trim", trim)
    steps.release(1000)
    journal.close()


KILL = """
import sys
from turnout.actors.journal import sqlite_trim
from turnout.actors.journal.ports import ACCOUNT, Snapshot
from turnout.actors.journal.sqlite import SqliteStore

sqlite_trim.ROWS = 50
store = SqliteStore(sys.argv[1])
print("ready", flush=True)
while store.trim(int(sys.argv[2]), "a test", 0.0).more:
    print(store._database.execute("SELECT count(*) FROM runs").fetchone()[0], flush=True)
"""


@pytest.mark.parametrize("steps", [1, 5, 30])
def test_after_kill_9_in_the_midst_of_a_trim_the_next_one_ends_it(tmp_path, steps):
    path = tmp_path / "j.db"
    one = filled(path, 5000)
    one.save_snapshot(Snapshot(ACCOUNT, 0, 10_000, 1.0, {}))
    one.append([Recorded(10_001, "deployment/a", 1, 9e5, CooldownEnded())])
    one.close()
    process = subprocess.Popen(
        [sys.executable, "-c", KILL, str(path), "9000"], stdout=subprocess.PIPE, text=True
    )
    with process.stdout as output:
        for _ in range(1 + steps):
            output.readline()
        process.kill()
    process.wait()
    one = SqliteStore(path)
    left = list(one.read())
    told = one.trimmed()
    assert told.events + len(left) == 10_001
    by_request = {}
    for recorded in left:
        by_request.setdefault(recorded.stream, []).append(recorded.version)
    assert all(versions == [1, 2] for name, versions in by_request.items() if name != "deployment/a")
    assert one._database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rules = Retention(max_age=1e6)
    late = Trimmer(one, rules, lambda: 9e5)
    while late.turn():
        pass
    assert not one.holdings().unfinished
    trim_all(one, 9_500)
    cut = one.trimmed().position
    assert 8_000 < cut <= 9_500  # between two statements of the writer's
    assert [recorded.position for recorded in one.read()] == list(range(cut + 1, 10_002))
    one.close()
