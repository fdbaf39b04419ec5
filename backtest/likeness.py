"""How fast a deployment is that the record hardly shows: like another one, give or take. Pure.

Two deployments of one model differ: by region, by hardware, by who else is there. So one that was never
called is not taken to be *exactly* as fast as those that were, which would make it as good as the known ones
in every play; it is as many times slower or faster as such deployments are of each other, and each play
draws how much. A strategy that looks for the fastest gains by that, and one that spreads its
calls blindly loses. Calls of its own narrow it down.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from .latencies import Latencies
    from .record import Call

__all__ = ["Likeness", "liken"]

APART = 0.4
"""Standard deviation of the logarithm of how many times slower one deployment of a model is than another."""

FAR_APART = 0.7
"""Of deployments of different models."""

SCATTER = 0.5
"""The same of one call beside another of its deployment."""

REACH = 2.0
"""No single call counts as farther off than this, as a logarithm."""


class Likeness(NamedTuple):
    """By what factor it is slower than another, as a logarithm: the middle, and the standard deviation."""

    middle: float
    spread: float

    def drawn(self, rng: random.Random) -> float:
        """The factor in one play."""
        return math.exp(rng.gauss(self.middle, self.spread))


def liken(
    calls: Sequence[Call], whole: Latencies | None, stream: Latencies | None, *, alike: bool
) -> Likeness:
    """One deployment, of which these calls are known, to another of which these latencies are.

    Args:
        calls: those that were answered; may be none.
        whole: how long the other one takes; `stream` for a stream.
        stream: see there.
        alike: both are of the same model.
    """
    logs = []
    for call in calls:
        latencies = stream if call.arrival.stream else whole
        if latencies is not None:
            logs.append(max(-REACH, min(REACH, math.log(latencies.off(call)))))
    apart = APART if alike else FAR_APART
    precision = len(logs) / SCATTER**2
    spread = 1.0 / (1.0 / apart**2 + precision)
    return Likeness(spread * precision * fmean(logs) if logs else 0.0, math.sqrt(spread))
