"""What the router's events add up to: a projection, fed with nothing but `router.events()`."""

from __future__ import annotations

from collections import deque
from functools import singledispatchmethod
from typing import TYPE_CHECKING

from attrs import define, field

from ...messages.events import (
    BudgetExhausted,
    CacheHit,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallStarted,
    CallSucceeded,
    CooldownEnded,
    CooldownStarted,
    DeploymentAdded,
    Event,
    FellBack,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    WaitStarted,
)

if TYPE_CHECKING:
    from ...supervisor.face.router import Router

__all__ = ["Board", "Row"]

RECENT = 20
"""The mean latency is taken over so many calls."""


@define
class Row:
    """One deployment; `cooling_until` is router time, `spent` whether its budget is used up."""

    id: str
    group: str
    open: int = 0
    served: int = 0
    failed: int = 0
    cooldowns: int = 0
    cooling_until: float | None = None
    spent: bool = False
    tokens: int = 0
    cost: float = 0.0
    recent: deque[float] = field(factory=lambda: deque(maxlen=RECENT))

    def use(self, event: CallSucceeded | CallFailed | CallCancelled) -> None:
        """Add up what a call used, at what it cost, or is charged where its provider did not say."""
        self.tokens += event.prompt_tokens + event.completion_tokens
        self.cost += (event.charged if event.cost is None else event.cost) or 0.0

    @property
    def latency(self) -> float | None:
        """Mean seconds of the last calls that were served."""
        return sum(self.recent) / len(self.recent) if self.recent else None

    def state(self, now: float) -> str:
        """In a word or two."""
        if self.spent:
            return "budget spent"
        if self.cooling_until is None:
            return "ready"
        left = self.cooling_until - now
        return f"cooling {left:.1f}s" if left > 0 else "half-open"


@define
class Board:
    """Everything the demo shows. `now` is the router time of the newest event."""

    rows: dict[str, Row] = field(factory=dict)
    now: float = 0.0
    accepted: int = 0
    answered: int = 0
    errors: int = 0
    cancelled: int = 0
    retries: int = 0
    fallbacks: int = 0
    cache_hits: int = 0
    waits: int = 0
    waited: float = 0.0
    story: str | None = None
    _story_length: int = 0
    _position: int = 0

    @property
    def done(self) -> int:
        return self.answered + self.errors + self.cancelled

    @property
    def tokens(self) -> int:
        return sum(row.tokens for row in self.rows.values())

    @property
    def cost(self) -> float:
        return sum(row.cost for row in self.rows.values())

    def catch_up(self, router: Router) -> None:
        """Take in what happened since the last time."""
        for recorded in router.events(after=self._position):
            self._position = recorded.position
            self.now = recorded.at
            self._apply(recorded.event, recorded.stream.partition("/")[2])

    @singledispatchmethod
    def _apply(self, event: Event, name: str) -> None:
        """An event that the board does not show; `name` is the deployment or the request."""

    @_apply.register
    def _(self, event: DeploymentAdded, _name: str) -> None:
        self.rows[event.deployment_id] = Row(event.deployment_id, event.group)

    @_apply.register
    def _(self, _event: CallStarted, name: str) -> None:
        self.rows[name].open += 1

    @_apply.register
    def _(self, event: CallSucceeded, name: str) -> None:
        row = self.rows[name]
        row.open -= 1
        row.served += 1
        row.recent.append(event.seconds)
        row.use(event)

    @_apply.register
    def _(self, event: CallFailed | CallCancelled, name: str) -> None:
        row = self.rows[name]
        row.open -= 1
        row.failed += 1
        row.use(event)

    @_apply.register
    def _(self, _event: CallAbandoned, name: str) -> None:
        self.rows[name].open -= 1

    @_apply.register
    def _(self, event: CooldownStarted, name: str) -> None:
        self.rows[name].cooldowns += 1
        self.rows[name].cooling_until = event.until

    @_apply.register
    def _(self, _event: CooldownEnded, name: str) -> None:
        self.rows[name].cooling_until = None

    @_apply.register
    def _(self, _event: BudgetExhausted, name: str) -> None:
        if name in self.rows:
            self.rows[name].spent = True

    @_apply.register
    def _(self, _event: CacheHit, _name: str) -> None:
        self.cache_hits += 1

    @_apply.register
    def _(self, _event: RequestAccepted, _name: str) -> None:
        self.accepted += 1

    @_apply.register
    def _(self, _event: FellBack, _name: str) -> None:
        self.fallbacks += 1

    @_apply.register
    def _(self, _event: WaitStarted, _name: str) -> None:
        self.waits += 1

    @_apply.register
    def _(self, event: RequestSucceeded, name: str) -> None:
        self.answered += 1
        self.retries += event.retries
        self.waited += event.waited
        if event.fallbacks and event.attempts > self._story_length:
            self.story, self._story_length = name, event.attempts

    @_apply.register
    def _(self, event: RequestFailed, _name: str) -> None:
        self.errors += 1
        self.retries += event.retries
        self.waited += event.waited

    @_apply.register
    def _(self, _event: RequestCancelled, _name: str) -> None:
        self.cancelled += 1
