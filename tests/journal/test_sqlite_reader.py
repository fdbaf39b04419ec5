"""A journal is read beside its router, and after it."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout import ConfigurationError, Router
from turnout.actors.journal import sqlite_reader
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.messages.events import CooldownEnded
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
        (b"", "something else"),
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
