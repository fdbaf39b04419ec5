"""Holds attempts to their times, and looks for calls that nobody wants (any more)."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define

from .tolerances import ROUNDING, STALE
from .violation import Violation

if TYPE_CHECKING:
    from ....messages.events import CallFailed, CallStarted
    from ..callers import Callers
    from ..upstream import SimulatedUpstream
    from .deployment_book import DeploymentBook
    from .rulebook import Rulebook

__all__ = ["Attempts"]

ABORTED_WITHIN = 1.0
"""Seconds in which a call that nobody wants any more must be given up upstream."""

REMEMBERED_SECONDS = 60.0


@define(eq=False)
class _Attempt:
    """A call under way, and what it may take. `patience`: how long it may be silent, of a stream."""

    deployment_id: str
    request_id: str
    at: float
    timeout: float | None
    patience: float | None
    channel: Any
    opened: bool = False

    def due(self, now: float) -> float | None:
        """When it is overdue, if nothing more is heard of it."""
        dues = [] if self.timeout is None else [self.at + self.timeout]
        if self.patience is not None:
            since = self.at
            if self.opened:
                since = now if self.channel.full else self.channel.last_put_at
            dues.append(since + self.patience)
        return min(dues, default=None)


class Attempts:
    """The calls under way, by id, and those who should be over by now."""

    def __init__(self, rules: Rulebook, callers: Callers, upstream: SimulatedUpstream) -> None:
        self.rules = rules
        self.callers = callers
        self.upstream = upstream
        self._open: dict[str, _Attempt] = {}
        self._due: list[tuple[float, str]] = []
        self._unwanted: deque[tuple[float, str, str]] = deque()
        self._over: dict[str, float] = {}  # requests that had their reply, the earliest first

    def __repr__(self) -> str:
        return f"<Attempts {len(self._open)} open>"

    # -- what happens to a call

    def started(self, event: CallStarted, name: str, at: float, book: DeploymentBook) -> None:
        """A call began.

        Raises:
            Violation: its request was over.
        """
        over_at = self._over.get(event.request_id)
        if over_at is not None and over_at < at - STALE and not book.doubtful(at):
            what = f"call {event.call_id} began on {name} for a request that was over at {over_at}"
            raise Violation("stray", what, at)
        fields = self.callers.fields.get(event.request_id)
        rules = self.rules.deployments[name]
        if fields is None:
            return
        patience = None
        if event.stream:
            patience = fields.get("stream_timeout") or rules.stream_timeout
            patience = patience or self.rules.settings.get("stream_timeout")
        channel = self.upstream.channels.get(event.call_id)
        attempt = _Attempt(name, event.request_id, at, rules.timeout, patience, channel)
        self._open[event.call_id] = attempt
        self._watch(event.call_id, attempt, at)

    def opened(self, call_id: str, at: float) -> None:
        """Its first chunk came."""
        attempt = self._open.get(call_id)
        if attempt is not None:
            attempt.opened = attempt.channel is not None
            if attempt.channel is None:
                attempt.patience = None
            self._watch(call_id, attempt, at)

    def ended(self, call_id: str) -> _Attempt | None:
        """It is over, in whatever way."""
        self.upstream.channels.pop(call_id, None)
        return self._open.pop(call_id, None)

    def failed(self, event: CallFailed, deadline: float | None, at: float) -> None:
        """It failed.

        Raises:
            Violation: for want of time, and there was some left.
        """
        attempt = self.ended(event.call_id)
        if attempt is None or event.error != "Timeout" or deadline is None or at >= deadline - ROUNDING:
            return
        due = attempt.due(at)
        if due is None or at < due - ROUNDING:
            what = f"call {event.call_id} timed out after {at - attempt.at:.6f} s, and has until {due}"
            raise Violation("times", what, at)

    def _watch(self, call_id: str, attempt: _Attempt, now: float) -> None:
        due = attempt.due(now)
        if due is not None:
            heapq.heappush(self._due, (due, call_id))

    # -- what nobody wants

    def unwanted(self, call_id: str, name: str, at: float) -> None:
        """Nobody waits for this call from now on."""
        self._unwanted.append((at, name, call_id))

    def over(self, request_id: str, at: float) -> None:
        """A request had its reply."""
        over = self._over
        over[request_id] = at
        while (oldest := next(iter(over))) and over[oldest] < at - REMEMBERED_SECONDS:
            del over[oldest]

    # -- between two steps

    def look(self, books: dict[str, DeploymentBook], now: float) -> None:
        """Nothing is overdue.

        Raises:
            Violation: something is.
        """
        while self._due and self._due[0][0] < now - STALE:
            _, call_id = heapq.heappop(self._due)
            attempt = self._open.get(call_id)
            if attempt is None or books[attempt.deployment_id].doubtful(now):
                continue
            due = attempt.due(now)
            if due is not None and due < now - STALE:
                what = f"call {call_id} on {attempt.deployment_id} was to be over at {due}"
                raise Violation("times", what, now)
            self._watch(call_id, attempt, now)
        while self._unwanted and self._unwanted[0][0] < now - ABORTED_WITHIN:
            since, name, call_id = self._unwanted.popleft()
            book = books[name]
            if call_id in book.open and not book.doubtful(now):
                raise Violation("stray", f"call {call_id} on {name} goes on, unwanted since {since}", now)
