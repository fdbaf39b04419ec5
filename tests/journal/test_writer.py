"""Group commit on a disk that is slow, full, or not to be believed."""

import logging

import pytest

from turnout.actors.journal import writer
from turnout.actors.journal.ports import JournalError, Snapshot
from turnout.actors.journal.store import Journal, open_journal
from turnout.messages.events import CallOpened, EventsLost, RouterStarted

WAIT = 20.0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(writer, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(writer, "LONGEST_PAUSE_SECONDS", 0.002)


def versions(writing, stream):
    return [line.version for line in writing.store.read(stream)]


def test_events_that_gather_while_the_disk_is_busy_are_one_commit(writing):
    one = writing()
    one.hold()
    one.append(500)
    one.release()
    one.confirm()
    assert one.store.tries == 2
    assert versions(one, "deployment/a") == list(range(1, 502))


def test_events_that_are_not_written_yet_are_read_all_the_same(writing):
    one = writing()
    one.append(3)
    one.confirm()
    one.hold()
    one.append(2)
    assert [line.version for line in one.journal.read()] == [1, 2, 3, 4, 5, 6]
    assert [line.version for line in one.journal.read("deployment/a", after=4)] == [5, 6]
    assert one.journal.health().queued == 3


def test_a_snapshot_that_waits_is_the_one_that_counts(writing):
    one = writing()
    one.hold()
    one.journal.save_snapshot(Snapshot("deployment/a", 1, 1, 1.0, {"n": 1}))
    one.journal.save_snapshot(Snapshot("deployment/a", 1, 1, 2.0, {"n": 2}))
    assert one.journal.snapshot("deployment/a").state == {"n": 2}
    one.release()
    one.until(lambda: one.store.snapshot("deployment/a") is not None)
    assert one.store.snapshot("deployment/a").state == {"n": 2}


def test_nobody_is_told_durable_before_it_is(writing):
    one = writing()
    one.hold()
    future = one.journal.confirm()
    assert not future.done()
    one.release()
    future.get(timeout=WAIT)
    assert one.stored() == [(1, "deployment/a", 1)]


# -- too much


def test_past_its_bound_the_queue_loses_events_and_nobody_waits(writing):
    one = writing(max_queued=10)
    one.hold()
    one.append(25)
    health = one.journal.health()
    assert (health.ok, health.queued, health.lost) == (False, 11, 15)
    assert "being lost" in health.reason


def test_what_was_lost_is_recorded_once_there_is_room(writing):
    one = writing(max_queued=10)
    one.hold()
    one.append(25)
    one.release()
    one.until_idle()
    one.append()
    one.confirm()
    assert one.stored()[-2:] == [(27, "deployment/a", 27), (28, "router", 1)]
    assert next(one.store.read("router")).event == EventsLost(count=15, first=12)
    assert versions(one, "deployment/a") == [*range(1, 12), 27]
    health = one.journal.health()
    assert (health.ok, health.lost) == (True, 15)


def test_losing_goes_on_until_half_of_the_queue_is_free(writing):
    one = writing(max_queued=10)
    one.hold()
    one.append(11)
    for _ in range(4):
        one.journal._writer._queue.pop()  # as if the writer had got that far
    one.append()
    assert one.journal.health().lost == 2


def test_the_owners_of_the_streams_with_a_gap_are_asked_for_snapshots(writing):
    one = writing(max_queued=4)
    asked = []
    one.journal.on_gap = asked.append
    one.hold()
    for stream in (
        "deployment/a",
        "deployment/a",
        "deployment/a",
        "deployment/b",
        "deployment/b",
        "request/1",
    ):
        one.append(1, stream)
    one.append(1, "deployment/c")
    one.release()
    one.until_idle()
    one.append(1, "deployment/d")
    assert asked == [frozenset({"deployment/b", "deployment/c"})]


def test_losses_at_the_very_end_are_recorded_by_close(writing):
    one = writing(max_queued=10)
    one.hold()
    one.append(25)
    one.release()
    one.until_idle()
    one.journal.close()
    assert next(one.store.read("router")).event == EventsLost(count=15, first=12)


def test_a_confirmation_of_a_lost_event_fails_at_once(writing):
    one = writing(max_queued=10)
    one.hold()
    one.append(25)
    with pytest.raises(JournalError, match="losing events"):
        one.journal.confirm().get(timeout=0)


# -- errors


def test_a_failing_disk_degrades_the_journal_and_is_tried_again(writing, caplog):
    caplog.set_level(logging.INFO, "turnout.journal")
    one = writing()
    one.store.fault = "failing"
    one.append(5)
    one.until(lambda: one.store.tries >= 8)
    health = one.journal.health()
    assert (health.ok, health.reason, health.queued, health.lost) == (
        False,
        "the disk is full (as told)",
        5,
        0,
    )
    one.store.fault = "none"
    one.until(lambda: one.journal.health().ok)
    one.confirm()
    assert versions(one, "deployment/a") == [1, 2, 3, 4, 5]
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "the journal is not durable now: the disk is full (as told)"
    assert "written again" in lines[1]
    assert len(lines) == 2  # one line at each turn, not one per try


def test_a_confirmation_fails_when_the_disk_keeps_failing(writing):
    one = writing()
    one.store.fault = "failing"
    one.append()
    with pytest.raises(JournalError, match="not durable: the disk is full"):
        one.confirm()


def test_a_write_whose_outcome_was_unknown_is_not_doubled(writing):
    one = writing()
    one.store.fault = "unknown_outcome"
    one.append(5)
    one.until(lambda: one.store.tries >= 2)
    one.store.fault = "none"
    one.confirm()
    assert versions(one, "deployment/a") == [1, 2, 3, 4, 5]


def test_a_failing_disk_at_close_is_given_up_in_bounded_tries(writing, caplog):
    one = writing()
    one.store.fault = "failing"
    one.append(5)
    one.journal.close()
    assert one.store.tries <= 2 * writer.CONFIRM_TRIES + 1
    assert one.journal.health().lost == 5
    assert "closed with 5 events unwritten" in caplog.text


def test_a_confirmation_that_waits_when_the_journal_is_closed_is_settled(writing):
    one = writing()
    one.store.fault = "failing"
    one.append()
    future = one.journal.confirm()
    one.journal.close()
    with pytest.raises(JournalError):
        future.get(timeout=WAIT)


def test_after_close_events_are_counted_as_lost_and_nothing_raises(writing):
    one = writing()
    one.append()
    one.journal.close()
    one.append(3)
    assert one.journal.health().lost == 3
    assert one.stored() == [(1, "deployment/a", 1)]


def test_an_event_that_cannot_be_written_is_left_out_and_the_others_are_kept(writing, tmp_path, caplog):
    journal = open_journal(f"sqlite:///{tmp_path}/journal.db")
    journal.append("deployment/a", 1, 1.0, CallOpened("c", "r", 0.5))
    journal.append("router", 1, 1.0, RouterStarted(1, {"secret": object()}))
    journal.append("deployment/a", 2, 1.0, CallOpened("\ud800", "r", 0.5))
    with pytest.raises(JournalError):
        journal.confirm().get(timeout=WAIT)
    writing.until(lambda: journal.health().lost == 2)
    journal.append("deployment/a", 3, 2.0, CallOpened("c", "r", 0.5))
    journal.confirm().get(timeout=WAIT)
    assert [(line.stream, line.version) for line in journal.read()] == [
        ("deployment/a", 1),
        ("deployment/a", 3),
        ("router", 2),
    ]
    assert next(journal.read("router")).event == EventsLost(2, 2)
    assert "router_started in 'router' is not JSON-able (TypeError)" in caplog.text
    journal.close()


def test_a_journal_goes_on_from_what_its_store_really_kept(writing):
    one = writing()
    one.append(2)
    one.confirm()
    one.store.hold_back()
    one.append(3)
    one.confirm()
    one.journal.close()
    one.store.power_cut()
    again = Journal(one.store)
    assert again.append("deployment/a", 3, 1.0, CallOpened("c", "r", 0.5)) == 3
    again.close()


def test_a_disk_that_hangs_does_not_keep_close_from_ending(writing, caplog):
    one = writing()
    one.hold()
    one.append(2)
    one.journal.close(timeout=0.01)
    assert "closed with 3 events unwritten" in caplog.text
    assert one.journal.health().lost == 3


def test_a_waiter_whose_loop_is_gone_does_not_stop_the_writer(writing):
    one = writing()
    one.hold()
    future = one.journal.confirm()
    future.add_done_callback(lambda: 1 / 0)
    one.release()
    one.append(3)
    one.confirm()
    assert versions(one, "deployment/a") == [1, 2, 3, 4]
