"""What a store of events must do, and the few values that go in and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec

from ...messages.errors import TurnoutError
from ...messages.moments import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .codec import Recorded

__all__ = [
    "ACCOUNT",
    "ForgetfulStore",
    "Holdings",
    "JournalError",
    "JournalHealth",
    "JournalStore",
    "Snapshot",
    "Trimmed",
    "Trimming",
    "UnreadableEventError",
    "UnwritableEventError",
]

_State = TypeVar("_State")

ACCOUNT = "usage"
"""Under which the account of what was used saves its snapshots: a fold over everybody's events, so that none
of them may go before it is counted there."""


class JournalError(TurnoutError):
    """The journal could not do what it was asked; the text names the file or the stream."""


class UnreadableEventError(JournalError):
    """The journal holds an event that this version of Turnout does not understand."""


class UnwritableEventError(JournalError):
    """An event cannot be written down at all, so trying again is no use; `position` is its own."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class Snapshot(msgspec.Struct, frozen=True):
    """The state of one stream's owner after its event `version`, which has `position`.

    Only a shortcut for recovery: what it says can be had by replaying. `state` is JSON-able, and
    nobody changes it any more once it is handed over; read back, its tuples are lists.
    """

    stream: str
    version: int
    position: int
    at: float
    state: dict[str, Any]

    def restored(self, restore: Callable[[dict[str, Any]], _State]) -> _State:
        """The owner's state, made by `restore`.

        Raises:
            UnreadableEventError: something is missing in it, or is not what it should be.
        """
        try:
            return restore(self.state)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else type(error).__name__
            msg = f"the snapshot of {self.stream!r} at position {self.position} is damaged: {why}"
            raise UnreadableEventError(msg) from error


class JournalHealth(msgspec.Struct, frozen=True):
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


class Trimmed(NamedTuple):
    """What retention removed so far, all in all.

    Attributes:
        position: moments before this one are gone; events up to it are, save those that are still needed.
        at: its router time.
        events: how many were removed.
        lost: how many more are missing among those, since the journal had lost them: what told of it is
            removed as well.
        on: router time of the latest removal.
        reason: `journal_max_age`, `journal_max_bytes`, or who else asked for it.
    """

    position: int = 0
    at: float = 0.0
    events: int = 0
    lost: int = 0
    on: float = 0.0
    reason: str = ""

    def __str__(self) -> str:
        return (
            f"{self.events:,} events up to position {self.position:,} ({written(self.at)}) were removed by "
            f"retention ({self.reason}) on {written(self.on)}"
        )


class Holdings(msgspec.Struct, frozen=True):
    """What a store holds, as far as retention must know.

    Attributes:
        trimmed: what is gone.
        last: the position of the last event.
        first_at: router time of the first event after the trim; None when there is none.
        counted: the position up to which the account has counted; what comes after it cannot go.
        bytes: how many the store uses; 0 where that is not what bounds it.
        unfinished: whether a trim was begun and not brought to its end.
    """

    trimmed: Trimmed
    last: int
    first_at: float | None
    counted: int
    bytes: int
    unfinished: bool = False


class Trimming(msgspec.Struct, frozen=True):
    """How far a trim has come.

    Attributes:
        more: whether there is more to do: call again.
        uncovered: at its end, the streams that keep more than they need: they have events after their
            latest snapshot, which is older than a fifth of the time that is kept, or none.
    """

    more: bool
    uncovered: frozenset[str] = frozenset()


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


class SnapshotBatches(Protocol):
    """What a store may have beside `save_snapshot`: a router that stops saves one of every owner."""

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep them all or none, at the price of one commit. No two are of one stream."""
        ...


class ForgetfulStore(JournalStore, Protocol):
    """A store that can let go of old events, for `journal_max_age` and `journal_max_bytes`.

    Called by the thread that appends. What must be right at any moment, between the calls of one trim
    and after a crash: every owner's state, and any moment after the trim, is rebuilt exactly; of every
    request either all of its events are there or none.
    """

    def holdings(self) -> Holdings:
        """What there is."""
        ...

    def last_before(self, at: float) -> int:
        """A position that all events up to are not after router time `at`: the last one, or nearly so."""
        ...

    def trim(self, cut: int, reason: str, now: float) -> Trimming:
        """Do some of what it takes to remove events up to position `cut`; called until it is done.

        Removed are requests that were over at `cut`, each of them whole; and of any other stream the events
        up to its last snapshot that is not after `cut`, nor after the beginning of a request that was open
        then. That snapshot is kept. The store may choose an earlier `cut`, and never takes one after what
        the account has counted.

        `reason` and `now`, router time, are kept, and told by `trimmed`.
        """
        ...

    def trimmed(self) -> Trimmed:
        """What was removed so far. From any thread."""
        ...
