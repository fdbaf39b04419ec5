"""Goes through everything a router records while it lives, and looks into its actors between two steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ....messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentRestarted,
    DeploymentRetired,
    DeploymentUpdated,
    EventsLost,
    HealthChecked,
    HedgeSettled,
)
from .attempts import Attempts
from .deployment_book import DeploymentBook
from .downtime import Downtime
from .journal_book import JournalBook
from .living import Living
from .money_book import MoneyBook
from .open_requests import OpenRequests
from .replies import Replies
from .rounds import AFTER_A_CRASH, RoundsBook
from .shadow import treasury_on
from .usage import usage_is_what_was_told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....actors.journal.codec import Recorded
    from ....messages.events import Event
    from ....supervisor.face.router import Router
    from ..callers import Callers
    from ..disk import SimulatedDisk
    from ..marks import Marks
    from ..upstream import SimulatedUpstream
    from .request_book import RequestBook
    from .rulebook import Rulebook

__all__ = ["Auditor"]

_NOTHING: dict[str, Any] = {}


class Auditor:
    """Hands every event to the books it is for, and has each of them looked at after every step.

    Attributes:
        deployments: the book of each.
        journal: what was recorded, as a journal.
        downtime: when actors were dead.
        living: the deployments themselves, beside their books.
        money: all budgets.
        rounds: of health checks in the background.
    """

    def __init__(self, rules: Rulebook, callers: Callers, upstream: SimulatedUpstream, marks: Marks) -> None:
        self.rules = rules
        self.callers = callers
        self.upstream = upstream
        self.marks = marks
        self.deployments = {name: DeploymentBook(each, marks) for name, each in rules.deployments.items()}
        self.journal = JournalBook()
        self.downtime = Downtime()
        self.money = MoneyBook(rules, self.deployments, marks)
        self.living = Living(self.deployments, self.money, marks)
        self._open = OpenRequests(rules, callers, marks, self.deployments, self.downtime, self.money)
        self._attempts = Attempts(rules, callers, upstream)
        self._replies = Replies(callers, upstream, marks)
        asked_for = "checks" in upstream.faults
        self.rounds = RoundsBook(rules, self.deployments, marks, asked_for=asked_for)
        self._heard: list[Recorded] = []
        self.router: Router = None  # type: ignore[assignment]  # from `watch`

    def __repr__(self) -> str:
        return f"<Auditor {self.journal.events} events · {len(self.requests)} open requests>"

    @property
    def requests(self) -> dict[str, RequestBook]:
        """The books of those that are open."""
        return self._open.books

    def watch(self, router: Router) -> None:
        """Hear of all that this router records from now on."""
        self.router = router
        router._journal.subscribe(self._heard.extend)
        self.upstream.begun = self.living.call_is_recorded
        self.downtime.watch(router)
        self.living.watch(router)

    def catch_up(self, recorded: Sequence[Recorded]) -> None:
        """What it has recorded before; some of it may have been heard by now, as it was looked up."""
        self.hear(recorded)
        self._heard[:] = [item for item in self._heard if item.position > self.journal.position]

    def recover(self, disk: SimulatedDisk, now: float, before: Auditor) -> None:
        """Begin where the journal on `disk` ends, as a router that starts on it must (I8, I10)."""
        self.journal.begin(disk)
        self.living.recover(disk, now, before.living)
        self._recover_money(disk, now, before)

    def _recover_money(self, disk: SimulatedDisk, now: float, before: Auditor) -> None:
        """What was spent before counts; on a journal that is whole, by books of our own."""
        whole = disk.last_position() == sum(1 for _ in disk.read())
        if whole:
            self.money.replay(disk.read(), now)
            self.money.compare_own(self.living.recovered, now)
        else:
            for name, state in self.living.recovered.items():
                self.money.adopt(name, state, now)
        if self.rules.shared_budgets:
            shared = treasury_on(disk, before.router.settings, now if whole else None)
            if whole:
                self.money.compare_shared(shared, now)
            else:
                self.money.adopt_shared(shared, now)

    def cut(self, position: int) -> None:
        """Of what was heard last only the events up to `position` have happened."""
        heard, self._heard[:] = tuple(self._heard), ()
        self.hear([item for item in heard if item.position <= position])

    def crashed(self, role: str, name: str, now: float) -> None:
        """An actor is about to die of a bug that was put there."""
        for book in self.deployments.values():
            rules = book.rules
            if role == "supervisor" or name in (rules.id, rules.group, *self.rules.substitutes):
                book.crashed_at = max(now, book.crashed_at)
        if role == "deployment":
            if self.deployments[name].open:
                self.marks.sometimes("crash with calls open")
            if self.router._journal.health().lost:
                self.living.blind.add(name)
        elif role == "treasury":
            self.money.crashed(now, lost=self.router._journal.health().lost)
        elif role == "supervisor":
            self._replies.supervisor_died = True
        self.rounds.excuse(now + AFTER_A_CRASH)
        self.downtime.crashed(role, name, now)
        self._open.crashed(role, name, self.router._journal.position, now)

    # -- events

    def hear(self, recorded: Sequence[Recorded]) -> None:
        """Go through what was recorded, one event at a time."""
        for item in recorded:
            self.journal.note(item)
            kind, _, name = item.stream.partition("/")
            if kind == "deployment":
                self._of_deployment(name, item)
            elif kind == "router":
                self._of_router(item.event, item.at)
            elif kind == "request":
                self._of_request(name, item)
            elif kind == "budgets" and not self.money.blind:
                self.money.of_treasury(item.event, self._request_of(item.event), item.at)

    def _request_of(self, event: Any) -> RequestBook | None:
        """The open request that a call belongs to."""
        return self.requests.get(getattr(event, "call_id", "").rpartition(".")[0])

    def _of_deployment(self, name: str, item: Recorded) -> None:
        book = self.deployments[name]
        event = item.event
        parallel = None
        if type(event) is CallStarted:
            parallel = self.callers.fields.get(event.request_id, _NOTHING).get("max_parallel_requests")
        elif isinstance(event, (CallSucceeded, CallFailed, CallCancelled)):
            usage_is_what_was_told(event, self.upstream, self.requests, item.at)
            self._open.call_ended(event.request_id)
        elif type(event) is HealthChecked:
            usage_is_what_was_told(event, self.upstream, self.requests, item.at)
        elif type(event) is CallAbandoned:
            self.upstream.under_way.pop(event.call_id, None)
        blind = name in self.living.blind
        if not blind and type(event) is CallStarted:  # what is expected is what was known until now
            self.money.of_deployment(name, event, self._request_of(event), item.at)
        if blind:
            book.changed_at = item.at
            self.money.of_deployment(name, event, None, item.at, blind=True)
        else:
            self._of_attempt(name, event, item.at)
            book.apply(event, item.at, parallel)
            if type(event) is not CallStarted:
                self.money.of_deployment(name, event, None, item.at)
            said = self.upstream.limits.pop(event.call_id, None) if type(event) is CallSucceeded else None
            if said is not None:
                book.foretell_limits(said, item.at)
        self.rounds.heard(name, event, item.at)
        self.living.touched(name, event, item.at)

    def _of_attempt(self, name: str, event: Event, at: float) -> None:
        attempts = self._attempts
        if type(event) is CallStarted:
            attempts.started(event, name, at, self.deployments[name])
            if event.request_id in self.requests:
                self.requests[event.request_id].reserves(event, name, at)
        elif type(event) is CallOpened:
            attempts.opened(event.call_id, at)
        elif isinstance(event, CallFailed):
            request = self.requests.get(event.request_id)
            attempts.failed(event, None if request is None else request.deadline, at)
        elif isinstance(event, (CallSucceeded, CallCancelled, CallAbandoned)):
            attempts.ended(event.call_id)
            if isinstance(event, CallSucceeded) and event.request_id in self.requests:
                self.requests[event.request_id].costs[name] = event.cost

    def _of_router(self, event: Event, at: float) -> None:
        if isinstance(event, EventsLost):
            self.marks.sometimes("journal lost events")
        elif isinstance(event, DeploymentRetired):
            self.marks.sometimes("actor retired")
            self.downtime.retired_for_a_reason(event.deployment_id, at)
            self.deployments[event.deployment_id].crashed_at = math.inf  # nothing is owed by it any more
        elif isinstance(event, DeploymentRestarted):
            self.money.came_back(event.deployment_id, at)
            self.rounds.came_back(event.deployment_id)
        elif isinstance(event, (DeploymentAdded, DeploymentUpdated)) and not event.listed:
            self._learn(event, at)
        elif isinstance(event, DeploymentRemoved):
            self.marks.sometimes("deployment removed under load")
            self.deployments[event.deployment_id].crashed_at = math.inf

    def _learn(self, event: DeploymentAdded | DeploymentUpdated, at: float) -> None:
        """A deployment came, or changed, while the router runs."""
        name = event.deployment_id
        rules = self.rules.learn(name, event.config)
        book = self.deployments.get(name)
        if book is None:
            self.marks.sometimes("deployment added under load")
            self.deployments[name] = book = DeploymentBook(rules, self.marks)
            self.living.added(name)
        else:
            self.marks.sometimes("deployment changed under load")
            book.change(rules, at)
            self.living.changed(name)
        book.crashed_at = at
        self.rounds.excuse(at)
        self.money.changed(name)

    def _of_request(self, name: str, item: Recorded) -> None:
        event, at = item.event, item.at
        book = self._open.book_of(name, item)
        calls = dict(book.calls)
        self._open.apply(name, book, item)
        if isinstance(event, HedgeSettled):
            self._attempts.unwanted(event.loser, calls.get(event.loser, event.deployment_id), at)
        if book.phase == "done":
            for call_id, deployment_id in calls.items():
                self._attempts.unwanted(call_id, deployment_id, at)
            self._attempts.over(name, at)
            self._replies.recorded(name, event, at)

    # -- between two steps

    def look(self, now: float) -> None:
        """The world stands still for a moment: everything recorded must be acted on by now."""
        if self._heard:
            heard, self._heard[:] = tuple(self._heard), ()
            self.hear(heard)
        self.living.look(now)
        self.living.were_recorded_first(now)
        if self.money.on and not self.living.closed_by_itself and not self.living.is_retired("treasury"):
            self.money.look(self.living.service("treasury"), self.living.actor, now)
        self.rounds.look(self.living.service("health"), now)
        self._replies.come_after_their_record(now)
        self._replies.are_there(self.requests, now)
        self._open.nobody_is_late(now)
        self._attempts.look(self.deployments, now)
        self._open.look(now)

    def excuse(self, now: float) -> None:
        """The process slept until now, and its timers will ring one after the other."""
        self.excuse_lateness(now)
        for each in self.deployments.values():
            each.crashed_at = max(now, each.crashed_at)

    def excuse_lateness(self, now: float) -> None:
        """Nothing could be done until now: what fell due meanwhile is late, and rightly so."""
        self.downtime.slept_until = now
        self.rounds.excuse(now)
        self._open.excuse(now)
