"""The rate limit that a provider showed: 429 when it had taken so much, and only then. Pure.

What is looked for is one number that tells refused calls from others: how many calls, or tokens, the
provider had taken in the last second, ten seconds or minute, or how many it was busy with. Found, it
holds under any load. Refusals that no such number explains are errors like others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .record import Call

__all__ = ["Limit", "Load", "find_limit"]

Of = Literal["calls", "tokens", "open"]

LEAST_REFUSED = 5
"""Refusals by which a limit can be told."""

LEAST_FIT = 0.9
"""Of refused calls above the limit, plus of others below it, less one: what makes it a limit."""

RATE_LIMITED = 429
WINDOWS = (1.0, 10.0, 60.0)


class Limit(NamedTuple):
    """More than this is refused: `most` calls or tokens in `seconds`, or that many open at once."""

    of: Of
    seconds: float
    most: float
    fit: float = 1.0


class Load:
    """What one provider has taken lately, as a limit counts it."""

    def __init__(self, of: Of, seconds: float) -> None:
        self._of = of
        self._seconds = seconds
        self._taken: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def before(self, at: float, open_calls: int) -> float:
        """How much it was when a call came."""
        if self._of == "open":
            return float(open_calls)
        while self._taken and self._taken[0][0] <= at - self._seconds:
            self._sum -= self._taken.popleft()[1]
        return self._sum

    def take(self, at: float, tokens: float) -> None:
        """A call was taken, not refused."""
        if self._of != "open":
            count = tokens if self._of == "tokens" else 1.0
            self._taken.append((at, count))
            self._sum += count


def find_limit(calls: Sequence[Call], tokens: Callable[[Call], float]) -> Limit | None:
    """The limit that explains the 429s among a deployment's calls, if one does."""
    if sum(call.status == RATE_LIMITED for call in calls) < LEAST_REFUSED:
        return None
    kinds: Iterable[tuple[Of, float]] = [
        *(("calls", seconds) for seconds in WINDOWS),
        ("tokens", 60.0),
        ("open", 0.0),
    ]
    found = [_best(calls, of, seconds, tokens) for of, seconds in kinds]
    best = max(found, key=lambda limit: limit.fit)
    return best if best.fit >= LEAST_FIT else None


def _best(calls: Sequence[Call], of: Of, seconds: float, tokens: Callable[[Call], float]) -> Limit:
    """The number of this kind that parts the refused from the others best."""
    load = Load(of, seconds)
    seen: list[tuple[float, bool]] = []
    for call in calls:
        refused = call.status == RATE_LIMITED
        seen.append((load.before(call.at, call.open), refused))
        if not refused:
            load.take(call.at, tokens(call))
    return _parted(seen, of, seconds)


def _parted(seen: list[tuple[float, bool]], of: Of, seconds: float) -> Limit:
    """Walk up the loads: what is refused below a threshold speaks against it, what is taken above as well."""
    seen.sort()
    refused = sum(bad for _, bad in seen)
    taken = len(seen) - refused
    refused_below = taken_below = 0
    best = Limit(of, seconds, 0.0, 0.0)
    for index, (load, bad) in enumerate(seen):
        if index and load > seen[index - 1][0]:
            fit = taken_below / max(1, taken) - refused_below / refused
            if fit > best.fit:
                best = Limit(of, seconds, load, fit)
        refused_below += bad
        taken_below += not bad
    return best
