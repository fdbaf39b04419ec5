"""A journal's past: what was at any moment of it, and what happened from there on."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Self

from attrs import frozen

from ..actors.budget.treasury import STREAM as BUDGETS
from ..actors.journal.ports import UnreadableEventError
from ..actors.journal.sqlite_history import SqliteHistory
from ..actors.journal.sqlite_reader import SqliteReader
from ..actors.journal.sqlite_search import search
from ..actors.runtime.clock import LoopClock
from ..messages.errors import ConfigurationError
from ..messages.moments import written
from ..supervisor.fleet.manager import ROUTER_STREAM
from .moments import Position, parse_moment
from .opened import open_streams
from .states import UNREADABLE
from .world import DEPLOYMENT, World

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from ..actors.deployment.state import DeploymentState
    from ..actors.journal.codec import Recorded
    from ..supervisor.request_state import RequestState

__all__ = ["Moment", "Replay", "When"]

MAX_POSITIONS = 250_000
"""Positions that one pass goes over; a deployment with much to do has a snapshot in any of that length."""

POSITIONS_EACH = 50
"""Positions that are sooner passed over than one request is looked up by its name."""

FEW = 3
"""Streams that are sooner read one by one."""

When = float | str | datetime | Position
"""Seconds since the epoch, what :func:`.moments.parse_moment` takes, a datetime, or a position."""


@frozen(eq=False)
class Moment:
    """A router as it was after the event at `position`, at router time `at`.

    Attributes:
        deployments: their states by id, and `groups` the group of each. One that was removed is here
            as long as calls of it are open, in group None.
        requests: those that are open, by id, oldest first; who waits has the phase "waiting".
        budgets: those that deployments share, by name: limit, spent, reserved, left, resets_at.
    """

    position: int
    at: float
    deployments: dict[str, DeploymentState]
    groups: dict[str, str | None]
    requests: dict[str, RequestState]
    budgets: dict[str, dict[str, object]]

    def __repr__(self) -> str:
        return (
            f"<Moment {written(self.at)} · #{self.position} · {len(self.deployments)} deployments · "
            f"{len(self.requests)} open requests>"
        )

    @classmethod
    def of(cls, world: World, position: int, at: float) -> Moment:
        """What a world is at one moment; it may go on, and the moment's states go with it."""
        listings = world.fleet.listings
        states = {name: world.state_of(name) for name in world.present()}
        for state in states.values():
            state.window.expire(at)
        groups = {name: listings[name].group if name in listings else None for name in states}
        return cls(position, at, states, groups, dict(world.requests), world.treasury.describe(at))


