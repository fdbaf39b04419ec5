"""Holds open requests, between two steps, to being somewhere, in time, and served by whoever is idle. I1."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING

from ....messages.events import FellBack, RequestAccepted
from .budgets import HedgeBudget, RetriesMade, RetryBudget
from .cache_book import CacheBook
from .hedges import misses_a_hedge
from .request_book import RequestBook
from .strategy_book import StrategyBook
from .tolerances import SOON, STALE
from .violation import Violation
from .waits import Waiting, stands_far_back, waits_in_vain

if TYPE_CHECKING:
    from ....actors.journal.codec import Recorded
    from ..callers import Callers
    from ..marks import Marks
    from .deployment_book import DeploymentBook
    from .downtime import Downtime
    from .money_book import MoneyBook
    from .request_book import Accusation
    from .rulebook import Rulebook

__all__ = ["OpenRequests"]

LOOKED_AT = 4
"""Waiting requests that are looked at in each step, the oldest first."""

SURELY_SAVED = 4.0
"""Hedges that are in the budget although some were spent on requests that were over at that very moment."""


class OpenRequests:
    """The book of each, and those of them that are due to be looked at.

    Attributes:
        books: by request.
        deployments: the books of these, whoever keeps them.
    """

    def __init__(
        self,
        rules: Rulebook,
        callers: Callers,
        marks: Marks,
        deployments: dict[str, DeploymentBook],
        downtime: Downtime,
        money: MoneyBook,
    ) -> None:
        self.rules = rules
        self.callers = callers
        self.marks = marks
        self.deployments = deployments
        self.downtime = downtime
        self.money = money
        self.books: dict[str, RequestBook] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._moved: set[str] = set()
        self._waiting = Waiting()
        self._chosen_for: list[tuple[float, str]] = []
        self._accused: list[Accusation] = []
        self._retried = RetriesMade()
        self._cache = CacheBook(rules, marks)
        self._strategies = StrategyBook(rules, deployments)
        self._hedging, self._retrying = HedgeBudget(), RetryBudget()

    def __repr__(self) -> str:
        return f"<OpenRequests {len(self.books)}, {len(self._waiting)} of them wait>"

    # -- events

    def book_of(self, name: str, item: Recorded) -> RequestBook:
        """Of the request that an event is about; a new one when it begins.

        Raises:
            Violation: it begins twice, or has not begun, or is over.
        """
        event = item.event
        book = self.books.get(name)
        if type(event) is RequestAccepted:
            if book is not None:
                raise Violation("I1", f"request {name} was accepted twice", item.at)
            fields = self.callers.fields.get(name)
            ours = (self.deployments, self._retried, self._accused, self._waiting, self._cache)
            budgets = (self._hedging, self._retrying, self.money)
            book = RequestBook(self.rules, self.marks, *ours, self._strategies, *budgets, fields)
            self.books[name] = book
            heapq.heappush(self._deadlines, (event.deadline, name))
        elif book is None:
            raise Violation("I1", f"request {name}: {event.TYPE}, and it is not open", item.at)
        return book

    def apply(self, name: str, book: RequestBook, item: Recorded) -> None:
        """Take an event into account; the last one closes the book."""
        self._note_its_group(book, item.at)
        book.apply(item.event, item.at)
        self._note_its_group(book, item.at)
        gone = type(item.event) is FellBack  # with another group by now, whenever that is heard of
        if book.lost_after is not None and (gone or item.position > book.lost_after):
            book.lost_after = None
        if book.phase == "choosing":
            heapq.heappush(self._chosen_for, (item.at + SOON, name))
        self._moved.add(name)
        if book.phase == "waiting":
            self._waiting[name] = book
        elif self._waiting:
            self._waiting.pop(name, None)
        if book.phase == "done":
            del self.books[name]

    def _note_its_group(self, book: RequestBook, at: float) -> None:
        if book.phase in ("choosing", "waiting") and book.group:
            self._waiting.note(book.group, book.request_id, at)

    def call_ended(self, request_id: str) -> None:
        """It must be told, and go on, in this very step."""
        self._moved.add(request_id)

    def crashed(self, role: str, name: str, position: int, now: float) -> None:
        """An actor is about to die, and may know of some that nobody else does."""
        for request in self.books.values():
            request.doubtful = True
            if role != "group" or request.group != name:
                continue
            if request.phase in ("waiting", "choosing"):
                request.lost_after = position
                heapq.heappush(self._chosen_for, (now + SOON, request.request_id))
            if request.phase == "waiting":
                self.marks.sometimes("crash with requests waiting")

    def excuse(self, now: float) -> None:
        """Nothing could be done until now: what fell due meanwhile is late, and rightly so."""
        for name, book in self.books.items():
            if book.deadline < now:
                book.excused_until = now
                heapq.heappush(self._deadlines, (now, name))

    # -- between two steps

    def look(self, now: float) -> None:
        """Each goes on, or waits for what there is."""
        self._leaving_is_heard(now)
        self._hedges_are_made(now)
        self.downtime.look_at_groups(now)
        self._groups_go_on(now)
        self._nobody_is_nowhere(now)
        self._nobody_waits_in_vain(now)
        if self._cache.on:
            self._nobody_waits_for_nobody(now)

    def nobody_is_late(self, now: float) -> None:
        """I1."""
        deadlines = self._deadlines
        while deadlines and (deadlines[0][1] not in self.books or deadlines[0][0] < now):
            deadline, name = heapq.heappop(deadlines)
            book = self.books.get(name)
            if book is not None and now > book.last_moment:
                raise Violation("I1", f"request {name} was due at {deadline} and has no reply", now)

    def _leaving_is_heard(self, now: float) -> None:
        """A caller who gave up is not called for any more."""
        left = self.callers.left
        while left and left[0][0] < now - SOON:
            at, name = left.popleft()
            book = self.books.get(name)
            if book is not None and not book.doubtful and now > self.downtime.slept_until + SOON:
                raise Violation("stray", f"request {name} goes on, and its caller left at {at}", now)

    def _hedges_are_made(self, now: float) -> None:
        """A slow attempt has another beside it, when the budget has room and somebody is idle."""
        budget = self._hedging
        while budget.due and budget.due[0][0] < now - STALE:
            due, name = heapq.heappop(budget.due)
            book = self.books.get(name)
            if book is None or budget.saved < SURELY_SAVED or self._cache.on or self.downtime.uneven:
                continue
            idle = misses_a_hedge(book, due, now)
            if idle:
                raise Violation("times", f"request {name} was to be hedged at {due}, {idle} stood idle", now)

    def _groups_go_on(self, now: float) -> None:
        """I1: whoever is chosen for, or was when its group died, is heard of soon after that is back."""
        while self._chosen_for and self._chosen_for[0][0] < now:
            _, name = heapq.heappop(self._chosen_for)
            book = self.books.get(name)
            if book is None or (self._cache.on and not book.begun and self._may_follow(book)):
                continue
            lost = book.phase == "choosing" or (book.phase == "waiting" and book.lost_after is not None)
            if not lost or book.last_at > now - SOON:
                continue
            if not self.downtime.is_just_back(book.group, now):
                raise Violation("I1", f"request {name} is with nobody since {book.last_at}", now)
            heapq.heappush(self._chosen_for, (now + SOON, name))

    def _nobody_is_nowhere(self, now: float) -> None:
        """I1: an open request is being chosen for, waits, pauses, or has a call under way."""
        orphans = set()
        for name in self._moved:
            book = self.books.get(name)
            if book is not None and not book.is_somewhere():
                if not self.downtime.is_just_back(book.group, now):
                    raise Violation("I1", f"request {name} has a call that is nowhere: {book.calls}", now)
                orphans.add(name)
        self._moved = orphans

    def _nobody_waits_in_vain(self, now: float) -> None:
        for names, invariant, what in self._accused:
            idle = [name for name in names if not self._has_moved(name, now - STALE)]
            if idle:
                raise Violation(invariant, f"{what}, and {idle} stood idle", now)
        self._accused.clear()
        for book in islice(self._waiting.values(), LOOKED_AT):
            idle = waits_in_vain(book, now)
            if idle and not stands_far_back(book):
                raise Violation("idle", f"request {book.request_id} waits, and {idle} stand idle", now)

    def _has_moved(self, name: str, since: float) -> bool:
        """Whether something was heard of this deployment, or of the money for it."""
        return self.deployments[name].changed_at >= since or self.money.moved(name, since)

    def _nobody_waits_for_nobody(self, now: float) -> None:
        """One who waits for the answer to an equal request: there is such a request, and it goes on."""
        for book in islice(self.books.values(), LOOKED_AT):
            fields = book.fields
            if fields is None or not book.waits_for_another or book.accepted_at > now - STALE:
                continue
            if self.downtime.is_just_back(book.group, now):
                continue
            kind = self._cache.kind(fields)
            shares = self._cache.shares(fields)
            if not shares or not any(self._is_called_for(other, kind) for other in self.books.values()):
                raise Violation("cache", f"request {book.request_id} waits for the answer of nobody", now)

    def _may_follow(self, book: RequestBook) -> bool:
        """Whether it may wait for the answer to an equal request, since one is called for."""
        if book.fields is None:
            return True
        kind = self._cache.kind(book.fields)
        return any(
            other.fields is not None
            and (other.phase != "choosing" or other.begun)
            and self._cache.shares(other.fields)
            and self._cache.kind(other.fields) == kind
            for other in self.books.values()
        )

    def _is_called_for(self, book: RequestBook, kind: str) -> bool:
        if book.fields is None or book.waits_for_another:
            return False
        return self._cache.shares(book.fields) and self._cache.kind(book.fields) == kind
