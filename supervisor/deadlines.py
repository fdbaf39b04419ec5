"""The deadlines of requests that set no timeout of their own, behind one timer.

They all have the router's timeout, so they fall due in the order in which they came: a queue does
what a timer for each would do, without setting and cancelling one for every request.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from ..actors.runtime.clock import Clock, Timer

__all__ = ["DeadlineQueue"]

ROUNDING_SECONDS = 1e-6
"""A sum of times may fall short of the time it stands for by so much: then the timer rang all the same."""

SLACK = 1024
"""Entries of requests that have ended which may linger, beyond one for each that is open."""


class DeadlineQueue:
    """Calls `reached(request_id)` when a request that is still open falls due.

    Args:
        clock: tells the time and keeps the one timer.
        still_open: the ids of open requests.
        reached: what to do at a deadline.
    """

    def __init__(self, clock: Clock, still_open: Container[str], reached: Callable[[str], object]) -> None:
        self._clock = clock
        self._open = still_open
        self._reached = reached
        self._queue: deque[tuple[float, str]] = deque()
        self._timer: Timer | None = None
        self._stopped = False
        self._swept_at = SLACK

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, deadline: float, request_id: str) -> None:
        """Watch a request; deadlines never go back."""
        queue = self._queue
        while queue and queue[0][1] not in self._open:
            queue.popleft()
        queue.append((deadline, request_id))
        if len(queue) > self._swept_at:
            self._sweep()
        if self._timer is None and not self._stopped:
            self._arm(deadline)

    def stop(self) -> None:
        """Set no timer any more, and cancel the one that is set; also while a deadline is being told."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, deadline: float) -> None:
        self._timer = self._clock.call_later(max(0.0, deadline - self._clock.now()), self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._clock.now()
        queue = self._queue
        while queue and (queue[0][0] <= now + ROUNDING_SECONDS or queue[0][1] not in self._open):
            _, request_id = queue.popleft()
            if request_id in self._open:
                self._reached(request_id)
        if queue and not self._stopped:
            self._arm(queue[0][0])

    def _sweep(self) -> None:
        """One request that stays open for long holds up all behind it: take out those that ended."""
        self._queue = deque(entry for entry in self._queue if entry[1] in self._open)
        self._swept_at = 2 * len(self._queue) + SLACK
