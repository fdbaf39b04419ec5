"""Of two journals that tell the same story one is trimmed, again and again, and killed in the midst of it.

Nobody can tell the two apart but by what is gone: the state after a restart, what was used, any moment
after the trim, and the story of any request that is left.
"""

import shutil

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from turnout import CompletionRequest, ConfigurationError, NotFoundError
from turnout.actors.journal import sourced, sqlite_checkpoints, sqlite_trim
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.cli.verify import _report
from turnout.history import Position, Replay
from turnout.supervisor.face.explaining import explanation_from
from turnout.testing import FakeClock

START = 1_700_000_000
MESSAGES = [{"role": "user", "content": "Hello"}]


class Killed(BaseException):
    """What a process says of kill -9, if it could."""


class Mortal:
    """A connection that dies before its nth statement."""

    def __init__(self, database, statements):
        self._database = database
        self._left = statements

    def execute(self, *args):
        self._die()
        return self._database.execute(*args)

    def executescript(self, script):
        self._die()
        return self._database.executescript(script)

    def _die(self):
        self._left -= 1
        if self._left < 0:
            raise Killed


class Twin:
    """A router and its journal, told what to do next."""

    def __init__(self, file, past):
        self.file = file
        self.clock = FakeClock(start=START)
        self._past = past
        self.asked = []
        self._open()

    @property
    def store(self):
        return self.router._journal._store

    def use(self, times):
        self._past.use(self.router, self.clock, times, seconds=0.7)

    def begin(self, times):
        """Requests that are open when the next thing happens."""
        for number in range(times):
            request = CompletionRequest(model="gpt-4" if number % 2 else "small", messages=MESSAGES)
            self.asked.append(self.router.ask(request, block=False))
        self.clock.advance(0.1)

    def flush(self):
        self.router._journal.confirm().get()

    def restart(self):
        self.router.close()
        self._open()

    def kill(self):
        """Nothing that was not durable survives; nothing is said."""
        self.flush()
        self.die()

    def die(self):
        self.router._finalizer.detach()
        self.store.close()
        self._open()

    def _open(self):
        self.asked.clear()
        self.router = self._past.a_router(self.file, self.clock)
        self.store._database.execute("PRAGMA synchronous = OFF")  # it is not the disk that is tested

    def save(self):
        self.router._wiring.save_snapshots(frozenset(self.router._journal._versions))
        self.router._dispatcher.run_now()
        self.flush()

    def change(self, name):
        if any(one["model_info"]["id"] == name for one in self.router.get_deployments()):
            self.router.delete_deployment(name)
        else:
            self.router.add_deployment(self._past.entry(name))

    def trim(self, share, statements):
        """Cut so much of it off, unless it dies before that many statements."""
        self.flush()
        store = self.store
        real = store._database
        if statements is not None:
            store._database = Mortal(real, statements)
        try:
            cut = int(store.last_position() * share)
            while store.trim(cut, "a test", self.clock.now()).more:
                pass
        finally:
            store._database = real


def plain(moment):
    return (
        {name: state.snapshot(moment.at) for name, state in moment.deployments.items()},
        {name: state.snapshot() for name, state in moment.requests.items()},
        moment.groups,
        moment.budgets,
    )


def states(router):
    """What every deployment would come back as, and the fleet."""
    wiring, now = router._wiring, router._dispatcher.clock.now()
    recovered = {name: wiring._recovered(berth) for name, berth in wiring.fleet.berths.items()}
    known = {name: (state.snapshot(now), version) for name, (state, version, _) in recovered.items()}
    return known, wiring.fleet.fleet.snapshot()


def told(router):
    stats = router.get_usage_stats()
    health = router.health()
    health.pop("journal")
    return stats, health


