import asyncio
import threading

import pytest

from turnout.actors.journal.memory import MemoryStore
from turnout.actors.journal.ports import JournalHealth, Snapshot
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.store import Journal, open_journal
from turnout.actors.journal.writer import MAX_GROUP
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.messages.errors import ConfigurationError
from turnout.messages.events import CallOpened, RequestCancelled, RouterStopped
from turnout.testing.faulty_journal import FaultyStore

OPENED = CallOpened("c", "r", 0.5)


@pytest.fixture(params=["memory", "sqlite"])
def journal(request, tmp_path):
    journal = open_journal("memory" if request.param == "memory" else f"sqlite:///{tmp_path}/journal.db")
    yield journal
    journal.close()


def test_positions_grow_by_one_over_all_streams(journal):
    positions = [
        journal.append("deployment/a", 1, 1.0, OPENED),
        journal.append("deployment/b", 1, 1.0, OPENED),
        journal.append("deployment/a", 2, 2.0, OPENED),
    ]
    assert positions == [1, 2, 3]
    assert [line.position for line in journal.read()] == positions
    assert journal.position == 3


def test_what_was_appended_is_read_at_once(journal):
    for version in range(1, 100):
        journal.append("deployment/a", version, float(version), OPENED)
        assert [line.version for line in journal.read("deployment/a")] == list(range(1, version + 1))
    assert [line.version for line in journal.read("deployment/a", after=90, limit=3)] == [91, 92, 93]


@pytest.mark.parametrize("version", [0, 1, 3, -2])
def test_a_version_that_does_not_follow_is_refused_and_not_recorded(journal, version):
    journal.append("deployment/a", 1, 1.0, OPENED)
    with pytest.raises(
        AssertionError, match=f"'deployment/a' is at version 1; version {version} does not follow"
    ):
        journal.append("deployment/a", version, 1.0, OPENED)
    assert journal.append("deployment/a", 2, 1.0, OPENED) == 2


def test_a_stream_starts_with_version_one(journal):
    with pytest.raises(AssertionError, match="'request/1' is at version 0; version 2 does not follow"):
        journal.append("request/1", 2, 1.0, OPENED)


def test_the_versions_of_ended_requests_are_not_kept_in_memory(journal):
    for number in range(1000):
        journal.append(f"request/{number}", 1, 1.0, OPENED)
        journal.append(f"request/{number}", 2, 1.0, RequestCancelled("r", 1, 0.5))
    assert journal._versions == {}
    assert journal.version("request/7") == 2
    with pytest.raises(AssertionError, match="at version 2; version 4"):
        journal.append("request/7", 4, 1.0, OPENED)


def test_a_confirmation_can_be_awaited(journal):
    async def main():
        journal.append("router", 1, 1.0, RouterStopped())
        assert await journal.confirm() is None

    asyncio.run(main())
    assert list(journal._store.read()) == list(journal.read())


def test_a_confirmation_with_nothing_new_is_settled_at_once(journal):
    assert journal.confirm().done()
    journal.append("router", 1, 1.0, RouterStopped())
    journal.confirm().get(timeout=20)
    assert journal.confirm().done()


def test_a_snapshot_is_there_at_once_and_shares_nothing(journal):
    state = {"open": {"c": [1, 2]}}
    journal.append("deployment/a", 1, 1.0, OPENED)
    journal.save_snapshot(Snapshot("deployment/a", 1, 1, 1.0, state))
    state["open"]["c"].append(3)
    assert journal.snapshot("deployment/a") == Snapshot("deployment/a", 1, 1, 1.0, {"open": {"c": [1, 2]}})


def test_a_state_that_is_not_plain_data_is_refused(journal):
    with pytest.raises(TypeError):
        journal.save_snapshot(Snapshot("deployment/a", 1, 1, 1.0, {"thing": object()}))


def test_an_owner_recovers_from_its_snapshot_and_what_came_after(journal):
    for version in range(1, 11):
        journal.append("deployment/a", version, 1.0, OPENED)
        journal.append("deployment/b", version, 1.0, OPENED)
    journal.save_snapshot(Snapshot("deployment/a", 7, 13, 1.0, {"count": 7}))
    snapshot = journal.snapshot("deployment/a")
    later = list(journal.read("deployment/a", after=snapshot.position))
    assert [line.version for line in later] == [8, 9, 10]


def test_a_healthy_journal_says_so(journal):
    journal.append("router", 1, 1.0, RouterStopped())
    journal.confirm().get(timeout=20)
    assert journal.health() == JournalHealth(ok=True, reason=None, queued=0, lost=0)


