"""What happened: the events of the journal.

An event is a fact without content: no prompt, no answer, no key. Its `TYPE` is its name in every
journal ever written and its `VERSION` says how its fields look; both are a promise, kept by the
upcasters of :mod:`turnout.actors.journal.codec`.

Streams: ``router`` (settings and deployments), ``deployment/<id>``, ``budgets``, ``request/<id>``.
Each stream has one writer, the actor that owns the state the events rebuild.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import field

from .outcomes import Decision, LeftOut  # noqa: TC001  (decoders resolve these names)
from .values import Value

__all__ = [
    "EVENT_TYPES",
    "AttemptFailed",
    "BudgetExhausted",
    "BudgetReserved",
    "BudgetSettled",
    "CacheHit",
    "CacheLost",
    "CacheRestored",
    "CallAbandoned",
    "CallCancelled",
    "CallFailed",
    "CallOpened",
    "CallStarted",
    "CallSucceeded",
    "CheckStarted",
    "ClockSetBack",
    "CooldownEnded",
    "CooldownStarted",
    "CostReset",
    "DeploymentAdded",
    "DeploymentPicked",
    "DeploymentRemoved",
    "DeploymentRestarted",
    "DeploymentRetired",
    "DeploymentUpdated",
    "Event",
    "EventsLost",
    "FellBack",
    "HealthChecked",
    "HedgeRefused",
    "HedgeSettled",
    "LimitsObserved",
    "ModelListSet",
    "Particulars",
    "RequestAccepted",
    "RequestCancelled",
    "RequestFailed",
    "RequestSucceeded",
    "RetryScheduled",
    "RouterStarted",
    "RouterStopped",
    "WaitStarted",
]

EVENT_TYPES: dict[str, type[Event]] = {}
"""Every event class by its TYPE."""


class Event(Value, frozen=True):
    """Base of all events: a stable name and a version."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        EVENT_TYPES[cls.TYPE] = cls


# -- stream "router" -----------------------------------------------------------------------------


class RouterStarted(Event, frozen=True):
    """A router took up this journal. `settings` holds those that differ from the defaults."""

    TYPE: ClassVar[str] = "router_started"
    seed: int | None
    settings: dict[str, Any]


class RouterStopped(Event, frozen=True):
    """The router was closed in good order."""

    TYPE: ClassVar[str] = "router_stopped"


class DeploymentAdded(Event, frozen=True):
    """A deployment joined its group.

    Attributes:
        config: its `model_list` entry as it was written: `os.environ/` references stay references,
            secrets and content are masked.
        withheld: the paths of what is masked, such as ``litellm_params.api_key``.
        listed: the constructor's `model_list` says so; False for a change at run time.
    """

    TYPE: ClassVar[str] = "deployment_added"
    deployment_id: str
    group: str
    config: dict[str, Any]
    withheld: tuple[str, ...] = ()
    listed: bool = True


class DeploymentUpdated(Event, frozen=True):
    """A deployment goes on under another configuration; its fields are those of `DeploymentAdded`."""

    TYPE: ClassVar[str] = "deployment_updated"
    deployment_id: str
    group: str
    config: dict[str, Any]
    withheld: tuple[str, ...] = ()
    listed: bool = False


class DeploymentRemoved(Event, frozen=True):
    """A deployment left its group, or (`listed`) the constructor's `model_list` has it no more."""

    TYPE: ClassVar[str] = "deployment_removed"
    deployment_id: str
    group: str
    listed: bool = False


class ModelListSet(Event, frozen=True):
    """The deployments were replaced by a list of others: all that changed, in one event."""

    TYPE: ClassVar[str] = "model_list_set"
    added: tuple[DeploymentAdded, ...] = ()
    updated: tuple[DeploymentUpdated, ...] = ()
    removed: tuple[DeploymentRemoved, ...] = ()


class DeploymentRestarted(Event, frozen=True):
    """A deployment's actor crashed and was restarted from the journal, for the `restarts`th time."""

    TYPE: ClassVar[str] = "deployment_restarted"
    deployment_id: str
    error: str
    restarts: int


class DeploymentRetired(Event, frozen=True):
    """A deployment's actor crashed too often and was taken out of rotation."""

    TYPE: ClassVar[str] = "deployment_retired"
    deployment_id: str
    error: str
    restarts: int


class CostReset(Event, frozen=True):
    """Somebody asked for money to be counted from nothing again, in the statistics."""

    TYPE: ClassVar[str] = "cost_reset"


class EventsLost(Event, frozen=True):
    """The journal could not take `count` events, the first of which had position `first`."""

    TYPE: ClassVar[str] = "events_lost"
    count: int
    first: int


class CacheLost(Event, frozen=True):
    """The cache's store cannot be used; requests go on without it. `error` is the kind of trouble."""

    TYPE: ClassVar[str] = "cache_lost"
    error: str


class CacheRestored(Event, frozen=True):
    """The cache's store can be used again, after `lost` lookups and writes that could not be done."""

    TYPE: ClassVar[str] = "cache_restored"
    lost: int


