"""What the writer of a file leaves behind now and then, so that any moment of it can be looked at soon.

The state at a moment is the last snapshot before it and the events since. Of each stream's snapshots
one is kept for so many events, or so much time; which requests were open is written down every so many
events, since requests save no snapshots.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from ...messages.events import (
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RouterStarted,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from .codec import Recorded

__all__ = ["CHECKPOINT_EVERY", "KEPT_POSITIONS", "KEPT_VERSIONS", "OpenRequests", "keep_snapshot"]

KEPT_VERSIONS = 2_500
KEPT_POSITIONS = 100_000
"""A snapshot is kept beside the latest one when so many events of its stream, or of all, lie between."""

CHECKPOINT_EVERY = 50_000
"""Events between two notes of which requests are open."""

FORGOTTEN_SECONDS = 6_000.0
"""After its deadline: a request whose end was lost is open no longer."""

_KEEP = """
INSERT INTO snapshot_history (stream, version, position, at, state) SELECT ?1, ?2, ?3, ?4, ?5
WHERE NOT EXISTS (
    SELECT 1 FROM snapshot_history
    WHERE stream = ?1 AND position > ?3 - ?6 AND version > ?2 - ?7 AND at > ?4 - ?8
)
"""
_NOTE = "INSERT OR REPLACE INTO open_requests (position, requests) VALUES (?, ?)"

_encode = msgspec.json.Encoder().encode
_ENDINGS = frozenset({RequestCancelled, RequestFailed, RequestSucceeded})


def keep_snapshot(
    database: sqlite3.Connection, row: tuple[str, int, int, float, str], seconds: float = math.inf
) -> None:
    """Keep a snapshot for good, unless one is kept that is near enough; `seconds` apart is not near."""
    database.execute(_KEEP, (*row, KEPT_POSITIONS, KEPT_VERSIONS, min(seconds, 1e12)))


class OpenRequests:
    """Follows what is written, and notes now and then which requests are open. Bounded by those that are."""

    def __init__(self) -> None:
        self._due_at: int | None = None
        self._open: dict[str, tuple[int, float]] = {}

    def __repr__(self) -> str:
        return f"<OpenRequests · {len(self._open)} open · next note at {self._due_at}>"

    def follow(self, batch: Sequence[Recorded], database: sqlite3.Connection) -> None:
        """These events were written; their writer's connection is at hand."""
        if not batch:
            return
        known = self._open
        for recorded in batch:
            event = recorded.event
            kind = type(event)
            if kind is RequestAccepted:
                known[recorded.stream] = (recorded.position, event.deadline)  # type: ignore[attr-defined]
            elif kind in _ENDINGS:
                known.pop(recorded.stream, None)
            elif kind is RouterStarted:
                known.clear()  # nobody is left to answer them
        if self._due_at is None:
            self._due_at = batch[0].position + CHECKPOINT_EVERY
        if batch[-1].position >= self._due_at:
            self._note(batch[-1], database)

    def _note(self, last: Recorded, database: sqlite3.Connection) -> None:
        early = last.at - FORGOTTEN_SECONDS
        self._open = {stream: known for stream, known in self._open.items() if known[1] >= early}
        requests = [(stream, first) for stream, (first, _) in self._open.items()]
        database.execute(_NOTE, (last.position, _encode(requests).decode()))
        self._due_at = last.position + CHECKPOINT_EVERY
