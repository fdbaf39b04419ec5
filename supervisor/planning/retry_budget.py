"""How many retries the whole router allows itself, so that an outage is not made worse. Pure."""

from __future__ import annotations

from collections import deque

__all__ = ["RetryBudget"]


class RetryBudget:
    """Retries may be 20 % of the requests of the last 10 s, and always 10 a second.

    After Finagle's RetryBudget: a ratio of real traffic, with a floor for quiet times.
    """

    WINDOW_SECONDS = 10
    RATIO = 0.2
    MIN_PER_SECOND = 10

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()  # [second, requests, retries]
        self._requests = 0
        self._retries = 0

    def request(self, now: float) -> None:
        """A request was accepted."""
        self._bucket(now)[1] += 1
        self._requests += 1

    def take(self, now: float) -> bool:
        """Whether one more retry is within the budget; if so it is counted."""
        bucket = self._bucket(now)
        floor = self.MIN_PER_SECOND * self.WINDOW_SECONDS
        if self._retries >= max(floor, self.RATIO * self._requests):
            return False
        bucket[2] += 1
        self._retries += 1
        return True

    def _bucket(self, now: float) -> list[int]:
        second = int(now)
        seconds = self._seconds
        if not seconds or seconds[-1][0] < second:
            seconds.append([second, 0, 0])
            while seconds[0][0] <= second - self.WINDOW_SECONDS:
                _, requests, retries = seconds.popleft()
                self._requests -= requests
                self._retries -= retries
        return seconds[-1]
