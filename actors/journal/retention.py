"""How much of a journal's past is kept: decides where to cut it. Pure; a store does the cutting.

Whatever the limits say, what is still needed stays: see :class:`.ports.ForgetfulStore`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from .ports import Holdings

__all__ = [
    "AGE",
    "GRAIN",
    "LOW_WATER",
    "MAX_GRAIN_SECONDS",
    "MIN_CUT",
    "SIZE",
    "SPACING",
    "Decision",
    "Retention",
    "apart",
    "decide",
]

AGE = "journal_max_age"
SIZE = "journal_max_bytes"

LOW_WATER = 0.9
"""A journal that is too large is cut to this share of its limit, or it would be cut again at once."""

MIN_CUT = 2_048
"""Events that are cut for size at once, at least. A store may cut between two batches only, and this is the
longest that ours writes: a shorter cut might remove nothing, again and again."""

GRAIN = 0.01
MAX_GRAIN_SECONDS = 60.0
"""Events go when the oldest is over its age by this share of it, and not one by one."""

SPACING = 0.2
"""Of the time that is kept, the share that may lie between two snapshots of a stream with events: what a
stream has left from before the cut, up to its last snapshot there, is not older than that."""


def apart(cut_at: float, now: float) -> float:
    """Seconds between two snapshots of a stream, where what is kept begins at router time `cut_at`."""
    return SPACING * max(0.0, now - cut_at)


@frozen
class Retention:
    """What the settings say: seconds and bytes; None is no limit."""

    max_age: float | None = None
    max_bytes: int | None = None

    def __bool__(self) -> bool:
        return self.max_age is not None or self.max_bytes is not None

    def overdue(self, holdings: Holdings, now: float) -> float | None:
        """Router time up to which events are too old; None while none is by enough to be worth the work."""
        if self.max_age is None or holdings.first_at is None:
            return None
        oldest = now - self.max_age
        grain = min(self.max_age * GRAIN, MAX_GRAIN_SECONDS)
        return oldest if holdings.first_at < oldest - grain else None

    def too_large(self, holdings: Holdings) -> bool:
        return self.max_bytes is not None and holdings.bytes > self.max_bytes


@frozen
class Decision:
    """Where to cut.

    Attributes:
        cut: events up to this position go, save what is still needed; not after what was cut before: none do.
        reason: which of the limits asks for it.
        held: whether more would go if the account had counted it.
    """

    cut: int
    reason: str
    held: bool = False


def decide(rules: Retention, holdings: Holdings, aged: int = 0) -> Decision:
    """Where to cut a journal that holds this; `aged` is the position of the last event that is too old."""
    sized = _cut_for_size(rules, holdings)
    wanted, reason = max((aged, AGE), (sized, SIZE))
    floor = holdings.trimmed.position
    if wanted <= floor:
        return Decision(floor, reason)
    return Decision(max(floor, min(wanted, holdings.counted)), reason, held=wanted > holdings.counted)


def _cut_for_size(rules: Retention, holdings: Holdings) -> int:
    """Where to cut so that `LOW_WATER` of the limit is left, if all events take the same room.

    They do not, and much that is old stays; the next look goes by what came of it.
    """
    if rules.max_bytes is None or not rules.too_large(holdings):
        return 0
    share = (holdings.bytes - LOW_WATER * rules.max_bytes) / holdings.bytes
    floor = holdings.trimmed.position
    return floor + max(MIN_CUT, math.ceil(share * (holdings.last - floor)))
