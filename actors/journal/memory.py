"""The default store: the latest events, in memory."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from .ports import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .codec import Recorded
    from .ports import Snapshot

__all__ = ["KEPT", "MemoryStore", "copied"]

KEPT = 100_000
"""Events a memory journal holds; the oldest go first."""

COPY_TRIES = 1000
"""A ring that another thread appends to is copied at the first try, or nearly so."""


def copied(events: deque[Recorded]) -> list[Recorded]:
    """The events at one moment, while another thread may be appending."""
    for _ in range(COPY_TRIES):
        try:
            return list(events)
        except RuntimeError:  # it grew under the copy
            continue
    msg = f"the journal grew {COPY_TRIES} times while it was being read"
    raise JournalError(msg)


class MemoryStore:
    """A ring of the last events. A reader that comes too late starts with the oldest kept."""

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[Recorded] = deque(maxlen=kept)
        self._snapshots: dict[str, Snapshot] = {}
        self.take = self._ring.append
        """Append one event, at the price of a deque's append."""

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._ring)}/{self._ring.maxlen} events>"

    def append(self, batch: Sequence[Recorded]) -> None:
        last = self._ring[-1].position if self._ring else 0
        self._ring.extend(recorded for recorded in batch if recorded.position > last)

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        found = (
            recorded
            for recorded in copied(self._ring)
            if recorded.position > after and (stream is None or recorded.stream == stream)
        )
        return islice(found, limit)

    def last_position(self) -> int:
        newest = self._ring[-1].position if self._ring else 0
        return max(newest, *(snapshot.position for snapshot in self._snapshots.values()), 0)

    def last_version(self, stream: str) -> int:
        snapshot = self._snapshots.get(stream)
        saved = 0 if snapshot is None else snapshot.version
        for recorded in reversed(copied(self._ring)):
            if recorded.stream == stream:
                return max(saved, recorded.version)
        return saved

    def versions(self) -> dict[str, int]:
        last = {recorded.stream: recorded.version for recorded in copied(self._ring)}
        for stream, snapshot in self._snapshots.items():  # ahead of the events where some were lost
            last[stream] = max(snapshot.version, last.get(stream, 0))
        return {stream: version for stream, version in last.items() if not stream.startswith("request/")}

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshots[snapshot.stream] = snapshot

    def snapshot(self, stream: str) -> Snapshot | None:
        return self._snapshots.get(stream)

    def close(self) -> None:
        """Nothing to let go of; the events stay readable."""
