"""What befell a world besides what its routers recorded: who asked, what broke, who was killed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

if TYPE_CHECKING:
    from .world import World

__all__ = ["Diary", "Line", "Note"]

MOST_NOTES = 1_000
"""The latest are kept: what came long before a violation is not told."""


@frozen
class Note:
    """Something that no router records.

    Attributes:
        life: of the router, from 0.
        position: of the last event that was recorded before it.
        at: router time.
        who: whom it befell.
        what: in words.
    """

    life: int
    position: int
    at: float
    who: str
    what: str


@frozen
class Line:
    """A note, or an event that was recorded: `who` is its stream then."""

    at: float
    who: str
    what: Any


@define
class Diary:
    """Kept for one world, from its first moment to its last.

    Attributes:
        asked: the ids of its requests, in their order.
        lines: what happened, in its order; there when the world has ended.
        start: router time at its beginning.
        model_list, settings: its router.
    """

    notes: deque[Note] = field(factory=lambda: deque(maxlen=MOST_NOTES), repr=False)
    asked: list[str] = field(factory=list, repr=False)
    lines: list[Line] = field(factory=list, repr=False)
    start: float = 0.0
    model_list: list[dict[str, Any]] = field(factory=list, repr=False)
    settings: dict[str, Any] = field(factory=dict, repr=False)

    def end(self, world: World) -> None:
        """Put the notes between the events that its routers recorded."""
        options = world.options
        self.start, self.model_list, self.settings = options.start, options.model_list, options.settings
        lives = [auditor.journal.recent for auditor in (*world.ended_lives, world.auditor)]
        notes = [((note.life, note.position, 1), Line(note.at, note.who, note.what)) for note in self.notes]
        events = [
            ((life, item.position, 0), Line(item.at, item.stream, item.event))
            for life, recorded in enumerate(lives)
            for item in recorded
        ]
        self.lines = [line for _, line in sorted([*notes, *events], key=lambda pair: pair[0])]
