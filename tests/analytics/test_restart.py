"""What was used is still known after a restart, and a long journal takes no long start."""

import logging

import pytest

from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.store import Journal
from turnout.actors.usage import actor as usage
from turnout.actors.usage.state import UsageState


@pytest.fixture
def file(tmp_path):
    return f"sqlite:///{tmp_path}/usage.db"


def comparable(stats):
    """Without what a restart is bound to change."""
    return {name: stats[name] for name in ("since", "total", "groups", "deployments", "complete")}


def test_a_restart_keeps_it(make_router, ask, deployment, file):
    first = make_router(
        [deployment("eu"), deployment("mini", "small")], {"eu": {"script": [500]}}, journal=file
    )
    with pytest.raises(Exception, match="500"):
        ask(first)
    for _ in range(5):
        ask(first)
        list(ask(first, "small", stream=True))
    before = first.get_usage_stats()
    first.close()
    second = make_router([deployment("eu"), deployment("mini", "small")], journal=file)
    assert comparable(second.get_usage_stats()) == comparable(before)
    ask(second)
    assert second.get_usage_stats()["total"]["successes"] == before["total"]["successes"] + 1


def test_so_does_one_after_a_crash_that_left_no_snapshot(make_router, ask, deployment, file, monkeypatch):
    monkeypatch.setattr(usage.UsageActor, "save_snapshot", lambda self: None)
    first = make_router([deployment("eu")], journal=file)
    for _ in range(5):
        ask(first)
    before = first.get_usage_stats()
    first.close()
    assert comparable(make_router([deployment("eu")], journal=file).get_usage_stats()) == comparable(before)


def test_a_start_reads_only_what_came_after_the_last_snapshot(
    make_router, ask, deployment, file, monkeypatch
):
    monkeypatch.setattr(usage, "MIN_EVENTS", 100)
    first = make_router([deployment("eu")], journal=file)
    for _ in range(60):
        ask(first)
    first.close()
    asked = []
    read = SqliteStore.read

    def watched(self, stream=None, after=0, limit=None):
        if stream is None:
            asked.append(after)
        return read(self, stream, after, limit)

    monkeypatch.setattr(SqliteStore, "read", watched)
    second = make_router([deployment("eu")], journal=file)
    assert len(asked) == 1
    assert asked[0] > 250
    assert second.get_usage_stats()["total"]["successes"] == 60


def test_a_snapshot_is_saved_now_and_then(make_router, ask, deployment, file, monkeypatch):
    monkeypatch.setattr(usage, "MIN_EVENTS", 50)
    router = make_router([deployment("eu")], journal=file)
    for _ in range(30):
        ask(router)
    saved = router._journal.snapshot("usage")
    assert 100 <= saved.position <= router._journal.position


def test_a_snapshot_of_another_version_is_passed_over(make_router, ask, deployment, file, monkeypatch):
    first = make_router([deployment("eu")], journal=file)
    ask(first)
    snapshot = UsageState.snapshot
    monkeypatch.setattr(UsageState, "snapshot", lambda self: {**snapshot(self), "format": 99})
    first.close()
    second = make_router([deployment("eu")], journal=file)
    assert second.get_usage_stats()["total"]["successes"] == 1


def test_a_journal_with_an_event_that_cannot_be_read_starts_and_says_so(
    make_router, ask, deployment, file, monkeypatch, caplog
):
    first = make_router([deployment("eu")], journal=file)
    ask(first)
    monkeypatch.setattr(usage.UsageActor, "save_snapshot", lambda self: None)
    first._journal.append("request/odd", 1, 0.0, _unknown())
    first.close()
    from turnout.messages.events import EVENT_TYPES

    del EVENT_TYPES["not_known_any_more"]
    with caplog.at_level(logging.WARNING, logger="turnout.usage"):
        second = make_router([deployment("eu")], journal=file)
    assert "not known in full" in caplog.text
    ask(second)
    stats = second.get_usage_stats()
    assert not stats["complete"]
    assert stats["total"]["successes"] >= 1


def _unknown():
    from turnout.messages.events import Event

    class Odd(Event, frozen=True):
        TYPE = "not_known_any_more"

    return Odd()


def test_when_events_are_lost_the_account_is_kept_behind_the_gap(make_router, ask, deployment, file):
    router = make_router([deployment("eu")], journal=file)
    ask(router)
    router._wiring.save_snapshots(frozenset({"request/1"}))
    router._dispatcher.run_now()
    assert router._journal.snapshot("usage").position >= router._journal.position - 1


def test_nothing_is_left_in_the_stream_of_its_name(make_router, ask, deployment, file):
    router = make_router([deployment("eu")], journal=file)
    ask(router)
    router.close()
    journal = Journal(SqliteStore(file.removeprefix("sqlite:///")))
    assert list(journal.read("usage")) == []
    assert journal.snapshot("usage").state["format"] == UsageState().snapshot()["format"]
    journal.close()
