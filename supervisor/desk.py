"""The books of the open requests: recording what happens to them, and ending them in good order.

What is to be done next is the Supervisor's business; here is what is the same whatever it decides.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..actors.budget.treasury import TREASURY
from ..actors.runtime.actor import LoopActor
from ..messages.commands import Cancel, CancelCall, DeadlineReached, PassOn, Withdraw
from ..messages.errors import MidStreamError, RequestError, Timeout, TurnoutError
from ..messages.events import AttemptFailed, RequestCancelled, RequestFailed
from ..messages.outcomes import Usage
from .deadlines import DeadlineQueue
from .planning.hedging import Hedging

if TYPE_CHECKING:
    from ..messages.events import Event
    from .open_request import OpenRequest
    from .ports import Estate, SupervisorPorts

__all__ = ["RequestDesk"]


class RequestDesk(LoopActor):
    """Owns every open request, and sees that each gets exactly one final reply."""

    def __init__(self, ports: SupervisorPorts, estate: Estate) -> None:
        super().__init__(ports.dispatcher)
        self._journal = ports.journal
        self._switchboard = ports.switchboard
        self._observer = ports.observer
        self._open = estate.open
        self._budget = estate.budget
        self._hedging = estate.hedging or Hedging(ports.rules.hedges)
        self._errands = estate.errands
        self._closed = False
        self._deadlines = DeadlineQueue(self.clock, self._open, self._out_of_time)
        for request_id, entry in self._open.items():  # inherited: the old timers rang a dead actor
            if entry.timer is None:
                self._deadlines.add(entry.state.deadline, request_id)

    def _record(self, entry: OpenRequest, event: Event, now: float) -> None:
        state = entry.state
        state.apply(event, now)
        entry.version = version = entry.version + 1
        self._journal.append(entry.stream_name, version, now, event)

    def _deliver(self, message: Any) -> None:
        """A timer's message to myself."""
        self.inbox.deliver(message)

    def _note_failure(
        self,
        entry: OpenRequest,
        error: RequestError,
        deployment_id: str | None,
        seconds: float,
        now: float,
        call_id: str | None = None,
    ) -> None:
        state = entry.state
        event = AttemptFailed(
            state.request_id,
            call_id or entry.call_id,
            state.group,
            deployment_id,
            type(error).__name__,
            error.status_code,
            seconds,
            error.retry_after,
        )
        self._record(entry, event, now)

    # -- time runs out

    def _watch(self, entry: OpenRequest, seconds: float) -> None:
        """End the request when it is `seconds` old."""
        request_id = entry.state.request_id
        if entry.request.timeout is None:
            self._deadlines.add(entry.state.deadline, request_id)
        else:
            entry.timer = self.clock.call_later(seconds, partial(self._out_of_time, request_id))

    def _out_of_time(self, request_id: str) -> None:
        self._deliver(DeadlineReached(request_id))

    # -- the caller leaves

    def _caller_left(self, request_id: str) -> None:
        """From the stream, in any thread: its reader has gone."""
        self._caller_forgot(request_id)
        self.dispatcher.run_now()

    def _caller_forgot(self, request_id: str) -> None:
        """From the garbage collector, at any moment: only leave word."""
        self._switchboard.supervisor.actor_inbox.leave_word(Cancel(request_id))

    # -- a request ends badly

    def _fail(self, entry: OpenRequest, error: TurnoutError, now: float) -> None:
        """The one final reply is an error; it carries every attempt."""
        state = entry.state
        error.attempts, error.request_id = state.attempts, state.request_id
        self._note_end(entry, error, now)
        self._forget(entry)
        if entry.stream is None:
            entry.reply.fail(error)
        elif entry.channel is not None:
            entry.channel.close(error)

    def _note_end(self, entry: OpenRequest, error: TurnoutError, now: float) -> None:
        state = entry.state
        event = RequestFailed(
            state.request_id,
            type(error).__name__,
            getattr(error, "status_code", 500),
            len(state.attempts),
            state.retries,
            state.fallbacks,
            state.waited,
            now - state.accepted_at,
            *entry.left_out,
        )
        self._record(entry, event, now)

    def _break_stream(self, entry: OpenRequest, error: RequestError, usage: Usage | None, now: float) -> None:
        assert entry.channel is not None
        seen = usage or Usage(entry.demand.input_tokens, entry.channel.count, estimated=True)
        broken = MidStreamError(
            f"the stream broke off: {error.message}",
            error.llm_provider,
            error.model,
            deployment_id=error.deployment_id,
            usage=seen,
            cause=error,
        )
        state = entry.state
        self._note_failure(entry, error, state.deployment_id, now - state.called_at, now)
        self._fail(entry, broken, now)

    def _deadline_reached(self, message: DeadlineReached) -> None:
        entry = self._open.get(message.request_id)
        if entry is None:
            return
        now = self.clock.now()
        state = entry.state
        seconds = state.deadline - state.accepted_at
        error = Timeout(f"no answer within {seconds:g} s", model=entry.request.model)
        error.__cause__ = entry.error or entry.first_error
        calling = state.phase == "calling"
        self._withdraw(entry, "deadline")
        if calling:
            error.deployment_id = state.deployment_id
            if entry.stream is not None:
                self._break_stream(entry, error, None, now)
                return
            self._note_failure(entry, error, state.deployment_id, now - state.called_at, now)
        self._fail(entry, error, now)

    def _cancel(self, message: Cancel) -> None:
        entry = self._open.get(message.request_id)
        if entry is None:
            return
        now = self.clock.now()
        self._withdraw(entry, message.reason)
        state = entry.state
        attempts = len(state.attempts) + (state.phase == "calling") + (state.hedge is not None)
        self._record(entry, RequestCancelled(state.request_id, attempts, now - state.accepted_at), now)
        self._forget(entry)
        if entry.stream is None:
            error = RequestError("the request was cancelled", model=entry.request.model)
            error.request_id = state.request_id
            entry.reply.fail(error)

    def _withdraw(self, entry: OpenRequest, reason: str) -> None:
        """Stop what is under way for this request, wherever it is."""
        state = entry.state
        if state.phase == "calling" and state.deployment_id is not None:
            self._cancel_call(state.deployment_id, entry.call_id, reason)
            if state.hedge is not None:
                self._cancel_call(state.hedge.deployment_id, state.hedge.call_id, reason)
        elif entry.pause is None and entry.target is not None:
            self._withdraw_from(state.group, entry.call_id)

    def _withdraw_from(self, name: str, call_id: str) -> None:
        group = self._switchboard.groups.get(name)
        if group is not None:
            self.send(group, Withdraw(call_id))

    def _cancel_call(self, deployment_id: str, call_id: str, reason: str) -> None:
        cancel = CancelCall(call_id, reason)
        treasury = self._switchboard.services.get(TREASURY)  # where the call may still be on its way
        if treasury is not None and self.send(treasury, PassOn(deployment_id, cancel)):
            return
        deployment = self._switchboard.deployments.get(deployment_id)
        if deployment is not None:
            self.send(deployment, cancel)

    def _forget(self, entry: OpenRequest) -> None:
        if entry.timer is not None or entry.pause is not None or entry.hedge is not None or entry.cache:
            self._let_go(entry)
        del self._open[entry.state.request_id]

    def _let_go(self, entry: OpenRequest) -> None:
        """Of what there is beside the request itself; most have nothing."""
        entry.release()
