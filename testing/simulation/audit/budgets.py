"""An auditor's own account of how many retries and hedges a router may make."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque

from .tolerances import ROUNDING
from .violation import Violation

__all__ = ["HedgeBudget", "RetriesMade", "RetryBudget"]


class RetryBudget:
    """Retries are a fifth of the requests of 10 s at most, and 100 whatever there are.

    The router counts by whole seconds, so what is held against it are any 9 s.
    """

    ALWAYS = 100
    SHARE = 0.2
    SECONDS = 9.0
    REQUEST_SECONDS = 11.0

    def __init__(self) -> None:
        self._retries: list[float] = []
        self._requests: list[float] = []

    def request(self, at: float) -> None:
        """One more came."""
        self._requests.append(at)
        if len(self._requests) > 2 * self.ALWAYS and self._requests[self.ALWAYS] < at - 600.0:
            del self._requests[: self.ALWAYS]

    def retry(self, due_at: float, at: float) -> None:
        """One more was made, that was due since an attempt failed at `due_at`.

        Raises:
            Violation: it was one too many.
        """
        insort(self._retries, due_at)
        made = self._in(self._retries, due_at, self.SECONDS)
        if made > self.ALWAYS:
            requests = self._in(self._requests, due_at, self.REQUEST_SECONDS)
            if made > self.SHARE * requests + 1:
                what = f"{made} retries in {self.SECONDS} s, of {requests} requests"
                raise Violation("budget", what, at)
        if len(self._retries) > 4 * self.ALWAYS and self._retries[self.ALWAYS] < at - 600.0:
            del self._retries[: self.ALWAYS]

    @staticmethod
    def _in(times: list[float], at: float, seconds: float) -> int:
        return bisect_right(times, at) - bisect_left(times, at - seconds + ROUNDING)


class HedgeBudget:
    """Second attempts are one for twenty requests at most."""

    SHARE = 0.05
    MOST_SAVED = 10.0

    def __init__(self) -> None:
        self.saved = 0.0
        self.due: list[tuple[float, str]] = []  # a heap: when whose attempt counts as slow
        self._made = self._requests = 0

    def request(self) -> None:
        """One more came."""
        self._requests += 1
        self.saved = min(self.MOST_SAVED, self.saved + self.SHARE)

    def hedge(self, at: float) -> None:
        """A second attempt was made.

        Raises:
            Violation: it was one too many.
        """
        self._made += 1
        self.saved -= 1.0
        if self._made > self.SHARE * self._requests + ROUNDING:
            raise Violation("budget", f"{self._made} hedges for {self._requests} requests", at)

    def give_back(self) -> None:
        """It was refused."""
        self._made -= 1
        self.saved += 1.0


class RetriesMade:
    """Retries that the whole router may have taken from its budget lately, placed or not.

    While there are fewer than it always allows itself, the budget is no excuse.
    """

    LEAST = 100
    SECONDS = 11.0

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=self.LEAST)

    def note(self, at: float) -> None:
        """One more was due."""
        self._times.append(at)

    def used_up(self, at: float) -> bool:
        """Whether so many were due lately that no more may be."""
        return len(self._times) == self.LEAST and self._times[0] > at - self.SECONDS
