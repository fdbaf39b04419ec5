"""What a look back costs on a big journal: any moment of it, and the story of any request.

The journal is made here: the events that a router would record of so many requests, written as it writes
them, with the snapshots its deployments would save. It is no figure of the router's speed.
"""

from __future__ import annotations

import heapq
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.actors.deployment.state import DeploymentState, Limits
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.ports import Snapshot
from turnout.actors.journal.sourced import SNAPSHOT_EVERY, SNAPSHOT_POSITIONS
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.actors.journal.sqlite_search import search
from turnout.history import Position, Replay
from turnout.messages.events import (
    AttemptFailed,
    CallFailed,
    CallStarted,
    CallSucceeded,
    DeploymentAdded,
    DeploymentPicked,
    RequestAccepted,
    RequestSucceeded,
    RouterStarted,
)
from turnout.messages.outcomes import Decision
from turnout.supervisor.face.explaining import explanation_from

from ..load import p50
from ..progress import say
from ..report import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnout.history import Moment
    from turnout.messages.events import Event

EVENTS = 10_000_000
QUICK_EVENTS = 400_000
DEPLOYMENTS = 20
BATCH = 32
"""Events in a commit: a router that is not in a hurry writes many times a second what has gathered."""
START = 1_700_000_000.0
RATE = 100.0
"""Requests a second that the journal tells of."""
JAM, JAM_SHARE = 0.6, 0.004
"""Where in the journal everything jams, and for how much of it: thousands of requests are open there."""

LOOKS = 25
MOMENT_GOAL = 2.0
EXPLAIN_GOAL = 100.0
_SNAPSHOTS = "SELECT DISTINCT position FROM snapshot_history ORDER BY position"


KEPT = "TURNOUT_BENCH_JOURNAL"
"""An environment variable: where the journal is kept, and taken from the next time."""


def measure(*, quick: bool = False) -> list[Figure]:
    events = QUICK_EVENTS if quick else EVENTS
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        file = Path(os.environ.get(KEPT) or Path(folder) / "big.db")
        made = "kept from before"
        if not file.exists():
            started = time.perf_counter()
            make(file, events)
            made = f"made in {time.perf_counter() - started:.0f} s"
        with Replay(file) as replay:
            last = replay.last_position()
        about = f"{last:,} events, {file.stat().st_size / 1e9:.2f} GB, {made}"
        say(f"replay: {about}")
        return [moments(file, last, about), worst(file, last), stories(file, last), command(file, last)]


def seconds(file: Path, look: Callable[[], object]) -> float:
    """How long a look takes when nothing of the file is in memory."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())  # what is not on the disk yet cannot be forgotten
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.perf_counter()
    look()
    return time.perf_counter() - started


def at(file: Path, *moments: float | Position) -> list[Moment]:
    with Replay(file) as replay:
        return [replay.at(moment) for moment in moments]


def moments(file: Path, last: int, about: str) -> Figure:
    """The slowest of moments drawn from all over the journal, each looked at anew."""
    rng = random.Random(1)
    drawn = [START + rng.random() * last / 5 / RATE for _ in range(LOOKS)]
    took = [seconds(file, partial(at, file, moment)) for moment in drawn]
    return Figure(
        what=f"any moment of a big journal that is not in memory, the slowest of {LOOKS}",
        measured=max(took),
        unit="s",
        goal=MOMENT_GOAL,
        detail=f"median {p50(took):.2f} s; {about}",
    )


def worst(file: Path, last: int) -> Figure:
    """Moments that are the most work: thousands of open requests, right before snapshots, the very end."""
    with SqliteReader.open(file) as reader:
        saved = [place for (place,) in reader._ask(_SNAPSHOTS)]
    places = {
        "while everything jams": int(last * (JAM + JAM_SHARE / 2)),
        "right before a snapshot": saved[len(saved) // 2] - 1,
        "right before the last one": saved[-1] - 1,
        "the end": last,
    }
    took = {name: seconds(file, partial(at, file, Position(place))) for name, place in places.items()}
    both = partial(at, file, Position(last // 4), Position(last // 2))
    took["two moments, to be compared"] = seconds(file, both) / 2
    return Figure(
        what="the hardest moments of it",
        measured=max(took.values()),
        unit="s",
        goal=MOMENT_GOAL,
        detail=", ".join(f"{name} {value:.2f} s" for name, value in took.items()),
    )


def names(file: Path, last: int) -> list[str]:
    """Requests from all over the journal."""
    rng = random.Random(2)
    with SqliteReader.open(file) as reader:
        found = [next(search(reader, rng.randrange(last - 100), kind="request")) for _ in range(LOOKS)]
    return [recorded.stream.partition("/")[2] for recorded in found]


def explain(file: Path, name: str) -> None:
    with SqliteReader.open(file) as reader:
        explanation_from(reader, name)


def stories(file: Path, last: int) -> Figure:
    took = [seconds(file, partial(explain, file, name)) * 1000 for name in names(file, last)]
    return Figure(
        what=f"the story of a request from it, the slowest of {LOOKS}",
        measured=max(took),
        unit="ms",
        goal=EXPLAIN_GOAL,
        detail=f"median {p50(took):.1f} ms",
    )


def command(file: Path, last: int) -> Figure:
    """The commands as a person meets them: a new process, Python and all."""
    words = {
        "explain": ["explain", str(file)],
        "replay --at": ["replay", str(file), "--at", f"#{last // 2}"],
        "events --since": ["events", str(file), "--since", f"#{last - 100}"],
        "--version": ["--version"],
    }
    took = {name: seconds(file, partial(_run, arguments)) for name, arguments in words.items()}
    return Figure(
        what="the slowest of these commands on it, Python's start included",
        measured=max(took.values()),
        unit="s",
        detail=", ".join(f"{name} {value:.2f} s" for name, value in took.items()),
    )


def _run(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "turnout", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Writer:
    """Numbers events as a journal does, and saves snapshots as deployments do."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.batch: list[Recorded] = []
        self.position = 0
        self.versions: dict[str, int] = {}
        self.states = {f"d{n}": DeploymentState(f"d{n}", Limits(rpm=100_000)) for n in range(DEPLOYMENTS)}
        self.saved = dict.fromkeys(self.states, (0, 0))

    def add(self, stream: str, at: float, event: Event, version: int | None = None) -> None:
        self.position += 1
        if version is None:
            version = self.versions[stream] = self.versions.get(stream, 0) + 1
        self.batch.append(Recorded(self.position, stream, version, at, event))

    def call(self, name: str, at: float, event: Event) -> None:
        stream = f"deployment/{name}"
        self.add(stream, at, event)
        state, version = self.states[name], self.versions[stream]
        state.apply(event, at)
        saved, position = self.saved[name]
        if version - saved >= SNAPSHOT_EVERY or self.position - position >= SNAPSHOT_POSITIONS:
            self.flush()
            self.store.save_snapshot(Snapshot(stream, version, self.position, at, state.snapshot(at)))
            self.saved[name] = (version, self.position)

    def flush(self) -> None:
        if self.batch:
            self.store.append(self.batch)
            self.batch = []


