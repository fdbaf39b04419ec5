"""A deployment's health checks: one minimal call of its own, beside those of requests.

It is a real call on the provider's account: its start and its tokens count in the windows, its cost in
the totals. It takes no slot of a request's call, is no probe of the breaker, and teaches no latency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define

from ...messages.commands import Call, ProviderFinished, StatusChanged
from ...messages.errors import Timeout, mask_secrets
from ...messages.events import HealthChecked
from ...messages.health_commands import CheckFinished, CheckOverdue, DeploymentChecked
from ...messages.outcomes import CallOutcome, LeftOut, Usage
from ..journal.sourced import SourcedActor
from ..providers.ports import ProviderCall
from .minimal import minimal_request

if TYPE_CHECKING:
    from ...messages.commands import DeploymentStatus
    from ...messages.deployment import Deployment
    from ...messages.errors import RequestError
    from ...messages.health_commands import CheckDeployment
    from ..providers.ports import Caller, CallHandle
    from ..runtime.clock import Timer
    from ..runtime.switchboard import Switchboard
    from .price_data import PriceBook
    from .state import DeploymentState

__all__ = ["CheckedActor"]


@define(eq=False)
class _Checkup:
    """A check under way."""

    call: Call
    started_at: float
    handle: CallHandle
    seconds: float
    timer: Timer | None = None


class CheckedActor(SourcedActor):
    """The side of a Deployment that is checked; one check at a time, however many ask."""

    deployment: Deployment
    state: DeploymentState
    _caller: Caller
    _switchboard: Switchboard
    _prices: PriceBook
    _checkup: _Checkup | None = None

    if TYPE_CHECKING:

        def _deliver(self, message: Any) -> None: ...

        def _sign(self, error: RequestError) -> None: ...

        def _tell_groups(self, message: StatusChanged) -> None: ...

        def _status(self, now: float) -> DeploymentStatus: ...

    def _check(self, message: CheckDeployment) -> None:
        if self._checkup is not None:  # its end will answer this as well
            return
        since = message.unless_well_since
        barred = self.state.limits.barred
        if since is not None and self.state.well_since(since):
            self._say(DeploymentChecked(self.deployment.id, well=True))
        elif barred is not None:
            error = barred.detail or barred.reason
            self._say(DeploymentChecked(self.deployment.id, well=False, error=error, counted=True))
        else:
            self._begin_check(in_background=since is not None)

    def _begin_check(self, *, in_background: bool) -> None:
        now = self.clock.now()
        request, wildcard, why_not, seconds = minimal_request(self.deployment, in_background=in_background)
        if request is None:
            self._say(DeploymentChecked(self.deployment.id, None, error=why_not))
            return
        demand = request.demand()
        check_id = f"{self.deployment.id}.check{self.version + 1}"
        verdict = self.state.admit_check(check_id, demand, now)
        if type(verdict) is LeftOut:
            error = f"its {verdict.reason} is used up, so it was not asked"
            self._say(DeploymentChecked(self.deployment.id, None, error=error))
            return
        self.record(verdict, now)  # type: ignore[arg-type]  # a LeftOut has returned
        call = Call(check_id, check_id, 1, request, demand, now + seconds, wildcard=wildcard)
        handle = self._caller.start(ProviderCall(call, self.deployment), self._check_heard)
        timer = self.clock.call_later(seconds, lambda: self._deliver(CheckOverdue(check_id)))
        self._checkup = _Checkup(call, now, handle, seconds, timer)
        self._tell_groups(StatusChanged(self._status(now)))

    def _check_heard(self, message: Any) -> None:
        """From the caller's task."""
        if isinstance(message, ProviderFinished):
            self._deliver(CheckFinished(message.call_id, message.outcome))

    def _check_overdue(self, message: CheckOverdue) -> None:
        checkup = self._checkup
        if checkup is not None and checkup.call.call_id == message.call_id:
            usage = checkup.handle.cancel()
            error = Timeout(f"no answer to a health check after {checkup.seconds:g} s")
            self._end_check(checkup, CallOutcome("failed", error=error, usage=usage))

    def _check_finished(self, message: CheckFinished) -> None:
        checkup = self._checkup
        if checkup is not None and checkup.call.call_id == message.call_id:
            self._end_check(checkup, message.outcome)

    def _end_check(self, checkup: _Checkup, outcome: CallOutcome) -> None:
        """Record what came of it, then let the group and the checker know."""
        now = self.clock.now()
        self._drop_checkup()
        error = outcome.error
        if error is not None:
            self._sign(error)
        well = outcome.status == "succeeded"
        kind = None if error is None else type(error).__name__
        counted = not well and kind is not None and self.state.limits.cooldown.counts(kind)
        usage = outcome.usage or Usage(checkup.call.demand.input_tokens if well else 0, estimated=True)
        cost = None if usage.estimated else self._prices.price(checkup.call.wildcard, now)(usage, now)
        seconds = now - checkup.started_at
        status = None if error is None else error.status_code
        tokens = usage.prompt_tokens, usage.completion_tokens
        check_id = checkup.call.call_id
        self.record(HealthChecked(check_id, well, seconds, *tokens, cost, counted, kind, status), now)
        self._tell_groups(StatusChanged(self._status(now)))
        text = None if error is None else self._in_words(error)
        self._say(DeploymentChecked(self.deployment.id, well, seconds, text, status, counted=counted))

    def _in_words(self, error: RequestError) -> str:
        key = self.deployment.api_key
        text = mask_secrets(error.message, None if key is None else key.get_secret_value())
        return f"{type(error).__name__}: {text}"

    def _drop_checkup(self) -> None:
        """Let go of a check; what the provider says of it from now on is heard by nobody."""
        checkup, self._checkup = self._checkup, None
        if checkup is not None and checkup.timer is not None:
            checkup.timer.cancel()

    def _abort_check(self, why: str) -> None:
        """The deployment goes: nothing will be found out."""
        checkup = self._checkup
        if checkup is not None:
            checkup.handle.cancel()
            self._drop_checkup()
            self._say(DeploymentChecked(self.deployment.id, None, error=why))

    def _say(self, checked: DeploymentChecked) -> None:
        checker = self._switchboard.services.get("health")
        if checker is not None:
            self.send(checker, checked)
