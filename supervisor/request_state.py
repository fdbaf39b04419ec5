"""What the Supervisor knows of one request; rebuilt by the events of `request/<id>`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import define

from ..messages.events import (
    AttemptFailed,
    CacheHit,
    DeploymentPicked,
    FellBack,
    HedgeRefused,
    HedgeSettled,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RetryScheduled,
    WaitStarted,
)
from ..messages.outcomes import Attempt

if TYPE_CHECKING:
    from ..messages.events import Event

__all__ = ["OTHER_DEPLOYMENT_ONLY", "HedgeState", "RequestState"]

OTHER_DEPLOYMENT_ONLY = frozenset({"AuthenticationError", "PermissionDeniedError", "NotFoundError"})
"""Errors that the same deployment would only repeat."""


class HedgeState(NamedTuple):
    """The attempt that runs beside the current one."""

    call_id: str
    deployment_id: str
    called_at: float
    strategy: str


@define(eq=False)
class RequestState:
    """Where a request stands.

    Attributes:
        phase: assigning, waiting, pausing, calling, answering (from a cache), or done.
        call_id: the attempt for which a deployment was chosen and which has not failed. The deployment
            may have refused: then the same attempt is placed anew.
        attempts: one row per attempt that failed.
        failed: deployments of the current group that failed in this request.
        never: those of them that would only fail the same way again.
        group_errors: (group, error) of every group that was given up, in order.
        hedge, hedges: the attempt beside the current one, and how many there were.
    """

    request_id: str = ""
    group: str = ""
    first_group: str = ""
    deadline: float = 0.0
    accepted_at: float = 0.0
    phase: str = "assigning"
    call_id: str = ""
    deployment_id: str | None = None
    strategy: str = ""
    attempt: int = 0
    group_attempts: int = 0
    retries: int = 0
    fallbacks: int = 0
    waited: float = 0.0
    wait: float = 0.0
    waiting_since: float | None = None
    called_at: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    failed: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    tried: tuple[str, ...] = ()
    group_errors: tuple[tuple[str, str], ...] = ()
    hedge: HedgeState | None = None
    hedges: int = 0

    def apply(self, event: Event, at: float) -> None:
        """Change by what happened at router time `at`."""
        _APPLY[type(event)](self, event, at)

    def _accepted(self, event: RequestAccepted, at: float) -> None:
        self.request_id = event.request_id
        self.group = self.first_group = event.group
        self.deadline = event.deadline
        self.accepted_at = at
        self.tried = (event.group,)

    def _hit(self, _event: CacheHit, _at: float) -> None:
        self.phase = "answering"

    def _picked(self, event: DeploymentPicked, at: float) -> None:
        if event.hedge:
            self._hedged(event, at)
            return
        if event.call_id != self.call_id:  # else the choice before it refused, which costs no attempt
            self.call_id = event.call_id
            self.attempt = event.attempt
            self.retries += self.group_attempts > 0
            self.group_attempts += 1
            self.wait = 0.0
        self.called_at = at
        self.deployment_id = event.decision.deployment_id
        self.strategy = event.decision.strategy
        self.phase = "calling"
        if self.waiting_since is not None:
            self._stop_waiting(at)

    def _hedged(self, event: DeploymentPicked, at: float) -> None:
        decision = event.decision
        if self.hedge is None:  # else the first choice refused
            self.attempt = event.attempt
            self.hedges += 1
        self.hedge = HedgeState(event.call_id, decision.deployment_id, at, decision.strategy)

    def _hedge_settled(self, event: HedgeSettled, _at: float) -> None:
        first_lost = event.loser == self.call_id
        wait = self.wait if first_lost else 0.0
        self.attempts += (Attempt(self.group, event.deployment_id, "Cancelled", event.seconds, wait),)
        if first_lost:
            self._go_on_with_the_hedge()
        self.hedge = None

    def _hedge_refused(self, _event: HedgeRefused, _at: float) -> None:
        self.attempt -= 1
        self.hedges -= 1
        self.hedge = None

    def _go_on_with_the_hedge(self) -> None:
        assert self.hedge is not None, "no attempt beside the one that is over"
        self.call_id, self.deployment_id, self.called_at, self.strategy = self.hedge
        self.hedge = None
        self.phase = "calling"
        self.wait = 0.0

    @property
    def failed_attempts(self) -> int:
        """Attempts made in this group; one that was refused, and so never made, is not among them."""
        return self.group_attempts - bool(self.call_id)

    def _stop_waiting(self, at: float) -> None:
        if self.waiting_since is not None:
            seconds = at - self.waiting_since
            self.wait += seconds
            self.waited += seconds
            self.waiting_since = None

    def _attempt_failed(self, event: AttemptFailed, _at: float) -> None:
        beside = self.hedge is not None and event.call_id == self.hedge.call_id
        wait = 0.0 if beside else self.wait
        row = Attempt(event.group, event.deployment_id, event.error, event.seconds, wait, event.status_code)
        self.attempts += (row,)
        if event.deployment_id is None:  # a test switch: no deployment was asked
            self.attempt += 1
            self.group_attempts += 1
            self.phase = "assigning"
            return
        self.failed |= {event.deployment_id}
        if event.error in OTHER_DEPLOYMENT_ONLY:
            self.never |= {event.deployment_id}
        if beside:
            self.hedge = None
        elif self.hedge is not None:
            self._go_on_with_the_hedge()
        else:
            self.phase = "assigning"
            self.wait = 0.0
            self.call_id = ""

    def _waits(self, _event: WaitStarted, at: float) -> None:
        self.phase = "waiting"
        self.waiting_since = at if self.waiting_since is None else self.waiting_since

    def _pauses(self, _event: RetryScheduled, at: float) -> None:
        self.phase = "pausing"
        self.waiting_since = at if self.waiting_since is None else self.waiting_since

    def _fell_back(self, event: FellBack, at: float) -> None:
        self._stop_waiting(at)
        self.group = event.to_group
        self.tried += (event.to_group,)
        self.group_errors += ((event.from_group, event.error),)
        if self.call_id:  # refused, and not placed anew
            self.attempt -= 1
            self.retries -= self.group_attempts > 1
            self.call_id = ""
        self.group_attempts = 0
        self.fallbacks += 1
        self.failed = self.never = frozenset()
        self.phase = "assigning"

    def _done(self, _event: Event, at: float) -> None:
        if self.waiting_since is not None:
            self._stop_waiting(at)
        self.phase = "done"

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; two states are equal when their snapshots are."""
        return {name: getattr(self, name) for name in RequestState.__slots__ if name != "__weakref__"}


_APPLY: dict[type, Any] = {
    RequestAccepted: RequestState._accepted,
    CacheHit: RequestState._hit,
    DeploymentPicked: RequestState._picked,
    AttemptFailed: RequestState._attempt_failed,
    WaitStarted: RequestState._waits,
    RetryScheduled: RequestState._pauses,
    FellBack: RequestState._fell_back,
    HedgeRefused: RequestState._hedge_refused,
    HedgeSettled: RequestState._hedge_settled,
    RequestSucceeded: RequestState._done,
    RequestFailed: RequestState._done,
    RequestCancelled: RequestState._done,
}