def make(file: Path, events: int) -> None:
    """A journal of one attempt, or two, for each request; some go on for long, and once everything jams."""
    rng = random.Random(0)
    store = SqliteStore(file)
    store._database.execute("PRAGMA synchronous = OFF")
    writer = Writer(store)
    writer.add("router", START, RouterStarted(0, {}))
    for name in writer.states:
        config = {
            "model_name": "g",
            "litellm_params": {"model": "openai/m", "rpm": 100_000},
            "model_info": {"id": name},
        }
        writer.add("router", START, DeploymentAdded(name, "g", config))
    traffic = Traffic(writer, rng)
    number = 0
    while writer.position < events:
        at = START + number / RATE
        traffic.end_until(at)
        traffic.begin(number, at, _seconds(number, writer.position / events))
        number += 1
        if len(writer.batch) >= BATCH:
            writer.flush()
        if number % 20_000 == 0:
            say(f"replay: {writer.position:,} of {events:,} events")
    traffic.end_until(math.inf)
    writer.flush()
    store.close()


def _seconds(number: int, share: float) -> float:
    """How long a request takes: a second; one in a thousand ten minutes; a minute while everything jams."""
    if JAM <= share < JAM + JAM_SHARE:
        return 60.0
    return 600.0 if number % 1000 == 0 else 1.0


class Traffic:
    """Requests that begin, and end when their time has come."""

    def __init__(self, writer: Writer, rng: random.Random) -> None:
        self.writer = writer
        self.rng = rng
        self.under_way: list[tuple[float, int, str, float]] = []

    def begin(self, number: int, at: float, seconds: float) -> None:
        request, add = f"{self.rng.getrandbits(64):016x}", self.writer.add
        stream = f"request/{request}"
        accepted = RequestAccepted(
            request, "chat", "g", "g", stream=False, deadline=at + 6000, input_tokens=20
        )
        add(stream, at, accepted, 1)
        self._call(request, 1, number, at, 2)
        if number % 50 == 0:
            failed = CallFailed(f"{request}.1", request, "APIError", 500, counted=True, seconds=0.0)
            self.writer.call(_name(number), at, failed)
            add(
                stream,
                at,
                AttemptFailed(request, f"{request}.1", "g", _name(number), "APIError", 500, 0.0),
                3,
            )
            self._call(request, 2, number + 1, at, 4)
        heapq.heappush(self.under_way, (at + seconds, number, request, at))

    def _call(self, request: str, attempt: int, number: int, at: float, version: int) -> None:
        name, call = _name(number), f"{request}.{attempt}"
        decision = Decision("g", "simple-shuffle", name, DEPLOYMENTS, draw=0.5)
        self.writer.add(f"request/{request}", at, DeploymentPicked(request, call, attempt, decision), version)
        self.writer.call(name, at, CallStarted(call, request, 30))

    def end_until(self, now: float) -> None:
        while self.under_way and self.under_way[0][0] <= now:
            at, number, request, began = heapq.heappop(self.under_way)
            attempts = 2 if number % 50 == 0 else 1
            name, seconds = _name(number + attempts - 1), at - began
            ended = CallSucceeded(f"{request}.{attempts}", request, 20, 30, 0.001, seconds)
            self.writer.call(name, at, ended)
            answered = RequestSucceeded(request, "g", name, attempts, attempts - 1, 0, 0.0, seconds, 0.001)
            self.writer.add(f"request/{request}", at, answered, 2 * attempts + 1)


def _name(number: int) -> str:
    return f"d{number % DEPLOYMENTS}"
