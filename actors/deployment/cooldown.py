"""When a deployment rests, for how long, and how it comes back. Pure.

closed ──(too many counted failures · a wrong key · a Retry-After)──▶ open until T
open ──(T passes)──▶ half-open: exactly one probe ──(success)──▶ closed
half-open ──(the probe fails)──▶ open, twice as long
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

from attrs import define, field, frozen

from ...messages.events import CooldownStarted

__all__ = ["FAILURE_WINDOW_SECONDS", "MAX_COOLDOWN_SECONDS", "Breaker", "CooldownPolicy", "Failure"]

FAILURE_WINDOW_SECONDS = 60.0
MAX_COOLDOWN_SECONDS = 300.0
"""Doubling stops here. A provider's own Retry-After may be longer, up to `max_retry_after`."""

MAX_COUNTED = 10_001
"""Failures remembered per counter; `allowed_fails` may be one less."""

AT_ONCE = frozenset({"AuthenticationError", "PermissionDeniedError", "NotFoundError"})
COUNTED = frozenset(
    {
        "Timeout",
        "RateLimitError",
        "InternalServerError",
        "BadGatewayError",
        "ServiceUnavailableError",
        "APIError",
        "APIConnectionError",
    }
)


@frozen
class CooldownPolicy:
    """How many failures in a minute are allowed, and how long a deployment then rests."""

    allowed_fails: int = 3
    cooldown_time: float = 1.0
    disabled: bool = False
    allowed_by_error: dict[str, int] = field(factory=dict)

    @property
    def off(self) -> bool:
        return self.disabled or self.cooldown_time <= 0

    def counts(self, error: str) -> bool:
        """Whether a failure of this class speaks against the deployment."""
        return error in COUNTED or error in AT_ONCE or error in self.allowed_by_error


@frozen
class Failure:
    """A failed call, as the breaker sees it."""

    error: str
    at: float
    retry_after: float | None = None
    probe: bool = False


@define(eq=False)
class Breaker:
    """The breaker of one deployment.

    `trips` counts how often it opened since it was last closed; `probe` is the call under way while
    half-open.
    """

    until: float = 0.0
    trips: int = 0
    probe: str | None = None
    failures: dict[str, deque[float]] = field(factory=dict)

    def state(self, now: float) -> Literal["closed", "open", "half-open"]:
        if not self.trips:
            return "closed"
        return "open" if now < self.until else "half-open"

    def judge(self, failure: Failure, policy: CooldownPolicy) -> CooldownStarted | None:
        """What a failure (already counted by `count`) means: a cooldown, or nothing."""
        if policy.off or not policy.counts(failure.error):
            return None
        rest = self._rest(failure, policy)
        if rest is None:
            return None
        until = failure.at + rest
        if until <= self.until and not failure.probe:
            return None  # cooled twice: the longer one stands
        trips = self.trips + 1 if failure.probe else max(1, self.trips)
        return CooldownStarted(max(until, self.until), rest, failure.error, trips)

    def _rest(self, failure: Failure, policy: CooldownPolicy) -> float | None:
        """Seconds to rest after this failure, or None for not at all."""
        doublings = self.trips if failure.probe else max(0, self.trips - 1)
        longest = max(MAX_COOLDOWN_SECONDS, policy.cooldown_time)
        own = min(longest, policy.cooldown_time * 2.0 ** min(doublings, 60))
        if failure.retry_after is not None and failure.error == "RateLimitError":
            return failure.retry_after
        if failure.probe or self._too_many(failure, policy):
            return own if failure.retry_after is None else failure.retry_after
        return None

    def _too_many(self, failure: Failure, policy: CooldownPolicy) -> bool:
        own = policy.allowed_by_error.get(failure.error)
        if own is None and failure.error in AT_ONCE:
            return True
        allowed = policy.allowed_fails if own is None else own
        return self.recent(failure.error, policy) > allowed

    def count(self, error: str, at: float, policy: CooldownPolicy) -> None:
        """Remember a failure; a class with a limit of its own has a counter of its own."""
        key = self._counter(error, policy)
        times = self.failures.get(key)
        if times is None:
            times = self.failures[key] = deque(maxlen=MAX_COUNTED)
        times.append(at)
        while times[0] <= at - FAILURE_WINDOW_SECONDS:
            times.popleft()

    def recent(self, error: str, policy: CooldownPolicy) -> int:
        """Failures in the last minute on the counter of `error`, as of its last failure."""
        return len(self.failures.get(self._counter(error, policy), ()))

    @staticmethod
    def _counter(error: str, policy: CooldownPolicy) -> str:
        return error if error in policy.allowed_by_error else ""

    def opened(self, event: CooldownStarted) -> None:
        self.until = event.until
        self.trips = event.trips

    def closed(self) -> None:
        self.until = 0.0
        self.trips = 0
        self.failures.clear()

    def set_back(self, seconds: float) -> None:
        """The clock was set back: what is so far ahead still is."""
        if self.trips:
            self.until -= seconds
        for key, times in self.failures.items():
            self.failures[key] = deque((at - seconds for at in times), maxlen=MAX_COUNTED)

    def snapshot(self) -> dict[str, Any]:
        return {
            "until": self.until,
            "trips": self.trips,
            "probe": self.probe,
            "failures": {key: list(times) for key, times in self.failures.items() if times},
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> Breaker:
        failures = {key: deque(times, maxlen=MAX_COUNTED) for key, times in data["failures"].items()}
        return cls(data["until"], data["trips"], data["probe"], failures)
