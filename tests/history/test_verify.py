"""A whole journal is found whole; of one that is not, what is wrong is told."""

import json
import sqlite3
from itertools import groupby
from operator import attrgetter

import pytest

from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.ports import Snapshot
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_history import SqliteHistory
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.actors.usage.actor import NAME as USAGE
from turnout.cli.verify import _report
from turnout.history import Position, Replay
from turnout.history.verify import MAX_FINDINGS, Findings, Verifier
from turnout.history.world import World
from turnout.messages.events import CooldownEnded, EventsLost, HedgeSettled, RequestAccepted
from turnout.supervisor.request_state import RequestState

ACCEPTED = RequestAccepted("r1", "chat", "g", "g", stream=False, deadline=9e9, input_tokens=1)


def verified(file):
    with SqliteReader.open(file) as reader:
        return _report(reader)


def told(report):
    return [(finding["kind"], finding["text"]) for finding in report["findings"]]


def change(file, statement, *arguments):
    database = sqlite3.connect(file)
    with database:
        database.execute(statement, arguments)
    database.close()


def write(file, *lines, snapshots=()):
    store = SqliteStore(file)
    store.append(
        [
            Recorded(*line[:3], 1000.0 + line[0], line[3] if len(line) > 3 else CooldownEnded())
            for line in lines
        ]
    )
    for snapshot in snapshots:
        store.save_snapshot(snapshot)
    store.close()


def test_a_journal_of_three_lives_is_whole_and_its_snapshots_are_what_the_events_rebuild(lived):
    report = verified(lived)
    assert told(report) == []
    assert report["whole"]
    assert report["snapshots_compared"] >= 5
    assert report["events"] == report["last_position"]


@pytest.mark.parametrize("part", ["totals", "window", "breaker", "latency"])
def test_a_snapshot_that_says_something_else_is_found(lived, part):
    database = sqlite3.connect(lived)
    ((state,),) = database.execute("SELECT state FROM snapshots WHERE stream = 'deployment/eu'").fetchall()
    database.close()
    changed = json.loads(state)
    if part == "totals":
        changed["totals"]["succeeded"] += 1
    elif part == "breaker":
        changed["breaker"]["trips"] += 1
    else:
        changed[part] = None
    change(lived, "UPDATE snapshots SET state = ? WHERE stream = 'deployment/eu'", json.dumps(changed))
    report = verified(lived)
    assert not report["whole"]
    assert any("deployment/eu" in text for kind, text in told(report) if kind == "state")


def test_what_was_used_is_counted_again_and_compared(lived):
    database = sqlite3.connect(lived)
    ((state,),) = database.execute("SELECT state FROM snapshots WHERE stream = 'usage'").fetchall()
    database.close()
    changed = json.loads(state)
    changed["deployments"][0][2][0][0] += 1
    change(lived, "UPDATE snapshots SET state = ? WHERE stream = 'usage'", json.dumps(changed))
    assert [kind for kind, text in told(verified(lived)) if "'usage'" in text] == ["state"]


def test_a_row_that_is_gone_is_missed(lived):
    change(
        lived, "DELETE FROM runs WHERE last = (SELECT last FROM runs WHERE stream = 'deployment/us' LIMIT 1)"
    )
    found = told(verified(lived))
    assert any(kind == "position" and "missing" in text for kind, text in found)


@pytest.mark.parametrize("table", ["snapshots", "snapshot_history"])
def test_of_a_snapshot_and_its_copy_both_are_looked_at(tmp_path, table):
    file = tmp_path / "j.db"
    write(file, (1, "deployment/a", 1), snapshots=[Snapshot("deployment/a", 1, 1, 1001.0, {})])
    change(file, "INSERT OR REPLACE INTO snapshot_history SELECT * FROM snapshots")
    change(file, f"UPDATE {table} SET state = '{{'")
    found = told(verified(file))
    assert ("snapshot", "there are two of 'deployment/a', and they differ") in found


def test_a_file_that_lacks_its_end_is_not_whole_though_all_events_are_there(tmp_path):
    file = tmp_path / "j.db"
    write(file, (1, "deployment/a", 1))
    change(file, "CREATE TABLE other AS SELECT hex(zeroblob(50000)) AS x")
    with file.open("rb+") as opened:
        opened.truncate(file.stat().st_size - 100)
    (found,) = told(verified(file))
    assert found[0] == "file"
    assert "cut short" in found[1]


def test_a_version_that_jumps_where_no_position_is_missing_is_found(tmp_path):
    write(tmp_path / "j.db", (1, "deployment/a", 1), (2, "deployment/a", 5))
    assert told(verified(tmp_path / "j.db")) == [
        ("version", "stream 'deployment/a' lacks 3 events before this one")
    ]


def test_a_version_that_is_given_twice_is_found(tmp_path):
    write(tmp_path / "j.db", (1, "deployment/a", 1), (2, "deployment/b", 1))
    write(tmp_path / "j.db", (3, "deployment/a", 1))
    assert told(verified(tmp_path / "j.db")) == [
        ("version", "stream 'deployment/a' has version 1 after version 1")
    ]


def test_a_gap_that_is_recorded_is_none(tmp_path):
    write(
        tmp_path / "j.db", (1, "deployment/a", 1), (4, "deployment/a", 4), (5, "router", 1, EventsLost(2, 2))
    )
    report = verified(tmp_path / "j.db")
    assert report["whole"], told(report)
    assert report["events_lost"] == 2


