"""Hears of each attempt from its deployment, and passes it on to the user's callbacks.

In the dispatcher's thread it makes a small report and leaves it; words and callbacks come later and
elsewhere. A router without callbacks pays for a look at an empty list.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from ...messages.errors import APIError, RequestError
from ...messages.joined import JoinedAnswer
from ..runtime.dispatcher import ManualDispatcher
from .hooks import is_callback, plan_for
from .lanes import Chains, InlineChains, InlineWorker, Worker
from .report import DeploymentFacts, Report
from .teller import Teller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...messages.commands import Call
    from ...messages.deployment import Deployment
    from ...messages.outcomes import CallOutcome, Usage
    from ...messages.responses import ModelResponseStream
    from ..runtime.clock import Timer
    from ..runtime.dispatcher import Dispatcher
    from .hooks import Event, Plan

__all__ = ["CLOSE_SECONDS", "MAX_WAITING", "CallObserver", "WatchedCall"]

log = logging.getLogger("turnout.callbacks")

MAX_WAITING = 10_000
"""Reports that wait for callbacks that do not keep up; beyond that new ones are dropped, and counted."""

DELAY_SECONDS = 0.01
"""How long a report waits for others, so that a thread is woken for many; on a fake clock none does."""

CLOSE_SECONDS = 10.0
"""How long `close()` waits for callbacks; then it goes on without them."""

MAX_FACTS = 10_000
"""Deployments whose facts are kept; beyond that the oldest are put together again when they are called."""

CLIENT_CLOSED = 499
"""The status, in use since nginx, of a call whose caller left."""

_OF_STREAMS = frozenset({"stream_event", "success_event"})
_GIVEN_UP = "the call was given up: its caller left, or another attempt was faster"

Wide = tuple[Any, Any, Any]


def _nothing_wide() -> Wide | None:
    return None


class CallObserver:
    """One router's, for all of its deployments.

    Args:
        dispatcher: the router's.
        callbacks: the router's own.
        wide: gives the callbacks, success callbacks and failure callbacks that are set for the whole
            process; None when there are none.
        busy: whether the Supervisor still has mail: its word on an answer comes before a callback sees it.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        callbacks: Sequence[Any] = (),
        wide: Callable[[], Wide | None] = _nothing_wide,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._dispatcher = dispatcher
        self._own = tuple(callbacks)
        self._own_plan = plan_for(self._own) if callbacks else None
        self._wide = wide
        self._busy = busy
        self._known: tuple[tuple[Any, ...], ...] = ()
        self._plan: Plan | None = None
        self._facts: dict[str, DeploymentFacts] = {}
        self._timer: Timer | None = None
        self._held: list[tuple[Plan, Report]] = []
        self._flushing = False
        self._closed = False
        self.dropped = 0
        self._teller = teller = Teller()
        self._worker: Worker | InlineWorker
        self._chains: Chains | InlineChains
        self._on_a_loop = not isinstance(dispatcher, ManualDispatcher)
        if not self._on_a_loop:
            self._worker, self._chains = InlineWorker(teller), InlineChains(teller)
        else:
            self._worker = Worker(teller, dispatcher)
            self._chains = Chains(teller, self._worker, dispatcher)

    def __repr__(self) -> str:
        return f"<CallObserver · {len(self._own)} callbacks · {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """Reports that no callback has been told yet."""
        return len(self._held) + self._worker.waiting + self._chains.waiting

    def health(self) -> dict[str, int]:
        """For `router.health()`: callbacks that raised, reports that were dropped, and that wait."""
        return {"failed": self._teller.failed, "dropped": self.dropped, "waiting": self.waiting}

    # -- an attempt

    def begin(self, call: Call, deployment: Deployment, now: float) -> WatchedCall | None:
        """An attempt starts; None when nobody wants to hear of it."""
        wide = self._wide()
        plan = self._own_plan if wide is None else self._plan_with(wide)
        if plan is None or self._closed:
            return None
        return WatchedCall(self, plan, call, self._facts_of(deployment), now)

    def _facts_of(self, deployment: Deployment) -> DeploymentFacts:
        known = self._facts.get(deployment.id)
        if known is not None and known.deployment is deployment:
            return known
        if len(self._facts) >= MAX_FACTS:
            del self._facts[next(iter(self._facts))]
        facts = self._facts[deployment.id] = DeploymentFacts(deployment)
        return facts

    @property
    def listens(self) -> bool:
        """Whether there is any callback now."""
        return self._own_plan is not None or self._wide() is not None

    def answered_from_cache(
        self, call: Call, deployment: Deployment | None, answer: Callable[[], Any], now: float
    ) -> None:
        """A cache answered in a deployment's place: a success that took no time and cost nothing.

        Args:
            call: the call that was not made.
            deployment: who gave the answer once, if it is still there.
            answer: gives it; called only when a callback wants to see it.
            now: router time.
        """
        wide = self._wide()
        plan = self._own_plan if wide is None else self._plan_with(wide)
        if plan is None or "success_event" not in (plan.blocking if call.blocking else plan.awaited):
            return
        facts = None if deployment is None else self._facts_of(deployment)
        report = Report(
            "success_event", call, facts, now, now, None, None, 0.0, cache_hit=True, joined=answer
        )
        self.take(plan, report)

    def _plan_with(self, wide: Wide) -> Plan:
        """The plan for our callbacks and the process's, made again when those have changed."""
        known = tuple(map(tuple, wide))
        if self._plan is None or not _same(known, self._known):
            self._known = known
            callbacks, success, failure = (self._usable(members) for members in known)
            self._plan = plan_for((*self._own, *callbacks), success, failure)
        return self._plan

    def _usable(self, callbacks: tuple[Any, ...]) -> list[Any]:
        usable = [callback for callback in callbacks if is_callback(callback)]
        for callback in callbacks:
            if not is_callback(callback):
                log.error("turnout.callbacks holds a %s, which is no callback", type(callback).__name__)
        return usable

    # -- from here to the lanes

    def take(self, plan: Plan, report: Report) -> None:
        """Leave a report for later."""
        if self._closed or self.waiting >= MAX_WAITING:
            self._drop(1)
            return
        self._held.append((plan, report))
        if not self._flushing:
            self._flushing = True
            if self._on_a_loop:
                self._timer = self._dispatcher.clock.call_later(DELAY_SECONDS, self._flush_after_the_turn)
            else:
                self._dispatcher.call_soon(self._flush_after_the_turn)

    def _drop(self, count: int) -> None:
        before, self.dropped = self.dropped, self.dropped + count
        if before.bit_length() != self.dropped.bit_length():  # at 1, 2, 4, 8, ...
            log.error("callbacks do not keep up: %d reports dropped so far", self.dropped)

    def _flush_after_the_turn(self) -> None:
        if self._busy():
            self._dispatcher.call_soon(self._flush_after_the_turn)
            return
        self._flushing = False
        self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        for plan, report in held:
            key = (report.event, report.call.blocking)
            direct = plan.direct.get(key)
            if direct is not None:
                self._worker.put(direct, report)
            chained = plan.chained.get(key)
            if chained is not None:
                self._chains.put(chained, report)

    # -- the end

    async def aclose(self) -> None:
        """Tell what is left to tell, for `CLOSE_SECONDS` at most. On the router's loop."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        worker, chains = self._worker, self._chains
        assert isinstance(worker, Worker)
        assert isinstance(chains, Chains)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await chains.finished()
                await worker.stop()
        except TimeoutError:
            self._give_up()
        else:
            worker.join(1.0)  # it has said that it is at its end

    def close(self) -> None:
        """The same without a loop: on a fake clock, or when the loop is gone and took what awaits with it."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        worker = self._worker
        if isinstance(worker, Worker):
            worker.stop()
            worker.join(CLOSE_SECONDS)
        self._give_up()

    def _give_up(self) -> None:
        lost = self._chains.give_up() + self._worker.give_up()
        if lost:
            self._drop(lost)
            log.error("%d reports were not told: callbacks took more than %g s", lost, CLOSE_SECONDS)


