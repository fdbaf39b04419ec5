"""Rolling limits: starts and tokens in the last 60 seconds. Pure.

Tokens are reserved when a call starts and settled when it ends, at the time of the *start*: what
a call used leaves the window 60 s after it began.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["EXACT_BUCKETS", "GRAIN_SECONDS", "WINDOW_SECONDS", "Bucket", "RollingWindow"]

WINDOW_SECONDS = 60.0

EXACT_BUCKETS = 500
"""Up to so many starts in a window each has a bucket of its own and leaves at its very moment."""

GRAIN_SECONDS = 0.1
"""Beyond, starts closer than this share one, which bounds a window to 600 buckets more.

A bucket leaves with its latest start, so sharing can only delay a release, never hasten it.
"""


class Bucket(Struct, eq=False, gc=False):
    """Starts that leave the window together."""

    first: float
    at: float
    starts: int = 0
    tokens: int = 0


class RollingWindow:
    """Counts starts and tokens of the last 60 s, exactly.

    A start at time t counts from t up to, and not at, t + 60. The buckets are in a list, whose front is
    moved up when some leave: there are few, and an empty deque would be larger than all of them.
    """

    __slots__ = ("_buckets", "starts", "tokens")

    def __init__(self) -> None:
        self._buckets: list[Bucket] = []
        self.starts = 0
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def expire(self, now: float) -> None:
        """Let go of what is older than the window."""
        buckets = self._buckets
        horizon = now - WINDOW_SECONDS
        if not buckets or buckets[0].at > horizon:
            return
        gone = 0
        for old in buckets:
            if old.at > horizon:
                break
            gone += 1
            self.starts -= old.starts
            self.tokens -= old.tokens
        del buckets[:gone]

    def add(self, now: float, tokens: int, starts: int = 1) -> Bucket:
        """Count a call of `starts` with `tokens` reserved; the bucket is the receipt for `settle`."""
        buckets = self._buckets
        bucket = buckets[-1] if buckets else None
        apart = GRAIN_SECONDS if len(buckets) >= EXACT_BUCKETS else 0.0
        if bucket is None or (now > bucket.at and now - bucket.first >= apart):
            bucket = Bucket(now, now, starts, tokens)
            buckets.append(bucket)
        else:
            if now > bucket.at:
                bucket.at = now
            bucket.starts += starts
            bucket.tokens += tokens
        self.starts += starts
        self.tokens += tokens
        return bucket

    def settle(self, bucket: Bucket, difference: int, now: float) -> None:
        """Correct the tokens of a start by `difference`, if it still counts."""
        self.expire(now)
        if bucket.at > now - WINDOW_SECONDS:
            bucket.tokens += difference
            self.tokens += difference

    def start_free_at(self, limit: int, starts: int = 1) -> float | None:
        """When `starts` more fit under `limit`; None when they fit now or never will."""
        if starts > limit:
            return None
        over = self.starts - limit + starts
        for bucket in self._buckets:
            if over <= 0:
                break
            over -= bucket.starts
            if over <= 0:
                return bucket.at + WINDOW_SECONDS
        return None

    def tokens_free_at(self, limit: int, tokens: int) -> float | None:
        """When `tokens` more fit under `limit`; None when they fit now or never will."""
        over = self.tokens + tokens - limit
        if over <= 0 or tokens > limit:
            return None
        for bucket in self._buckets:
            over -= bucket.tokens
            if over <= 0:
                return bucket.at + WINDOW_SECONDS
        return None

    def next_release(self) -> float | None:
        """When the oldest entry leaves; None when the window is empty."""
        return self._buckets[0].at + WINDOW_SECONDS if self._buckets else None

    def entries(self) -> tuple[tuple[float, int], ...]:
        """(started_at, tokens), oldest first."""
        return tuple((bucket.at, bucket.tokens) for bucket in self._buckets)

    def bucket_at(self, at: float) -> Bucket | None:
        """The bucket a start at `at` was counted in, for a state that is restored."""
        for bucket in reversed(self._buckets):
            if bucket.first <= at <= bucket.at:
                return bucket
        return None

    def set_back(self, seconds: float) -> None:
        """The clock was set back: what was so long ago still is."""
        for bucket in self._buckets:
            bucket.first -= seconds
            bucket.at -= seconds

    def snapshot(self) -> list[list[Any]]:
        return [[b.first, b.at, b.starts, b.tokens] for b in self._buckets]

    @classmethod
    def restore(cls, rows: list[list[Any]]) -> RollingWindow:
        window = cls()
        for first, at, starts, tokens in rows:
            window._buckets.append(Bucket(first, at, starts, tokens))
            window.starts += starts
            window.tokens += tokens
        return window