def test_a_gap_that_is_recorded_too_small_is_told(tmp_path):
    write(
        tmp_path / "j.db", (1, "deployment/a", 1), (4, "deployment/a", 4), (5, "router", 1, EventsLost(1, 2))
    )
    assert told(verified(tmp_path / "j.db")) == [
        ("position", "2 events are missing, 1 of them recorded as lost: positions 2 to 3")
    ]


def test_an_event_that_nobody_knows_is_told_and_the_others_are_still_checked(tmp_path):
    file = tmp_path / "j.db"
    write(file, (1, "deployment/a", 1), (2, "deployment/b", 1), (3, "deployment/a", 2))
    change(
        file,
        "UPDATE runs SET events = replace(events, 'cooldown_ended', 'warp_drive') WHERE last = 2",
    )
    found = told(verified(file))
    assert [kind for kind, _ in found] == ["event"]
    assert "'warp_drive'" in found[0][1]


@pytest.mark.parametrize("events", ["[]", "[[", "[1]", '[[9,1.0,"cooldown_ended",1,{}]]'])
def test_a_row_that_holds_something_else_is_told(tmp_path, events):
    file = tmp_path / "j.db"
    write(file, (1, "deployment/a", 1), (2, "deployment/b", 1))
    change(file, "UPDATE runs SET events = ? WHERE stream = 'deployment/a'", events)
    assert told(verified(file))[0][0] == "row"


def test_a_snapshot_that_is_no_state_is_told(tmp_path):
    file = tmp_path / "j.db"
    write(file, (1, "deployment/a", 1), snapshots=[Snapshot("deployment/a", 1, 1, 1001.0, {"window": 3})])
    assert any("cannot be read" in text or "otherwise" in text for _, text in told(verified(file)))


def test_findings_have_a_bound_and_the_rest_is_counted(tmp_path):
    file = tmp_path / "j.db"
    write(file, *[(n, f"deployment/{n}", 7) for n in range(1, MAX_FINDINGS + 12)])
    report = verified(file)
    assert (len(report["findings"]), report["more_findings"]) == (MAX_FINDINGS, 11)


def test_whoever_watches_a_long_check_may_end_it(lived, monkeypatch):
    monkeypatch.setattr("turnout.actors.journal.sqlite_history.STEPS_BETWEEN_LOOKS", 1)

    def stop():
        raise KeyboardInterrupt

    with SqliteReader.open(lived) as reader, pytest.raises(KeyboardInterrupt):
        SqliteHistory(reader).faults(stop)


def test_a_snapshot_is_loaded_when_its_turn_has_come_and_not_before(lived, monkeypatch):
    """However many there are: a journal of years has more than fit into memory."""
    seen, ahead = [0], []
    apply, load = World.apply, SqliteHistory.snapshot_of

    def applied(world, recorded):
        seen.append(recorded.position)
        apply(world, recorded)

    def loaded(history, stream, position):
        if stream != USAGE:  # which is of everybody's events, and goes by batches of them
            ahead.append(position - seen[-1])
        return load(history, stream, position)

    monkeypatch.setattr(World, "apply", applied)
    monkeypatch.setattr(SqliteHistory, "snapshot_of", loaded)
    assert verified(lived)["whole"]
    assert len(ahead) >= 5
    assert max(ahead) <= 0


def test_a_snapshot_that_is_no_json_is_told_with_its_place(lived):
    change(lived, "UPDATE snapshots SET state = '{' WHERE stream = 'deployment/eu'")
    ((kind, text),) = told(verified(lived))
    assert kind == "snapshot"
    assert "the snapshot of 'deployment/eu' at position" in text


def test_nothing_is_kept_of_requests_that_are_over(lived):
    with SqliteReader.open(lived) as reader:
        history, findings = SqliteHistory(reader), Findings()
        verifier = Verifier(history.snapshot_places(), history.snapshot_of, reader.trimmed(), findings)
        most = 0
        for _, rows in groupby(history.rows(), key=attrgetter("batch")):
            verifier.take(list(rows))
            kept = {*verifier.states._versions, *verifier.continuity._versions}
            most = max(most, sum(stream.startswith("request/") for stream in kept))
        requests = {recorded.stream for recorded in reader.read() if recorded.stream.startswith("request/")}
    assert not findings
    assert most < len(requests) / 5


def test_an_event_that_cannot_follow_what_its_request_has_been_through_is_told(tmp_path):
    file = tmp_path / "j.db"
    settled = HedgeSettled("r1", "r1.1h", RequestState().call_id, "eu", 1.0)  # where nothing was called
    write(file, (1, "request/r1", 1, ACCEPTED), (2, "request/r1", 2, settled))
    assert told(verified(file)) == [
        ("event", "event 'hedge_settled' of 'request/r1' cannot follow what was before it")
    ]
    with Replay(file) as replay:
        assert replay.at(Position(1)).requests.keys() == {"r1"}
        assert replay.at(Position(2)).requests == {}  # nobody knows where it stands


def test_of_a_request_whose_events_are_not_all_there_only_the_gap_is_told(tmp_path):
    file = tmp_path / "j.db"
    settled = HedgeSettled("r1", "r1.1h", "r1.1", "eu", 1.0)
    write(file, (1, "request/r1", 1, ACCEPTED), (2, "request/r1", 5, settled))
    assert {kind for kind, _ in told(verified(file))} == {"version"}
