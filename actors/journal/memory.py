"""The default store: the latest events, in memory."""

from __future__ import annotations

from collections import deque
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import msgspec

from ...messages.events import EventsLost
from .open_scan import REQUEST, OpenScan
from .ports import ACCOUNT, Holdings, JournalError, Snapshot, Trimmed, Trimming
from .retention import apart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .codec import Recorded

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


class _Saved(msgspec.Struct, frozen=True, gc=False):
    """A snapshot as a file would have it: nothing shared with its owner, in a quarter of the room."""

    version: int
    position: int
    at: float
    state: bytes


class MemoryStore:
    """A ring of the last events. A reader that comes too late starts with the oldest kept."""

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[Recorded] = deque(maxlen=kept)
        self._needed: tuple[Recorded, ...] = ()
        """Older than the ring: what retention had to leave."""
        self._snapshots: dict[str, _Saved] = {}
        self._trimmed = Trimmed()
        self._last = 0
        self.take = self._ring.append
        """Append one event, at the price of a deque's append."""

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._ring)}/{self._ring.maxlen} events>"

    def append(self, batch: Sequence[Recorded]) -> None:
        last = self._last_event()
        self._ring.extend(recorded for recorded in batch if recorded.position > last)

    def read(self, stream: str | None = None, after: int = 0, limit: int | None = None) -> Iterator[Recorded]:
        found = (
            recorded
            for recorded in self._events()
            if recorded.position > after and (stream is None or recorded.stream == stream)
        )
        return islice(found, limit)

    def _events(self) -> list[Recorded]:
        """All there are, at one moment: a trim takes them from the ring after it has put them aside."""
        while True:
            needed, ring = self._needed, copied(self._ring)
            if needed is self._needed:
                last = needed[-1].position if needed else 0
                return [*needed, *(recorded for recorded in ring if recorded.position > last)]

    def _last_event(self) -> int:
        return self._ring[-1].position if self._ring else self._last

    def last_position(self) -> int:
        return max(self._last_event(), *(snapshot.position for snapshot in self._snapshots.values()), 0)

    def last_version(self, stream: str) -> int:
        snapshot = self._snapshots.get(stream)
        saved = 0 if snapshot is None else snapshot.version
        for recorded in reversed(self._events()):
            if recorded.stream == stream:
                return max(saved, recorded.version)
        return saved

    def versions(self) -> dict[str, int]:
        last = {recorded.stream: recorded.version for recorded in self._events()}
        for stream, snapshot in self._snapshots.items():  # ahead of the events where some were lost
            last[stream] = max(snapshot.version, last.get(stream, 0))
        return {stream: version for stream, version in last.items() if not stream.startswith(REQUEST)}

    def save_snapshot(self, snapshot: Snapshot) -> None:
        state = msgspec.json.encode(snapshot.state)
        self._snapshots[snapshot.stream] = _Saved(snapshot.version, snapshot.position, snapshot.at, state)

    def snapshot(self, stream: str) -> Snapshot | None:
        saved = self._snapshots.get(stream)
        if saved is None:
            return None
        return Snapshot(stream, saved.version, saved.position, saved.at, msgspec.json.decode(saved.state))

    # -- forgetting

    def holdings(self) -> Holdings:
        """Bytes are not what bounds it: it is a ring."""
        account = self._snapshots.get(ACCOUNT)
        first = self._ring[0].at if self._ring else None
        counted = 0 if account is None else account.position
        return Holdings(self._trimmed, self.last_position(), first, counted, bytes=0)

    def last_before(self, at: float) -> int:
        before = takewhile(lambda recorded: recorded.at <= at, self._ring)
        return max((recorded.position for recorded in before), default=0)

    def trim(self, cut: int, reason: str, now: float) -> Trimming:
        """All of it at once."""
        cut = min(cut, self.holdings().counted)
        before = [recorded for recorded in self._events() if recorded.position <= cut]
        if cut <= self._trimmed.position or not before:
            return Trimming(more=False)
        scan = OpenScan()
        for recorded in before:
            scan.see(recorded.position, recorded.stream, recorded.event.TYPE)
        base = min([cut, *(first - 1 for first in scan.streams.values())])
        at = before[-1].at
        covered = {
            name: s.position for name, s in self._snapshots.items() if s.position <= base and s.at <= at
        }
        going = {
            recorded.position
            for recorded in before
            if (
                recorded.stream not in scan.streams
                if recorded.stream.startswith(REQUEST)
                else recorded.position <= covered.get(recorded.stream, 0)
            )
        }
        self._tell(cut, at, [recorded for recorded in before if recorded.position in going], reason, now)
        self._last = self._last_event()
        kept = [recorded for recorded in before if recorded.position not in going]
        self._needed = tuple(kept[-(self._ring.maxlen or 0) :])
        while self._ring and self._ring[0].position <= cut:
            self._ring.popleft()
        stale = now - apart(at, now)
        owned = {recorded.stream for recorded in kept if not recorded.stream.startswith(REQUEST)}
        return Trimming(more=False, uncovered=frozenset(name for name in owned if self._lacks(name, stale)))

    def _lacks(self, stream: str, stale: float) -> bool:
        """Whether a new snapshot would make events of this stream superfluous."""
        snapshot = self._snapshots.get(stream)
        return snapshot is None or (snapshot.at < stale and snapshot.version < self.last_version(stream))

    def _tell(self, cut: int, at: float, going: list[Recorded], reason: str, now: float) -> None:
        lost = sum(recorded.event.count for recorded in going if type(recorded.event) is EventsLost)
        so_far = self._trimmed
        self._trimmed = Trimmed(cut, at, so_far.events + len(going), so_far.lost + lost, now, reason)

    def trimmed(self) -> Trimmed:
        return self._trimmed

    def close(self) -> None:
        """Nothing to let go of; the events stay readable."""
