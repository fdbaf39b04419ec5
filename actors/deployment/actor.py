"""The Deployment actor: admits calls, starts them, and records how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from msgspec import Struct

from ...messages.commands import (
    AccountFor,
    ActorCrashed,
    AddMember,
    Announce,
    AttemptTimedOut,
    BudgetShort,
    CallEnded,
    CallRefused,
    CancelCall,
    Inspect,
    ProviderFinished,
    ProviderOpened,
    RemoveMember,
    SaveSnapshot,
    SettleBudget,
    StartCall,
    StatusChanged,
    StreamOpened,
    Unassigned,
)
from ...messages.errors import APIConnectionError, RequestError, Timeout
from ...messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallSucceeded,
    ClockSetBack,
    CooldownEnded,
)
from ...messages.figures import in_seconds
from ...messages.fleet_commands import Drained, Reconfigure, Retire
from ...messages.health_commands import CheckDeployment, CheckFinished, CheckOverdue
from ...messages.outcomes import CallOutcome, LeftOut, Usage
from ..budget.treasury import TREASURY
from ..providers.ports import ProviderCall
from ..runtime.actor import Inbox, ShortMail, where_it_broke
from .checkup import CheckedActor
from .cooldown import Failure
from .price_data import PriceBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Assign, Call, DeploymentStatus
    from ...messages.events import CallStarted
    from ...messages.settings import Deployment
    from ..callbacks.observer import CallObserver, WatchedCall
    from ..journal.sourced import EventLog
    from ..providers.ports import Caller, CallHandle
    from ..runtime.clock import Timer
    from ..runtime.dispatcher import Dispatcher
    from ..runtime.switchboard import Switchboard
    from .parts import OpenCall
    from .state import DeploymentState

__all__ = ["DeploymentActor", "DeploymentPorts"]

MAX_WAIT_SECONDS = 1e9
"""A `retry_after` beyond this is nonsense, whoever made the error; codecs are stricter."""

BYTES_PER_TOKEN = 4
"""How many bytes of text we take for a token where the provider did not say."""


MIN_WARM_TOKENS = 1024
"""A provider keeps the beginning of a prompt of at least this many tokens."""


@frozen
class DeploymentPorts:
    """What a Deployment needs of its surroundings."""

    dispatcher: Dispatcher
    journal: EventLog
    caller: Caller
    switchboard: Switchboard
    stream_timeout: float | None = None
    observer: CallObserver | None = None


class _Running(Struct, eq=False):
    """The live side of an open call: what must be cancelled when it ends early."""

    call: Call
    opened_call: OpenCall
    handle: CallHandle
    timer: Timer | None = None
    opened: bool = False
    watched: WatchedCall | None = None
    paid: bool = False
    """Whether the Treasury set money aside for it."""


class DeploymentActor(CheckedActor):
    """Owns one deployment's state; the only one to change it, and to start its calls."""

    def __init__(
        self,
        ports: DeploymentPorts,
        deployment: Deployment,
        state: DeploymentState,
        version: int = 0,
        stands_in_for: tuple[str, ...] = (),
        set_back: float = 0.0,
    ) -> None:
        super().__init__(ports.dispatcher, ports.journal, f"deployment/{deployment.id}", state, version)
        self.deployment = deployment
        self._groups = (deployment.model_name, *stands_in_for)
        self.state = state
        self.seen = 0
        self._told = 0
        self._set_back = set_back
        self._caller = ports.caller
        self._switchboard = ports.switchboard
        self._default_stream_timeout = ports.stream_timeout
        self._prices = PriceBook(deployment, self.clock.now())
        self._observer = ports.observer
        self._running: dict[str, _Running] = {}
        self._leaving = False

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox(ShortMail())

    def __repr__(self) -> str:
        return self.state.describe(self.deployment.model_name, self.clock.now())

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {
            StartCall: self._start_call,
            ProviderFinished: self._provider_finished,
            ProviderOpened: self._provider_opened,
            CancelCall: self._cancel_call,
            AttemptTimedOut: self._attempt_timed_out,
            AccountFor: self._account_for,
            BudgetShort: self._budget_short,
            Announce: self._announce,
            Inspect: self._inspect,
            SaveSnapshot: self._save,
            Reconfigure: self._reconfigure,
            Retire: self._retire,
            CheckDeployment: self._check,
            CheckFinished: self._check_finished,
            CheckOverdue: self._check_overdue,
        }

    def on_start(self) -> None:
        """Close what a former life left open (nobody will ever answer those calls), and join."""
        now = self.clock.now()
        if self._set_back > 0:
            self.record(ClockSetBack(self._set_back), now)
        for call_id, call in tuple(self.state.open.items()):
            self.record(CallAbandoned(call_id, call.request_id), now)
        for group in self._groups:
            self._join(group)

    def on_stop(self) -> None:
        """Keep what is known for the next life."""
        self._abort_check("the deployment was stopped")
        self.save_snapshot(self.clock.now())

    def _save(self, _message: SaveSnapshot) -> None:
        self.save_snapshot(self.clock.now())

    def _join(self, group: str, *, window: bool = True) -> None:
        status = self._status(self.clock.now(), window=window)
        self._tell(group, AddMember(self.deployment, status, self.actor_ref, self._prices.facts))

    def _announce(self, message: Announce) -> None:
        """Rejoin a group that was restarted."""
        if message.group in self._groups:
            self._join(message.group)

    # -- another configuration, and the end

    def _reconfigure(self, message: Reconfigure) -> None:
        """Go on as what I am now: calls, windows, cooldown and totals stay."""
        former = self._groups
        self.deployment = message.deployment
        self.state.go_by(message.limits)
        self._groups = (message.deployment.model_name, *message.stands_in_for)
        self._prices = PriceBook(message.deployment, self.clock.now())
        self._leaving = False
        for group in former:
            if group not in self._groups:
                self._tell(group, RemoveMember(self.deployment.id))
        for group in self._groups:  # who knows me has counted on my window since
            self._join(group, window=group not in former)

    def _retire(self, _message: Retire) -> None:
        """Take nothing more. The groups were told; once more by me, should I have joined one since."""
        removed = LeftOut(self.deployment.id, "removed")
        self.state.limits = evolve(self.state.limits, barred=removed)
        for group in self._groups:
            self._tell(group, RemoveMember(self.deployment.id))
        self._groups = ()
        self._leaving = True
        self._abort_check("the deployment was removed")
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if not self._running:
            self.send(self._switchboard.supervisor, Drained(self.deployment.id))

    # -- a call begins

    def _start_call(self, message: StartCall) -> None:
        now = self.clock.now()
        self.seen += 1
        call = message.assign.call
        verdict = message.refused or self._admit(call, now)
        if type(verdict) is LeftOut:
            if message.paid:
                self._settle(call.call_id, 0.0)
            self._refuse(message.assign, verdict, now)
            return
        self.record(verdict, now)  # type: ignore[arg-type]  # a LeftOut has returned
        watched = None if self._observer is None else self._observer.begin(call, self.deployment, now)
        limited = self.state.limits.max_parallel is not None or call.request.max_parallel_requests is not None
        handle = self._caller.start(ProviderCall(call, self.deployment, limited), self._deliver)
        running = _Running(call, self.state.open[call.call_id], handle, watched=watched, paid=message.paid)
        self._running[call.call_id] = running
        if call.stream or self.deployment.timeout is not None:
            self._watch(running, now)
        if self.seen >= self._told or len(self._groups) > 1:  # the others do not know that it is busier now
            self._tell_groups(StatusChanged(self._status(now)))

    def _admit(self, call: Call, now: float) -> CallStarted | LeftOut:
        """With what the call may cost, when there is a budget to ask."""
        state = self.state
        if state.ledger is None:
            return state.admit(call, now)
        return state.admit(call, now, self._prices.expected(call, state.latency.expected_output, now))

    def _settle(self, call_id: str, cost: float | None, *, asked: bool = False) -> None:
        """Tell the Treasury what a call cost; one that is being restarted asks again by itself."""
        treasury = self._switchboard.services.get(TREASURY)
        if treasury is not None:
            self.send(treasury, SettleBudget(call_id, cost, asked))

    def _account_for(self, message: AccountFor) -> None:
        for call_id in message.call_ids:
            if call_id not in self._running:
                self._settle(call_id, None, asked=True)

    def _budget_short(self, message: BudgetShort) -> None:
        self._note_exhausted(message.need, self.clock.now())

    def _note_exhausted(self, need: float, now: float) -> None:
        exhausted = self.state.exhausted(need, now)
        if exhausted is not None:
            self.record(exhausted, now)

    def _refuse(self, assign: Assign, left_out: LeftOut, now: float) -> None:
        """Let the group choose again; if it is dead itself, the Supervisor must hear of it."""
        if left_out.reason == "budget" and left_out.detail is None:
            self._note_exhausted(left_out.need or 0.0, now)
        group = assign.group or self.deployment.model_name
        if not self._tell(group, CallRefused(assign, left_out, self._status(now))):
            call = assign.call
            lost = Unassigned(call.request_id, call.call_id, group, (left_out,), stranded=True)
            self.send(self._switchboard.supervisor, lost)

    def _deliver(self, message: Any) -> None:
        """A message to myself from a task or a timer, handled before anything else happens."""
        self.inbox.deliver(message)

    def _watch(self, running: _Running, now: float) -> None:
        """Set the timer for whatever is due first of this attempt; one timer at a time."""
        due = self._due_at(running, now)
        if running.timer is not None:  # set since the one that rang, whose message had to wait its turn
            running.timer.cancel()
            running.timer = None
        if due is not None:
            message = AttemptTimedOut(running.call.call_id)
            running.timer = self.clock.call_later(max(0.001, due - now), lambda: self._deliver(message))

    def _due_at(self, running: _Running, now: float) -> float | None:
        """When the attempt, its first chunk or its next chunk is overdue.

        Chunks move this on without a word to us, and so does a caller who does not read: a full
        channel is not the provider's fault. Hence the timer looks again before it strikes.
        """
        started = running.opened_call.started_at
        timeout = self.deployment.timeout
        due = None if timeout is None else started + timeout
        patience = self._patience(running.call)
        if patience is None:
            return due
        channel = running.call.channel
        since = started if not running.opened else now if channel.full else channel.last_put_at
        return since + patience if due is None else min(due, since + patience)

    def _patience(self, call: Call) -> float | None:
        """Seconds a stream may be silent, before its first chunk and between chunks."""
        if not call.stream:
            return None
        return call.request.stream_timeout or self.deployment.stream_timeout or self._default_stream_timeout

    # -- a call goes on

    def _provider_opened(self, message: ProviderOpened) -> None:
        running = self._running.get(message.call_id)
        if running is None:
            return
        now = self.clock.now()
        running.opened = True
        call = running.call
        self.record(CallOpened(call.call_id, call.request_id, now - running.opened_call.started_at), now)
        self.send(
            self._switchboard.supervisor, StreamOpened(call.request_id, call.call_id, self.deployment.id)
        )
        self._watch(running, now)

    def _attempt_timed_out(self, message: AttemptTimedOut) -> None:
        running = self._running.get(message.call_id)
        if running is None:
            return
        now = self.clock.now()
        due = self._due_at(running, now)
        if due is None or due > now:
            self._watch(running, now)
            return
        usage = running.handle.cancel()
        seconds = now - running.opened_call.started_at
        what = "the stream stalled" if running.opened else "no answer"
        self._end(
            running, CallOutcome("failed", error=Timeout(f"{what} after {in_seconds(seconds)}"), usage=usage)
        )

    # -- a call ends

    def _cancel_call(self, message: CancelCall) -> None:
        running = self._running.get(message.call_id)
        if running is None:
            return
        usage = running.handle.cancel()
        if message.reason == "deadline":
            error = Timeout("the request's time ran out")
            self._end(running, CallOutcome("failed", error=error, usage=usage))
        else:
            self._end(running, CallOutcome("cancelled", usage=usage), message.reason)

    def _provider_finished(self, message: ProviderFinished) -> None:
        running = self._running.get(message.call_id)
        if running is not None:  # else a late answer to a call that was given up
            self._end(running, message.outcome)

    def _end(self, running: _Running, outcome: CallOutcome, reason: str = "") -> None:
        """Record the end, then free the caller, the Supervisor and the group to act on it."""
        now = self.clock.now()
        call = running.call
        del self._running[call.call_id]
        if running.timer is not None:
            running.timer.cancel()
        usage = outcome.usage or self._estimate(running, outcome)
        cost = charged = None
        if usage.estimated:
            charged = self._prices.charge(usage, call.wildcard, now)
        else:
            cost = self._prices.price(call.wildcard, now)(usage, now)
        seconds = now - running.opened_call.started_at
        self._record_end(running, outcome, usage, (cost, charged), reason, now)
        if self.state.ledger is not None:
            self._note_exhausted(0.0, now)
        if running.paid:
            self._settle(call.call_id, (charged or 0.0) if cost is None else cost)
        if outcome.limits is not None:
            self._correct(outcome, now)
        ended = CallEnded(call.request_id, call.call_id, self.deployment.id, outcome, seconds, cost)
        self.send(self._switchboard.supervisor, ended)
        warm = call.wishes.prefixes if call.wishes is not None and _kept(outcome) else ()
        self._tell_groups(StatusChanged(self._status(now), warm))
        if running.watched is not None:
            running.watched.ended(outcome, usage, cost, now)
        if self._leaving:
            self._leave_if_idle()

    def _record_end(
        self,
        running: _Running,
        outcome: CallOutcome,
        usage: Usage,
        money: tuple[float | None, float | None],
        reason: str,
        now: float,
    ) -> None:
        call, opened = running.call, running.opened_call
        cost, charged = money
        seconds = now - opened.started_at
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if outcome.status == "succeeded":
            self.record(
                CallSucceeded(
                    call.call_id,
                    call.request_id,
                    prompt,
                    completion,
                    cost,
                    seconds,
                    opened.ttft,
                    usage.cached_tokens,
                    usage.estimated,
                    charged,
                ),
                now,
            )
            if opened.probe:
                self.record(CooldownEnded(), now)
        elif outcome.status == "cancelled":
            self.record(
                CallCancelled(
                    call.call_id, call.request_id, reason, seconds, prompt, completion, cost, charged
                ),
                now,
            )
        else:
            self._record_failure(running, outcome, usage, money, now)

    def _record_failure(
        self,
        running: _Running,
        outcome: CallOutcome,
        usage: Usage,
        money: tuple[float | None, float | None],
        now: float,
    ) -> None:
        cost, charged = money
        call, opened = running.call, running.opened_call
        error = outcome.error
        assert error is not None, "a failed outcome without an error"
        self._sign(error)
        policy = self.state.limits.cooldown
        kind = type(error).__name__
        counted = policy.counts(kind)
        self.record(
            CallFailed(
                call.call_id,
                call.request_id,
                kind,
                error.status_code,
                counted,
                now - opened.started_at,
                usage.prompt_tokens,
                usage.completion_tokens,
                cost,
                error.retry_after,
                error.sent if isinstance(error, APIConnectionError) else None,
                opened.ttft,
                charged,
            ),
            now,
        )
        failure = Failure(kind, now, error.retry_after, opened.probe)
        cooldown = self.state.breaker.judge(failure, policy)
        if cooldown is not None:
            self.record(cooldown, now)
        elif opened.probe and not counted:
            # it answered, only not to our liking: the deployment itself is well
            self.record(CooldownEnded(), now)

    def _sign(self, error: RequestError) -> None:
        """Say whose error it is, if the codec did not; and let nothing into an event that is no number."""
        if not isinstance(error.retry_after, (int, float)) or not 0 <= error.retry_after <= MAX_WAIT_SECONDS:
            error.retry_after = None
        if not isinstance(error.status_code, int):
            error.status_code = type(error).status_code
        error.deployment_id = error.deployment_id or self.deployment.id
        error.llm_provider = error.llm_provider or self.deployment.provider
        error.model = error.model or self.deployment.model

    def _estimate(self, running: _Running, outcome: CallOutcome) -> Usage:
        """Tokens to charge where the provider did not say: what it must have seen and sent."""
        error = outcome.error
        answered = error is not None and not isinstance(error, (Timeout, APIConnectionError))
        not_sent = isinstance(error, APIConnectionError) and error.sent == "no"
        if not running.opened and (answered or not_sent):
            return Usage(estimated=True)
        channel, response = running.call.channel, outcome.response
        output = channel.count if channel is not None else 0
        if response is not None:
            output = -(-response.characters() // BYTES_PER_TOKEN)
        return Usage(running.call.demand.input_at(self.state.ratio.value), output, estimated=True)

    def _correct(self, outcome: CallOutcome, now: float) -> None:
        assert outcome.limits is not None
        correction = self.state.correction_for(outcome.limits, now)
        if correction is not None:
            self.record(correction, now)

    # -- telling

    def _inspect(self, _message: Inspect) -> dict[str, Any]:
        """The state as plain values, for `health()`, snapshots and tests."""
        now = self.clock.now()
        told = {"line": repr(self), "version": self.version, "state": self.state.snapshot(now)}
        if self.state.ledger is not None:
            told["budget"] = self.state.ledger.describe(now)
        return told

    def _tell(self, group: str, message: CallRefused | AddMember | RemoveMember | StatusChanged) -> bool:
        ref = self._switchboard.groups.get(group)
        return ref is not None and self.send(ref, message)

    def _tell_groups(self, message: StatusChanged) -> None:
        for group in self._groups:
            self._tell(group, message)

    def _status(self, now: float, *, window: bool = False) -> DeploymentStatus:
        """Our word for the group, which counts on it until `seen` reaches `_told`; then it needs another."""
        status = self.state.status(self.seen, now, window=window)
        self._told = self.seen + status.capacity
        return status

    def on_crash(self, error: BaseException, message: Any) -> None:
        """Abort what runs (nobody would hear of it) and call for the Supervisor."""
        for running in self._running.values():
            running.handle.cancel()
            if running.timer is not None:
                running.timer.cancel()
            if running.watched is not None:
                running.watched.lost(self.clock.now())
            if running.paid:
                self._settle(running.call.call_id, None)
        if isinstance(message, StartCall) and message.paid:
            self._settle(message.assign.call.call_id, None)
        self._running.clear()
        if isinstance(message, AccountFor):
            self._account_for(message)
        self._abort_check("the deployment's actor crashed")
        crashed = ActorCrashed("deployment", self.deployment.id, where_it_broke(error), message)
        self.send(self._switchboard.supervisor, crashed)

    def undelivered(self, message: Any) -> None:
        """Mail for a dead incarnation: who waits for a call must hear that it never started, or is over."""
        if isinstance(message, StartCall):
            call = message.assign.call
            if message.paid:
                self._settle(call.call_id, 0.0)
            error = APIConnectionError("the deployment's actor crashed", sent="no")
            self._sign(error)
            outcome = CallOutcome("failed", error=error)
            ended = CallEnded(call.request_id, call.call_id, self.deployment.id, outcome, 0.0)
            self.send(self._switchboard.supervisor, ended)
        elif isinstance(message, AccountFor):
            self._account_for(message)


def _kept(outcome: CallOutcome) -> bool:
    """Whether the provider will have kept the beginning of this prompt."""
    usage = outcome.usage
    return outcome.status == "succeeded" and usage is not None and usage.prompt_tokens >= MIN_WARM_TOKENS