def steps():
    share = st.floats(0.0, 1.0)
    statements = st.none() | st.integers(0, 60)
    return st.lists(
        st.one_of(
            st.tuples(st.just("use"), st.integers(1, 12)),
            st.tuples(st.just("begin"), st.integers(1, 4)),
            st.tuples(st.just("save")),
            st.tuples(st.just("restart")),
            st.tuples(st.just("kill")),
            st.tuples(st.just("change"), st.sampled_from(["mini", "late"])),
            st.tuples(st.just("trim"), share, statements),
        ),
        min_size=4,
        max_size=14,
    )


def play(step, whole, cut):
    """Both do it; only one of them trims."""
    name, *args = step
    if name != "trim":
        for twin in (whole, cut):
            getattr(twin, name)(*args)
        return
    try:
        cut.trim(*args)
    except Killed:
        event("killed in the midst of a trim")
        cut.die()
        whole.kill()


@pytest.fixture
def often(monkeypatch):
    """Small journals that have what big ones have, and steps of a few rows."""
    monkeypatch.setattr(sourced, "SNAPSHOT_EVERY", 15)
    monkeypatch.setattr(sqlite_checkpoints, "KEPT_VERSIONS", 8)
    monkeypatch.setattr(sqlite_checkpoints, "KEPT_POSITIONS", 15)
    monkeypatch.setattr(sqlite_checkpoints, "CHECKPOINT_EVERY", 7)
    monkeypatch.setattr(sqlite_trim, "ROWS", 5)
    monkeypatch.setattr(sqlite_trim, "STREAMS", 2)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=steps(), moments=st.lists(st.floats(0, 1), min_size=3, max_size=12))
def test_nobody_can_tell_them_apart_but_by_what_is_gone(tmp_path_factory, past, often, story, moments):
    folder = tmp_path_factory.mktemp("twins")
    whole, cut = Twin(folder / "whole.db", past), Twin(folder / "cut.db", past)
    for step in [("use", 12), ("save",), *story, ("begin", 2), ("trim", 0.8, None), ("use", 3)]:
        play(step, whole, cut)
    assert told(cut.router) == told(whole.router)
    for twin in (whole, cut):
        twin.kill()
    assert told(cut.router) == told(whole.router)
    assert states(cut.router) == states(whole.router)
    for twin in (whole, cut):
        twin.router.close()
    compare_files(whole.file, cut.file, moments)
    shutil.rmtree(folder)


def compare_files(whole, cut, moments):
    with SqliteReader.open(whole) as one, SqliteReader.open(cut) as other:
        gone = other.trimmed()
        events = list(one.read())
        left = list(other.read())
        compare_events(events, left, gone)
        compare_stories(one, other, events, left)
        assert _report(other)["findings"] == []
        last = one.last_position()
    event("some of it is gone" if gone.events else "nothing is gone")
    with Replay(whole) as one, Replay(cut) as other:
        for share in (*moments, 0.0, 1.0):
            position = Position(round(gone.position + share * (last - gone.position)))
            assert plain(other.at(position)) == plain(one.at(position)), position
            at = gone.at + share * (events[-1].at - gone.at) + 0.001
            assert plain(other.at(at)) == plain(one.at(at)), at
        if gone.position:
            for before in (Position(gone.position - 1), gone.at - 1):
                with pytest.raises(ConfigurationError, match="were removed by retention"):
                    other.at(before)


def compare_events(events, left, gone):
    known = {recorded.position: recorded for recorded in events}
    assert all(known[recorded.position] == recorded for recorded in left)
    assert [r for r in left if r.position > gone.position] == [
        r for r in events if r.position > gone.position
    ]
    assert len(events) - len(left) == gone.events


def compare_stories(one, other, events, left):
    still = {recorded.stream for recorded in left}
    for stream in {recorded.stream for recorded in events if recorded.stream.startswith("request/")}:
        name = stream.removeprefix("request/")
        if stream in still:
            assert list(other.read(stream)) == list(one.read(stream))
            assert explanation_from(other, name).as_dict() == explanation_from(one, name).as_dict()
        else:
            with pytest.raises(NotFoundError, match="were removed by retention"):
                explanation_from(other, name)
