"""What one actor asks of another, or tells it.

A command is a value. Where one must carry a live thing (a reply future, a stream's channel, an
actor's reference) the class names the field in `HANDLES`: it travels by identity.

The way of one request::

    caller      ── Dispatch ────────────────▶ Supervisor
    Supervisor  ── Assign ──────────────────▶ ModelGroup
    ModelGroup  ── Assigned | Unassigned | Queued ▶ Supervisor
    ModelGroup  ── StartCall ───────────────▶ Deployment      ── CallRefused ─▶ ModelGroup
    task        ── ProviderOpened, ProviderFinished ▶ Deployment
    Deployment  ── StreamOpened, CallEnded ─▶ Supervisor
    Deployment  ── StatusChanged ───────────▶ ModelGroup
    caller      ── Cancel ─▶ Supervisor ── CancelCall ─▶ Deployment (or Withdraw ─▶ ModelGroup)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import field

from .values import Message, Value

if TYPE_CHECKING:
    from .budgets import Purse
    from .outcomes import CallOutcome, Decision, Demand, LeftOut
    from .prices import ModelFacts
    from .requests import Request
    from .settings import Deployment
    from .wishes import Wishes

__all__ = [
    "UNLIMITED",
    "AccountFor",
    "ActorCrashed",
    "AddMember",
    "Announce",
    "Assign",
    "Assigned",
    "AttemptTimedOut",
    "BudgetShort",
    "Call",
    "CallEnded",
    "CallRefused",
    "Cancel",
    "CancelCall",
    "Counted",
    "DeadlineReached",
    "DeploymentStatus",
    "Dispatch",
    "EventsRecorded",
    "HedgeDue",
    "Inspect",
    "PassOn",
    "ProviderFinished",
    "ProviderOpened",
    "PurseChanged",
    "Queued",
    "Rejoined",
    "ReleaseDue",
    "RemoveMember",
    "ReserveBudget",
    "RestartDue",
    "RetryDue",
    "SaveSnapshot",
    "SettleBudget",
    "Shutdown",
    "StartCall",
    "StatusChanged",
    "StreamOpened",
    "Unassigned",
    "Withdraw",
]

UNLIMITED = 1 << 60
"""The capacity of a deployment that has no limit."""


# -- to the Supervisor ---------------------------------------------------------------------------


class Dispatch(Message, frozen=True):
    """Route this request; settle `reply` exactly once with a response, a stream or an error.

    `fallbacks` are those the request brought along, already parsed; None leaves it to the router's.
    `blocking`: its caller waits for it in a thread, and does not await it.
    """

    HANDLES: ClassVar[frozenset[str]] = frozenset({"reply", "fallbacks"})

    request_id: str
    request: Request
    reply: Any = None
    fallbacks: Any = None
    blocking: bool = False


class Cancel(Message, frozen=True):
    """The caller left: stop whatever is going on for this request."""

    request_id: str
    reason: str = "caller left"


class Assigned(Message, frozen=True):
    """The group chose a deployment and has sent it the call."""

    request_id: str
    call_id: str
    decision: Decision


class Unassigned(Message, frozen=True):
    """The group could not place the call.

    `repeatable`: a deployment that failed in this request is eligible right now.
    `earliest`: when the first left-out deployment is released, if anyone knows.
    `full`: the call would have waited, but the waiting room holds as many as it may (`max_queue`).
    `problem`: nobody was asked, because the strategy does not work: an unknown name in the request,
    or a user's own object that misbehaved.
    `stranded`: a deployment refused it and its group is dead, so nobody else was asked.
    """

    request_id: str
    call_id: str
    group: str
    left_out: tuple[LeftOut, ...] = ()
    left_out_by_reason: dict[str, int] = field(default_factory=dict)
    repeatable: bool = False
    earliest: float | None = None
    full: bool = False
    problem: str | None = None
    stranded: bool = False


class Queued(Message, frozen=True):
    """The call waits in the group's waiting room; `until` is the earliest known release."""

    request_id: str
    call_id: str
    group: str
    until: float | None
    left_out: tuple[LeftOut, ...] = ()


class StreamOpened(Message, frozen=True):
    """The first content chunk is in the channel: the stream may be given to the caller."""

    request_id: str
    call_id: str
    deployment_id: str


