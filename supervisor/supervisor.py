"""The Supervisor actor: sees every request through to its one final reply.

It asks the plan, records, and sends. It knows no deployment's state: groups choose, deployments
call, and both tell it what came of it.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from ..actors.runtime.actor import where_it_broke
from ..messages.caching import CacheFound, CacheMissed
from ..messages.commands import (
    ActorCrashed,
    Announce,
    Assigned,
    CallEnded,
    Cancel,
    DeadlineReached,
    Dispatch,
    HedgeDue,
    Inspect,
    Queued,
    Rejoined,
    RestartDue,
    RetryDue,
    Shutdown,
    StreamOpened,
    Unassigned,
)
from ..messages.errors import (
    APIError,
    BadRequestError,
    ConfigurationError,
    RequestError,
    RouterClosedError,
    ServiceUnavailableError,
    TurnoutError,
)
from ..messages.events import (
    DeploymentPicked,
    FellBack,
    RequestAccepted,
    RequestSucceeded,
    RetryScheduled,
    WaitStarted,
)
from ..messages.fleet_commands import Drained, FleetChange, FleetReply
from ..messages.health_commands import CheckHealth
from ..messages.wishes import wishes_of
from .answers import hidden_params, nobody_for, route_of
from .cache_desk import CacheDesk
from .open_request import OpenRequest
from .planning.fallbacks import FallbackRules
from .planning.particulars import particulars_of
from .planning.plan import (
    Failed,
    GiveUp,
    NextGroup,
    Pause,
    Step,
    TryAgain,
    Unplaced,
    after_unplaced,
    onward,
    reasons_of,
    wants_retry,
)
from .planning.rules import MAX_CALL_SECONDS
from .planning.switches import wanted_failure
from .ports import Estate
from .request_state import RequestState
from .stream import stream_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..messages.fallbacks import FallbackTarget
    from .planning.switches import WantedFailure
    from .ports import SupervisorPorts
    from .stream import ModelStream

__all__ = ["Supervisor"]

NO_FALLBACKS = FallbackRules(given=True)
CRASHED = "the Supervisor crashed"


class Supervisor(CacheDesk):
    """Decides for every open request what comes next. One per router."""

    def __init__(self, ports: SupervisorPorts, estate: Estate | None = None) -> None:
        super().__init__(ports, estate or Estate())
        self._directory = ports.directory
        self._deployments = ports.deployments
        self._rules = ports.rules
        self._rng = ports.rng
        self._nursery = ports.nursery

    def __repr__(self) -> str:
        return f"<Supervisor · {len(self._open)} open requests>"

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {
            Dispatch: self._dispatch,
            CacheFound: self._cache_found,
            CacheMissed: self._cache_missed,
            Assigned: self._assigned,
            CallEnded: self._call_ended,
            StreamOpened: self._stream_opened,
            Unassigned: self._unassigned,
            Queued: self._queued,
            RetryDue: self._retry_due,
            HedgeDue: self._hedge_due,
            DeadlineReached: self._deadline_reached,
            Cancel: self._cancel,
            ActorCrashed: self._actor_crashed,
            RestartDue: self._restart_due,
            Rejoined: self._rejoined,
            Inspect: self._inspect,
            Shutdown: self._shutdown,
            Drained: self._drained,
            CheckHealth: self._check_health,
            **dict.fromkeys(get_args(FleetChange), self._change_fleet),
        }

    # -- a request begins

    def _dispatch(self, message: Dispatch) -> None:
        request = message.request
        if self._closed or len(self._open) >= self._rules.max_open_requests:
            message.reply.fail(self._refusal(request.model))
            return
        now = self.clock.now()
        entry = self._enter(message, now)
        if not self._look_up(entry):
            self._begin(entry, now)

    def _begin(self, entry: OpenRequest, now: float) -> None:
        """No cache has the answer: ask the group."""
        self._budget.request(now)
        self._hedging.request()
        if entry.target is None:
            self._unknown_model(entry, now)
            return
        wanted = wanted_failure(entry.request)
        if wanted is not None:
            self._fail_on_demand(entry, wanted, now)
            return
        self._assign(entry)

    def _refusal(self, model: str) -> TurnoutError:
        if self._closed:
            return RouterClosedError("this router is closed")
        most = self._rules.max_open_requests
        return ServiceUnavailableError(f"{most} requests are open already (max_open_requests)", model=model)

    def _enter(self, message: Dispatch, now: float) -> OpenRequest:
        """Take the request into the books: from here on it will get its one reply."""
        request, request_id, rules = message.request, message.request_id, self._rules
        model, demand = request.model, request.demand()
        target = self._directory.find(model)
        priority = rules.default_priority if request.priority is None else request.priority
        wishes = wishes_of(request, rules.reading)
        streamed = bool(getattr(request, "stream", False))
        entry = OpenRequest(
            RequestState(request_id),
            "request/" + request_id,
            model,
            request,
            message.reply,
            demand,
            streamed,
            target,
            NO_FALLBACKS if request.disable_fallbacks else message.fallbacks or rules.fallbacks,
            0 if priority is None else priority,
            rules.wait_when_exhausted or priority is not None,
            wishes=wishes,
            blocking=message.blocking,
        )
        seconds = request.timeout or rules.timeout or MAX_CALL_SECONDS
        accepted = RequestAccepted(
            request_id,
            request.KIND,
            model,
            model if target is None else target.group,
            streamed,
            now + seconds,
            demand.input_tokens,
            priority,
            particulars_of(request, demand, wishes),
        )
        self._record(entry, accepted, now)
        self._open[request_id] = entry
        self._watch(entry, seconds)
        return entry

    def _unknown_model(self, entry: OpenRequest, now: float) -> None:
        rules = entry.fallbacks
        if rules is self._rules.fallbacks:  # its list for every group is not meant for a slip of the pen
            entry.fallbacks = FallbackRules(default=rules.default, max_fallbacks=rules.max_fallbacks)
        # not raised: a traceback would lead to the caller's future, and a dropped stream would go unnoticed
        self._leave_group(entry, self._directory.unknown(entry.request.model), now)

    def _fail_on_demand(self, entry: OpenRequest, wanted: WantedFailure, now: float) -> None:
        entry.call_id = f"{entry.state.request_id}.{entry.state.attempt + 1}"
        self._note_failure(entry, wanted.error, None, 0.0, now)
        if wanted.retried:
            self._retry_or_leave(entry, wanted.error, now)
        else:
            self._leave_group(entry, wanted.error, now)

    def _assign(self, entry: OpenRequest, *, repeat: bool = False, wait: bool | None = None) -> None:
        """Ask the current group. A group that is being restarted is asked again when it is back."""
        if entry.streamed:
            entry.channel = entry.new_channel(self.dispatcher)
        assign = entry.assignment(repeat=repeat, wait=entry.waits if wait is None else wait)
        group = entry.state.group
        ref = self._switchboard.groups.get(group)
        if ref is None:
            gone = nobody_for(entry.request.model, Unassigned("", "", group), self.clock.now())
            self._leave_group(entry, entry.error or gone, self.clock.now())
        elif self.send(ref, assign):
            entry.asked, entry.owed = ref, False
        elif self._nursery.retired("group", group):
            msg = f'the group "{group}" crashed again and again and was taken out of rotation'
            error = entry.error or ServiceUnavailableError(msg, model=entry.request.model)
            self._leave_group(entry, error, self.clock.now())
        else:
            entry.owed = True

    # -- the group answers

    def _assigned(self, message: Assigned) -> None:
        entry = self._open.get(message.request_id)
        decision = message.decision
        now = self.clock.now()
        if entry is None or entry.call_id != message.call_id:
            if entry is None or not self._hedge_assigned(entry, message, now):
                self._cancel_call(decision.deployment_id, message.call_id, "no longer wanted")
            return
        entry.turned_away = None
        event = DeploymentPicked(message.request_id, message.call_id, entry.next_attempt, decision)
        self._record(entry, event, now)
        if self._rules.hedges.after is not None or entry.request.hedge_after is not None:
            self._watch_for_hedge(entry)

    def _queued(self, message: Queued) -> None:
        entry = self._open.get(message.request_id)
        if entry is None or entry.call_id != message.call_id:
            # it was given up while a deployment had it, and refused it: back in the room it waits for nobody
            self._withdraw_from(message.group, message.call_id)
            return
        entry.has_waited = True
        event = WaitStarted(message.request_id, message.group, message.until, message.left_out)
        self._record(entry, event, self.clock.now())

    def _unassigned(self, message: Unassigned) -> None:
        entry = self._open.get(message.request_id)
        if entry is None or (entry.call_id, entry.state.group) != (message.call_id, message.group):
            if entry is not None:
                self._hedge_unplaced(entry, message.call_id)
            return
        if entry.outlived is not None:  # it was to go on for one that failed, and never began
            self._hedging.give_back()
            self._retry_or_leave(entry, entry.outlived, self.clock.now())
            return
        if message.stranded:  # asked once more when it is back, like all that its group had
            self._assign(entry, repeat=entry.failed is not None)
            return
        now = self.clock.now()
        entry.turned_away = message
        if message.problem is not None:  # the strategy is broken: no other group would know better
            self._fail(entry, ConfigurationError(message.problem), now)
            return
        if entry.failed is None:
            self._leave_group(entry, nobody_for(entry.request.model, message, now), now)
            return
        state = entry.state
        unplaced = Unplaced(
            message.repeatable or entry.spared_the_last,
            message.earliest,
            reasons_of(message.left_out, message.left_out_by_reason, state.never),
            entry.has_waited,
            entry.has_paused,
            earlier=not entry.spared_the_last and len(state.failed - state.never) > 1,
        )
        entry.spared_the_last = False
        assert entry.error is not None, "a retry without an error"
        target = self._next_target(entry, entry.error)
        rules = self._rules.retries_in(state.group)
        step = after_unplaced(state, unplaced, entry.failed, rules, target, now, self._rng)
        self._take(entry, step, entry.error, now)

    # -- the call goes on, and ends

    def _stream_opened(self, message: StreamOpened) -> None:
        entry = self._open.get(message.request_id)
        now = self.clock.now()
        if entry is None or entry.stream is not None or not self._answered(entry, message.call_id, now):
            return
        if self._hedging.measuring:
            self._hedging.measured(entry.state.group, now - entry.state.called_at, stream=True)
        self._open_stream(entry)

    def _open_stream(self, entry: OpenRequest) -> ModelStream:
        request_id = entry.state.request_id
        assert entry.channel is not None, "a stream without a channel"
        make = stream_class(entry.request.KIND)
        stream = make(request_id, entry.channel, self._caller_left, self._caller_forgot)
        entry.stream = weakref.ref(stream)
        entry.reply.set(stream)
        del entry.reply  # the stream is its reader's alone now: one that is dropped must be noticed
        return stream

    def _call_ended(self, message: CallEnded) -> None:
        entry = self._open.get(message.request_id)
        if entry is None or (entry.call_id != message.call_id and entry.hedge is None):
            return  # a late answer to a request that has had its reply
        now = self.clock.now()
        outcome = message.outcome
        if outcome.status == "succeeded":
            if self._answered(entry, message.call_id, now):
                self._succeed(entry, message, now)
            return
        error = outcome.error or APIError("the call was cancelled")
        if self._outlived(entry, message.call_id, error, message.deployment_id, message.seconds, now):
            return
        if entry.stream is not None:
            self._break_stream(entry, error, outcome.usage, now)
            return
        self._note_failure(entry, error, message.deployment_id, message.seconds, now)
        self._retry_or_leave(entry, error, now)

    def _succeed(self, entry: OpenRequest, message: CallEnded, now: float) -> None:
        state = entry.state
        if self._hedging.measuring and not entry.streamed:
            self._hedging.measured(state.group, message.seconds, stream=False)
        deployment = self._deployments.get(message.deployment_id)
        served = state.group if deployment is None else deployment.model_name  # a substitute's own group
        route = route_of(state, served, now - state.accepted_at, message.seconds, message.cost)
        if not entry.streamed:  # first, since a response can come from a caller of the user's own
            describe = partial(hidden_params, deployment=deployment)
            message.outcome.response.routed(route, describe)  # type: ignore[union-attr]
        event = RequestSucceeded(
            state.request_id,
            served,
            route.deployment_id,
            len(route.attempts),
            route.retries,
            route.fallbacks,
            route.waited,
            route.seconds,
            route.cost,
        )
        self._record(entry, event, now)
        if entry.cache:
            self._keep(entry, message, served, now)
        self._forget(entry)
        if entry.streamed:
            stream = self._open_stream(entry) if entry.stream is None else entry.stream()
            if stream is not None:
                stream.finish(route)
            assert entry.channel is not None
            entry.channel.close()
            return
        entry.reply.set(message.outcome.response)

    def _retry_or_leave(self, entry: OpenRequest, error: RequestError, now: float) -> None:
        deployment = self._deployments.get(error.deployment_id or "")
        retries = None if deployment is None else deployment.num_retries
        failed = Failed(type(error).__name__, error.retry_after, retries)
        entry.failed, entry.error, entry.outlived = failed, error, None
        entry.has_waited = entry.has_paused = False
        rules = self._rules.retries_in(entry.state.group)
        wanted = wants_retry(entry.state, failed, rules, entry.request.num_retries)
        if wanted and self._budget.take(now):
            self._assign(entry, wait=False)
        else:
            self._leave_group(entry, error, now)

    def _leave_group(self, entry: OpenRequest, error: RequestError, now: float) -> None:
        self._take(entry, onward(self._next_target(entry, error)), error, now)

    def _next_target(self, entry: OpenRequest, error: RequestError) -> FallbackTarget | None:
        state = entry.state
        deployment = self._deployments.get(error.deployment_id or "")
        if deployment is not None:
            entry.fallbacks = entry.fallbacks.preferring(deployment, state.group)
        history = (*state.group_errors, (state.group, type(error).__name__))
        return entry.fallbacks.next_target(entry.model, history, state.tried, self._group_of)

    def _group_of(self, model: str) -> str | None:
        target = self._directory.find(model)
        return None if target is None else target.group

    # -- what the plan says is done here

    def _take(self, entry: OpenRequest, step: Step, error: RequestError, now: float) -> None:
        state = entry.state
        match step:
            case TryAgain(repeat, wait):
                entry.has_waited = wait or entry.has_waited  # refused all the same, it is not asked again
                self._assign(entry, repeat=repeat, wait=wait)
            case Pause(seconds):
                why = type(error).__name__
                event = RetryScheduled(state.request_id, state.group, why, seconds, *entry.left_out)
                self._record(entry, event, now)
                due = RetryDue(state.request_id, entry.call_id)
                entry.pause = self.clock.call_later(seconds, partial(self._deliver, due))
            case NextGroup(target):
                self._fall_back(entry, target, error, now)
            case GiveUp():
                self._fail(entry, entry.first_error or error, now)

    def _retry_due(self, message: RetryDue) -> None:
        entry = self._open.get(message.request_id)
        if entry is not None and entry.call_id == message.call_id:
            entry.pause = None
            entry.has_paused = True
            self._assign(entry, repeat=True, wait=False)

    def _fall_back(self, entry: OpenRequest, to: FallbackTarget, error: RequestError, now: float) -> None:
        state = entry.state
        target = self._directory.resolve(to.model)
        try:
            entry.ask_as(to.overrides)
            entry.wishes = wishes_of(entry.request, self._rules.reading)
        except BadRequestError as wrong:  # the overrides make no request
            wrong.__cause__ = entry.first_error or error
            self._fail(entry, wrong, now)
            return
        event = FellBack(state.request_id, state.group, target.group, type(error).__name__, *entry.left_out)
        self._record(entry, event, now)
        entry.target = target
        entry.first_error = entry.first_error or error
        entry.failed = entry.error = None
        entry.has_waited = False
        self._assign(entry)

    # -- deployments come, change and go

    def _change_fleet(self, command: FleetChange) -> FleetReply:
        if self._closed:
            return FleetReply(refusal=RouterClosedError("this router is closed"))
        return self._nursery.change_fleet(command)

    def _check_health(self, message: CheckHealth) -> None:
        if self._closed:
            message.reply.fail(RouterClosedError("the router was closed"))
        else:
            self._nursery.check_health(message)

    def _drained(self, message: Drained) -> None:
        self._nursery.drained(message.deployment_id)

    # -- supervision

    def _actor_crashed(self, message: ActorCrashed) -> None:
        """Go on with the requests it had, and have it restarted after a while."""
        seconds = self._nursery.crashed(message)
        if seconds is not None:
            self._later(seconds, RestartDue(message.role, message.name))
        if message.role == "deployment":
            self._calls_lost(message.name)
        elif message.role == "group" and seconds is None:
            self._assign_again(message.name)
        elif message.role == "service" and message.name == "cache":
            self._cache_gone()

    def _later(self, seconds: float, message: RestartDue | Rejoined) -> None:
        """Tell myself, or the incarnation that comes after me; nobody, when the router is closed before."""
        known = self._errands.pop(message, None)
        if known is not None:
            known.cancel()
        if not self._closed:
            self._errands[message] = self.clock.call_later(seconds, partial(self._deliver, message))

    def _calls_lost(self, deployment_id: str) -> None:
        now = self.clock.now()
        for entry in tuple(self._open.values()):
            call_id = entry.call_at(deployment_id)
            if call_id is None:
                continue
            error = APIError("the deployment's actor crashed", deployment_id=deployment_id)
            if self._outlived(entry, call_id, error, deployment_id, 0.0, now):
                continue
            if entry.stream is not None:
                self._break_stream(entry, error, None, now)
                continue
            self._note_failure(entry, error, deployment_id, 0.0, now)
            self._retry_or_leave(entry, error, now)

    def _restart_due(self, message: RestartDue) -> None:
        self._errands.pop(message, None)
        self._nursery.restart(message.role, message.name)
        if message.role != "group":
            return
        for ref in self._switchboard.deployments.values():
            self.send(ref, Announce(message.name))
        # by timer, since they are to join before the group is asked for one of them
        self._later(0.0, Rejoined(message.name))

    def _rejoined(self, message: Rejoined) -> None:
        self._errands.pop(message, None)
        self._assign_again(message.group)

    def _assign_again(self, group: str) -> None:
        """What a group had before it crashed is lost; ask anew, but nobody twice for the same attempt."""
        ref = self._switchboard.groups.get(group)
        back = ref is not None and self.reaches(ref)
        for entry in tuple(self._open.values()):
            if back and entry.asked is ref:
                continue
            if entry.state.group == group and (entry.in_the_group or entry.owed):
                self._assign(entry, repeat=entry.failed is not None)

    def on_crash(self, error: BaseException, message: Any) -> None:
        """Fail the request that was being handled; the others live on in the next incarnation."""
        self._deadlines.stop()
        culprit = self._open.pop(getattr(message, "request_id", ""), None)
        failure = APIError(f"the Supervisor crashed ({type(error).__name__})")
        if culprit is not None:
            self._answer_for(culprit, failure)
        elif isinstance(message, (Dispatch, CheckHealth)) and not message.reply.done():
            message.reply.fail(failure)
        crash = ActorCrashed("supervisor", "supervisor", where_it_broke(error), message)
        estate = Estate(self._open, self._budget, self._hedging, self._errands)
        self._nursery.replace_supervisor(crash, estate)
        if isinstance(message, (ActorCrashed, RestartDue, Rejoined)):  # or that actor would never come back
            self.send(self._switchboard.supervisor, message)
        if isinstance(message, Assigned):  # that call has begun, and it may be noted nowhere
            self._cancel_call(message.decision.deployment_id, message.call_id, CRASHED)
        if culprit is not None:  # last, since what is half-changed may break once more
            self._withdraw(culprit, CRASHED)
            self._note_end(culprit, failure, self.clock.now())

    def _answer_for(self, culprit: OpenRequest, failure: APIError) -> None:
        """The one final reply of a request that crashed its Supervisor."""
        culprit.release()
        failure.model = culprit.request.model
        failure.attempts = culprit.state.attempts
        failure.request_id = culprit.state.request_id
        if culprit.stream is None:
            if not culprit.reply.done():
                culprit.reply.fail(failure)
        elif culprit.channel is not None:
            culprit.channel.close(failure)

    def undelivered(self, message: Any) -> None:
        """Mail for a dead incarnation goes to the next one; when there is none, nobody must wait for it."""
        replied = isinstance(message, (Dispatch, CheckHealth))
        if not self.send(self._switchboard.supervisor, message) and replied:
            message.reply.fail(RouterClosedError("the router was closed"))

    def _inspect(self, _message: Inspect) -> dict[str, Any]:
        return {"open_requests": len(self._open), "line": repr(self)}

    def _shutdown(self, _message: Shutdown) -> None:
        """Refuse what comes, end what is open; every caller hears of it."""
        self._closed = True
        self._deadlines.stop()
        for timer in self._errands.values():
            timer.cancel()
        self._errands.clear()
        now = self.clock.now()
        for entry in tuple(self._open.values()):
            self._withdraw(entry, "router closed")
            self._fail(entry, RouterClosedError("the router was closed"), now)