class Replay:
    """Looks back over the journal in a file, which may be in use: it is only read.

    A moment costs what happened since the snapshots before it, wherever in the journal it lies.

    Raises:
        ConfigurationError: there is no such file, or it is no journal of ours.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._reader = SqliteReader.open(path)
        self._history = SqliteHistory(self._reader)

    def __repr__(self) -> str:
        return f"<Replay {self._reader.path!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    # -- moments

    def at(self, when: When) -> Moment:
        """What was at a moment: every deployment, every open request, every budget.

        Args:
            when: router time (seconds since the epoch, or a datetime; UTC where it says no zone), a text
                such as ``"2026-03-01T14:05:00Z"``, ``"10m"`` ago or ``"#1234"``, or a `Position`. A moment
                after the last event is what the last event left.

        Raises:
            ConfigurationError: `when` is no moment, or one before what retention left.
            UnreadableEventError: an event that matters is not understood by this version.
        """
        position, at = self.place(when)
        return Moment.of(self.world_at(position, at), position, at)

    def place(self, when: When) -> tuple[int, float]:
        """Where a moment lies: the position of the last event not after it, and its router time."""
        if isinstance(when, str):
            when = parse_moment(when, LoopClock().now())
        if isinstance(when, datetime):
            when = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
        if isinstance(when, Position):
            position = min(when.number, self._reader.last_position())
            trimmed = self._reader.trimmed()
            if trimmed.events and position == trimmed.position:  # what happened there may be gone
                return position, trimmed.at
            if position <= 0:
                return self.beginning() if not trimmed.events else (position, 0.0)
            found = self._reader.read(after=position - 1, limit=1)
            return position, next((recorded.at for recorded in found), 0.0)
        position = self._reader.first_after(when) - 1
        trimmed = self._reader.trimmed()
        if trimmed.events and when < trimmed.at:  # whatever is still there of that time is not all there was
            position = min(position, trimmed.position - 1)
        elif position < trimmed.position:  # what was after that is gone
            position = trimmed.position
        return position, when

    def world_at(self, position: int, at: float) -> World:
        """All that the events up to `position` rebuild; it may be taken further with `World.apply`.

        `at` is the router time to which it is taken: see `place`.
        """
        world = World()
        self._rebuild(world, ROUTER_STREAM, position, at)
        self._rebuild(world, BUDGETS, position, at)
        requests = {stream: first - 1 for stream, first in open_streams(self._history, position).items()}
        self._apply_all(world, requests, position, POSITIONS_EACH * len(requests))
        names = dict.fromkeys((*world.fleet.listings, *_asked(world.requests.values())))
        begun = {name: self._begin(world, name, position, at) for name in map(DEPLOYMENT.__add__, names)}
        self._apply_all(world, begun, position, MAX_POSITIONS)
        self._must_be_kept(position)  # now: a router may have gone on trimming meanwhile
        return world

    def events(self, after: int, until: int | None = None) -> Iterator[Recorded]:
        """What happened after position `after`, up to and with `until`, or to the end.

        Raises:
            ConfigurationError: while iterating: retention has removed what comes next.
        """
        events = self._kept_events(after)
        return events if until is None else takewhile(lambda recorded: recorded.position <= until, events)

    def _kept_events(self, after: int) -> Iterator[Recorded]:
        for recorded in self._reader.read(after=after):
            if recorded.position > after + 1:  # lost, or removed under our hands
                self._must_be_kept(after)
            after = recorded.position
            yield recorded

    def beginning(self) -> tuple[int, float]:
        """The first moment that can be looked at: before everything, or where retention ends; see `place`."""
        trimmed = self._reader.trimmed()
        if trimmed.events:
            return trimmed.position, trimmed.at
        first = next(self._reader.read(limit=1), None)
        return 0, 0.0 if first is None else first.at

    def last_position(self) -> int:
        """The position of the last event."""
        return self._reader.last_position()

    # -- rebuilding

    def _must_be_kept(self, position: int) -> None:
        trimmed = self._reader.trimmed()
        if position < trimmed.position:
            msg = f"journal {self._reader.path!r}: that moment is gone: {trimmed}"
            raise ConfigurationError(msg)

    def _rebuild(self, world: World, stream: str, position: int, at: float) -> None:
        self._apply(world, stream, self._begin(world, stream, position, at), position)

    def _begin(self, world: World, stream: str, position: int, at: float) -> int:
        """Take up the last snapshot that can be read, and give its position; with none, the beginning."""
        snapshot = self._history.snapshot_at(stream, position, at)
        if snapshot is None and self._reader.trimmed().events:  # what was before it is gone
            snapshot = self._history.snapshot_at(stream, position, math.inf)
        if snapshot is None:
            return 0
        try:
            world.adopt(snapshot)
        except UNREADABLE:  # of another version: it is only a shortcut, while the events are there
            trimmed = self._reader.trimmed()
            if trimmed.events:
                msg = (
                    f"the snapshot of {stream!r} at position {snapshot.position} cannot be read by this "
                    f"version, and events before it are gone: {trimmed}"
                )
                raise UnreadableEventError(msg) from None
            return 0
        return snapshot.position

    def _apply(self, world: World, stream: str, after: int, position: int) -> None:
        for recorded in self._reader.read(stream, after):
            if recorded.position > position:
                return
            world.apply(recorded)

    def _apply_all(self, world: World, begun: dict[str, int], position: int, reach: int) -> None:
        """Take streams of one kind from where each is to `position`.

        Those that are no further behind than `reach` are read in one pass over the file; in the index their
        names would each lead to another page. The rest is read stream by stream.
        """
        behind = position - min(reach, MAX_POSITIONS)
        near = {stream: after for stream, after in begun.items() if after >= behind}
        if len(near) <= FEW:
            near = {}
        for stream, after in begun.items():
            if stream not in near:
                self._apply(world, stream, after, position)
        if near:
            first, kind = min(near.values()), next(iter(near)).partition("/")[0]
            for recorded in search(self._reader, first, position, kind=kind, streams=near):
                if recorded.position > near[recorded.stream]:
                    world.apply(recorded)


def _asked(requests: Iterable[RequestState]) -> Iterator[str]:
    """The deployments that open requests are calling; one may have been removed."""
    for request in requests:
        if request.deployment_id is not None:
            yield request.deployment_id
        if request.hedge is not None:
            yield request.hedge.deployment_id
