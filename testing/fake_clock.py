"""A clock for tests."""

from __future__ import annotations

from ..actors.runtime.clock import ManualClock

__all__ = ["FakeClock"]


class FakeClock(ManualClock):
    """Time that moves only when told to: `FakeClock(start=...)`, then `clock.advance(seconds)`.

    A router made with it starts no thread and needs no event loop. A blocking `ask` moves the time
    on to the next timer, and the next, until its reply is there.

    Args:
        start: router time to begin with, in seconds since the epoch. From 0, differences of times are
            the round numbers a test writes; from a date of today they carry some 1e-7 of rounding.
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(start)
