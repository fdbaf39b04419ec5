"""What a look back costs on a big journal: any moment of it, and the story of any request.

The journal is made here: the events that a router would record of so many requests, written as it writes
them, with the snapshots its deployments would save. It is no figure of the router's speed.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.actors.deployment.state import DeploymentState, Limits
from turnout.actors.journal.codec import Recorded
from turnout.actors.journal.ports import Snapshot
from turnout.actors.journal.sourced import SNAPSHOT_EVERY, SNAPSHOT_POSITIONS
from turnout.actors.journal.sqlite import SqliteStore
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.history import Replay
from turnout.messages.events import (
    CallStarted,
    CallSucceeded,
    DeploymentAdded,
    DeploymentPicked,
    RequestAccepted,
    RequestSucceeded,
    RouterStarted,
)
from turnout.messages.outcomes import Decision
from turnout.supervisor.explaining import explanation_from

from ..load import p50
from ..progress import say
from ..report import Figure

if TYPE_CHECKING:
    from turnout.messages.events import Event

EVENTS = 10_000_000
QUICK_EVENTS = 400_000
DEPLOYMENTS = 20
BATCH = 8_192
START = 1_700_000_000.0
RATE = 100.0
"""Requests a second that the journal tells of."""

MOMENT_GOAL = 2.0
EXPLAIN_GOAL = 100.0


def measure(*, quick: bool = False) -> list[Figure]:
    events = QUICK_EVENTS if quick else EVENTS
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        file = Path(folder) / "big.db"
        started = time.perf_counter()
        make(file, events)
        seconds, size = time.perf_counter() - started, file.stat().st_size / 1e9
        made = f"{events:,} events, {size:.2f} GB, made in {seconds:.0f} s"
        say(f"replay: {made}")
        return [moments(file, made), stories(file)]


def moments(file: Path, made: str) -> Figure:
    """The slowest of moments drawn from all over the journal, each looked at anew."""
    rng = random.Random(1)
    took = []
    with Replay(file) as replay:
        last = replay.last_position()
    for _ in range(25):
        started = time.perf_counter()
        with Replay(file) as replay:
            replay.at(START + rng.random() * last / 5 / RATE)
        took.append(time.perf_counter() - started)
    return Figure(
        what="any moment of a big journal, the slowest of 25",
        measured=max(took),
        unit="s",
        goal=MOMENT_GOAL,
        detail=f"median {p50(took):.2f} s; {made}",
    )


def stories(file: Path) -> Figure:
    rng = random.Random(2)
    took = []
    with SqliteReader.open(file) as reader:
        last = reader.last_position()
        names = []
        for _ in range(25):
            found = next(
                r for r in reader.read(after=rng.randrange(last - 100)) if r.stream.startswith("request/")
            )
            names.append(found.stream.partition("/")[2])
    for name in names:
        started = time.perf_counter()
        with SqliteReader.open(file) as reader:
            explanation_from(reader, name)
        took.append((time.perf_counter() - started) * 1000)
    return Figure(
        what="the story of a request from it, the slowest of 25",
        measured=max(took),
        unit="ms",
        goal=EXPLAIN_GOAL,
        detail=f"median {p50(took):.1f} ms",
    )


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
    """A journal in which every request is called once, answered, and over before long; some wait long."""
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
    number, open_calls = 0, []
    while writer.position < events:
        at = START + number / RATE
        begin(writer, number, at, rng, open_calls)
        while len(open_calls) > 100:  # a second's worth is under way
            end(writer, *open_calls.pop(0), at)
        number += 1
        if len(writer.batch) >= BATCH:
            writer.flush()
            if number % 50 == 0:
                say(f"replay: {writer.position:,} of {events:,} events")
    writer.flush()
    store.close()


def begin(
    writer: Writer, number: int, at: float, rng: random.Random, open_calls: list[tuple[str, str, float]]
) -> None:
    request, name = f"{rng.getrandbits(64):016x}", f"d{number % DEPLOYMENTS}"
    stream, call = f"request/{request}", f"{request}.1"
    writer.add(
        stream,
        at,
        RequestAccepted(request, "chat", "g", "g", stream=False, deadline=at + 6000, input_tokens=20),
        1,
    )
    decision = Decision("g", "simple-shuffle", name, DEPLOYMENTS, draw=0.5)
    writer.add(stream, at, DeploymentPicked(request, call, 1, decision), 2)
    writer.call(name, at, CallStarted(call, request, 30))
    open_calls.append((request, name, at))


def end(writer: Writer, request: str, name: str, began: float, at: float) -> None:
    seconds = at - began
    writer.call(name, at, CallSucceeded(f"{request}.1", request, 20, 30, 0.001, seconds))
    answered = RequestSucceeded(request, "g", name, 1, 0, 0, 0.0, seconds, 0.001)
    writer.add(f"request/{request}", at, answered, 3)
