"""Whether a store can be used: after failures in a row it is left alone for a while. Pure."""

from __future__ import annotations

from attrs import define

__all__ = ["MAX_FAILURES", "PAUSE_SECONDS", "Outage"]

MAX_FAILURES = 3
"""In a row; then requests go on without asking."""

PAUSE_SECONDS = 5.0
"""Between two tries while it cannot be used."""


@define
class Outage:
    """How it has been lately.

    Attributes:
        reason: what went wrong last; None while all is well.
        lost: lookups and writes that could not be done, since the beginning.
    """

    reason: str | None = None
    lost: int = 0
    lost_before: int = 0
    failures: int = 0
    until: float = 0.0

    def failed(self, reason: str, now: float) -> bool:
        """Another one could not be done; True when that is news."""
        news = self.reason is None
        if news:
            self.lost_before = self.lost
        self.reason = reason
        self.lost += 1
        self.failures += 1
        self.until = now + PAUSE_SECONDS
        return news

    def skipped(self) -> None:
        """One was not tried at all."""
        self.lost += 1

    def worked(self) -> bool:
        """One was done; True when that is news."""
        news = self.reason is not None
        self.reason = None
        self.failures = 0
        return news

    @property
    def lost_in_it(self) -> int:
        """How many were lost in this outage, or the last."""
        return self.lost - self.lost_before

    def avoids(self, now: float) -> bool:
        """Whether to go on without. When a pause is over one may try, and the others wait for its word."""
        if self.failures < MAX_FAILURES:
            return False
        if now < self.until:
            return True
        self.until = now + PAUSE_SECONDS
        return False
