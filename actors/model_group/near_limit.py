"""Whether a prompt must be counted to know if it fits under a deployment's tpm. Pure.

The bytes of a prompt bound its tokens from both sides. Where even the most of them fit, or not even the
least, a count would change nothing; in between it decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...messages.outcomes import Demand
    from .strategies.base import Candidate

__all__ = ["MAX_COUNTED_BYTES", "could_fit", "count_decides", "countable"]

MAX_COUNTED_BYTES = 8_388_608
"""A longer prompt goes by its estimate."""


def countable(demand: Demand) -> bool:
    """Whether there is something to count, that was not counted yet."""
    return demand.counted is None and 0 < demand.text_bytes <= MAX_COUNTED_BYTES


def count_decides(candidate: Candidate, demand: Demand) -> bool:
    """Whether the prompt may be too long for what is left of the candidate's tpm, and may not be."""
    tpm = candidate.deployment.tpm
    if tpm is None or candidate.mirror.yardstick is None or not countable(demand):
        return False
    least, most = demand.bounds(candidate.status.mean_output, tpm)
    return least <= _left(candidate, tpm) < most


def could_fit(candidate: Candidate, demand: Demand, *, ever: bool = False) -> bool:
    """Whether the prompt, too long by its estimate, may fit all the same: now, or `ever`."""
    tpm = candidate.deployment.tpm
    if tpm is None or candidate.mirror.yardstick is None or not countable(demand):
        return False
    least, _ = demand.bounds(candidate.status.mean_output, tpm)
    return least <= (tpm if ever else _left(candidate, tpm))


def _left(candidate: Candidate, tpm: int) -> int:
    """What it said is left, or was when it last said so: no more than there is."""
    left, under_way = candidate.status.tokens_left, candidate.mirror.tokens_under_way
    return int((tpm if left is None else left) - under_way)
