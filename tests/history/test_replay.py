"""Any moment of a journal: what was then, whichever snapshots it is rebuilt from."""

import sqlite3
from datetime import UTC, datetime

import pytest

from turnout import ConfigurationError
from turnout.actors.deployment.state import DeploymentState
from turnout.actors.journal import sourced, sqlite_checkpoints
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.history import Moment, Position, Replay, difference, replay
from turnout.history.player import Player
from turnout.history.world import World
from turnout.messages.events import RequestAccepted, RequestSucceeded, RouterStarted
from turnout.testing import FakeClock

START = 1_700_000_000


def plain(moment):
    """All of it, comparable."""
    return (
        {name: state.snapshot(moment.at) for name, state in moment.deployments.items()},
        {name: state.snapshot() for name, state in moment.requests.items()},
        moment.groups,
        moment.budgets,
    )


def rebuilt(file, position):
    """The same from all events, one after the other, and no snapshot."""
    world = World()
    at = 0.0
    with SqliteReader.open(file) as reader:
        for recorded in reader.read():
            if recorded.position > position:
                break
            world.apply(recorded)
            at = recorded.at
    return Moment.of(world, position, at)


@pytest.fixture
def often(monkeypatch):
    """Snapshots and notes all the time, so that a small journal has what a big one has."""
    monkeypatch.setattr(sourced, "SNAPSHOT_EVERY", 10)
    monkeypatch.setattr(sqlite_checkpoints, "KEPT_VERSIONS", 8)
    monkeypatch.setattr(sqlite_checkpoints, "KEPT_POSITIONS", 15)
    monkeypatch.setattr(sqlite_checkpoints, "CHECKPOINT_EVERY", 7)


@pytest.fixture(params=[(0, 250_000), (0, 40), (3, 250_000), (99, 0)], ids=str)
def passes(request, monkeypatch):
    """Streams read in one pass over the file, one by one, and some this way and some that."""
    few, positions = request.param
    monkeypatch.setattr(replay, "FEW", few)
    monkeypatch.setattr(replay, "MAX_POSITIONS", positions)


def test_every_moment_is_what_all_events_before_it_rebuild(lives, passes):
    with Replay(lives) as past:
        for position in range(0, past.last_position() + 1, 7):
            assert plain(past.at(Position(position))) == plain(rebuilt(lives, position)), position


def test_it_is_the_same_whichever_snapshots_there_are(tmp_path, often, past, passes):
    file = tmp_path / "j.db"
    clock = FakeClock(start=START)
    for _ in range(2):
        with past.a_router(file, clock) as router:
            past.use(router, clock, 25)
    with Replay(file) as replay:
        assert len(replay._history.snapshot_places()) > 15
        assert replay._history.requests_noted(10**9)[0] > 100
        for position in range(0, replay.last_position() + 1, 3):
            assert plain(replay.at(Position(position))) == plain(rebuilt(file, position)), position


def test_what_is_open_is_found_beyond_the_notes_of_what_was_open(tmp_path, often, passes):
    file = tmp_path / "j.db"
    store = SqliteStore(file)
    position = 0

    def write(*pairs):
        nonlocal position
        batch = []
        for stream, version, event in pairs:
            position += 1
            batch.append(Recorded(position, stream, version, 1000.0 + position, event))
        store.append(batch)

    def accepted(name):
        return (
            f"request/{name}",
            1,
            RequestAccepted(name, "chat", "g", "g", stream=False, deadline=9e9, input_tokens=1),
        )

    def ended(name):
        return f"request/{name}", 2, RequestSucceeded(name, "g", "d", 1, 0, 0, 0.0, 1.0, None)

    write(accepted("long"), accepted("a"))
    write(*[pair for n in range(10) for pair in (accepted(f"x{n}"), ended(f"x{n}"))], ended("a"))
    write(accepted("b"))
    write(*[pair for n in range(10, 20) for pair in (accepted(f"x{n}"), ended(f"x{n}"))])
    open_then = position
    write(("router", 1, RouterStarted(None, {})), accepted("after"))
    store.close()
    with Replay(file) as replay:
        assert list(replay.at(Position(1)).requests) == ["long"]
        assert list(replay.at(Position(3)).requests) == ["long", "a", "x0"]
        assert list(replay.at(Position(open_then)).requests) == ["long", "b"]
        assert list(replay.at(Position(open_then + 2)).requests) == ["after"]


def test_a_moment_is_the_live_state_of_the_router(tmp_path, often, monkeypatch, past):
    file = tmp_path / "j.db"
    clock = FakeClock(start=START)
    live, owned = {}, {}
    made = DeploymentState.__init__

    def remembered(state, name, limits):
        made(state, name, limits)
        owned[name] = state

    monkeypatch.setattr(DeploymentState, "__init__", remembered)
    with past.a_router(file, clock) as router:
        for _ in range(30):
            past.use(router, clock, 1, seconds=0.1)
            now = clock.now()
            live[router._journal.position] = (
                now,
                {name: state.snapshot(now) for name, state in owned.items()},
            )
    monkeypatch.undo()
    with Replay(file) as replay:
        for position, (now, states) in live.items():
            moment = replay.at(Position(position))
            assert {name: state.snapshot(now) for name, state in moment.deployments.items()} == states


