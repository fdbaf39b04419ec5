"""An auditor's own sums for one deployment, and a look at a state that does not take its word for it."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from ....messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallStarted,
    CallSucceeded,
    ClockSetBack,
    HealthChecked,
)
from .violation import Violation

if TYPE_CHECKING:
    from ....actors.deployment.state import DeploymentState
    from ....messages.events import Event
    from .deployment_book import DeploymentBook

__all__ = ["Account", "facts_of"]

SAMPLES = 10
EXPECTED_OUTPUT = 256.0
STEADY_AFTER = 50
MINUTE = 60.0

_ENDS = {CallSucceeded: "succeeded", CallFailed: "failed", CallCancelled: "cancelled"}
_NO_FACTS = frozenset({"__weakref__", "id", "limits", "correction", "bucket", "entry"})
"""A correction that is over may be forgotten, and what a receipt is for shows in the sums."""


def facts_of(thing: Any) -> Any:
    """What a state holds, field by field: a `snapshot()` that leaves one out is no witness for itself."""
    if isinstance(thing, (str, int, float, type(None))):
        return thing
    if isinstance(thing, dict):
        return {key: told for key, value in thing.items() if (told := facts_of(value)) not in ([], {})}
    if isinstance(thing, (list, tuple, deque)):
        return [facts_of(item) for item in thing]
    slots = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}
    return {name: facts_of(getattr(thing, name)) for name in sorted(slots - _NO_FACTS)}


class Account:
    """What a deployment's calls came to, and what its last ones taught.

    Attributes:
        samples: (ended at, seconds a token; of a stream to its first) of the latest that went well, and of
            those that timed out their whole length.
        mean_output: tokens of an answer, as its calls have taught.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("started", "succeeded", "failed", "cancelled", "abandoned"), 0)
        self.prompt_tokens = self.completion_tokens = 0
        self.cost = 0.0
        self.samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self.mean_output = EXPECTED_OUTPUT

    def __repr__(self) -> str:
        return f"<Account {self.counts} · {self.cost:.6f} $>"

    def adopt(self, state: DeploymentState) -> None:
        """Take a recovered state at its word."""
        totals, latency = state.totals, state.latency
        self.counts = {name: getattr(totals, name) for name in self.counts}
        self.prompt_tokens, self.completion_tokens = totals.prompt_tokens, totals.completion_tokens
        self.cost, self.mean_output = totals.cost, latency.mean_output
        self.samples = deque(latency.samples, maxlen=SAMPLES)

    def apply(self, event: Event, at: float) -> None:
        """Add up what happened."""
        kind = type(event)
        if kind is CallStarted:
            self.counts["started"] += 1
        elif kind is CallAbandoned:
            self.counts["abandoned"] += 1
        elif isinstance(event, (CallSucceeded, CallFailed, CallCancelled)):
            self.counts[_ENDS[kind]] += 1
            self._pay(event, event.charged if event.cost is None else event.cost)
            self._learn(event, at)
        elif isinstance(event, HealthChecked):
            self._pay(event, event.cost)
        elif isinstance(event, ClockSetBack):
            self.samples = deque(((then - event.seconds, v) for then, v in self.samples), maxlen=SAMPLES)

    def _pay(
        self, event: CallSucceeded | CallFailed | CallCancelled | HealthChecked, cost: float | None
    ) -> None:
        self.prompt_tokens += event.prompt_tokens
        self.completion_tokens += event.completion_tokens
        self.cost += cost or 0.0

    def _learn(self, event: CallSucceeded | CallFailed | CallCancelled, at: float) -> None:
        if isinstance(event, CallSucceeded):
            tokens = event.completion_tokens
            self.samples.append((at, event.seconds / max(1, tokens) if event.ttft is None else event.ttft))
            weight = 1.0 / min(self.counts["succeeded"], STEADY_AFTER)
            self.mean_output = self.mean_output * (1.0 - weight) + tokens * weight
        elif isinstance(event, CallFailed) and event.error == "Timeout":
            self.samples.append((at, event.seconds))

    def latency(self, now: float, ttl: float) -> float | None:
        """The mean of the samples that are not too old; None when there is none."""
        values = [value for at, value in self.samples if at + ttl > now]
        return sum(values) / len(values) if values else None

    # -- held against the deployment itself

    def compare(self, state: DeploymentState, name: str, now: float) -> None:
        """The sums that the deployment keeps are these.

        Raises:
            Violation: they are not.
        """
        totals = state.totals
        told = {each: getattr(totals, each) for each in self.counts}
        used = (totals.prompt_tokens, totals.completion_tokens)
        if (
            told != self.counts
            or used != (self.prompt_tokens, self.completion_tokens)
            or not math.isclose(totals.cost, self.cost, rel_tol=1e-9, abs_tol=1e-12)
        ):
            raise Violation("books", f"{name} adds up to {totals!r}, its events to {self!r}", now)

    def compare_closely(self, state: DeploymentState, book: DeploymentBook, now: float) -> None:
        """So are what it has learned, and what is in its window.

        Raises:
            Violation: they are not.
        """
        name, latency = book.rules.id, state.latency
        if not math.isclose(latency.mean_output, self.mean_output, rel_tol=1e-9):
            what = f"{name} expects {latency.mean_output} tokens of an answer, and had {self.mean_output}"
            raise Violation("books", what, now)
        near = zip(self.samples, latency.samples, strict=False)
        if len(self.samples) != len(latency.samples) or any(not _close(one, other) for one, other in near):
            raise Violation("books", f"{name} took {latency.samples}, its events say {self.samples}", now)
        lines = [tokens for at, tokens in book.lines if at > now - MINUTE]
        rows = [row for row in state.window.snapshot() if row[1] > now - MINUTE]
        said = (sum(row[2] for row in rows), sum(row[3] for row in rows))
        exact = all(
            first == last for first, last, *_ in rows
        )  # those that share a moment leave with its latest
        if exact and said != (len(lines), sum(lines)):
            what = f"{name} has {said} starts and tokens in its window, not {(len(lines), sum(lines))}"
            raise Violation("books", what, now)


def _close(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6) for a, b in zip(one, other, strict=True))
