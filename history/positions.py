"""Do versions and positions go on without a gap, save where one is recorded? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .world import ENDINGS, REQUEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..actors.journal.codec import Recorded
    from ..actors.journal.ports import Trimmed
    from ..actors.journal.sqlite_history import Row
    from ..messages.events import EventsLost
    from .verify import Findings

__all__ = ["Continuity"]

SHOWN = 5
"""Gaps that are told one by one."""

MAX_HOLES = 1_000
"""Gaps whose places are remembered; of further ones only how many events are missing."""


class Continuity:
    """Follows positions through the journal and versions through each stream.

    An event that was lost took its position with it, so versions may only jump over positions that are
    missing too; and those are counted against what `EventsLost` tells.
    """

    def __init__(self, trimmed: Trimmed, findings: Findings) -> None:
        self._floor = trimmed.position
        self._removed = trimmed.events + trimmed.lost
        self._findings = findings
        self._position = 0
        self._missing = 0
        """Positions missing so far, those included that retention explains."""
        self._below = 0
        self._unexplained = 0
        """Those of them up to the trim, and those after it."""
        self._holes: list[tuple[int, int]] = []
        self._allowed = 0
        self._versions: dict[str, tuple[int, int]] = {}
        """By stream: its last version, and how many positions were missing then."""
        self._jumps: list[tuple[str, int, int, int]] = []
        self._damaged = False

    def row(self, row: Row, first: int) -> None:
        """A row whose events have versions from `first` on; nothing to do when it goes on from the last."""
        if first > row.version:
            return
        last, missing = self._versions.get(row.stream, (0, 0))
        if first <= last:
            self._findings.add(
                "version",
                f"stream {row.stream!r} has version {first} after version {last}",
                row.last,
                row.stream,
            )
        elif first > last + 1:
            self._jumps.append((row.stream, first - last - 1, missing, row.last))
        self._versions[row.stream] = (row.version, self._missing)

    def follow(self, events: Sequence[Recorded], positions: Sequence[int]) -> None:
        """The events of one batch that can be read, and the positions of all of them, in order."""
        for position in positions:
            self._step(position)
        for stream, jump, missing, position in self._jumps:
            if jump > self._missing - missing and not self._damaged:
                self._findings.add(
                    "version", f"stream {stream!r} lacks {jump} events before this one", position, stream
                )
        self._jumps.clear()
        for recorded in events:
            if recorded.stream.startswith(REQUEST) and type(recorded.event) in ENDINGS:
                self._versions.pop(recorded.stream, None)
            else:
                self._versions[recorded.stream] = (recorded.version, self._missing)

    def _step(self, position: int) -> None:
        last, self._position = self._position, max(self._position, position)
        if position <= last:
            self._findings.add("position", f"position {position} stands after position {last}", position)
        elif position > last + 1:
            self._hole(last + 1, position - 1)

    def _hole(self, first: int, last: int) -> None:
        self._missing += last - first + 1
        self._below += max(0, min(last, self._floor) - first + 1)
        first = max(first, self._floor + 1)
        if first > last:
            return
        self._unexplained += last - first + 1
        if len(self._holes) < MAX_HOLES:
            self._holes.append((first, last))

    def unreadable(self, row: Row) -> None:
        """Nobody knows how many events a row held: gaps prove nothing from here on."""
        self._damaged = True
        self._versions[row.stream] = (row.version, self._missing)

    def allow(self, event: EventsLost) -> None:
        """The journal itself says that events are missing."""
        if event.first > self._floor:
            self._allowed += event.count
        else:
            self._removed += event.count

    def finish(self, last: int) -> None:
        """Hold what is missing against what was told; `last` is the last position that was ever written."""
        if self._damaged:
            return
        if last > self._position:
            self._hole(self._position + 1, last)
        if self._below > self._removed:
            self._findings.add(
                "position",
                f"{self._below - self._removed:,} events up to position {self._floor:,} are missing beyond "
                "those that retention removed",
            )
        if self._unexplained <= self._allowed:
            return
        shown = ", ".join(_range(*hole) for hole in self._holes[:SHOWN])
        more = len(self._holes) - SHOWN
        and_more = f" and {more} more gaps" if more > 0 else ""
        told = f", {self._allowed:,} of them recorded as lost" if self._allowed else ""
        self._findings.add(
            "position",
            f"{self._unexplained:,} events are missing{told}: positions {shown}{and_more}",
            self._holes[0][0],
        )


def _range(first: int, last: int) -> str:
    return f"{first:,} to {last:,}" if last > first else f"{first:,}"
