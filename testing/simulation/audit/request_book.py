"""An auditor's own account of one request: where it may go next, and when it must be over. I1, I5, I6, I7."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ....messages.events import (
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
from .candidates import idle_others
from .endings import cancelled, failed, succeeded
from .giving_up import fell_back
from .hedges import hedge_refused, hedge_settled, hedged
from .picks import chosen_by_rule, chosen_in_turn, served_in_turn
from .retries import attempt_failed, begin_attempt, pauses
from .tolerances import LEARNED, ROUNDING, STALE
from .violation import Violation
from .waits import waits

if TYPE_CHECKING:
    from ....messages.events import CallStarted, Event
    from ..marks import Marks
    from .budgets import HedgeBudget, RetriesMade, RetryBudget
    from .cache_book import CacheBook
    from .deployment_book import DeploymentBook
    from .money_book import MoneyBook
    from .rulebook import Rulebook
    from .strategy_book import StrategyBook
    from .waits import Waiting

__all__ = ["Accusation", "RequestBook"]

Accusation = tuple[list[str], str, str]
"""Deployments that seem to have stood idle, the invariant that forbids it, and how."""


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
        money_due: when budgets that it waits for have more, as far as it was told.
        waiting: the books of all requests that wait, whoever's they are.
    """

    rules: Rulebook
    marks: Marks
    books: dict[str, DeploymentBook]
    retried: RetriesMade
    accusations: list[Accusation]
    waiting: Waiting
    cache: CacheBook
    strategies: StrategyBook
    hedging: HedgeBudget
    retrying: RetryBudget
    money: MoneyBook
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
    money_due: tuple[float, ...] = ()
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

    @property
    def last_moment(self) -> float:
        """By then it must have its reply."""
        return max(self.deadline, self.excused_until) + ROUNDING

    def under_way(self) -> list[str]:
        """The calls that have started; one that was refused has not."""
        return [call_id for call_id, name in self.calls.items() if call_id in self.books[name].open]

    def is_somewhere(self) -> bool:
        """Whether it is where its phase says: one whose call has ended must be told, and go on."""
        return self.phase != "calling" or bool(self.under_way())

    @property
    def waits_for_another(self) -> bool:
        """Whether nothing is done for it, as it should be while an equal one is called for."""
        return self.phase == "choosing" and not self.begun and not self.doubtful

    @property
    def begun(self) -> bool:
        """Whether it has gone on without a cache's answer, or with it."""
        return self.hit or self.error is not None or len(self.tried) > 1

    # -- verdicts

    def must(self, truth: object, invariant: str, what: str, at: float) -> None:
        """It breaks this invariant unless `truth`."""
        if not truth:
            raise Violation(invariant, f"request {self.request_id}: {what}", at)

    def accuse(self, idle: list[str], invariant: str, what: str) -> None:
        """These stood idle. Unless calls are on their way to them, which will show in this very step."""
        if idle:
            self.accusations.append((idle, invariant, f"request {self.request_id}: {what}"))

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
        self.must(abs(event.deadline - wanted) < ROUNDING, "I1", f"its deadline is {event.deadline}", at)
        if self.rules.group_of(event.model) is None:
            self.marks.sometimes("unknown model")
        self.go_to(event.model)

    def go_to(self, name: str) -> None:
        """Its group is asked, or this one deployment of it."""
        self.only = name if name in self.rules.deployments else None

    def _picked(self, event: DeploymentPicked, at: float) -> None:
        decision, name = event.decision, event.decision.deployment_id
        self.must(at <= self.last_moment, "I1", "picked after its deadline", at)
        self.must(decision.group == self.group, "I6", f"{decision.group} chose, {self.group} was asked", at)
        self.must(self.rules.may_serve(self.group, name), "I6", f"{name} is not of {self.group}", at)
        self.must(self.only in (None, name), "I6", f"{name} was picked, {self.only} was named", at)
        if self.fields is not None:
            able = self.rules.able(self.fields, name) and self.rules.may_serve_this(
                self.group, self.fields, name
            )
            self.must(able, "choice", f"{name} cannot do that, or not there, and was picked", at)
        self.strategies.consistent(decision, at)
        if self.only is None and self.fields is not None:
            chosen_in_turn(self, self.fields, name, at)
            chosen_by_rule(self, self.fields, event, at)
            served_in_turn(self, self.fields, name, at)
        self.must(name not in self.never, "I5", f"{name} would only fail the same way again", at)
        if name in self.failed and self.only is None:
            self.marks.sometimes("failed deployment asked again")
            self.accuse(idle_others(self, at), "I5", f"{name} had failed, and another was picked by nobody")
        if event.hedge:
            hedged(self, event, at)
            self.must(name not in self.calls.values(), "I5", f"{name} was hedged with itself", at)
        elif event.call_id not in self.calls:
            begin_attempt(self, at)
        else:
            self.marks.sometimes("refused by the deployment")
        if self.phase == "waiting" and at > (self.waiting_since or 0.0):
            freed = any(book.ended_at == at for book in self.books.values())
            self.marks.sometimes("wait ended by a freed slot" if freed else "wait ended by a timer")
            if any(abs(at - until) < STALE for until in self.money_due):
                self.marks.sometimes("wait ended by a new budget window")
        self.calls[event.call_id] = name
        self.books[name].sent = (at, self.request_id)
        self.phase, self.waiting_since = "calling", None

    def _hit(self, event: CacheHit, at: float) -> None:
        self.must(not self.calls and self.error is None, "cache", "a hit for one that was called for", at)
        self.hit = True
        if self.fields is not None:
            self.cache.hit(self.fields, event, at)

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
        self.must(right, "books", f"{event.reserved} tokens are set aside, not {least} to {most}", at)


_HANDLERS: dict[type, Any] = {
    RequestAccepted: RequestBook._accepted,
    DeploymentPicked: RequestBook._picked,
    CacheHit: RequestBook._hit,
    AttemptFailed: attempt_failed,
    WaitStarted: waits,
    RetryScheduled: pauses,
    FellBack: fell_back,
    HedgeRefused: hedge_refused,
    HedgeSettled: hedge_settled,
    RequestSucceeded: succeeded,
    RequestFailed: failed,
    RequestCancelled: cancelled,
}