class CallEnded(Message, frozen=True):
    """A call is over. `cost` is US dollars, None when unknown."""

    request_id: str
    call_id: str
    deployment_id: str
    outcome: CallOutcome
    seconds: float
    cost: float | None = None


class DeadlineReached(Message, frozen=True):
    """Timer: the whole request has run out of time."""

    request_id: str


class RetryDue(Message, frozen=True):
    """Timer: the pause before the next attempt is over."""

    request_id: str
    call_id: str


class HedgeDue(Message, frozen=True):
    """Timer: attempt `call_id` is slow enough for a second one to start beside it."""

    request_id: str
    call_id: str


# -- to a ModelGroup -----------------------------------------------------------------------------


class Call(Message, frozen=True):
    """One attempt: the same value from the Supervisor to the provider.

    Attributes:
        call_id: names this attempt; unique in the journal.
        request: what to ask; overrides of a fallback are already applied.
        demand: what it is expected to use.
        deadline: router time by which the whole request must be answered.
        wildcard: what a wildcard group's ``*`` matched; replaces ``*`` in the provider's model.
        channel: where a stream's chunks go; None when not streamed.
        blocking: whether its caller waits in a thread; decides which of a callback's methods is told.
        wishes: what the request asks of a deployment; None when that is nothing.
    """

    HANDLES: ClassVar[frozenset[str]] = frozenset({"channel"})

    call_id: str
    request_id: str
    attempt: int
    request: Request
    demand: Demand
    deadline: float
    stream: bool = False
    wildcard: str | None = None
    channel: Any = None
    blocking: bool = False
    wishes: Wishes | None = None


class Assign(Message, frozen=True):
    """Place this call on a deployment of the group.

    `exclude` failed in this request: taken only when nothing else is eligible and `repeat`.
    `never` are not taken at all (a wrong key stays wrong). `only` restricts to one deployment.
    With `wait` the call queues when nothing is eligible, ordered by priority, deadline, arrival.
    """

    call: Call
    exclude: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    repeat: bool = False
    wait: bool = False
    priority: int = 0
    only: str | None = None
    strategy: str | None = None
    left_out: tuple[LeftOut, ...] = ()
    """Deployments that refused this very call, in this assignment."""
    group: str = ""
    """Who was asked, and must be told of a refusal: a deployment may stand in for other groups."""


class PurseChanged(Message, frozen=True):
    """What is left of a shared budget that refused a call of this group; None: ask again."""

    budget: str
    purse: Purse | None


class Counted(Message, frozen=True):
    """The prompt's tokens were counted: place the call now. `counts` is empty when that failed."""

    assign: Assign
    counts: tuple[tuple[str, int], ...]


class Withdraw(Message, frozen=True):
    """The call no longer waits (cancelled, or its deadline passed)."""

    call_id: str


class CallRefused(Message, frozen=True):
    """The deployment's own state forbids the call; the group picks again without it."""

    assign: Assign
    left_out: LeftOut
    status: DeploymentStatus


class StatusChanged(Message, frozen=True):
    """What a deployment wants its group to know; the group's roster mirrors it.

    `warm`: the beginnings of a prompt that it has just answered (see `messages.prefixes`).
    """

    status: DeploymentStatus
    warm: tuple[int, ...] = ()


