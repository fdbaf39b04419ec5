"""An auditor's own account of one request: where it may go next, and when it must be over. I1, I5, I6, I7."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ...actors.model_group.actor import LOOK_AHEAD
from ...messages.events import (
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
from .rulebook import CALLS_FOR_ANOTHER
from .violation import Violation

if TYPE_CHECKING:
    from ...messages.events import Event
    from ...messages.outcomes import LeftOut
    from .cache_book import CacheBook
    from .deployment_book import DeploymentBook
    from .marks import Marks
    from .rulebook import Rulebook

__all__ = ["STALE", "Accusation", "RequestBook", "RetriesMade"]

STALE = 0.01
"""Seconds after which a group must know what its deployments can take."""

_LIMITS = ("rpm", "tpm", "parallel")

LEARNED = 1.25
"""A prompt may be taken for so much longer than it is estimated: a provider's own count of the short prompts
(two tokens more in sixteen, at most) teaches a deployment how long the others are."""

ROUNDING = 1e-6
"""Seconds by which sums of times may differ from the times they stand for."""


Accusation = tuple[list[str], str, str]
"""Deployments that seem to have stood idle, the invariant that forbids it, and how."""


class RetriesMade:
    """Retries that the whole router may have taken from its budget lately, placed or not.

    While there are fewer than it always allows itself, the budget is no excuse.
    """

    LEAST = 100
    SECONDS = 11.0

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=self.LEAST)

    def note(self, at: float) -> None:
        """One more was due."""
        self._times.append(at)

    def used_up(self, at: float) -> bool:
        """Whether so many were due lately that no more may be."""
        return len(self._times) == self.LEAST and self._times[0] > at - self.SECONDS


@define(eq=False)
class RequestBook:
    """Where one request stands.

    Attributes:
        fields: what its caller asked for; None when nobody knows (it came before a restart).
        phase: choosing, waiting, pausing, calling or done.
        excused_until: the process slept until then, so nothing could be in time before it.
        only: the deployment that the current group was asked for by its id.
        cache: what a cache may answer.
        hit: the cache has answered.
        waiting: the books of all requests that wait, whoever's they are.
    """

    rules: Rulebook
    marks: Marks
    books: dict[str, DeploymentBook]
    retried: RetriesMade
    accusations: list[Accusation]
    waiting: dict[str, RequestBook]
    cache: CacheBook
    fields: dict[str, Any] | None
    request_id: str = ""
    group: str = ""
    phase: str = "choosing"
    accepted_at: float = 0.0
    deadline: float = 0.0
    excused_until: float = 0.0
    only: str | None = None
    tried: list[str] = field(factory=list)
    history: list[tuple[str, str]] = field(factory=list)
    failed: set[str] = field(factory=set)
    never: set[str] = field(factory=set)
    calls: dict[str, str] = field(factory=dict)
    attempts_here: int = 0
    hedges: int = 0
    retries: int = 0
    error: AttemptFailed | None = None
    paused_until: float = 0.0
    waiting_since: float | None = None
    doubtful: bool = False
    tokens: int | None = None
    hit: bool = False

    def apply(self, event: Event, at: float) -> None:
        """Take an event into account.

        Raises:
            Violation: it must not have happened.
        """
        if self.phase == "done":
            raise Violation("I1", f"request {self.request_id}: {event!r} after its final reply", at)
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event, at)

    def _must(self, truth: object, invariant: str, what: str, at: float) -> None:
        if not truth:
            raise Violation(invariant, f"request {self.request_id}: {what}", at)

    @property
    def last_moment(self) -> float:
        """By then it must have its reply."""
        return max(self.deadline, self.excused_until) + ROUNDING

    # -- events

    def _accepted(self, event: RequestAccepted, at: float) -> None:
        self.request_id, self.group = event.request_id, event.group
        self.accepted_at, self.deadline = at, event.deadline
        self.tried = [event.group]
        fields = self.fields
        if fields is None:
            return
        if "max_tokens" in fields:
            self.tokens = math.ceil(event.input_tokens * LEARNED) + fields["max_tokens"]
        wanted = at + self.rules.seconds(fields)
        self._must(abs(event.deadline - wanted) < ROUNDING, "I1", f"its deadline is {event.deadline}", at)
        if self.rules.group_of(event.model) is None:
            self.marks.sometimes("unknown model")
        self._go_to(event.model)

    def _go_to(self, name: str) -> None:
        self.only = name if name in self.rules.deployments else None

    def _picked(self, event: DeploymentPicked, at: float) -> None:
        decision, name = event.decision, event.decision.deployment_id
        self._must(at <= self.last_moment, "I1", "picked after its deadline", at)
        self._must(decision.group == self.group, "I6", f"{decision.group} chose, {self.group} was asked", at)
        self._must(self.rules.may_serve(self.group, name), "I6", f"{name} is not of {self.group}", at)
        self._must(self.only in (None, name), "I6", f"{name} was picked, {self.only} was named", at)
        if self.only is None and self.fields is not None:
            self._chosen_in_turn(self.fields, name, at)
        self._must(name not in self.never, "I5", f"{name} would only fail the same way again", at)
        if name in self.failed and self.only is None:
            self.marks.sometimes("failed deployment asked again")
            self._accuse(self._idle_others(at), "I5", f"{name} had failed, and another was picked by nobody")
        if event.hedge:
            self.hedges += 1
            self._must(name not in self.calls.values(), "I5", f"{name} was hedged with itself", at)
        elif event.call_id not in self.calls:
            self._begin_attempt(at)
        else:
            self.marks.sometimes("refused by the deployment")
        if self.phase == "waiting" and at > (self.waiting_since or 0.0):
            freed = any(book.ended_at == at for book in self.books.values())
            self.marks.sometimes("wait ended by a freed slot" if freed else "wait ended by a timer")
        self.calls[event.call_id] = name
        self.books[name].sent = (at, self.request_id)
        self.phase, self.waiting_since = "calling", None

    def _chosen_in_turn(self, fields: dict[str, Any], name: str, at: float) -> None:
        """By its tags no other of the group is nearer, and nobody who goes before it was free."""
        rank = self.rules.suits(fields, name)
        nearer = [other for other in self._members() if self._nearer(fields, other, rank, at)]
        what = f"{name} was picked for the tags {fields.get('tags')}"
        self._must(rank is not None, "choice", what, at)
        self._must(not nearer, "choice", f"{what}, and {nearer} are nearer", at)
        if self.rules.settings.get("enable_tag_filtering") and "tags" in fields:
            self.marks.sometimes("a default served" if rank else "the right tags served")
        book = self.books[name]
        if book.sick and book.sick_at < at - STALE:
            self.marks.sometimes("served though it failed a check")
            self._accuse(self._idle_others(at), "choice", f"{name} was picked, and had failed its check")
        order = self.rules.deployments[name].order
        before = [other for other in self._members() if self.rules.deployments[other].order < order]
        if before:
            self.marks.sometimes("a later order served")
            under_way = self.calls.values()
            idle = [other for other in self._idle_others(at) if other in before and other not in under_way]
            self._accuse(idle, "choice", f"{name} of order {order} was picked")

    def _members(self) -> list[str]:
        """The group's own and those who stand in for them, those included that may have left it."""
        return [name for name in self.books if self.rules.may_serve(self.group, name)]

    def _nearer(self, fields: dict[str, Any], name: str, rank: int | None, at: float) -> bool:
        """Whether this one is there for sure, and its tags suit better."""
        other = self.rules.suits(fields, name)
        if other is None or self.books[name].doubtful(at):
            return False
        return rank is None or other < rank

    def _may_be_asked(self, fields: dict[str, Any], name: str) -> bool:
        """Whether a deployment is for such a request, whoever else of its group is there."""
        ranks = [rank for other in self._members() if (rank := self.rules.suits(fields, other)) is not None]
        return self.rules.suits(fields, name) == min(ranks, default=0)

    def _idle_others(self, at: float) -> list[str]:
        """Those of the group that have not failed, are free, and have been so long enough to be known."""
        if self.fields is None or "max_parallel_requests" in self.fields:
            return []
        return [
            name
            for name, book in self.books.items()
            if book.rules.group == self.group
            and name not in self.failed
            and book.changed_at < at - STALE
            and not self._sent_by_another(book, at)
            and not book.doubtful(at)
            and book.idle_at(at - STALE, self.tokens)
            and book.idle_at(at, self.tokens)
            and self._may_be_asked(self.fields, name)
        ]

    def _sent_by_another(self, book: DeploymentBook, at: float) -> bool:
        """Whether a call of somebody else's is on its way there, or was a moment ago.

        To its group it counts; refused, as for the length of its prompt, it leaves no other trace.
        """
        sent_at, request_id = book.sent
        return sent_at >= at - STALE and request_id != self.request_id

    def _accuse(self, idle: list[str], invariant: str, what: str) -> None:
        """These stood idle. Unless calls are on their way to them, which will show in this very step."""
        if idle:
            self.accusations.append((idle, invariant, f"request {self.request_id}: {what}"))

    def waits_in_vain(self, now: float) -> list[str]:
        """Those who stand idle although this request has waited for one of them for a while."""
        since = self.waiting_since
        if self.phase != "waiting" or since is None or since >= now - STALE or self.only or self.doubtful:
            return []
        return [] if self.error is not None else self._idle_others(now)

    def _under_way(self) -> list[str]:
        """The calls that have started; one that was refused has not."""
        return [call_id for call_id, name in self.calls.items() if call_id in self.books[name].open]

    def _begin_attempt(self, at: float) -> None:
        self._must(at >= self.paused_until - ROUNDING, "I7", "it did not sleep as long as it had to", at)
        if self.attempts_here and self.error is not None and self.fields is not None:
            allowed = self._allowed()
            what = f"attempt {self.attempts_here + 1} in {self.group}, {allowed} retries are allowed"
            self._must(self.attempts_here <= allowed or self.doubtful, "I7", what, at)
            self.retries += 1
        self.attempts_here += 1

    def _allowed(self) -> int:
        assert self.error is not None
        assert self.fields is not None
        return self.rules.retries(self.error.error, self.fields, self.error.deployment_id)

    def _attempt_failed(self, event: AttemptFailed, at: float) -> None:
        name = self.calls.pop(event.call_id, None)
        self._must(
            name == event.deployment_id, "books", f"{event.deployment_id} failed it, {name} had it", at
        )
        self.error = event
        if name is not None:
            self.failed.add(name)
            if event.error in CALLS_FOR_ANOTHER:
                self.never.add(name)
        if not self.calls:
            self.phase = "choosing"
        if self.fields is not None and self.attempts_here <= self._allowed():
            self.retried.note(at)

    def _waits(self, event: WaitStarted, at: float) -> None:
        allowed = self.fields is None or self.error is not None or self.rules.waits(self.fields)
        self._must(allowed, "I7", "it waits, and was to fail", at)
        known = event.until is not None and event.left_out and all(i.until for i in event.left_out)
        if known and event.until is not None and len(event.left_out) < 32:
            self._must(event.until < self.deadline, "I7", "it waits for what comes too late", at)
        self._mark_reasons(event.left_out)
        self.phase = "waiting"
        self.waiting_since = at if self.waiting_since is None else self.waiting_since

    def _mark_reasons(self, left_out: tuple[LeftOut, ...]) -> None:
        for item in left_out:
            if item.reason in _LIMITS:
                self.marks.sometimes(f"{item.reason} reached")

    def _pauses(self, event: RetryScheduled, at: float) -> None:
        self.marks.sometimes("retry after a pause")
        self._must(self.error is not None, "I7", "it sleeps, and nothing has failed", at)
        assert self.error is not None
        self.paused_until = at + event.seconds
        self._must(self.paused_until < self.deadline, "I7", f"it sleeps {event.seconds} s, too long", at)
        least = max(float(self.rules.settings.get("retry_after", 0.0)), self.error.retry_after or 0.0)
        self._must(event.seconds >= least - ROUNDING, "I7", f"it sleeps {event.seconds} s, not {least}", at)
        if self.fields is not None:
            made = self.attempts_here - bool(self.calls)  # one that was refused was not made
            what = f"it sleeps after attempt {made}"
            self._must(made <= self._allowed() or self.doubtful, "I7", what, at)
        self.phase = "pausing"

    def _fell_back(self, event: FellBack, at: float) -> None:
        self._must(not self._under_way(), "I6", "it fell back with a call under way", at)
        self.calls.clear()
        self._must(event.from_group == self.group, "I6", f"it fell back from {event.from_group}", at)
        self._gave_the_group_up(at)
        self.history.append((event.from_group, event.error))
        if self.fields is not None:
            name = self.rules.fallbacks(self.fields, self.history, self.tried)
            expected = None if name is None else self.rules.group_of(name)
            what = f"it fell back to {event.to_group}, not to {expected}"
            self._must(expected == event.to_group, "I6", what, at)
            self._go_to(name or "")
        self._must(event.to_group not in self.tried, "I6", f"{event.to_group} was tried before", at)
        self.tried.append(event.to_group)
        if len(self.tried) - 1 == self.rules.max_fallbacks:
            self.marks.sometimes("max_fallbacks reached")
        self.group = event.to_group
        self.failed, self.never = set(), set()
        self.attempts_here, self.error, self.paused_until = 0, None, 0.0
        self.phase, self.waiting_since = "choosing", None

    def _gave_the_group_up(self, at: float) -> None:
        """A retry that was left, with time and budget and somebody idle, must have been made."""
        if self.error is None or self.fields is None or self.doubtful or self.only is not None:
            return
        if self.attempts_here - bool(self.calls) > self._allowed():
            return
        idle = self._idle_others(at)
        if idle and self.retried.used_up(at):
            self.marks.sometimes("retry budget used up")
        elif idle:
            what = f"{self.attempts_here} attempts in {self.group}, and no retry was made"
            self._accuse(idle, "idle", what)
        elif self.error.retry_after is not None and at + self.error.retry_after >= self.deadline:
            self.marks.sometimes("no pause past the deadline")

    def _hedge_refused(self, event: HedgeRefused, _at: float) -> None:
        self.calls.pop(event.call_id, None)

    def _hedge_settled(self, event: HedgeSettled, at: float) -> None:
        self.calls.pop(event.loser, None)

    # -- the end

    def _in_time(self, at: float) -> None:
        what = f"its reply came {at - self.deadline:.6f} s after its deadline"
        self._must(at <= self.last_moment, "I1", what, at)
        self.phase = "done"

    def is_somewhere(self) -> bool:
        """Whether it is where its phase says: one whose call has ended must be told, and go on."""
        return self.phase != "calling" or bool(self._under_way())

    def _hit(self, event: CacheHit, at: float) -> None:
        self._must(not self.calls and self.error is None, "cache", "a hit for one that was called for", at)
        self.hit = True
        if self.fields is not None:
            self.cache.hit(self.fields, event, at)

    @property
    def waits_for_another(self) -> bool:
        """Whether nothing is done for it, as it should be while an equal one is called for."""
        begun = self.hit or self.error is not None or len(self.tried) > 1
        return self.phase == "choosing" and not begun and not self.doubtful

    def asks_the_dead(self, now: float) -> bool:
        """Whether its group may have died, and will be asked when it is back."""
        return any(self.books[name].doubtful(now) for name in self._members())

    def _succeeded(self, event: RequestSucceeded, at: float) -> None:
        self._in_time(at)
        if self.hit or event.cached:
            self._must(self.hit and event.cached and not event.cost, "cache", f"cached, and {event!r}", at)
            return
        if self.fields is not None:
            self.cache.answered(self.fields, event, at)
        self._must(event.deployment_id in self.calls.values(), "books", "answered by a stranger", at)
        if event.fallbacks:
            self.marks.sometimes("answered by a fallback")
        elif event.retries:
            self.marks.sometimes("answered by a retry")
        else:
            self.marks.sometimes("answered at the first attempt")
        self._must(event.fallbacks == len(self.tried) - 1, "books", f"{event.fallbacks} fallbacks", at)

    def _failed(self, event: RequestFailed, at: float) -> None:
        phase = self.phase
        self._in_time(at)
        if event.error == "Timeout" and at >= self.deadline - ROUNDING:
            self._mark_deadline(phase)
        elif event.error == "MidStreamError":
            self.marks.sometimes("stream broken after its first chunk")
        elif event.error not in ("RouterClosedError", "APIError"):
            self._gave_up(event, at)

    def _mark_deadline(self, phase: str) -> None:
        if phase == "waiting":
            self.marks.sometimes("deadline while waiting")
        elif phase == "pausing":
            self.marks.sometimes("deadline during a pause")
        elif self.calls or phase == "choosing":
            self.marks.sometimes("deadline during a call")

    def _gave_up(self, event: RequestFailed, at: float) -> None:
        """All fallbacks must have been tried, and the first group's error is the one that is told."""
        self._mark_reasons(event.left_out)
        self._gave_the_group_up(at)
        if event.error == "NoDeploymentsAvailable":
            self.marks.sometimes("nobody available")
            if any(item.reason == "tags" for item in event.left_out):
                self.marks.sometimes("nobody with the tags")
            fresh = not self.history and self.error is None and self.only is None
            if fresh and not self.doubtful and not self._stood_behind_many():
                self._accuse(self._idle_others(at), "idle", "it was refused")
        if self.history:
            self.marks.sometimes("fallbacks exhausted")
            first = self.history[0][1]
            self._must(event.error == first, "I6", f"it failed with {event.error}, {first} came first", at)
        if self.fields is None or self.doubtful:
            return
        if self.error is None:
            last = event.error if not self.history else "NoDeploymentsAvailable"
        else:
            last = self.error.error
        left = self.rules.fallbacks(self.fields, [*self.history, (self.group, last)], self.tried)
        self._must(left is None, "I6", f"it gave up, and {left} was not tried", at)

    def _stood_behind_many(self) -> bool:
        """Whether so many waited before it that the room may have turned it away unlooked at.

        One that may wait goes behind those who do, and of those the first `LOOK_AHEAD` are tried: behind
        them a deployment may well be idle, for which nobody before it waits.
        """
        if self.fields is None or not self.rules.waits(self.fields):
            return False
        return sum(each.group == self.group for each in self.waiting.values()) > LOOK_AHEAD

    def _cancelled(self, _event: RequestCancelled, at: float) -> None:
        waiting = self.phase == "waiting"
        self.marks.sometimes("caller left while waiting" if waiting else "caller left during a call")
        self._in_time(at)


_HANDLERS: dict[type, Any] = {
    RequestAccepted: RequestBook._accepted,
    DeploymentPicked: RequestBook._picked,
    CacheHit: RequestBook._hit,
    AttemptFailed: RequestBook._attempt_failed,
    WaitStarted: RequestBook._waits,
    RetryScheduled: RequestBook._pauses,
    FellBack: RequestBook._fell_back,
    HedgeRefused: RequestBook._hedge_refused,
    HedgeSettled: RequestBook._hedge_settled,
    RequestSucceeded: RequestBook._succeeded,
    RequestFailed: RequestBook._failed,
    RequestCancelled: RequestBook._cancelled,
}
