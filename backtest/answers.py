"""How long an answer is: of the same request elsewhere, too. Pure.

A request for a long answer is one wherever it is sent, and some deployments are wordier than others. So what
is kept of a request is its rank among the answers of the deployment that gave its own: at another
one its answer is as long as the answer of that rank there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .record import Arrival, Call

__all__ = ["Answers"]

LEAST = 30
"""Answers of a deployment from which its own lengths are known."""


class Answers:
    """The lengths of answers by deployment, and of prompts as each counts them."""

    def __init__(self, calls: Mapping[str, Sequence[Call]]) -> None:
        answered = {name: [c for c in of if c.error is None and not c.cut] for name, of in calls.items()}
        self._outputs = {
            name: sorted(call.output_tokens for call in of) for name, of in answered.items() if of
        }
        self._ratios = {name: _ratio(of) for name, of in answered.items() if of}
        self._all = sorted(tokens for outputs in self._outputs.values() for tokens in outputs) or [0]

    def tokens(self, deployment_id: str, arrival: Arrival, draw: float) -> tuple[int, int]:
        """Tokens of prompt and answer; `draw` is the rank of a request that was never answered."""
        answered = arrival.answered_by
        if answered is not None and answered[0] == deployment_id:
            return answered[1], answered[2]
        ratio = self._ratios.get(deployment_id, 1.0)
        prompt = max(1, round(arrival.input_tokens * ratio))
        outputs = self._outputs.get(deployment_id, ())
        if answered is None:
            known = outputs if len(outputs) >= LEAST else self._all
            output = known[int(draw * len(known))]
        else:
            output = self._elsewhere(outputs, answered, draw)
        most = arrival.particulars.output_tokens
        return prompt, output if most is None else min(output, most)

    def _elsewhere(self, outputs: Sequence[int], answered: tuple[str, int, int], draw: float) -> int:
        theirs = self._outputs.get(answered[0], ())
        if len(outputs) < LEAST or len(theirs) < LEAST:
            return answered[2]
        low, high = bisect_left(theirs, answered[2]), bisect_right(theirs, answered[2])
        rank = (low + draw * (high - low)) / len(theirs)
        return outputs[min(len(outputs) - 1, int(rank * len(outputs)))]


def _ratio(calls: Sequence[Call]) -> float:
    """Tokens of a prompt as this provider counts them, to our estimate."""
    ratios = [c.prompt_tokens / c.arrival.input_tokens for c in calls if c.arrival.input_tokens]
    return median(ratios) if ratios else 1.0