class AddMember(Message, frozen=True):
    """A deployment joins the group (or comes back after a restart, with a new reference)."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"ref"})

    deployment: Deployment
    status: DeploymentStatus
    ref: Any = None
    facts: ModelFacts | None = None
    """What is known of its model; None: what its configuration says."""


class RemoveMember(Message, frozen=True):
    """A deployment leaves the group: no new call goes to it."""

    deployment_id: str


class ReleaseDue(Message, frozen=True):
    """Timer: a deployment that waiting calls hope for may be free now."""


class DeploymentStatus(Value, frozen=True):
    """A deployment's own word on what it can take. A mirror may be stale; the owner is asked last.

    Attributes:
        seen: StartCall messages handled so far, so the group can add those still under way.
        open: calls under way.
        capacity: further starts it would take now; 0 when blocked.
        blocked: why it takes none and until when; None when it does.
        tokens_left: tokens it would admit now; None when it has no tpm.
        tokens_until: when the next tokens leave its window; None when the window is empty.
        tokens_used: reserved and settled tokens in the last 60 s.
        mean_output: learned output tokens of a call that sets no maximum.
        latency: up to 10 (ended_at, seconds per output token or time to first token).
        ttft, per_token, measured_at: peak-EWMA of both, in seconds, and when last measured.
        penalty, penalised_at: weight of recent failures, decaying, and when last raised.
        window: (started_at, tokens) in the last 60 s; only in the status of a (re)start.
        purse: what is left of its own budget; None when it has none.
        tokens_per_byte: of prompt, learned; None before it was.
        unhealthy: it failed its last health check: to be left out while another is well.
        starts_left: starts its rpm leaves now; None when it has none.
        starts_until: when the next starts leave its window; None when it is empty.
    """

    deployment_id: str
    seen: int = 0
    open: int = 0
    capacity: int = UNLIMITED
    blocked: LeftOut | None = None
    tokens_left: int | None = None
    tokens_until: float | None = None
    tokens_used: int = 0
    mean_output: int = 256
    latency: tuple[tuple[float, float], ...] = ()
    ttft: float = 0.0
    per_token: float = 0.0
    measured_at: float | None = None
    penalty: float = 0.0
    penalised_at: float = 0.0
    window: tuple[tuple[float, int], ...] = ()
    purse: Purse | None = None
    tokens_per_byte: float | None = None
    unhealthy: bool = False
    starts_left: int | None = None
    starts_until: float | None = None


# -- to the Treasury, which owns the budgets that deployments share --------------------------------


class ReserveBudget(Message, frozen=True):
    """Set money aside for this call in all of `budgets`, and send it on to the deployment.

    `cost` is what it is expected to cost in US dollars, `least` what its prompt alone will.
    """

    assign: Assign
    deployment_id: str
    budgets: tuple[str, ...]
    cost: float
    least: float


class SettleBudget(Message, frozen=True):
    """A call is over: what it is charged, 0 when it never started, None when nobody knows.

    `asked`: it answers `AccountFor`, and is of the call as it was then.
    """

    call_id: str
    cost: float | None
    asked: bool = False


class BudgetShort(Message, frozen=True):
    """To a deployment: it was left out, since its own budget has no room for `need` US dollars more."""

    need: float


class PassOn(Message, frozen=True):
    """Send the cancellation to the deployment, behind the call it is meant for."""

    deployment_id: str
    cancel: CancelCall


# -- to a Deployment -----------------------------------------------------------------------------


class StartCall(Message, frozen=True):
    """Admit and start this call, or refuse it.

    `paid`: money is set aside for it at the Treasury, who must be told how it ended. `refused`: the
    Treasury refused it, and the group must hear of that from the deployment, who then has handled
    every call that was sent to it.
    """

    assign: Assign
    paid: bool = False
    refused: LeftOut | None = None


class CancelCall(Message, frozen=True):
    """Abort the call upstream, free the slot, settle the tokens."""

    call_id: str
    reason: str


class AccountFor(Message, frozen=True):
    """Tell the Treasury, which was restarted, which of these calls are over."""

    call_ids: tuple[str, ...]


class AttemptTimedOut(Message, frozen=True):
    """Timer: the attempt, its first chunk or its next chunk is overdue."""

    call_id: str


class ProviderOpened(Message, frozen=True):
    """From the caller task: the first content chunk is in the channel."""

    call_id: str


class ProviderFinished(Message, frozen=True):
    """From the caller task: the call is over, exactly once per call that was not cancelled."""

    call_id: str
    outcome: CallOutcome


class Announce(Message, frozen=True):
    """Join `group` again, if it is one of yours: it was restarted and knows nobody."""

    group: str


class SaveSnapshot(Message, frozen=True):
    """Save the state now: events were lost, and a recovery should begin behind the gap."""


class EventsRecorded(Message, frozen=True):
    """These were recorded, in this order: a batch for an actor that follows the journal."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"events"})
    events: Any


class Inspect(Message, frozen=True):
    """Ask an actor for its state as plain values."""


# -- supervision ---------------------------------------------------------------------------------


class ActorCrashed(Message, frozen=True):
    """A handler raised: this incarnation of the actor is dead. `lost` is the message it died of."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"lost"})

    role: str
    name: str
    error: str
    lost: Any = None


class Shutdown(Message, frozen=True):
    """Ask the Supervisor to end every open request and to take no more."""


class Rejoined(Message, frozen=True):
    """Timer: the deployments have joined their group again, which was restarted."""

    group: str


class RestartDue(Message, frozen=True):
    """Timer: the back-off after a crash is over."""

    role: str
    name: str
