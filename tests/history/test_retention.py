"""A router that forgets as it goes: its file stays small, and whoever reads along sees a whole journal."""

import json
import sqlite3

import pytest

from turnout import CompletionRequest, ConfigurationError, Router
from turnout.actors.journal import sourced, sqlite_reader
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.cli import events, replay
from turnout.cli.main import main
from turnout.cli.verify import _report
from turnout.history import Position, Replay
from turnout.history.player import Player
from turnout.supervisor.face.explaining import explanation_from
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

START = 1_700_000_000
MESSAGES = [{"role": "user", "content": "Hello"}]
LIMIT = 1_000_000


def in_a_hurry(router):
    """It is not the disk that is tested."""
    router._journal._store._database.execute("PRAGMA synchronous = OFF")
    return router


def entry(name, group="gpt-4"):
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o", "rpm": 10_000},
        "model_info": {"id": name},
    }


def a_router(file, clock, caller=None, **told):
    fleet = [entry("eu"), entry("us"), entry("mini", "small")]
    ports = {"clock": clock, "caller": caller or SimulatedProviders(), "seed": 5}
    return in_a_hurry(Router(fleet, journal=f"sqlite:///{file}", num_retries=1, **ports, **told))


def burst(router, clock, count):
    """So many requests, ten a second, and all of it written."""
    for number in range(count):
        router.ask(
            CompletionRequest(model="small" if number % 3 else "gpt-4", messages=MESSAGES), block=False
        )
        clock.advance(0.1)
    clock.advance(30)
    router._journal.confirm().get()


def findings(file):
    with SqliteReader.open(file) as reader:
        return _report(reader)["findings"]


def test_days_of_traffic_stay_within_the_limit_and_every_request_stays_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(sourced, "SNAPSHOT_EVERY", 200)
    file, clock = tmp_path / "j.db", FakeClock(start=START)
    sizes, asked = [], 0
    for _ in range(4):
        with a_router(file, clock, journal_max_bytes=LIMIT) as router:
            for _ in range(15):
                burst(router, clock, 60)
                asked += 60
                for _ in range(4):  # looks at the size, of one trim each
                    clock.advance(400)
                    router._journal.confirm().get()
                sizes.append(router._journal._store.holdings().bytes)
            assert router.get_usage_stats()["total"]["requests"] == asked
    one_burst = sizes[1] - sizes[0]  # in one commit, and a cut is between two of them
    assert max(sizes) <= LIMIT + 2 * one_burst
    assert LIMIT / 4 < min(sizes[30:]) < max(sizes[30:]) <= LIMIT + one_burst  # MIN_CUT is much of so little
    assert findings(file) == []
    with SqliteReader.open(file) as reader:
        gone = reader.trimmed()
        assert gone.events > reader.last_position() / 2
        assert gone.reason == "journal_max_bytes"
    with Replay(file) as past:
        assert set(past.at(Position(gone.position)).deployments) == {"eu", "us", "mini"}
        totals = past.at(Position(past.last_position())).deployments
        assert sum(state.totals.started for state in totals.values()) == asked


def test_by_age_a_day_is_kept_and_of_what_is_older_next_to_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sourced, "SNAPSHOT_EVERY", 50)
    file, clock = tmp_path / "j.db", FakeClock(start=START)
    with a_router(file, clock, journal_max_age="1d") as router:
        for _ in range(80):
            burst(router, clock, 6)
            clock.advance(3_600)
        now = clock.now()
        left = list(router.events())
        told = router._journal.trimmed()
    requests = [recorded for recorded in left if recorded.stream.startswith("request/")]
    assert now - 86_400 - 3_800 <= min(recorded.at for recorded in requests) <= now - 86_400 + 3_800
    older = [recorded for recorded in left if recorded.at < now - 1.25 * 86_400]
    assert {recorded.stream for recorded in older} <= {"router"}  # whose snapshot is older than that
    assert (told.reason, told.events + len(left)) == ("journal_max_age", left[-1].position)
    assert findings(file) == []


def test_the_story_of_a_request_that_was_open_at_the_cut_is_told_in_full(tmp_path):
    file, clock = tmp_path / "j.db", FakeClock(start=START)
    failing, slow = SimulatedProvider(script=[500, 500, 500], latency=1.0), SimulatedProvider(latency=50.0)
    caller = SimulatedProviders({"us": failing, "eu": slow}, default=SimulatedProvider(latency=0.5))
    with a_router(file, clock, caller) as router:
        store = router._journal._store
        asked = [
            router.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False) for _ in range(4)
        ]
        clock.advance(20)
        router._journal.confirm().get()
        for _ in range(3):  # snapshots, and batches, after their beginning
            router.ask(CompletionRequest(model="small", messages=MESSAGES), block=False)
            clock.advance(5)
            router._wiring.save_snapshots(frozenset(router._journal._versions))
            router._dispatcher.run_now()
            router._journal.confirm().get()
        names = [future.request_id for future in asked if not future.done()]
        before = {name: str(router.explain(name)) for name in names}
        assert any("500" in story for story in before.values())
        while store.trim(store.last_position(), "a test", clock.now()).more:
            pass
        assert router._journal.trimmed().events > 0
        assert {name: str(router.explain(name)) for name in names} == before
        clock.advance(100)
        assert all(future.get() for future in asked)
    with SqliteReader.open(file) as reader:
        for name in names:
            assert "answered" in str(explanation_from(reader, name))
    assert findings(file) == []


# -- beside those who read along


