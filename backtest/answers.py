"""How long an answer is: of the same request elsewhere, too. Pure.

A request for a long answer is one wherever it is sent, and some deployments are wordier than others. So what
is kept of a request is its rank among the answers of the deployment that gave its own: at another
one its answer is as long as the answer of that rank there.

Whether one is wordier at all, or happened to be asked for more, the record knows only so well: each play
draws it, and the lengths themselves.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from copy import copy
from itertools import combinations
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from .record import Arrival, Call

__all__ = ["Answers"]

LEAST = 30
"""Answers of a deployment from which its own lengths are known."""

SURE = 3.0
"""Standard errors by which two must differ in how they count tokens."""

MEDIAN_ERROR = 1.25
"""The standard error of a median, to that of a mean."""

ALIKE = 0.5
"""Of pairs of deployments, before anything is known, the share whose answers are as long."""

WORDIER = 0.4
"""Else the standard deviation of the logarithm of how many times longer those of one are."""


class Answers:
    """The lengths of answers by deployment, and of prompts as each counts them."""

    def __init__(self, calls: Mapping[str, Sequence[Call]]) -> None:
        answered = {name: [c for c in of if c.error is None and not c.cut] for name, of in calls.items()}
        self._outputs = {
            name: sorted(call.output_tokens for call in of) for name, of in answered.items() if of
        }
        self._alike = _how_alike(self._outputs)
        self._same: frozenset[tuple[str, str]] = frozenset()
        self._counts = {name: _counting(of) for name, of in answered.items() if of}
        self._all = sorted(tokens for outputs in self._outputs.values() for tokens in outputs) or [0]

    def drawn(self, rng: random.Random) -> Answers:
        """Those of one play: as long as the record makes likely, and as alike."""
        one = copy(self)
        one._outputs = {name: sorted(rng.choices(of, k=len(of))) for name, of in self._outputs.items()}
        one._same = frozenset(pair for pair, likely in self._alike.items() if rng.random() < likely)
        return one

    def tokens(self, deployment_id: str, arrival: Arrival, draw: float) -> tuple[int, int]:
        """Tokens of prompt and answer; `draw` is the rank of a request that was never answered."""
        answered = arrival.answered_by
        if answered is not None and answered[0] == deployment_id:
            return answered[1], answered[2]
        prompt = max(1, round(self._prompt(deployment_id, arrival)))
        outputs = self._outputs.get(deployment_id, ())
        if answered is None:
            known = outputs if len(outputs) >= LEAST else self._all
            output = known[int(draw * len(known))]
        else:
            output = self._elsewhere(deployment_id, answered, draw)
        most = arrival.particulars.output_tokens
        return prompt, output if most is None else min(output, most)

    def _prompt(self, deployment_id: str, arrival: Arrival) -> float:
        """As another one counted it, where one did: our own estimate is a rougher one."""
        here, answered = self._counts.get(deployment_id), arrival.answered_by
        if answered is None:
            return arrival.input_tokens * (1.0 if here is None else math.exp(here.middle))
        there = self._counts.get(answered[0])
        if here is None or there is None or not here.differs(there):
            return answered[1]
        return answered[1] * math.exp(here.middle - there.middle)

    def _elsewhere(self, deployment_id: str, answered: tuple[str, int, int], draw: float) -> int:
        outputs, theirs = (self._outputs.get(name, ()) for name in (deployment_id, answered[0]))
        if len(outputs) < LEAST or len(theirs) < LEAST or _pair(deployment_id, answered[0]) in self._same:
            return answered[2]
        low, high = bisect_left(theirs, answered[2]), bisect_right(theirs, answered[2])
        rank = (low + draw * (high - low)) / len(theirs)
        return outputs[min(len(outputs) - 1, int(rank * len(outputs)))]


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _how_alike(outputs: Mapping[str, Sequence[int]]) -> dict[tuple[str, str], float]:
    """By pair, how likely it is that the answers of both are as long, and differ by chance."""
    known = {name: [math.log1p(tokens) for tokens in of] for name, of in outputs.items() if len(of) >= LEAST}
    means = {name: (fmean(logs), stdev(logs) / math.sqrt(len(logs))) for name, logs in known.items()}
    found = {}
    for one, other in combinations(sorted(means), 2):
        (mean, error), (mean_there, error_there) = means[one], means[other]
        off, chance = mean - mean_there, math.hypot(error, error_there)
        same = ALIKE * _density(off, chance)
        total = same + (1.0 - ALIKE) * _density(off, math.hypot(chance, WORDIER))
        found[one, other] = same / total if total > 0.0 else float(off == 0.0)
    return found


def _density(off: float, spread: float) -> float:
    return math.exp(-0.5 * (off / spread) ** 2) / spread if spread > 0.0 else 0.0


class _Counting(NamedTuple):
    """Tokens of a prompt as one provider counts them, to our estimate: the logarithm, and its error."""

    middle: float
    error: float

    def differs(self, other: _Counting) -> bool:
        """Whether they count in different ways, beyond what the prompts they happened to get explain."""
        return abs(self.middle - other.middle) > SURE * math.hypot(self.error, other.error)


def _counting(calls: Sequence[Call]) -> _Counting:
    logs = [
        math.log(call.prompt_tokens / call.arrival.input_tokens)
        for call in calls
        if call.arrival.input_tokens and call.prompt_tokens
    ]
    if len(logs) < 2:
        return _Counting(logs[0] if logs else 0.0, math.inf)
    return _Counting(median(logs), MEDIAN_ERROR * stdev(logs) / math.sqrt(len(logs)))