def test_a_moment_is_found_by_time_in_whatever_way_it_is_written(lives):
    with Replay(lives) as replay:
        at = START + 45.0
        moments = [
            replay.at(at),
            replay.at("2023-11-14T22:14:05Z"),
            replay.at(datetime.fromtimestamp(at, UTC)),
            replay.at(datetime(2023, 11, 14, 22, 14, 5)),  # noqa: DTZ001
        ]
        assert len({moment.position for moment in moments}) == 1
        assert all(plain(moment) == plain(moments[0]) for moment in moments)
        assert all(recorded.at > at for recorded in replay.events(moments[0].position))


def test_before_the_beginning_there_is_nothing_and_after_the_end_what_was_left(lives):
    with Replay(lives) as replay:
        assert not replay.at(0.0).deployments
        end = replay.at(START + 10**6)
        assert end.position == replay.last_position()
        assert set(end.deployments) == {"eu", "us", "late"}
        assert replay.at(Position(10**9)).position == end.position


@pytest.mark.parametrize("when", [-1.0, "0001-01-01", "1969-12-31T23:59:59Z", Position(0)])
def test_before_all_time_there_is_nothing_and_nothing_is_said_to_be_gone(lives, when):
    with Replay(lives) as replay:
        moment = replay.at(when)
        assert (moment.position, moment.deployments) == (0, {})
        assert replay.at(Position(0)).at == replay.beginning()[1]


def test_a_nonsensical_moment_is_refused(lives):
    with Replay(lives) as replay, pytest.raises(ConfigurationError, match="no moment"):
        replay.at("next tuesday")


def test_a_difference_says_what_came_what_went_and_what_was_counted(lives):
    with Replay(lives) as replay:
        start, end = replay.at(START + 50), replay.at(Position(replay.last_position()))
    found = difference(start, end)
    assert (found.added, found.removed) == (("late",), ("mini",))
    assert found.deployments["us"]["rpm"] == (30, 99)
    calls = end.deployments["eu"].totals.started - start.deployments["eu"].totals.started
    assert found.counted["eu"]["started"] == calls > 0
    assert found.budgets["deployment:eu"][1] > found.budgets["deployment:eu"][0]
    assert not difference(start, start)


def test_playing_a_journal_ends_where_a_look_at_its_end_does(lives):
    with Replay(lives) as replay:
        position, at = replay.beginning()
        player = Player(replay.world_at(position, at), position, at, replay.events(position))
        frames, played = 0, 0
        while not player.over:
            played += len(player.advance(5.0, idle=10.0))
            frames += 1
        assert played == replay.last_position()
        assert frames > 20
        assert plain(player.moment) == plain(replay.at(Position(player.position)))


def test_a_film_passes_over_the_time_in_which_nothing_happens(lives):
    with Replay(lives) as replay:
        first = next(replay.events(0))
        events = [Recorded(1, "router", 1, 0.0, first.event), Recorded(2, "router", 2, 86_400.0, first.event)]
        player = Player(World(), 0, 0.0, iter(events))
        assert len(player.advance(1.0, idle=2.0)) == 1
        assert len(player.advance(1.0, idle=2.0)) == 1
        assert player.at == 86_400.0


def test_a_file_of_before_there_were_notes_is_read_all_the_same(lived):
    database = sqlite3.connect(lived)
    for table in ("snapshot_history", "open_requests", "trims"):
        database.execute(f"DROP TABLE {table}")
    database.close()
    with Replay(lived) as replay:
        for position in (10, 100, replay.last_position()):
            assert plain(replay.at(Position(position))) == plain(rebuilt(lived, position))


def test_such_a_file_is_given_them_when_a_router_opens_it(lived, past):
    database = sqlite3.connect(lived)
    for table in ("snapshot_history", "open_requests", "trims"):
        database.execute(f"DROP TABLE {table}")
    database.close()
    with past.a_router(lived, FakeClock(start=START + 1000)) as router:
        router.add_deployment(past.entry("new"))
    with Replay(lived) as replay:
        assert replay._history.keeps_snapshots
        assert "new" in replay.at(Position(replay.last_position())).deployments


def test_a_film_goes_back_with_a_clock_that_was_set_back(lives):
    with Replay(lives) as replay:
        first = next(replay.events(0))
    times = [
        100.0,
        104.0,
        40.0,
        41.0,
        40.5,
        60.0,
    ]  # the next life begins a minute earlier; 40.5: as actors write
    events = [Recorded(n, "router", n, at, first.event) for n, at in enumerate(times, 1)]
    player = Player(World(), 0, 100.0, iter(events))
    seen = []
    while not player.over:
        positions = [recorded.position for recorded in player.advance(5.0, idle=2.0)]
        seen.append((positions, player.at))
    assert seen == [([1, 2], 104.0), ([3, 4, 5], 45.0), ([6], 60.0)]