@pytest.fixture
def aged(tmp_path):
    """A journal of ten bursts that are an hour apart, and nobody's any more."""
    file, clock = tmp_path / "j.db", FakeClock(start=START)
    for _ in range(10):
        with a_router(file, clock) as router:
            burst(router, clock, 5)
        clock.advance(3_600)
    return file


def trim(file, hours):
    """As a router would that comes by."""
    store = SqliteStore(file)
    while store.trim(store.last_before(START + hours * 3_600.0), "journal_max_age", START + 40_000.0).more:
        pass
    store.close()


def to_the_end(player):
    while not player.over:
        player.advance(1_000.0, idle=10_000.0)


def test_a_film_that_retention_overtakes_ends_with_a_clear_error(aged, monkeypatch):
    monkeypatch.setattr(sqlite_reader, "PAGE", 5)
    keeper = SqliteStore(aged)  # as a router has it: with a write-ahead log
    with Replay(aged) as past:
        position, at = past.beginning()
        player = Player(past.world_at(position, at), position, at, past.events(position))
        assert player.advance(100.0, idle=0.0)
        while keeper.trim(keeper.last_before(START + 7 * 3_600.0), "journal_max_age", 0.0).more:
            pass
        with pytest.raises(ConfigurationError, match=r"that moment is gone: .* were removed by retention"):
            to_the_end(player)
        with pytest.raises(ConfigurationError, match="that moment is gone"):
            past.at(Position(position + 5))
        position, at = past.beginning()
        assert position == past._reader.trimmed().position
        rest = Player(past.world_at(position, at), position, at, past.events(position))
        to_the_end(rest)
        assert rest.position == past.last_position()
    keeper.close()


def test_a_moment_that_is_removed_while_it_is_rebuilt_is_not_shown_by_halves(aged, monkeypatch):
    keeper = SqliteStore(aged)
    with Replay(aged) as past:
        middle = past.last_position() // 2
        rebuild = Replay._rebuild

        def overtaken(replay, world, stream, position, at):
            while keeper.trim(past.last_position(), "journal_max_age", 0.0).more:
                pass
            rebuild(replay, world, stream, position, at)

        monkeypatch.setattr(Replay, "_rebuild", overtaken)
        with pytest.raises(ConfigurationError, match="that moment is gone"):
            past.at(Position(middle))
    keeper.close()


def test_following_the_events_goes_on_over_a_trim(aged, monkeypatch, capsys):
    looks = iter(range(3))

    def trimmed_meanwhile(seconds):
        look = next(looks, None)
        if look is None:
            raise KeyboardInterrupt
        trim(aged, 3 * look + 1)
        with a_router(aged, FakeClock(start=START + 50_000 + look)):
            pass

    monkeypatch.setattr(events, "_wait", trimmed_meanwhile)
    assert main(["events", str(aged), "--follow", "--json"]) == 130
    out, complaint = capsys.readouterr()
    positions = [json.loads(line)["position"] for line in out.splitlines()]
    with SqliteReader.open(aged) as reader:
        assert positions == list(range(1, reader.last_position() + 1))
    assert complaint == ""  # what was removed had been shown


def test_the_events_of_a_trimmed_journal_begin_with_what_is_gone(aged, capsys):
    trim(aged, 5)
    assert main(["events", str(aged), "--json"]) == 0
    out, complaint = capsys.readouterr()
    assert "were removed by retention (journal_max_age)" in complaint
    assert complaint.count("\n") == 1
    assert len(out.splitlines()) > 10
    assert main(["events", str(aged), "--since", f"@{START + 30_000}"]) == 0
    assert capsys.readouterr().err == ""


def test_a_film_begins_where_retention_ends(aged, capsys, monkeypatch):
    monkeypatch.setattr(replay, "_wait", lambda seconds: None)
    trim(aged, 5)
    assert main(["replay", str(aged), "--follow", "--json", "--speed", "1e6"]) == 0
    frames = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with SqliteReader.open(aged) as reader:
        assert frames[-1]["position"] == reader.last_position()
    assert main(["replay", str(aged), "--at", "#3"]) == 1
    complaint = capsys.readouterr().err
    assert "that moment is gone" in complaint
    assert complaint.count("\n") == 1


def test_stats_count_what_is_gone_and_say_so(aged, capsys):
    main(["stats", str(aged), "--json"])
    before = json.loads(capsys.readouterr().out)
    trim(aged, 8)
    main(["stats", str(aged), "--json"])
    assert json.loads(capsys.readouterr().out) == before
    main(["stats", str(aged)])
    assert "by retention (journal_max_age)" in capsys.readouterr().out


def test_verify_takes_a_trim_for_what_it_is_and_finds_a_real_gap(aged, capsys):
    trim(aged, 5)
    assert main(["verify", str(aged)]) == 0
    assert "were removed by retention" in capsys.readouterr().out
    with SqliteReader.open(aged) as reader:
        gone = reader.trimmed().position
        left = [recorded.position for recorded in reader.read()]
    for position in (left[-5], left[0]):
        torn = aged.with_name(f"torn{position}.db")
        torn.write_bytes(aged.read_bytes())
        database = sqlite3.connect(torn)
        with database:
            database.execute(
                "DELETE FROM runs WHERE last = (SELECT min(last) FROM runs WHERE last >= ?)", (position,)
            )
        database.close()
        assert main(["verify", str(torn)]) == 1
        out = capsys.readouterr().out
        assert ("beyond those that retention removed" in out) == (position <= gone)
        assert "missing" in out
