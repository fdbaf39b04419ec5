"""Are the snapshots of a journal what its events rebuild? Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.journal.ports import UnreadableEventError
from ..actors.usage.counted import NAME as USAGE
from ..actors.usage.state import FORMAT, UsageState
from ..messages.events import EventsLost, RouterStarted
from ..supervisor.fleet.manager import ROUTER_STREAM
from .world import ENDINGS, REQUEST, World, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..actors.journal.codec import Recorded
    from ..actors.journal.ports import Snapshot
    from .verify import Findings

__all__ = ["UNREADABLE", "SnapshotCheck"]

RULED = {
    "budgets": frozenset({"ledgers", "open", "quiet_until", "limits"}),
    "deployment": frozenset({"ledger", "quiet_until", "limit"}),
}
"""By kind of stream, the parts of a state that depend on limits and budgets, and not on events alone."""

UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError)
"""What a snapshot that another version saved, or that is damaged, may raise when it is taken up."""


class SnapshotCheck:
    """Rebuilds every state, and compares where a snapshot says what it was.

    A state is not known, and so nothing is compared, until its stream's first snapshot when the stream
    does not begin with its first event, after lost events, and after an event that cannot be read.

    Args:
        places: every snapshot of every stream, by its stream and position, each stream's in their order.
        load: gives one of them when its turn has come; None when it is not there any more.
        findings: where to say what is wrong.
        whole: whether the journal goes back to its first event.

    Attributes:
        compared: snapshots that were found to be what the events rebuild, or not.
        trusted: those that could only be believed.
    """

    def __init__(
        self,
        places: Iterable[tuple[str, int]],
        load: Callable[[str, int], Snapshot | None],
        findings: Findings,
        *,
        whole: bool,
    ) -> None:
        self.compared = 0
        self.trusted = 0
        self._findings = findings
        self._world = World()
        self._load = load
        self._due: dict[str, deque[int]] = {}
        for stream, position in places:
            self._due.setdefault(stream, deque()).append(position)
        self._versions: dict[str, int] = {}
        self._based: dict[str, int] = {}
        self._doubtful: set[str] = set()
        self._usage: UsageState | None = UsageState() if whole and USAGE in self._due else None
        self._usage_due = self._due.pop(USAGE, deque())

    def take(self, events: Sequence[Recorded]) -> None:
        """The next events, in the order of positions."""
        self._count(events)
        for recorded in events:
            stream = recorded.stream
            self._check_before(ROUTER_STREAM, recorded.position)  # what limits depend on goes first
            self._check_before(stream, recorded.position)
            version = self._versions.get(stream, 0) + 1
            if recorded.version != version:
                self.doubt(stream)
            if type(recorded.event) is EventsLost:
                self._usage = None
            self._versions[stream] = recorded.version
            self._world.apply(recorded)
            if self._world.misfit == recorded.position:
                text = f"event {recorded.event.TYPE!r} of {stream!r} cannot follow what was before it"
                self._findings.add("event", text, recorded.position, stream)
            self._forget(recorded)

    def _forget(self, recorded: Recorded) -> None:
        """Versions of requests are kept while they are open: there are millions of them."""
        kind = type(recorded.event)
        if kind in ENDINGS:
            self._versions.pop(recorded.stream, None)
        elif kind is RouterStarted:  # nobody goes on with what was open
            self._versions = {s: v for s, v in self._versions.items() if not s.startswith(REQUEST)}

    def doubt(self, stream: str) -> None:
        """What is known of a stream's owner is not all there is to know, until its next snapshot."""
        if stream.startswith(REQUEST):
            self._world.requests.pop(stream.removeprefix(REQUEST), None)
        else:
            self._doubtful.add(stream)
        self._usage = None

    def finish(self) -> None:
        """There are no more events."""
        for stream, due in self._due.items():
            for position in due:
                self._check(stream, position)
        self.trusted += len(self._usage_due)

    def _check_before(self, stream: str, position: int) -> None:
        due = self._due.get(stream)
        while due and due[0] < position:
            self._check(stream, due.popleft())

    def _loaded(self, stream: str, position: int) -> Snapshot | None:
        try:
            return self._load(stream, position)
        except UnreadableEventError as error:
            self._findings.add("snapshot", str(error), position, stream)
            return None

    def _check(self, stream: str, position: int) -> None:
        snapshot = self._loaded(stream, position)
        if snapshot is None:
            return
        known = self._versions.get(stream, 0)
        if stream in self._doubtful or snapshot.version > known:
            self.trusted += 1
        elif snapshot.version < known:
            self._differs(snapshot, f"it says version {snapshot.version}, where the stream is at {known}")
        else:
            self.compared += 1
            self._compare(snapshot)
        self._adopt(snapshot)

    def _adopt(self, snapshot: Snapshot) -> None:
        try:
            self._world.adopt(snapshot)
        except UNREADABLE as error:
            self._differs(snapshot, f"it cannot be read ({type(error).__name__})")
            return
        self._versions[snapshot.stream] = max(snapshot.version, self._versions.get(snapshot.stream, 0))
        self._based[snapshot.stream] = snapshot.position
        self._doubtful.discard(snapshot.stream)

    def _compare(self, snapshot: Snapshot) -> None:
        rebuilt = _as_stored(self._world.snapshot_of(snapshot.stream, snapshot.at))
        stored = snapshot.state
        parts = set(stored) if snapshot.stream == ROUTER_STREAM else stored.keys() | rebuilt.keys()
        if self._world.revised.get(snapshot.stream, 0) > self._based.get(snapshot.stream, 0):
            parts -= RULED.get(owner_of(snapshot.stream), frozenset())
            stored, rebuilt = _unruled(stored), _unruled(rebuilt)
        other = sorted(name for name in parts if stored.get(name) != rebuilt.get(name))
        if other:
            self._differs(snapshot, f"the events tell otherwise of {', '.join(other)}")

    def _differs(self, snapshot: Snapshot, why: str) -> None:
        text = f"snapshot of {snapshot.stream!r} at version {snapshot.version}: {why}"
        self._findings.add("state", text, snapshot.position, snapshot.stream)

    # -- what was used

    def _count(self, events: Sequence[Recorded]) -> None:
        usage, due = self._usage, self._usage_due
        if usage is None or not due:
            return
        until = due[0]
        if events and events[-1].position < until:
            usage.fold(events)
            return
        usage.fold(recorded for recorded in events if recorded.position <= until)
        snapshot = self._loaded(USAGE, due.popleft())
        if snapshot is None:
            return
        if snapshot.state.get("format") != FORMAT:
            self.trusted += 1
            return
        self.compared += 1
        rebuilt = _as_stored(usage.snapshot())
        other = sorted(name for name in rebuilt if snapshot.state.get(name) != rebuilt[name])
        if other:
            self._differs(snapshot, f"the events tell otherwise of {', '.join(other)}")


def _unruled(state: dict[str, Any]) -> dict[str, Any]:
    """Without the counters of failures, whose names are those of limits."""
    breaker = state.get("breaker")
    if not isinstance(breaker, dict):
        return state
    return {**state, "breaker": {**breaker, "failures": None}}


def _as_stored(state: dict[str, Any]) -> Any:
    """A state as it comes back from a file: tuples are lists there."""
    return msgspec.json.decode(msgspec.json.encode(state))
