"""An auditor's own account of the checks in the background: who was asked, and who should have been."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ....messages.events import CallFailed, CallSucceeded, CheckStarted, HealthChecked
from .violation import Violation

if TYPE_CHECKING:
    from ....messages.events import Event
    from ..marks import Marks
    from .deployment_book import DeploymentBook
    from .rulebook import Rulebook

__all__ = ["AFTER_A_CRASH", "ROUND_SECONDS", "RoundsBook"]

ROUND_SECONDS = 62.0
"""What a round takes at most: two turns of checks that hang until their time is over."""

AFTER_A_CRASH = 130.0
"""Seconds in which a checker gives up waiting for an actor that has died."""

_EVERY = 1.0


class RoundsBook:
    """When each deployment was last checked, or showed by itself that it is well.

    Attributes:
        interval: seconds between rounds; None: there are none.
        asked_for: whether somebody may have asked for a check as well.
    """

    def __init__(
        self, rules: Rulebook, books: dict[str, DeploymentBook], marks: Marks, *, asked_for: bool
    ) -> None:
        self.rules = rules
        self.books = books
        self.marks = marks
        self.interval: float | None = rules.settings.get("health_check_interval")
        self.asked_for = asked_for
        self._known: dict[str, float] = {}
        self._well: dict[str, float] = {}
        self._ill: dict[str, float] = {}
        self._quiet_until = -math.inf
        self._next_look = -math.inf
        self._begun: float | None = None

    def __repr__(self) -> str:
        return f"<RoundsBook every {self.interval} s · {len(self._known)} heard of>"

    def excuse(self, until: float) -> None:
        """Nothing can be said of what was to be done before this moment."""
        self._quiet_until = max(self._quiet_until, until)

    def came_back(self, name: str) -> None:
        """A deployment's actor was restarted: of what the journal lost it knows nothing."""
        self._well.pop(name, None)

    def heard(self, name: str, event: Event, at: float) -> None:
        """Something was recorded of a deployment.

        Raises:
            Violation: it was checked, and known to be well.
        """
        if self.interval is None:
            return
        if isinstance(event, CheckStarted):
            self._is_due(name, at)
        elif isinstance(event, CallSucceeded):
            self._well[name] = at
        elif isinstance(event, CallFailed) and event.counted:
            self._ill[name] = at
        if isinstance(event, (CheckStarted, HealthChecked, CallSucceeded)):
            self._known[name] = at

    def _is_due(self, name: str, at: float) -> None:
        """One that answers calls need not be asked how it is."""
        if self.asked_for or self.interval is None:
            return
        self.marks.sometimes("checked in the background")
        well, ill = (kept.get(name, -math.inf) for kept in (self._well, self._ill))
        if not self.rules.deployments[name].is_checked:
            raise Violation("health", f"{name} was checked, and is not to be", at)
        if well >= at - self.interval and well > ill and not self.books[name].sick:
            raise Violation("health", f"{name} was checked, and a call of it went well at {well}", at)

    def look(self, checker: Any, now: float) -> None:
        """Nobody is forgotten; unless there are limits, by which one may be too busy for a check.

        Raises:
            Violation: somebody is.
        """
        if self.interval is None or now < self._next_look:
            return
        self._next_look = now + _EVERY
        if self._begun is None:
            self._begun = now
        if checker is None:
            self.excuse(now + AFTER_A_CRASH)
        for name, rules in self.rules.deployments.items():
            if rules.rpm is not None or rules.tpm is not None or not rules.is_checked:
                continue
            since = max(self._known.get(name, self._begun), self._quiet_until)
            if now > since + 2.0 * self.interval + ROUND_SECONDS and self.books[name].crashed_at < now:
                raise Violation("health", f"{name} was not checked since {since}", now)
