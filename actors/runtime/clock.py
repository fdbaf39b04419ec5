"""Time, the only source of it.

*Router time* is what `now()` gives: seconds since the epoch, read once from the wall clock when the
clock is made and carried on by the monotonic clock. It never jumps while the router lives, and it
can be compared across restarts, so cooldowns and windows may be journalled in it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Clock", "LoopClock", "ManualClock", "Timer"]


class Timer(Protocol):
    """Something that will happen unless it is cancelled."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """What the rest of the house knows of time."""

    def now(self) -> float:
        """Router time, in seconds since the epoch."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call back after `seconds`, in the dispatcher's thread. Only to be used from there."""
        ...


class LoopClock:
    """Real time, with the timers of an event loop."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use this loop's timers from now on."""
        self._loop = loop

    def now(self) -> float:
        return time.monotonic() + self._offset

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        assert self._loop is not None, "a timer was set before the dispatcher had a loop"
        if seconds <= 0:
            return self._loop.call_soon(callback)
        return self._loop.call_later(seconds, callback)


class _ManualTimer:
    __slots__ = ("_clock", "callback")

    def __init__(self, clock: ManualClock, callback: Callable[[], object]) -> None:
        self._clock = clock
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self._clock._timer_cancelled()


class ManualClock:
    """A clock that stands still until it is told to move.

    Everything attached to it (a router's dispatcher) runs to quiescence before time moves, after
    each timer, and at the end, so a test sees no half-done work.
    """

    COMPACT_AT = 1000
    """Cancelled timers are swept out of the heap when there are this many, and as many as live ones."""

    def __init__(self, start: float) -> None:
        self._now = float(start)
        self._timers: list[tuple[float, int, _ManualTimer]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._pumps: tuple[Callable[[], None], ...] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._now:.3f} · {len(self._timers) - self._cancelled} timers>"

    def now(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        timer = _ManualTimer(self, callback)
        when = self._now + seconds if seconds > 0 else self._now
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move `seconds` on, firing the timers on the way in their order.

        Raises:
            ValueError: for negative seconds.
        """
        if seconds < 0:
            msg = f"time moves forward only; advance({seconds}) is negative"
            raise ValueError(msg)
        target = self._now + seconds
        self._pump()
        while self._fire(target):
            pass
        if target > self._now:
            self._now = target

    def sleep_through(self, seconds: float) -> None:
        """Let `seconds` pass in which nothing runs, as when a machine sleeps: timers will ring late."""
        self._pump()
        self._now += seconds

    def step(self) -> bool:
        """Move to the next timer and fire it; False when there is none."""
        return self._fire(math.inf)

    def _fire(self, until: float) -> bool:
        """Move to the next timer and fire it, if it is due by then."""
        timers = self._timers
        while timers:
            when, _, timer = timers[0]
            callback = timer.callback
            if callback is not None and when > until:
                return False
            heapq.heappop(timers)
            if callback is None:
                self._cancelled -= 1
                continue
            timer.callback = None
            if when > self._now:
                self._now = when
            callback()
            self._pump()
            return True
        return False

    def next_timer(self) -> float | None:
        """When the next timer is due, in router time; None when there is none."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
            self._cancelled -= 1
        return timers[0][0] if timers else None

    def attach(self, pump: Callable[[], None]) -> None:
        """Run `pump` whenever time is about to move or has moved."""
        self._pumps = (*self._pumps, pump)

    def detach(self, pump: Callable[[], None]) -> None:
        """Undo `attach`; a pump that is not attached is no error."""
        self._pumps = tuple(other for other in self._pumps if other != pump)

    def _pump(self) -> None:
        for pump in self._pumps:
            pump()

    def _timer_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled >= self.COMPACT_AT and self._cancelled * 2 >= len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0
