"""A journal is read beside its router, and after it."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout import ConfigurationError, Router
from turnout.actors.journal import sqlite_reader, sqlite_search
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.actors.journal.sqlite_search import search
from turnout.messages.events import CooldownEnded, RouterStopped
from turnout.testing import FakeClock, SimulatedProviders

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "eu"}}
MESSAGES = [{"role": "user", "content": "Hello"}]


def test_a_journal_is_read_while_a_router_has_it_and_afterwards(tmp_path):
    file = tmp_path / "j.db"
    with Router(
        [ENTRY], journal=f"sqlite:///{file}", clock=FakeClock(), caller=SimulatedProviders()
    ) as router:
        route = router.completion("gpt-4", MESSAGES).route
        router._journal.confirm().get()
        with SqliteReader.open(file) as reader:
            assert list(reader.read()) == router.events()
            assert reader.last_stream("request") == f"request/{route.request_id}"
            assert reader.last_stream("budget") is None
    with SqliteReader.open(file) as reader:
        assert [recorded.event.TYPE for recorded in reader.read("router")][-1] == "router_stopped"


def test_reading_changes_nothing_and_locks_nobody_out(tmp_path):
    file = tmp_path / "j.db"
    SqliteStore(file).close()
    before = file.read_bytes()
    with SqliteReader.open(file) as reader:
        SqliteStore(file).close()
        assert list(reader.read()) == []
        with pytest.raises(sqlite3.OperationalError):
            reader._reader.execute("DELETE FROM runs")
    assert file.read_bytes() == before


def test_a_folder_is_not_said_to_be_missing(tmp_path):
    with pytest.raises(ConfigurationError, match="this is no file"):
        SqliteReader.open(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "is empty: no router was started on it"),
        (b"not a database, whatever its name" * 99, "not a database"),
    ],
)
def test_what_is_no_journal_is_one_clear_error(tmp_path, content, says):
    file = tmp_path / "j.db"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=says) as caught:
        SqliteReader.open(file)
    assert str(file) in str(caught.value)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    batches=st.lists(st.integers(1, 7), min_size=1),
    at=st.integers(-1, 60),
)
def test_a_moment_is_found_wherever_it_is(tmp_path_factory, monkeypatch, steps, batches, at):
    monkeypatch.setattr(sqlite_reader, "SCANNED", 2)
    events, now = [], 0
    for number, step in enumerate(steps, start=1):
        now += step
        stream = f"deployment/{number % 3}"
        events.append(Recorded(number, stream, (number + 2) // 3, float(now), CooldownEnded()))
    file = tmp_path_factory.mktemp("journal") / "j.db"
    store = SqliteStore(file)
    left, turn = list(events), 0
    while left:
        size = batches[turn % len(batches)]
        store.append(left[:size])
        left, turn = left[size:], turn + 1
    expected = next((e.position for e in events if e.at > at), len(events) + 1)
    assert store.first_after(at) == expected
    store.close()


def test_looking_leaves_no_file_behind_and_needs_no_folder_to_write_to(tmp_path):
    file = tmp_path / "j.db"
    with Router(
        [ENTRY], journal=f"sqlite:///{file}", clock=FakeClock(), caller=SimulatedProviders()
    ) as router:
        router.completion("gpt-4", MESSAGES)
    before = sorted(path.name for path in tmp_path.iterdir())
    tmp_path.chmod(0o500)
    try:
        with SqliteReader.open(file) as reader:
            assert [recorded.event.TYPE for recorded in reader.read("router")][-1] == "router_stopped"
    finally:
        tmp_path.chmod(0o700)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.fixture
def mixed(tmp_path):
    """A journal of many streams and of two types of event, in batches."""
    store = SqliteStore(tmp_path / "mixed.db")
    versions = {}
    events = []
    for number in range(1, 201):
        stream = ("router", "deployment/a", "deployment/b", "request/a")[number * 5 // 3 % 4]
        versions[stream] = versions.get(stream, 0) + 1
        event = RouterStopped() if number % 9 == 0 else CooldownEnded()
        events.append(Recorded(number, stream, versions[stream], float(number), event))
    for start in range(0, 200, 11):
        store.append(events[start : start + 11])
    yield store
    store.close()


@pytest.mark.parametrize("kind", [None, "deployment", "request", "nobody"])
@pytest.mark.parametrize("types", [None, {"cooldown_ended"}, {"router_stopped", "call_started"}, set()])
def test_a_search_finds_what_reading_all_would_find(mixed, monkeypatch, kind, types):
    monkeypatch.setattr(sqlite_search, "PORTION", 13)
    for after in (0, 12, 13, 100, 200, 999):
        wanted = [
            recorded
            for recorded in mixed.read(after=after)
            if (kind is None or recorded.stream.startswith(f"{kind}/"))
            and (types is None or recorded.event.TYPE in types)
        ]
        assert list(search(mixed, after, kind=kind, types=types)) == wanted


def test_a_search_looks_at_a_portion_of_the_file_before_it_shows_the_first(mixed, monkeypatch):
    monkeypatch.setattr(sqlite_search, "PORTION", 20)
    asked = []
    monkeypatch.setattr(mixed, "_ask", lambda *query: asked.append(query) or SqliteReader._ask(mixed, *query))
    assert next(search(mixed, types={"cooldown_ended"})).position == 1
    assert len(asked) == 2  # how far the file goes, and the first portion


def test_the_last_stream_is_found_from_the_end_and_nothing_is_sorted(mixed):
    assert mixed.last_stream("request") == "request/a"
    (plan,) = mixed._ask(f"EXPLAIN QUERY PLAN {sqlite_reader._LAST_OF_KIND}", "request/", "request0")
    assert plan[3] == "SCAN runs"  # by position, which is how it is stored; no index, no B-tree to sort with
