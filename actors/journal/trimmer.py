"""When a journal is trimmed, and what is said of it: a little at a time, by the thread that writes it."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from .retention import decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ports import ForgetfulStore, Holdings
    from .retention import Decision, Retention

__all__ = ["EVERY_SECONDS", "SOON_SECONDS", "Trimmer"]

log = logging.getLogger("turnout.journal")

EVERY_SECONDS = 10.0
"""Router time between two looks at age and size."""

SOON_SECONDS = 1.0
"""And when snapshots were asked for, without which nothing more can go."""

LITTLE_LEFT = 1_000
"""Events that are not worth a cut: a journal with no more, and still too large, cannot be made smaller."""


class Trimmer:
    """Keeps a store within its limits. Not for several threads.

    Args:
        now: router time.

    Attributes:
        on_trim: called with the streams that keep events since no snapshot came after them; it may have
            snapshots saved, of those and of the account, later and in whatever thread.
    """

    def __init__(self, store: ForgetfulStore, rules: Retention, now: Callable[[], float]) -> None:
        self.on_trim: Callable[[frozenset[str]], object] | None = None
        self._store = store
        self._rules = rules
        self._now = now
        self._due = -math.inf
        self._asked = -math.inf
        self._under_way: Decision | None = None
        self._said = False
        self._failing = False

    def __repr__(self) -> str:
        return f"<Trimmer · {self._under_way or 'nothing under way'}>"

    def seconds(self) -> float:
        """Until the next turn has something to do; 0 when it has now."""
        return 0.0 if self._under_way is not None else max(0.0, self._due - self._now())

    def turn(self) -> bool:
        """Do a bounded piece of work; whether there is more to do at once. Never raises."""
        now = self._now()
        if self._under_way is None and now < self._due:
            return False
        try:
            more = self._look(now) if self._under_way is None else self._go_on(self._under_way, now)
        except Exception as error:  # noqa: BLE001  (a store of the user's may raise anything)
            self._failed(error, now)
            return False
        self._failing = False
        return more

    def _look(self, now: float) -> bool:
        self._due = now + EVERY_SECONDS
        holdings = self._store.holdings()
        overdue = self._rules.overdue(holdings, now)
        aged = 0 if overdue is None else self._store.last_before(overdue)
        decision = decide(self._rules, holdings, aged)
        self._say_if_tight(holdings, decision)
        if holdings.unfinished or decision.cut > holdings.trimmed.position:
            self._under_way = decision
            return True
        if decision.held:
            self._ask(frozenset(), now)
        return False

    def _go_on(self, decision: Decision, now: float) -> bool:
        step = self._store.trim(decision.cut, decision.reason, now)
        if step.more:
            return True
        self._under_way = None
        if step.uncovered or decision.held:
            self._ask(step.uncovered, now)
        return False

    def _ask(self, streams: frozenset[str], now: float) -> None:
        """Have snapshots saved, behind which more can go; not again and again when none come."""
        if self.on_trim is None or now < self._asked + EVERY_SECONDS:
            return
        self._asked = now
        self._due = min(self._due, now + SOON_SECONDS)
        self.on_trim(streams)

    def _say_if_tight(self, holdings: Holdings, decision: Decision) -> None:
        """Say once that the limit cannot be kept."""
        if not self._rules.too_large(holdings):
            self._said = False
            return
        asked_in_vain = (
            decision.held and decision.cut <= holdings.trimmed.position and self._asked > -math.inf
        )
        left = holdings.last - holdings.trimmed.position
        if not self._said and (asked_in_vain or left < LITTLE_LEFT):
            self._said = True
            log.warning(
                "the journal holds %s bytes, more than journal_max_bytes (%s): all of it is still needed",
                f"{holdings.bytes:,}",
                f"{self._rules.max_bytes:,}",
            )

    def _failed(self, error: Exception, now: float) -> None:
        self._under_way = None
        self._due = now + EVERY_SECONDS
        if not self._failing:
            self._failing = True
            log.warning("the journal is not trimmed now: %s", error)
