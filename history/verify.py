"""Is this journal whole? Every row and event of it, and every snapshot against the events before it. Pure.

What is held to be true of a journal:

* the events of a stream have versions 1, 2, 3, ..., and positions grow: without a gap, save where
  `EventsLost` tells of one; up to where retention removed events as many are missing as it says;
* every event can be read by this version of Turnout;
* what the events of a stream rebuild is what its snapshots say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from attrs import define, field, frozen

from ..actors.journal.codec import Recorded, decode_event
from ..actors.journal.ports import UnreadableEventError
from ..messages.events import EventsLost
from .positions import Continuity
from .states import SnapshotCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..actors.journal.ports import Snapshot, Trimmed
    from ..actors.journal.sqlite_history import Row

__all__ = ["MAX_FINDINGS", "Finding", "Findings", "Verifier"]

MAX_FINDINGS = 100
"""Findings that are told one by one; further ones are counted."""

_items_of = msgspec.json.Decoder(list[tuple[int, float, str, int, msgspec.Raw]]).decode


@frozen
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: file, row, event, version, position, snapshot or state.
        position: where, if that can be said.
        stream: of what, if of one.
        text: what it is, in one line.
    """

    kind: str
    text: str
    position: int | None = None
    stream: str | None = None


@define
class Findings:
    """What is wrong, and how much of it there is beyond what is told."""

    told: list[Finding] = field(factory=list)
    more: int = 0

    def add(self, kind: str, text: str, position: int | None = None, stream: str | None = None) -> None:
        if len(self.told) < MAX_FINDINGS:
            self.told.append(Finding(kind, text, position, stream))
        else:
            self.more += 1

    def __bool__(self) -> bool:
        return bool(self.told)


class Verifier:
    """Takes a journal's rows, in the order of their last events, and says what is wrong.

    Args:
        places, load: every snapshot of every stream, and how it is had; see :class:`.states.SnapshotCheck`.
        trimmed: what retention removed.
        findings: where to say it.
    """

    def __init__(
        self,
        places: Iterable[tuple[str, int]],
        load: Callable[[str, int], Snapshot | None],
        trimmed: Trimmed,
        findings: Findings,
    ) -> None:
        self.findings = findings
        self.events = 0
        self.lost = 0
        self.continuity = Continuity(trimmed, findings)
        self.states = SnapshotCheck(places, load, findings, whole=trimmed.position == 0)
        self._unreadable: list[int] = []

    def __repr__(self) -> str:
        return f"<Verifier · {self.events} events · {len(self.findings.told)} findings>"

    def take(self, batch: Iterable[Row]) -> None:
        """The rows of one statement, all of them: their events lie side by side and are put in order."""
        events = [recorded for row in batch for recorded in self._events(row)]
        events.sort(key=lambda recorded: recorded.position)
        self.events += len(events)
        positions = [recorded.position for recorded in events]
        if self._unreadable:
            positions = sorted([*positions, *self._unreadable])
            self._unreadable.clear()
        self.continuity.follow(events, positions)
        for recorded in events:
            if type(recorded.event) is EventsLost:
                self.lost += recorded.event.count
                self.continuity.allow(recorded.event)
        self.states.take(events)

    def finish(self, last: int = 0) -> None:
        """There are no more rows; `last` is the last position that was ever written."""
        self.continuity.finish(last)
        self.states.finish()

    def _events(self, row: Row) -> Iterator[Recorded]:
        items = self._items(row)
        version = row.version - len(items)
        self.continuity.row(row, version + 1)
        for position, at, kind, kind_version, data in items:
            version += 1
            try:
                yield Recorded(position, row.stream, version, at, decode_event(kind, kind_version, data))
            except UnreadableEventError as error:
                self.findings.add("event", str(error), position, row.stream)
                self._unreadable.append(position)
                self.states.doubt(row.stream)

    def _items(self, row: Row) -> list[Any]:
        try:
            items = _items_of(row.events)
        except msgspec.MsgspecError as error:
            self._damaged(row, f"its events cannot be read: {error}")
            return []
        positions = [item[0] for item in items]
        if not items or positions[-1] != row.last or positions != sorted(set(positions)):
            self._damaged(row, "its events are not those it should hold")
            return []
        return items

    def _damaged(self, row: Row, why: str) -> None:
        self.findings.add("row", f"row {row.last} of stream {row.stream!r}: {why}", row.last, row.stream)
        self.continuity.unreadable(row)
        self.states.doubt(row.stream)
