"""A journal store in memory that fails when it is told to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from ..actors.journal.memory import MemoryStore
from ..actors.journal.ports import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..actors.journal.codec import Recorded
    from ..actors.journal.ports import Holdings, Snapshot, Trimmed, Trimming

__all__ = ["FaultyStore"]

Fault = Literal["none", "failing", "unknown_outcome"]


class FaultyStore:
    """Behaves like a disk on a bad day.

    Attributes:
        fault: "failing" writes nothing and raises; "unknown_outcome" writes and raises all the same.
        tries: how often `append` was called.
        gate: cleared, it holds every `append` up (a slow disk) until it is set again.
    """

    def __init__(self, fault: Fault = "none") -> None:
        self.fault: Fault = fault
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()
        self._kept = MemoryStore()
        self._unsynced: list[Recorded] = []
        self._holds_back = False

    def hold_back(self) -> None:
        """From now on say "written" and keep it from the disk, until `power_cut` or `sync`."""
        self._holds_back = True

    def sync(self) -> None:
        """What was held back is durable after all."""
        self._kept.append(self._unsynced)
        self._unsynced = []
        self._holds_back = False

    def power_cut(self) -> None:
        """What was held back is gone."""
        self._unsynced = []
        self._holds_back = False

    def append(self, batch: Sequence[Recorded]) -> None:
        self.tries += 1
        self.gate.wait()
        if self.fault == "failing":
            msg = "the disk is full (as told)"
            raise JournalError(msg)
        if self._holds_back:
            self._unsynced.extend(batch)
        else:
            self._kept.append(batch)
        if self.fault == "unknown_outcome":
            msg = "the connection broke after the write (as told)"
            raise JournalError(msg)

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        return self._kept.read(stream, after, limit)

    def last_position(self) -> int:
        return self._kept.last_position()

    def last_version(self, stream: str) -> int:
        return self._kept.last_version(stream)

    def versions(self) -> dict[str, int]:
        return self._kept.versions()

    def save_snapshot(self, snapshot: Snapshot) -> None:
        if self.fault == "failing":
            msg = "the disk is full (as told)"
            raise JournalError(msg)
        self._kept.save_snapshot(snapshot)

    def snapshot(self, stream: str) -> Snapshot | None:
        return self._kept.snapshot(stream)

    def holdings(self) -> Holdings:
        return self._kept.holdings()

    def last_before(self, at: float) -> int:
        return self._kept.last_before(at)

    def trim(self, cut: int, reason: str, now: float) -> Trimming:
        if self.fault == "failing":
            msg = "the disk is full (as told)"
            raise JournalError(msg)
        return self._kept.trim(cut, reason, now)

    def trimmed(self) -> Trimmed:
        return self._kept.trimmed()

    def close(self) -> None:
        """Nothing to let go of: what is kept can be opened again."""
