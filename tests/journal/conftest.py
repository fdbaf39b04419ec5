import threading

import pytest

from turnout.actors.journal.store import Journal
from turnout.messages.events import CallOpened
from turnout.testing.faulty_journal import FaultyStore

WAIT = 20.0
"""Seconds after which a test that waits for another thread gives up; never waited for when all is well."""


class Writing:
    """A journal over a store that fails as told, and short words for what the tests do with it."""

    def __init__(self, max_queued):
        self.store = FaultyStore()
        self.journal = Journal(self.store, max_queued=max_queued)

    def append(self, count=1, stream="deployment/a"):
        for _ in range(count):
            version = self.journal.version(stream) + 1
            self.journal.append(stream, version, 1_000.0 + version, CallOpened("c", "r", version / 2))

    def confirm(self):
        self.journal.confirm().get(timeout=WAIT)

    def stored(self):
        return [(line.position, line.stream, line.version) for line in self.store.read()]

    def hold(self):
        """Let the writer take one event and get stuck with it."""
        self.store.gate.clear()
        tries = self.store.tries
        self.append()
        self.until(lambda: self.store.tries > tries)

    def release(self):
        self.store.gate.set()

    @staticmethod
    def until(condition):
        """Wait for another thread to bring this about."""
        ticks = threading.Event()
        for _ in range(int(WAIT * 1000)):
            if condition():
                return
            ticks.wait(0.001)
        raise AssertionError("it did not come about")

    def until_idle(self):
        self.until(lambda: self.journal.health().queued == 0)


@pytest.fixture
def writing():
    made = []

    def make(max_queued=1000):
        made.append(Writing(max_queued))
        return made[-1]

    make.until = Writing.until
    yield make
    for one in made:
        one.store.fault = "none"
        one.release()
        one.journal.close()
        names = [thread.name for thread in threading.enumerate()]
        assert "turnout-journal" not in names
