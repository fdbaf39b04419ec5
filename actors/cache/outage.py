"""Whether a store can be used: after failures in a row it is left alone for a while. Pure.

Lookups and writes are watched apart: a server that is full answers, and takes nothing. To the world
there is one outage: it begins when one of the two fails and is over when both are well.
"""

from __future__ import annotations

from typing import Literal

from attrs import define, field

__all__ = ["MAX_FAILURES", "PAUSE_SECONDS", "StoreHealth", "Way"]

MAX_FAILURES = 3
"""In a row; then requests go on without asking."""

PAUSE_SECONDS = 5.0
"""Between two tries while it cannot be used."""

Way = Literal["lookups", "writes"]


@define
class _Outage:
    """How one of the two has been lately; `reason` is None while all is well."""

    reason: str | None = None
    failures: int = 0
    until: float = 0.0


@define
class StoreHealth:
    """How a store has been lately.

    Attributes:
        lost: lookups and writes that could not be done, since the beginning.
    """

    lost: int = 0
    _lost_before: int = 0
    _ways: dict[Way, _Outage] = field(factory=lambda: {"lookups": _Outage(), "writes": _Outage()})

    @property
    def reason(self) -> str | None:
        """What is wrong; None while all is well."""
        return self._ways["lookups"].reason or self._ways["writes"].reason

    @property
    def lost_in_it(self) -> int:
        """How many were lost in this outage, or the last."""
        return self.lost - self._lost_before

    def failed(self, way: Way, reason: str, now: float) -> bool:
        """One could not be done; True when that is news."""
        news = self.reason is None
        if news:
            self._lost_before = self.lost
        self.lost += 1
        outage = self._ways[way]
        outage.reason = reason
        outage.failures += 1
        outage.until = now + PAUSE_SECONDS
        return news

    def skipped(self) -> None:
        """One was not tried at all."""
        self.lost += 1

    def worked(self, way: Way) -> bool:
        """One was done; True when that is news. What ailed both alike is over for both."""
        over = self._ways[way].reason
        if over is None:
            return False
        for name, outage in self._ways.items():
            if name == way or outage.reason == over:
                outage.reason = None
                outage.failures = 0
        return self.reason is None

    def avoids(self, way: Way, now: float) -> bool:
        """Whether to go on without. When a pause is over one may try, and the others wait for its word."""
        outage = self._ways[way]
        if outage.failures < MAX_FAILURES:
            return False
        if now < outage.until:
            return True
        outage.until = now + PAUSE_SECONDS
        return False
