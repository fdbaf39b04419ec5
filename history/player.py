"""The log as a film: router time moves on, and the state with it. Pure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from .replay import Moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..actors.journal.codec import Recorded
    from .world import World

__all__ = ["MAX_FRAME_EVENTS", "Player"]

MAX_FRAME_EVENTS = 20_000
"""Events between two frames; with more of them time goes by slower than was asked for."""

SET_BACK_SECONDS = 1.0
"""An event that is so much older than the one before it was recorded by a clock that had been set back."""


class Player:
    """Plays events on a world that stands where they begin.

    Attributes:
        position, at: how far it is; `at` is router time.
        over: whether there are no more events.
    """

    def __init__(self, world: World, position: int, at: float, events: Iterator[Recorded]) -> None:
        self._world = world
        self._events = events
        self.position = position
        self.at = at
        self.over = False

    def __repr__(self) -> str:
        return f"<Player at #{self.position}>"

    @property
    def moment(self) -> Moment:
        """What is, at this point."""
        return Moment.of(self._world, self.position, self.at)

    def advance(self, seconds: float, idle: float) -> list[Recorded]:
        """Let `seconds` of router time go by, and give what happened in them.

        When nothing happens for more than `idle` seconds, go to where something does; when the router's clock
        was set back, the frame ends, and the next one goes on from there.
        """
        played: list[Recorded] = []
        until = self.at + seconds
        for recorded in self._events:
            if recorded.at < self.at - SET_BACK_SECONDS:
                if played:
                    self._events = chain((recorded,), self._events)
                    return played
                self.at, until = recorded.at, recorded.at + seconds
            if not played and recorded.at > until + idle:
                until = recorded.at
            if recorded.at > until or len(played) >= MAX_FRAME_EVENTS:
                self._events = chain((recorded,), self._events)
                self.at = max(self.at, min(until, recorded.at))
                return played
            self._world.apply(recorded)
            self.position = recorded.position
            self.at = max(self.at, recorded.at)
            played.append(recorded)
        self.over = True
        return played
