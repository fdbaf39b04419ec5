"""An actor whose state changes only by events: decide, record, then act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .actor import LoopActor

if TYPE_CHECKING:
    from ...messages.events import Event
    from .dispatcher import Dispatcher

__all__ = ["EventLog", "SourcedActor", "SourcedState"]


class EventLog(Protocol):
    """Where events are written; the journal, as far as an actor knows it."""

    def append(self, stream: str, version: int, at: float, event: Event) -> int: ...


class SourcedState(Protocol):
    """State that an actor owns and events rebuild."""

    def apply(self, event: Any, at: float) -> None:
        """Change by what happened at router time `at`. No side effect; never fails on replay."""
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

    def record(self, event: Event, now: float) -> None:
        """Apply the event and hand it to the journal."""
        self._state.apply(event, now)
        self.version += 1
        self._journal.append(self.stream, self.version, now, event)
