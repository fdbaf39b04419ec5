"""An auditor's own account of one request: where it may go next, and when it must be over. I1, I5, I6, I7."""

from __future__ import annotations

import heapq
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
    from ...messages.events import CallStarted, Event
    from ...messages.outcomes import LeftOut
    from .budgets import HedgeBudget, RetryBudget
    from .cache_book import CacheBook
    from .deployment_book import DeploymentBook
    from .marks import Marks
    from .rulebook import Rulebook
    from .strategy_book import StrategyBook

__all__ = ["STALE", "Accusation", "RequestBook", "RetriesMade"]

STALE = 0.01
"""Seconds after which a group must know what its deployments can take."""

_LIMITS = ("rpm", "tpm", "parallel")

LEARNED = 1.01
"""A prompt may be taken for so much longer than it is estimated: a provider's own count of the long prompts
(two tokens more in 679, at most) teaches a deployment how long others are; short ones teach it nothing."""

MAX_QUEUE = 1000
"""How many may wait when the settings do not say."""

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
        last_at: when anything was last heard of it; `lost_after` the position at which its group died
            with it, while nothing was heard since.
        costs: of calls that went well, by deployment.
        tried_at: when the current attempt began, whoever refused it since; `failed_at`: the last failed.
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
    strategies: StrategyBook
    hedging: HedgeBudget
    retrying: RetryBudget
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
    failed_at: float = 0.0
    tried_at: float = 0.0
    costs: dict[str, float | None] = field(factory=dict)
    paused_until: float = 0.0
    waiting_since: float | None = None
    doubtful: bool = False
    tokens: int | None = None
    input_tokens: int = 0
    last_at: float = 0.0
    lost_after: int | None = None
    hit: bool = False

    def apply(self, event: Event, at: float) -> None:
        """Take an event into account.

        Raises:
            Violation: it must not have happened.
        """
        if self.phase == "done":
            raise Violation("I1", f"request {self.request_id}: {event!r} after its final reply", at)
        self.last_at = at
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
        self.input_tokens = event.input_tokens
        self.tried = [event.group]
        self.retrying.request(at)
        self.hedging.request()
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
        self.strategies.consistent(decision, at)
        if self.only is None and self.fields is not None:
            self._chosen_in_turn(self.fields, name, at)
            self._chosen_by_rule(self.fields, event, at)
            self._served_in_turn(self.fields, name, at)
        self._must(name not in self.never, "I5", f"{name} would only fail the same way again", at)
        if name in self.failed and self.only is None:
            self.marks.sometimes("failed deployment asked again")
            self._accuse(self._idle_others(at), "I5", f"{name} had failed, and another was picked by nobody")
        if event.hedge:
            self._hedged(event, at)
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

    def _chosen_by_rule(self, fields: dict[str, Any], event: DeploymentPicked, at: float) -> None:
        """The strategy picked whom it says it picks."""
        decision = event.decision
        name = decision.deployment_id
        book, order = self.books[name], self.rules.deployments[name].order
        if decision.strategy == "simple-shuffle" and self._drawn_freely(event):
            self.strategies.drawn(decision, at)
        if book.changed_at >= at - STALE or self._sent_by_another(book, at) or book.doubtful(at):
            return
        taken = (name, *self.calls.values())
        orders = self.rules.deployments
        peers = [
            other for other in self._idle_others(at) if orders[other].order == order and other not in taken
        ]
        better = self.strategies.better(decision.strategy, fields, name, peers, at)
        self._accuse(better, "choice", f"{decision.strategy} picked {name}")

    def _drawn_freely(self, event: DeploymentPicked) -> bool:
        """Whether each of the candidates that are told could have been drawn."""
        assert self.fields is not None
        if event.hedge or self.failed or event.call_id in self.calls or len(event.decision.candidates) < 2:
            return False
        limited = any(self.rules.deployments[name].tpm for name in self._members())
        return not limited and not self.rules.substitutes and "max_parallel_requests" not in self.fields

    def _served_in_turn(self, fields: dict[str, Any], name: str, at: float) -> None:
        """Of those who waited for this deployment nobody went before this one."""
        book = self.books[name]
        if self.phase != "waiting" or self.doubtful or self.waiting_since is None or book.doubtful(at):
            return
        if self._sent_by_another(book, at):
            return
        others = [each for each in self.waiting.values() if each.group == self.group and each is not self]
        if len(others) >= LOOK_AHEAD:
            return
        rank = (*self.rules.rank(fields, self.deadline), self.waiting_since)
        for other in others:
            if other._could_have_had(name, rank, at):
                raise Violation("choice", f"{self.request_id} was served, and {other.request_id} is next", at)

    def _could_have_had(self, name: str, rank: tuple[int, float, float], at: float) -> bool:
        """Whether this one waits for that deployment, as far as one can know, and goes before such a rank."""
        fields, since = self.fields, self.waiting_since
        if fields is None or since is None or since >= at - STALE or self.doubtful or self.error is not None:
            return False
        if self.only is not None or "max_parallel_requests" in fields or at >= self.deadline:
            return False
        if (*self.rules.rank(fields, self.deadline), since) >= rank or not self._may_be_asked(fields, name):
            return False
        return self.rules.may_serve(self.group, name) and self.books[name].idle_at(at, self.tokens)

    def _hedged(self, event: DeploymentPicked, at: float) -> None:
        """A second attempt is made when it is due, and no more often than may be."""
        self.hedges += 1
        if event.call_id not in self.calls:  # else the first that was asked refused
            self.hedging.hedge(at)
        after = None if self.fields is None else self.hedge_after
        if after is not None:
            due = self.tried_at + after
            self._must(at >= due - ROUNDING, "times", f"it was hedged at {at}, due at {due}", at)

    @property
    def hedge_after(self) -> float | None:
        """Seconds after which an attempt is slow; None: never, or nobody knows."""
        after = (self.fields or {}).get("hedge_after", self.rules.settings.get("hedge_after"))
        return after if isinstance(after, float) else None

    def misses_a_hedge(self, due: float, now: float) -> list[str]:
        """Those who stood idle, with no limit of a minute, when a second attempt was due there."""
        after, calls = self.hedge_after, [*self.calls.values()]
        if self.phase != "calling" or after is None or due != self.tried_at + after or len(calls) != 1:
            return []
        if self.doubtful or self.error is not None or now > due + 5 * STALE:
            return []
        open_calls = [self.books[name].open.get(call_id) for call_id, name in self.calls.items()]
        if any(call is None or call.opened for call in open_calls):
            return []
        return [
            name
            for name in self._idle_others(now)
            if name not in calls
            and self.books[name].changed_at < due - STALE
            and self.books[name].rules.rpm is None
            and self.books[name].rules.tpm is None
            and not self.books[name].trips
        ]

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
            if not self.doubtful:
                self.retrying.retry(self.failed_at, at)
        self.retries += self.attempts_here > 0
        self.tried_at = at
        if self.hedge_after is not None and self.only is None:
            heapq.heappush(self.hedging.due, (at + self.hedge_after, self.request_id))
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
        self.error, self.failed_at = event, at
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
        most = self.rules.settings.get("max_queue")
        if most is not None and self.phase != "waiting":
            room = sum(each._is_in_the_room_of(self.group, at) for each in self.waiting.values())
            self._must(room < most, "idle", f"{room} wait, {most} may, and it waits as well", at)
        if self.error is not None and self.fields is not None and not self.doubtful:
            history = [*self.history, (self.group, self.error.error)]
            left = self.rules.fallbacks(self.fields, history, self.tried)
            self._must(left is None, "I6", f"it waits for a retry, and {left} was not tried", at)
        known = event.until is not None and event.left_out and all(i.until for i in event.left_out)
        if known and event.until is not None and len(event.left_out) < 32:
            self._must(event.until < self.deadline, "I7", "it waits for what comes too late", at)
        self._mark_reasons(event.left_out)
        self.phase = "waiting"
        self.waiting_since = at if self.waiting_since is None else self.waiting_since

    def _is_in_the_room_of(self, group: str, at: float) -> bool:
        return self.group == group and at < self.deadline and not self.doubtful

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
        failed = self.attempts_here - bool(self.calls)  # one that was refused was not made
        least, most = self.rules.pause(self.error.error, self.error.retry_after, failed)
        right = least - ROUNDING <= event.seconds <= most + ROUNDING
        self._must(right, "I7", f"it sleeps {event.seconds} s, not {least} to {most}", at)
        if self.fields is not None:
            what = f"it sleeps after attempt {failed}"
            self._must(failed <= self._allowed() or self.doubtful, "I7", what, at)
        self.phase = "pausing"

    def _fell_back(self, event: FellBack, at: float) -> None:
        self._must(not self._under_way(), "I6", "it fell back with a call under way", at)
        self.retries -= bool(self.calls) and self.attempts_here > 1  # refused, and so never made
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
        self.hedging.give_back()
        self.calls.pop(event.call_id, None)

    def _hedge_settled(self, event: HedgeSettled, at: float) -> None:
        self.calls.pop(event.loser, None)

    # -- the end

    def _in_time(self, at: float) -> None:
        what = f"its reply came {at - self.deadline:.6f} s after its deadline"
        self._must(at <= self.last_moment, "I1", what, at)
        self.phase = "done"

    def reserves(self, event: CallStarted, name: str, at: float) -> None:
        """What is set aside for a call is its prompt, and the longest answer or the one that is expected.

        A prompt may be counted instead of estimated, or taken for longer as its deployment has learned.
        """
        book, fields = self.books[name], self.fields
        if fields is None or at == book.lenient_at:
            return
        output = fields.get("max_tokens")
        least = most = round(book.account.mean_output) if output is None else output
        tpm = book.rules.tpm
        if output is None and tpm is not None:
            least = min(least, max(0, tpm - math.ceil(self.input_tokens * LEARNED)))
        least, most = least + self.input_tokens // 2, most + math.ceil(self.input_tokens * LEARNED)
        right = least - 1 <= event.reserved <= most + 1
        self._must(right, "books", f"{event.reserved} tokens are set aside, not {least} to {most}", at)

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
        return self.phase == "choosing" and not self.begun and not self.doubtful

    @property
    def begun(self) -> bool:
        """Whether it has gone on without a cache's answer, or with it."""
        return self.hit or self.error is not None or len(self.tried) > 1

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
        if self.doubtful:
            return
        self._must(event.retries == self.retries, "books", f"{event.retries} retries, not {self.retries}", at)
        cost = self.costs.get(event.deployment_id)
        self._must(event.cost == cost, "books", f"it cost {event.cost}, its call {cost}", at)
        took = at - self.accepted_at
        self._must(abs(event.seconds - took) < ROUNDING, "books", f"it took {took}, and {event!r}", at)

    def _failed(self, event: RequestFailed, at: float) -> None:
        phase = self.phase
        self._in_time(at)
        if event.error == "Timeout" and at >= self.deadline - ROUNDING:
            on_time = (
                phase != "pausing" or self.paused_until >= at - STALE or self.excused_until or self.doubtful
            )
            self._must(on_time, "idle", f"its pause was over at {self.paused_until}", at)
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
            if fresh and not self.doubtful:
                self._must(not self._might_have_waited(event, at), "idle", f"it was to wait: {event!r}", at)
                if not self._stood_behind_many():
                    self._accuse(self._idle_others(at), "idle", "it was refused")
        if self.history:
            self.marks.sometimes("fallbacks exhausted")
            first = self.history[0][1]
            self._must(event.error == first, "I6", f"it failed with {event.error}, {first} came first", at)
        if self.fields is None or self.doubtful:
            return
        self._fails_for_a_reason(event, at)
        if self.error is None:
            last = event.error if not self.history else "NoDeploymentsAvailable"
        else:
            last = self.error.error
        left = self.rules.fallbacks(self.fields, [*self.history, (self.group, last)], self.tried)
        self._must(left is None, "I6", f"it gave up, and {left} was not tried", at)

    def _fails_for_a_reason(self, event: RequestFailed, at: float) -> None:
        """Its last attempt's, or since there was none."""
        if self.error is not None:
            right = {self.error.error}
        else:
            right = {"NoDeploymentsAvailable", "NotFoundError"}
            if any(self.books[name].crashed_at > 0 for name in self._members()):
                right.add("ServiceUnavailableError")  # its group may be out of rotation
        if not self.history:
            self._must(event.error in right, "reply", f"it failed with {event.error}, not {right}", at)

    def _might_have_waited(self, event: RequestFailed, at: float) -> bool:
        """Whether somebody would have been free in time, and there was room to wait for it."""
        if self.fields is None or not self.rules.waits(self.fields):
            return False
        most = self.rules.settings.get("max_queue", math.inf)
        if 2 * sum(each.group == self.group for each in self.waiting.values()) >= most:
            return False
        if not event.left_out and not event.left_out_by_reason and self.only is None:
            return not any(self.books[name].doubtful(at) for name in self._members())
        return any(
            item.reason == "parallel" if item.until is None else at < item.until < self.deadline
            for item in event.left_out
        )

    def _stood_behind_many(self) -> bool:
        """Whether so many waited before it that the room may have turned it away unlooked at.

        One that may wait goes behind those who do, and of those the first `LOOK_AHEAD` are tried: behind
        them a deployment may well be idle, for which nobody before it waits. A full room refuses it.
        """
        if self.fields is None or not self.rules.waits(self.fields):
            return False
        count = sum(each.group == self.group for each in self.waiting.values())
        return count > LOOK_AHEAD and 2 * count > self.rules.settings.get("max_queue", MAX_QUEUE)

    def stands_far_back(self) -> bool:
        """Whether so many of those who wait go before it that it may well not be looked at."""
        before = 0
        rank = None if self.fields is None else self.rules.rank(self.fields, self.deadline)
        for each in self.waiting.values():
            if each.group == self.group and each is not self:
                known = rank is not None and each.fields is not None
                before += not known or self.rules.rank(each.fields or {}, each.deadline) <= rank  # type: ignore[operator]
        return before >= LOOK_AHEAD

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