# -- stream "deployment/<id>" --------------------------------------------------------------------


class CallStarted(Event, frozen=True):
    """A call was admitted: one start and `reserved` tokens are counted from now.

    `probe` marks the single call a half-open deployment is given. `set_aside` is US dollars of the
    deployment's own budget; None without one, or when the price is unknown. `prompt_bytes` (of text) and
    `fixed_tokens` (all the rest) are the size of the prompt, from which tokens per byte are learned.
    `starts` are more than one when the call is divided among several of the provider's.
    """

    TYPE: ClassVar[str] = "call_started"
    call_id: str
    request_id: str
    reserved: int
    stream: bool = False
    probe: bool = False
    set_aside: float | None = None
    prompt_bytes: int = 0
    fixed_tokens: int = 0
    starts: int = 1


class CallOpened(Event, frozen=True):
    """The first content chunk of a stream arrived, `ttft` seconds after the start."""

    TYPE: ClassVar[str] = "call_opened"
    call_id: str
    request_id: str
    ttft: float


class CallSucceeded(Event, frozen=True):
    """A call ended well; the reservation is settled with what was used.

    `charged`, here and below, is what counts where `cost` is None, in budgets and statistics: the price of
    estimated tokens; None where that is not known either.
    """

    TYPE: ClassVar[str] = "call_succeeded"
    call_id: str
    request_id: str
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    seconds: float
    ttft: float | None = None
    cached_tokens: int | None = None
    estimated: bool = False
    charged: float | None = None


class CallFailed(Event, frozen=True):
    """A call failed. `error` is the class name; `counted` whether it speaks against the deployment.

    Tokens are settled with what the provider said it used, or our estimate.
    """

    TYPE: ClassVar[str] = "call_failed"
    call_id: str
    request_id: str
    error: str
    status_code: int
    counted: bool
    seconds: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    retry_after: float | None = None
    sent: str | None = None
    ttft: float | None = None
    charged: float | None = None


class CallCancelled(Event, frozen=True):
    """A call was given up by the caller or by a deadline that was not the deployment's."""

    TYPE: ClassVar[str] = "call_cancelled"
    call_id: str
    request_id: str
    reason: str
    seconds: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    charged: float | None = None


class CallAbandoned(Event, frozen=True):
    """A call was open when its actor or the process died; its reservation stays counted."""

    TYPE: ClassVar[str] = "call_abandoned"
    call_id: str
    request_id: str


class ClockSetBack(Event, frozen=True):
    """The clock was set back by `seconds` while the router was away: all times before this move with it.

    Else a deployment would rest, and a minute's limits and what was spent of a budget would last, until the
    clock is there again. In the stream of a deployment, and in that of the budgets.
    """

    TYPE: ClassVar[str] = "clock_set_back"
    seconds: float


class CooldownStarted(Event, frozen=True):
    """The deployment takes no calls until `until`; then one probe. `trips` counts in a row."""

    TYPE: ClassVar[str] = "cooldown_started"
    until: float
    seconds: float
    error: str
    trips: int


class CooldownEnded(Event, frozen=True):
    """The probe went well: the deployment takes calls again."""

    TYPE: ClassVar[str] = "cooldown_ended"


class CheckStarted(Event, frozen=True):
    """A health check makes a real call: one start and `reserved` tokens are counted from now."""

    TYPE: ClassVar[str] = "check_started"
    check_id: str
    reserved: int


class HealthChecked(Event, frozen=True):
    """A health check is over; its reservation is settled with what was used.

    Attributes:
        well: it answered. One that is not well is left out while others of its group are, if `counted`.
        counted: the error speaks against the deployment, and not against the little request.
        error: the error's class.
    """

    TYPE: ClassVar[str] = "health_checked"
    check_id: str
    well: bool
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    counted: bool = False
    error: str | None = None
    status_code: int | None = None


class LimitsObserved(Event, frozen=True):
    """The provider's headers say less is left than we counted: our count is corrected down.

    `tokens` and `requests` are what must be added to our count; they leave the window at `until`.
    """

    TYPE: ClassVar[str] = "limits_observed"
    requests: int
    tokens: int
    until: float


class BudgetExhausted(Event, frozen=True):
    """A budget is used up: `spent` of `limit` US dollars, and a call was refused, or none will fit.

    `budget` is ``deployment:<id>`` (in the deployment's stream), ``provider:<name>`` or ``tag:<name>``
    (in stream ``budgets``). `until` is when something is released; None for a budget that never resets.
    Recorded once a period.
    """

    TYPE: ClassVar[str] = "budget_exhausted"
    budget: str
    limit: float
    spent: float
    until: float | None


# -- stream "budgets" ----------------------------------------------------------------------------


class BudgetReserved(Event, frozen=True):
    """Money was set aside for a call: {budget: US dollars}."""

    TYPE: ClassVar[str] = "budget_reserved"
    call_id: str
    deployment_id: str
    amounts: dict[str, float]