@pytest.mark.parametrize("arguments", [{"after": -1}, {"limit": -1}, {"after": "7"}, {"limit": 1.5}])
def test_a_wrong_place_to_read_from_is_a_clear_error(journal, arguments):
    with pytest.raises(
        ConfigurationError, match=f"{next(iter(arguments))} = .*: must be a whole number, 0 or more"
    ):
        journal.read(**arguments)


def test_reading_while_another_thread_appends_misses_nothing(journal):
    done = threading.Event()

    def write():
        for version in range(1, 5001):
            journal.append("deployment/a", version, 1.0, OPENED)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set():
        versions = [line.version for line in journal.read()]
        assert versions == list(range(1, len(versions) + 1))
        assert len(versions) >= seen
        seen = len(versions)
    writer.join()
    assert [line.version for line in journal.read()] == list(range(1, 5001))


def test_closing_twice_is_closing_once(journal):
    journal.close()
    journal.close()


def test_a_memory_journal_keeps_the_latest_events():
    journal = Journal(MemoryStore(kept=10))
    for version in range(1, 26):
        journal.append("deployment/a", version, 1.0, OPENED)
    assert [line.version for line in journal.read(after=3)] == list(range(16, 26))
    assert journal.version("deployment/a") == 25


def test_a_journal_of_a_fake_clock_has_no_thread(tmp_path):
    dispatcher = ManualDispatcher(ManualClock(0.0))
    before = threading.active_count()
    journal = open_journal(f"sqlite:///{tmp_path}/journal.db", dispatcher)
    for version in range(1, 20_001):
        journal.append("deployment/a", version, 1.0, OPENED)
    assert journal._store.last_position() == MAX_GROUP  # a full group is written by whoever filled it
    journal.confirm().get()
    assert journal._store.last_position() == 20_000
    assert threading.active_count() == before
    journal.close()


def test_no_thread_is_left_after_close(tmp_path):
    before = set(threading.enumerate())
    journal = open_journal(f"sqlite:///{tmp_path}/journal.db")
    assert len(set(threading.enumerate()) - before) == 1
    journal.append("router", 1, 1.0, RouterStopped())
    journal.close()
    assert set(threading.enumerate()) == before


def test_close_writes_what_is_queued(tmp_path):
    journal = open_journal(f"sqlite:///{tmp_path}/journal.db")
    for version in range(1, 10_001):
        journal.append("deployment/a", version, 1.0, OPENED)
    journal.save_snapshot(Snapshot("deployment/a", 10_000, 10_000, 1.0, {"n": 1}))
    journal.close()
    store = SqliteStore(tmp_path / "journal.db")
    assert store.last_version("deployment/a") == 10_000
    assert store.snapshot("deployment/a").state == {"n": 1}
    store.close()


def test_a_journal_opened_again_goes_on(tmp_path):
    for run in range(3):
        journal = open_journal(f"sqlite:///{tmp_path}/journal.db")
        assert (journal.position, journal.version("router")) == (run * 2, run)
        journal.append("router", run + 1, 1.0, RouterStopped())
        journal.append(f"request/{run}", 1, 1.0, OPENED)
        journal.close()
    with pytest.raises(AssertionError, match="'router' is at version 3"):
        Journal(SqliteStore(tmp_path / "journal.db"), ManualDispatcher(ManualClock(0.0))).append(
            "router", 1, 1.0, RouterStopped()
        )


# -- open_journal


@pytest.mark.parametrize("spec", [None, "memory"])
def test_the_default_journal_is_in_memory(spec):
    assert isinstance(open_journal(spec)._store, MemoryStore)


def test_a_relative_path_is_relative_and_four_slashes_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for spec, name in (("sqlite:///one.db", "one.db"), (f"sqlite:///{tmp_path}/two.db", "two.db")):
        open_journal(spec).close()
        assert (tmp_path / name).is_file()


def test_a_store_of_ones_own_is_taken():
    store = FaultyStore()
    journal = open_journal(store)
    journal.append("router", 1, 1.0, RouterStopped())
    journal.close()
    assert store.last_position() == 1


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "disk",
        "sqlite://x.db",
        "sqlite:///",
        "redis://localhost",
        7,
        {},
        object(),
        MemoryStore,
        ["memory"],
    ],
)
def test_anything_else_is_an_error_that_lists_what_is_allowed(spec):
    with pytest.raises(ConfigurationError, match=r'journal = .*: must be "memory", "sqlite:///turnout.db"'):
        open_journal(spec)


def test_a_url_with_a_password_is_not_repeated():
    with pytest.raises(ConfigurationError) as caught:
        open_journal("postgres://user:hunter2@db/journal")
    assert "hunter2" not in str(caught.value)
