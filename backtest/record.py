"""What a journal holds of its traffic: who asked what and when, and what each call of a provider came to.

Read in one pass and bounded by `MAX_REQUESTS`. Pure, given events in their order.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ..history.world import ENDINGS
from ..messages.events import (
    CacheHit,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentUpdated,
    Event,
    EventsLost,
    LimitsObserved,
    ModelListSet,
    Particulars,
    RequestAccepted,
    RequestCancelled,
    RouterStarted,
)
from ..supervisor.fleet.fleet import Fleet
from .outcomes import Outcomes, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..actors.journal.codec import Recorded
    from ..supervisor.fleet.fleet import Listing

__all__ = ["MAX_REQUESTS", "Arrival", "Call", "Change", "Record", "read_record"]

MAX_REQUESTS = 100_000
"""Requests that are read; of a record with more a stretch is played, and the report says which."""

PLAYED_KINDS = frozenset({"completion", "text_completion", "embedding", "moderation"})
"""Kinds whose length in tokens is all there is to them; an image's or a sound's size is not in the events."""

OWN_FAULT = frozenset(
    {
        "BadRequestError",
        "ContentPolicyViolationError",
        "ContextWindowExceededError",
        "UnprocessableEntityError",
        "UnsupportedParamsError",
    }
)
"""Errors that lie in the request: asked again, it would get them again."""


_NOTHING = Particulars()


@define(eq=False)
class Arrival:
    """One request as it came.

    Attributes:
        kind: see `Request.KIND`.
        timeout: seconds it had, whoever set them.
        answered_by: the deployment whose answer it got, and the tokens of prompt and answer it told.
        leaves: seconds until its caller left; None for one who stayed.
        refused: by group, the error that lay in the request itself, its status, and after how long.
    """

    at: float
    model: str
    group: str
    stream: bool
    timeout: float
    input_tokens: int
    priority: int | None = None
    particulars: Particulars = _NOTHING
    answered_by: tuple[str, int, int] | None = None
    leaves: float | None = None
    refused: dict[str, tuple[str, int, float]] = field(factory=dict)
    kind: str = "completion"


@define(eq=False)
class Call:
    """One call of a deployment.

    Attributes:
        arrival: what was asked.
        open: other calls of the deployment that were under way when it started.
        seconds: until it ended; `ttft` until a stream's first content.
        error: the class it failed with, with its status, Retry-After, and whether it was sent.
        cut: it was given up before it ended: nobody knows how long it would have taken.
    """

    at: float
    arrival: Arrival
    open: int
    seconds: float = 0.0
    ttft: float | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    error: str | None = None
    status: int = 0
    retry_after: float | None = None
    sent: str | None = None
    cut: bool = False


@define(eq=False)
class Change:
    """From router time `at` on a deployment is configured like this; None: it is there no more."""

    at: float
    deployment_id: str
    listing: Listing | None


@define(eq=False)
class Record:
    """What was read.

    Attributes:
        began, ended: the stretch that was read, in router time.
        arrivals: the requests that can be asked again, in their order.
        rows: what became of each of them, in the same order.
        calls: by deployment, those that ended, in the order of their starts.
        fleet: the deployments at the beginning, by id; `changes` what came later.
        settings: those of each start of a router within it, and when.
        limits: by deployment, (at, requests, tokens, until) of corrections the provider's headers brought.
        left_out: requests that cannot be asked again, by reason.
        lost: events that the journal itself says it lost.
        more: there are more requests than may be read.
        since: of a journal whose beginning was removed by retention, until when; 0 else.
    """

    began: float = 0.0
    ended: float = 0.0
    arrivals: list[Arrival] = field(factory=list)
    rows: list[Row] = field(factory=list)
    calls: dict[str, list[Call]] = field(factory=dict)
    fleet: dict[str, Listing] = field(factory=dict)
    changes: list[Change] = field(factory=list)
    settings: list[tuple[float, dict[str, Any]]] = field(factory=list)
    limits: dict[str, list[tuple[float, int, int, float]]] = field(factory=dict)
    left_out: Counter[str] = field(factory=Counter)
    lost: int = 0
    more: bool = False
    since: float = 0.0

    @property
    def busiest(self) -> dict[str, int]:
        """By deployment, the most calls that it had in one minute."""
        found = {}
        for name, calls in self.calls.items():
            minutes = Counter(int(call.at // 60.0) for call in calls)
            found[name] = max(minutes.values(), default=0)
        return found

    def usual_timeout(self, at: float) -> float | None:
        """Seconds that the router gave a request which named none, at that time."""
        return next((said.get("timeout") for since, said in reversed(self.settings) if since <= at), None)

    @property
    def listings(self) -> dict[str, Listing]:
        """Every deployment there ever was, as it was last configured."""
        known = dict(self.fleet)
        for change in self.changes:
            if change.listing is not None:
                known[change.deployment_id] = change.listing
        return known


def read_record(
    events: Iterable[Recorded],
    fleet: Fleet | None = None,
    *,
    max_requests: int = MAX_REQUESTS,
    until: float = math.inf,
    tick: Callable[[int], object] | None = None,
) -> Record:
    """Read events in their order.

    Args:
        events: those of the stretch, from its first on.
        fleet: what there was before it; nothing, when it is the journal's beginning.
        max_requests: the bound; what comes after that many requests is not read.
        until: requests that come later, in router time, are not read; events are, as long as one is open.
        tick: told now and then how many events were read.
    """
    reading = _Reading(fleet or Fleet(), max_requests, until)
    for number, recorded in enumerate(events, start=1):
        if not reading.take(recorded):
            break
        if tick is not None and number % TICK_EVENTS == 0:
            tick(number)
    return reading.finish()


TICK_EVENTS = 2_000


class _Reading:
    """The one pass."""

    def __init__(self, fleet: Fleet, max_requests: int, until: float) -> None:
        self.record = Record(settings=[(0.0, fleet.settings)] if fleet.settings else [])
        self._fleet = fleet
        self._groups = {name: listing.group for name, listing in fleet.listings.items()}
        self.record.fleet = dict(fleet.listings)
        self._max = max_requests
        self._until = until
        self._waiting: set[str] = set()
        self._outcomes = Outcomes()
        self._arrivals: dict[str, Arrival] = {}
        self._open: dict[str, tuple[str, Call]] = {}
        self._under_way: Counter[str] = Counter()
        self._cached: set[str] = set()

    def take(self, recorded: Recorded) -> bool:
        """Take one event into account; False when the bound is reached."""
        event, record = recorded.event, self.record
        late = recorded.at > self._until
        if late and not self._waiting:
            return False
        if type(event) is RequestAccepted:
            if len(self._arrivals) >= self._max:
                record.more = True
                self._until = min(self._until, record.ended)
                late = True
            if late:
                return bool(self._waiting)
        record.began = record.began or recorded.at
        record.ended = recorded.at
        self._outcomes.hear((recorded,))
        if type(event) in ENDINGS:
            self._waiting.discard(event.request_id)  # type: ignore[attr-defined]  # each has one
        take = _TAKE.get(type(event))
        if take is not None:
            take(self, event, recorded)
        return True

    # -- requests

    def accepted(self, event: RequestAccepted, recorded: Recorded) -> None:
        self._waiting.add(event.request_id)
        self._arrivals[event.request_id] = Arrival(
            recorded.at,
            event.model,
            event.group,
            event.stream,
            event.deadline - recorded.at,
            event.input_tokens,
            event.priority,
            event.particulars or _NOTHING,
            kind=event.kind,
        )
        if event.kind not in PLAYED_KINDS:
            self.record.left_out[f"of kind {event.kind}"] += 1
            self._cached.add(event.request_id)

    def cached(self, event: CacheHit, _recorded: Recorded) -> None:
        if event.request_id not in self._cached:
            self.record.left_out["answered by the cache"] += 1
            self._cached.add(event.request_id)

    def left(self, event: RequestCancelled, _recorded: Recorded) -> None:
        arrival = self._arrivals.get(event.request_id)
        if arrival is not None:
            arrival.leaves = event.seconds

    # -- calls

    def started(self, event: CallStarted, recorded: Recorded) -> None:
        arrival = self._arrivals.get(event.request_id)
        if arrival is None:
            return
        name = recorded.stream.partition("/")[2]
        self._open[event.call_id] = (name, Call(recorded.at, arrival, self._under_way[name]))
        self._under_way[name] += 1

    def opened(self, event: CallOpened, _recorded: Recorded) -> None:
        known = self._open.get(event.call_id)
        if known is not None:
            known[1].ttft = event.ttft

    def _end(self, call_id: str) -> tuple[str, Call] | None:
        known = self._open.pop(call_id, None)
        if known is not None:
            self._under_way[known[0]] -= 1
            self.record.calls.setdefault(known[0], []).append(known[1])
        return known

    def succeeded(self, event: CallSucceeded, _recorded: Recorded) -> None:
        known = self._end(event.call_id)
        if known is not None:
            name, call = known
            call.seconds, call.ttft = event.seconds, event.ttft
            call.prompt_tokens, call.output_tokens = event.prompt_tokens, event.completion_tokens
            call.arrival.answered_by = (name, event.prompt_tokens, event.completion_tokens)

    def failed(self, event: CallFailed, recorded: Recorded) -> None:
        known = self._end(event.call_id)
        if known is None:
            return
        name, call = known
        call.seconds, call.error, call.status = event.seconds, event.error, event.status_code
        call.retry_after, call.sent = event.retry_after, event.sent
        call.cut = event.error == "Timeout"
        if event.error in OWN_FAULT:
            told = (event.error, event.status_code, event.seconds)
            call.arrival.refused[self._groups.get(name, "")] = told

    def cancelled(self, event: CallCancelled, _recorded: Recorded) -> None:
        known = self._end(event.call_id)
        if known is not None:
            known[1].seconds, known[1].cut = event.seconds, True

    def abandoned(self, event: CallAbandoned, recorded: Recorded) -> None:
        known = self._end(event.call_id)
        if known is not None:
            known[1].seconds, known[1].cut = recorded.at - known[1].at, True

    def limits(self, event: LimitsObserved, recorded: Recorded) -> None:
        seen = self.record.limits.setdefault(recorded.stream.partition("/")[2], [])
        seen.append((recorded.at, event.requests, event.tokens, event.until))

    # -- the router

    def fleet_changed(self, event: Event, recorded: Recorded) -> None:
        self._fleet.apply(event)
        for name in _changed_by(event):
            listing = self._fleet.listings.get(name)
            if listing is not None:
                self._groups[name] = listing.group
            self.record.changes.append(Change(recorded.at, name, listing))

    def events_lost(self, event: EventsLost, _recorded: Recorded) -> None:
        self.record.lost += event.count

    def router_started(self, event: RouterStarted, recorded: Recorded) -> None:
        """What the one before had open has ended with it."""
        self.record.settings.append((recorded.at, event.settings))
        self._under_way.clear()
        self._open.clear()
        self._waiting.clear()

    # -- the end

    def finish(self) -> Record:
        record = self.record
        for request_id, arrival in self._arrivals.items():
            row = self._outcomes.rows[request_id]
            if request_id in self._cached:
                continue
            if not row.ended:
                record.left_out["still open at the end"] += 1
                continue
            record.arrivals.append(arrival)
            record.rows.append(row)
        for calls in record.calls.values():
            calls.sort(key=lambda call: call.at)
        _take_early_changes(record)
        return record


def _changed_by(event: Event) -> Iterator[str]:
    """The deployments that an event speaks of."""
    if isinstance(event, ModelListSet):
        yield from (change.deployment_id for change in event.added)
        yield from (change.deployment_id for change in event.updated)
        yield from (change.deployment_id for change in event.removed)
    elif isinstance(event, (DeploymentAdded, DeploymentUpdated, DeploymentRemoved)):
        yield event.deployment_id


def _take_early_changes(record: Record) -> None:
    """What changed before the first request is how it was at the beginning."""
    first = record.arrivals[0].at if record.arrivals else record.ended
    early = [change for change in record.changes if change.at <= first]
    for change in early:
        if change.listing is None:
            record.fleet.pop(change.deployment_id, None)
        else:
            record.fleet[change.deployment_id] = change.listing
    record.changes = record.changes[len(early) :]


_TAKE: dict[type, Callable[[_Reading, Any, Recorded], None]] = {
    RequestAccepted: _Reading.accepted,
    CacheHit: _Reading.cached,
    RequestCancelled: _Reading.left,
    CallStarted: _Reading.started,
    CallOpened: _Reading.opened,
    CallSucceeded: _Reading.succeeded,
    CallFailed: _Reading.failed,
    CallCancelled: _Reading.cancelled,
    CallAbandoned: _Reading.abandoned,
    LimitsObserved: _Reading.limits,
    DeploymentAdded: _Reading.fleet_changed,
    DeploymentUpdated: _Reading.fleet_changed,
    DeploymentRemoved: _Reading.fleet_changed,
    ModelListSet: _Reading.fleet_changed,
    EventsLost: _Reading.events_lost,
    RouterStarted: _Reading.router_started,
}
