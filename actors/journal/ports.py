"""What a store of events must do, and the few values that go in and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from ...messages.errors import TurnoutError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .codec import Recorded

__all__ = [
    "JournalError",
    "JournalHealth",
    "JournalStore",
    "Snapshot",
    "UnreadableEventError",
    "UnwritableEventError",
]


class JournalError(TurnoutError):
    """The journal could not do what it was asked; the text names the file or the stream."""


class UnreadableEventError(JournalError):
    """The journal holds an event that this version of Turnout does not understand."""


class UnwritableEventError(JournalError):
    """An event cannot be written down at all, so trying again is no use; `position` is its own."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@frozen
class Snapshot:
    """The state of one stream's owner after its event `version`, which has `position`.

    Only a shortcut for recovery: what it says can be had by replaying. `state` is JSON-able, and
    nobody changes it any more once it is handed over; read back, its tuples are lists.
    """

    stream: str
    version: int
    position: int
    at: float
    state: dict[str, Any]


@frozen
class JournalHealth:
    """How the journal is.

    Attributes:
        ok: everything is, or shortly will be, where it belongs.
        reason: what is wrong; None when `ok`.
        queued: events handed over and not yet durable.
        lost: events given up since the journal was opened; they stay lost when `ok` is back.
    """

    ok: bool
    reason: str | None
    queued: int
    lost: int


class JournalStore(Protocol):
    """Keeps events and snapshots. `JournalSpec` in :mod:`turnout.testing.journal_spec` is the contract.

    One thread appends and saves, one call at a time; `read` and the look-ups come from any thread,
    also meanwhile. Every method may block. What goes wrong is a :class:`JournalError`.
    """

    def append(self, batch: Sequence[Recorded]) -> None:
        """Make `batch` durable, all of it or nothing. Positions continue those already here.

        Raises:
            UnwritableEventError: one event can never be written; nothing of the batch was.
            JournalError: nothing was written, and trying again may help. A batch that is given
                again after an error whose outcome was unknown must not be written twice.
        """
        ...

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        """The events after position `after`, oldest first, of one stream or of all.

        Raises:
            UnreadableEventError: on reaching an event this version does not understand.
        """
        ...

    def last_position(self) -> int:
        """The highest position ever used, 0 for none; it outlives the events themselves."""
        ...

    def last_version(self, stream: str) -> int:
        """The last version of a stream, 0 for one that has no events."""
        ...

    def versions(self) -> dict[str, int]:
        """The last version of every stream that can go on: all but those of requests."""
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep it in place of the stream's snapshot before."""
        ...

    def snapshot(self, stream: str) -> Snapshot | None:
        """The stream's latest snapshot."""
        ...

    def close(self) -> None:
        """Let go of files. Idempotent."""
        ...
