"""An actor whose state changes only by events: decide, record, then act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..runtime.actor import LoopActor
from .ports import Snapshot

if TYPE_CHECKING:
    from ...messages.events import Event
    from ..runtime.dispatcher import Dispatcher

__all__ = ["EventLog", "SourcedActor", "SourcedState"]


SNAPSHOT_EVERY = 2_500
"""Events of a stream between two snapshots: so many at most are replayed by a recovery, or a look back."""

SNAPSHOT_POSITIONS = 200_000
"""Events of all streams between two snapshots of one that goes on: with thousands of deployments none of
them gets far by itself, and what all of them did since is what a look at a moment replays."""


class EventLog(Protocol):
    """Where events are written; the journal, as far as an actor knows it."""

    def append(self, stream: str, version: int, at: float, event: Event) -> int:
        """Record an event; gives its position."""
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a state, so that recovery need not begin at the beginning."""
        ...


class SourcedState(Protocol):
    """State that an actor owns and events rebuild."""

    def apply(self, event: Any, at: float) -> None:
        """Change by what happened at router time `at`. No side effect; never fails on replay."""
        ...

    def snapshot(self, now: float) -> dict[str, Any]:
        """The whole state as plain values."""
        ...


class SourcedActor(LoopActor):
    """Owns one stream and the state it rebuilds.

    `record` comes after deciding and before acting: what is told, started or settled is already in
    the journal (tentatively: the journal's writer commits in groups and nobody waits for it).
    """

    def __init__(
        self, dispatcher: Dispatcher, journal: EventLog, stream: str, state: SourcedState, version: int = 0
    ) -> None:
        super().__init__(dispatcher)
        self._journal = journal
        self.stream = stream
        self.version = version
        self._state = state
        self._saved_version = version
        self._position = 0
        self._snapshot_due_at = SNAPSHOT_POSITIONS

    def record(self, event: Event, now: float) -> None:
        """Apply the event and hand it to the journal."""
        self._state.apply(event, now)
        self.version = version = self.version + 1
        self._position = position = self._journal.append(self.stream, version, now, event)
        if version - self._saved_version >= SNAPSHOT_EVERY or position >= self._snapshot_due_at:
            self.save_snapshot(now)

    def save_snapshot(self, now: float) -> None:
        """Save the state as it is after the last event, unless that is saved already."""
        if self.version == self._saved_version:
            return
        self._saved_version = self.version
        self._snapshot_due_at = self._position + SNAPSHOT_POSITIONS
        state = self._state.snapshot(now)
        self._journal.save_snapshot(Snapshot(self.stream, self.version, self._position, now, state))
