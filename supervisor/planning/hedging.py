"""When a second attempt starts beside a slow first one, and how many there may be. Pure.

After Dean and Barroso, "The Tail at Scale" (2013): a hedged request waits until the first attempt is
slower than nearly all, so few requests are asked twice and the tail is cut all the same.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from attrs import frozen

__all__ = [
    "MARGIN_SECONDS",
    "MAX_MEASURED",
    "MAX_SAVED_HEDGES",
    "MIN_SAMPLES",
    "WINDOW",
    "HedgeRules",
    "Hedging",
]

WINDOW = 512
"""Measurements of a group that a percentile is taken of, the latest ones."""

MAX_MEASURED = 2000
"""Groups (twice one that streams as well) whose measurements are kept; groups may come and go."""

MIN_SAMPLES = 20
"""Below that many a percentile says nothing, and nothing is hedged by it."""

MARGIN_SECONDS = 0.001
"""An attempt that takes just as long as the percentile is not slow."""

MAX_SAVED_HEDGES = 10.0
"""Hedges that quiet times may save up for a burst."""


@frozen
class HedgeRules:
    """`after`: seconds, or a percentile such as "p95"; None is never. `budget`: of all requests."""

    after: float | str | None = None
    budget: float = 0.05


class _Latest:
    """The latest measurements of one group, in order of time and in order of size."""

    __slots__ = ("_by_age", "_by_size")

    def __init__(self) -> None:
        self._by_age: deque[float] = deque()
        self._by_size: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self._by_age) == WINDOW:
            oldest = self._by_age.popleft()
            del self._by_size[bisect_left(self._by_size, oldest)]
        self._by_age.append(seconds)
        insort(self._by_size, seconds)

    def percentile(self, percent: int) -> float | None:
        """The smallest measurement that `percent` of them do not exceed."""
        count = len(self._by_size)
        return None if count < MIN_SAMPLES else self._by_size[-(-count * percent // 100) - 1]


class Hedging:
    """What the Supervisor keeps to decide on hedges: a budget, and how long answers take.

    The budget is a bucket that every request fills by `rules.budget` and every hedge empties by one,
    so hedges never exceed that share of the requests.
    """

    def __init__(self, rules: HedgeRules) -> None:
        self.rules = rules
        self.measuring = isinstance(rules.after, str)
        """Whether anyone has asked for a percentile; measuring begins then."""
        self._saved = 0.0
        self._latest: dict[tuple[str, bool], _Latest] = {}

    def __repr__(self) -> str:
        return f"<Hedging {self._saved:.2f} saved · {len(self._latest)} measured>"

    def request(self) -> None:
        """A request was accepted."""
        if self._saved < MAX_SAVED_HEDGES:
            self._saved = min(MAX_SAVED_HEDGES, self._saved + self.rules.budget)

    def take(self) -> bool:
        """Whether one more hedge is within the budget; if so it is counted."""
        if self._saved < 1.0 - 1e-9:  # twenty times 0.05 is a little less than 1
            return False
        self._saved -= 1.0
        return True

    def give_back(self) -> None:
        """The hedge that was counted did not start."""
        self._saved += 1.0

    def measured(self, group: str, seconds: float, *, stream: bool) -> None:
        """An attempt took so long to its first token (a whole answer: to its end)."""
        latest = self._latest.get((group, stream))
        if latest is None:
            if len(self._latest) >= MAX_MEASURED:  # the first one: it is the likeliest to be gone
                del self._latest[next(iter(self._latest))]
            latest = self._latest[group, stream] = _Latest()
        latest.add(seconds)

    def delay(self, group: str, asked: float | str | None, *, stream: bool) -> float | None:
        """Seconds after which an attempt is hedged; None when it is not, or nothing is known yet.

        `asked` is the request's own word, which goes before the router's.
        """
        after = self.rules.after if asked is None else asked
        if not isinstance(after, str):
            return after
        self.measuring = True
        latest = self._latest.get((group, stream))
        slowest = None if latest is None else latest.percentile(int(after[1:]))
        return None if slowest is None else slowest + MARGIN_SECONDS
