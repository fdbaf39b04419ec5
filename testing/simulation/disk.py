"""A journal store in memory that behaves like a disk on a bad day: slow, failing, unsure, forgetful."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Literal

from ...actors.journal.memory import MemoryStore
from ...actors.journal.ports import JournalError, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...actors.journal.codec import Recorded
    from .marks import Marks

__all__ = ["SimulatedDisk"]

Fault = Literal["none", "failing", "unknown"]

KEPT = 1 << 20


class SimulatedDisk:
    """What was written, and how much of it a power cut would take.

    Attributes:
        fault: "failing" writes nothing and raises, "unknown" writes and raises all the same.
    """

    def __init__(self, marks: Marks) -> None:
        self.fault: Fault = "none"
        self._marks = marks
        self._kept = MemoryStore(KEPT)
        self._unsynced: list[Recorded | Snapshot] = []

    def __repr__(self) -> str:
        return f"<SimulatedDisk {self._kept!r} · {len(self._unsynced)} unsynced>"

    # -- what may happen to it

    @property
    def unsynced(self) -> int:
        """Writes that a power cut may take."""
        return len(self._unsynced)

    def sync(self) -> None:
        """All that was written is durable."""
        for item in self._unsynced:
            self._keep(item)
        self._unsynced.clear()

    def power_cut(self, lost: int) -> None:
        """The last `lost` writes are gone."""
        if lost:
            del self._unsynced[-lost:]
        self.sync()

    def forget_after(self, position: int) -> None:
        """What came after this position was written by a process that was dead by then."""
        self._unsynced = [item for item in self._unsynced if item.position <= position]
        if self._kept.last_position() > position:
            kept = MemoryStore(KEPT)
            kept.append([item for item in self._kept.read() if item.position <= position])
            for stream in self._kept._snapshots:
                snapshot = self._kept.snapshot(stream)
                if snapshot is not None and snapshot.position <= position:
                    kept.save_snapshot(snapshot)
            self._kept = kept

    def _keep(self, item: Recorded | Snapshot) -> None:
        if isinstance(item, Snapshot):
            self._kept.save_snapshot(item)
        else:
            self._kept.take(item)

    # -- a journal store

    def append(self, batch: Sequence[Recorded]) -> None:
        self._fail_if_told()
        last = self.last_position()
        self._unsynced.extend(recorded for recorded in batch if recorded.position > last)
        self._unsure_if_told()

    def _fail_if_told(self) -> None:
        if self.fault == "failing":
            self._marks.sometimes("journal failing")
            raise JournalError("the disk is full (simulated)")

    def _unsure_if_told(self) -> None:
        if self.fault == "unknown":
            self._marks.sometimes("journal outcome unknown")
            raise JournalError("the connection broke after the write (simulated)")

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        written = [
            item
            for item in self._unsynced
            if not isinstance(item, Snapshot)
            and item.position > after
            and (stream is None or item.stream == stream)
        ]
        return islice(chain(self._kept.read(stream, after), written), limit)

    def last_position(self) -> int:
        newest = max((item.position for item in self._unsynced), default=0)
        return max(newest, self._kept.last_position())

    def last_version(self, stream: str) -> int:
        written = (item.version for item in self._unsynced if item.stream == stream)
        return max(written, default=0) or self._kept.last_version(stream)

    def versions(self) -> dict[str, int]:
        last = self._kept.versions()
        for item in self._unsynced:
            if not item.stream.startswith("request/"):
                last[item.stream] = max(item.version, last.get(item.stream, 0))
        return last

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self._fail_if_told()
        self._unsynced.append(snapshot)
        self._unsure_if_told()

    def snapshot(self, stream: str) -> Snapshot | None:
        for item in reversed(self._unsynced):
            if isinstance(item, Snapshot) and item.stream == stream:
                return item
        return self._kept.snapshot(stream)

    def close(self) -> None:
        """A router closed in good order: all of it is durable."""
        self.sync()
