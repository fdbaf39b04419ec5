"""Answers kept in memory: the least recently used go first, and each has its time. Pure."""

from __future__ import annotations

from collections import OrderedDict

from ...messages.caching import Kept  # noqa: TC001  (a struct resolves it)
from ...messages.values import Value

__all__ = ["ENTRY_BYTES", "MemoryCache"]

ENTRY_BYTES = 512
"""What an entry takes beside its answer and its key, about."""


class _Entry(Value, frozen=True):
    kept: Kept
    until: float
    size: int


class MemoryCache:
    """A map from key to answer with bounds.

    Args:
        max_entries: as many at most.
        max_bytes: as many at most, all entries together; one that is larger by itself is not taken.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        # in the order of their last use; the first of a plain dict is found past all that were before it
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<MemoryCache {len(self)}/{self._max_entries} · {self.bytes}/{self._max_bytes} bytes>"

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> Kept | None:
        """The answer under `key`, if its time is not over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= now:
            del self._entries[key]
            self.bytes -= entry.size
            return None
        self._entries.move_to_end(key)
        return entry.kept

    def put(self, key: str, kept: Kept, until: float) -> bool:
        """Keep an answer until then, in place of the one before; False when it is too large."""
        size = kept.size + len(key) + ENTRY_BYTES
        before = self._entries.pop(key, None)
        if before is not None:
            self.bytes -= before.size
        if size > self._max_bytes:
            return False
        self._entries[key] = _Entry(kept, until, size)
        self.bytes += size
        while self.bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._drop_the_oldest()
        return True

    def _drop_the_oldest(self) -> None:
        self.bytes -= self._entries.popitem(last=False)[1].size