class WatchedCall:
    """One attempt that somebody wants to hear of. In the dispatcher's thread."""

    __slots__ = ("_answered", "_call", "_facts", "_joined", "_observer", "_plan", "_started_at", "_wanted")

    def __init__(
        self, observer: CallObserver, plan: Plan, call: Call, facts: DeploymentFacts, now: float
    ) -> None:
        self._observer = observer
        self._plan = plan
        self._call = call
        self._facts = facts
        self._started_at = now
        self._answered = False
        self._joined: JoinedAnswer | None = None
        self._wanted = wanted = plan.blocking if call.blocking else plan.awaited
        if "pre_api_call" in wanted:
            self._tell("pre_api_call", now)
        if call.channel is not None and not wanted.isdisjoint(_OF_STREAMS):
            self._joined = JoinedAnswer()
            call.channel.tap = self._chunk

    def _tell(
        self,
        event: Event,
        now: float,
        subject: Any = None,
        error: RequestError | None = None,
        cost: float | None = None,
        joined: Callable[[], Any] | None = None,
    ) -> None:
        report = Report(
            event, self._call, self._facts, self._started_at, now, subject, error, cost, joined=joined
        )
        self._observer.take(self._plan, report)

    def _answer(self, now: float, subject: Any = None) -> None:
        if not self._answered:
            self._answered = True
            if "post_api_call" in self._wanted:
                self._tell("post_api_call", now, subject)

    def _chunk(self, chunk: ModelResponseStream, now: float) -> None:
        self._answer(now)
        assert self._joined is not None
        self._joined.add(chunk)
        if "stream_event" in self._wanted:
            self._tell("stream_event", now, chunk)

    def ended(self, outcome: CallOutcome, usage: Usage, cost: float | None, now: float) -> None:
        """It is over."""
        response = outcome.response
        self._answer(now, response)
        if self._call.channel is not None:
            self._call.channel.tap = None
        if outcome.status != "succeeded":
            error = outcome.error or RequestError(_GIVEN_UP, status_code=CLIENT_CLOSED)
            self._failed(error, cost, now)
        elif "success_event" in self._wanted:
            joined = self._joined
            made = None if joined is None else partial(joined.response, usage, self._call.call_id)
            self._tell("success_event", now, response, cost=cost, joined=made)

    def lost(self, now: float) -> None:
        """Its deployment's actor crashed."""
        self._answer(now)
        self._failed(APIError("the deployment's actor crashed"), None, now)

    def _failed(self, error: RequestError, cost: float | None, now: float) -> None:
        if "failure_event" in self._wanted:
            self._tell("failure_event", now, error=error, cost=cost)


def _same(one: tuple[tuple[Any, ...], ...], other: tuple[tuple[Any, ...], ...]) -> bool:
    """Whether they hold the very same things; what those are equal to is their own business."""
    return len(one) == len(other) and all(
        len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
        for a, b in zip(one, other, strict=True)
    )
