"""The book of events that the journal had to give up, until it is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from .codec import Recorded

__all__ = ["Gap", "Losses"]


@frozen
class Gap:
    """Events that are missing: how many, the position of the first, and the streams to mend.

    Requests' streams are not among `streams`: they end by themselves and have no snapshots.
    """

    count: int
    first: int
    streams: frozenset[str]


class Losses:
    """Counts losses from any thread. Bounded: it keeps no event, and only names that recur."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._first = 0
        self._streams: set[str] = set()
        self.total = 0
        self.last_at = 0.0
        """Router time of the latest event that was lost."""

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, recorded: Recorded) -> None:
        """This event will never be written."""
        with self._lock:
            self.total += 1
            self.last_at = max(self.last_at, recorded.at)
            self._count += 1
            self._first = min(self._first or recorded.position, recorded.position)
            if not recorded.stream.startswith("request/"):
                self._streams.add(recorded.stream)

    def settle(self) -> Gap:
        """What was lost since it was last told; from here on it counts as told."""
        with self._lock:
            gap = Gap(self._count, self._first, frozenset(self._streams))
            self._count = self._first = 0
            self._streams.clear()
            return gap
