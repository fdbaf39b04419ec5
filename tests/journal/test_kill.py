"""kill -9 in the middle of the load: what was confirmed is there, and the file is whole."""

import sqlite3
import subprocess
import sys

import pytest

from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.store import open_journal
from turnout.messages.events import RouterStopped

LOAD = """
import sys
from turnout.actors.journal.ports import Snapshot
from turnout.actors.journal.store import open_journal
from turnout.messages.events import CallOpened, RequestCancelled

journal = open_journal("sqlite:///" + sys.argv[1])
number = journal.position
waiting = []
while True:
    for _ in range(500):
        for deployment in range(4):
            stream = f"deployment/{deployment}"
            version = journal.version(stream) + 1
            journal.append(stream, version, float(version), CallOpened("c", "r", 0.5))
        number += 1
        journal.append(f"request/{number}", 1, 1.0, RequestCancelled("r", 1, 0.5))
    version = journal.version("deployment/0")
    journal.save_snapshot(Snapshot("deployment/0", version, journal.position, 1.0, {"version": version}))
    waiting.append((journal.position, journal.confirm()))
    if len(waiting) > 3:  # always some thousands of events on their way
        position, future = waiting.pop(0)
        future.get()
        print(position, flush=True)
"""


def run_and_kill(path, lines):
    """Let it write until it has confirmed so often; kill it; what it confirmed last."""
    process = subprocess.Popen([sys.executable, "-c", LOAD, str(path)], stdout=subprocess.PIPE, text=True)
    with process.stdout as output:
        confirmed = [int(output.readline()) for _ in range(lines)]
        process.kill()
        confirmed += [int(line) for line in output.read().split("\n")[:-1]]  # the last may be cut off
    process.wait()
    return confirmed[-1]


@pytest.mark.parametrize("lines", [3, 8])
def test_after_kill_9_everything_confirmed_is_there_and_the_file_is_whole(tmp_path, lines):
    path = tmp_path / "journal.db"
    for _ in range(2):  # the second life goes on in the journal of the first
        confirmed = run_and_kill(path, lines)
        journal = open_journal(f"sqlite:///{path}")
        events = list(journal.read())
        positions = [line.position for line in events]
        assert positions == list(range(1, len(events) + 1))
        assert len(events) >= confirmed
        for deployment in range(4):
            versions = [line.version for line in journal.read(f"deployment/{deployment}")]
            assert versions == list(range(1, len(versions) + 1))
        snapshot = journal.snapshot("deployment/0")
        assert snapshot is None or snapshot.state == {"version": snapshot.version}
        assert (
            journal.append("router", journal.version("router") + 1, 1.0, RouterStopped()) == len(events) + 1
        )
        journal.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    SqliteStore(path).close()