class BudgetSettled(Event, frozen=True):
    """A call for which money was set aside is over: all its budgets are charged `cost`.

    0 when it never started; None when nobody knows what became of it: what was set aside stays charged.
    """

    TYPE: ClassVar[str] = "budget_settled"
    call_id: str
    cost: float | None


# -- stream "request/<id>" -----------------------------------------------------------------------


class Particulars(Value, frozen=True, omit_defaults=True):
    """What a request said of itself that decides where it goes; what it did not say takes no room.

    `output_tokens` is the most it may be answered; the others as in `CompletionRequest` and `Wishes`.
    """

    output_tokens: int | None = None
    num_retries: int | None = None
    stream_timeout: float | None = None
    routing_strategy: str | None = None
    tags: tuple[str, ...] = ()
    session: int | None = None
    region: str | None = None


class RequestAccepted(Event, frozen=True):
    """The Supervisor took the request; it will get exactly one final reply by `deadline`."""

    TYPE: ClassVar[str] = "request_accepted"
    request_id: str
    kind: str
    model: str
    group: str
    stream: bool
    deadline: float
    input_tokens: int
    priority: int | None = None
    particulars: Particulars | None = None


class CacheHit(Event, frozen=True):
    """The cache answered, with what `deployment_id` of `group` said `age` seconds ago.

    `key` is the namespace and a hash of what was asked; `shared`: the answer came from the call of an
    identical request that was open at the same time.
    """

    TYPE: ClassVar[str] = "cache_hit"
    request_id: str
    key: str
    group: str
    deployment_id: str
    age: float
    shared: bool = False


class DeploymentPicked(Event, frozen=True):
    """The group chose a deployment for attempt `attempt` (1, 2, ...).

    `hedge` marks one that runs beside the attempt before it, which goes on.
    """

    TYPE: ClassVar[str] = "deployment_picked"
    request_id: str
    call_id: str
    attempt: int
    decision: Decision
    hedge: bool = False


class HedgeRefused(Event, frozen=True):
    """Who was chosen for a second attempt refused it, and nobody else could: the first goes on alone."""

    TYPE: ClassVar[str] = "hedge_refused"
    request_id: str
    call_id: str


class HedgeSettled(Event, frozen=True):
    """Of two attempts side by side `winner` answered first; `loser` is aborted upstream, and charged.

    `deployment_id` and `seconds` are the loser's: where it ran, and for how long.
    """

    TYPE: ClassVar[str] = "hedge_settled"
    request_id: str
    winner: str
    loser: str
    deployment_id: str
    seconds: float


class AttemptFailed(Event, frozen=True):
    """Attempt `call_id` failed. `deployment_id` is None when the failure was asked for by a test switch."""

    TYPE: ClassVar[str] = "attempt_failed"
    request_id: str
    call_id: str
    group: str
    deployment_id: str | None
    error: str
    status_code: int
    seconds: float
    retry_after: float | None = None


class WaitStarted(Event, frozen=True):
    """Nothing was eligible and the request waits in its group; `until` when a release is known."""

    TYPE: ClassVar[str] = "wait_started"
    request_id: str
    group: str
    until: float | None
    left_out: tuple[LeftOut, ...] = ()


class RetryScheduled(Event, frozen=True):
    """The request tries `group` again after `seconds`, because of `error`; nobody else was eligible."""

    TYPE: ClassVar[str] = "retry_scheduled"
    request_id: str
    group: str
    error: str
    seconds: float
    left_out: tuple[LeftOut, ...] = ()
    left_out_by_reason: dict[str, int] = field(default_factory=dict)


class FellBack(Event, frozen=True):
    """The request goes on to another group, because of `error`.

    `left_out`: where a further attempt in the group would have had to go, and why it could not.
    """

    TYPE: ClassVar[str] = "fell_back"
    request_id: str
    from_group: str
    to_group: str
    error: str
    left_out: tuple[LeftOut, ...] = ()
    left_out_by_reason: dict[str, int] = field(default_factory=dict)


class RequestSucceeded(Event, frozen=True):
    """The final reply was an answer. `cached`: one that `deployment_id` gave to an earlier request."""

    TYPE: ClassVar[str] = "request_succeeded"
    request_id: str
    group: str
    deployment_id: str
    attempts: int
    retries: int
    fallbacks: int
    waited: float
    seconds: float
    cost: float | None
    cached: bool = False


class RequestFailed(Event, frozen=True):
    """The final reply was an error of class `error`."""

    TYPE: ClassVar[str] = "request_failed"
    request_id: str
    error: str
    status_code: int
    attempts: int
    retries: int
    fallbacks: int
    waited: float
    seconds: float
    left_out: tuple[LeftOut, ...] = ()
    left_out_by_reason: dict[str, int] = field(default_factory=dict)


class RequestCancelled(Event, frozen=True):
    """The caller left before the final reply (or before the end of the stream)."""

    TYPE: ClassVar[str] = "request_cancelled"
    request_id: str
    attempts: int
    seconds: float
