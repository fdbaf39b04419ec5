"""Looks into the deployments that live: what they hold is what their books and their journal say. I4, I8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....actors.deployment.state import DeploymentState
from ....supervisor.planning.compile_rules import limits_of
from .shadow import Shadow, differ, recovered, replayed
from .violation import Violation

if TYPE_CHECKING:
    from ....messages.events import Event
    from ....supervisor.face.router import Router
    from ..disk import SimulatedDisk
    from ..marks import Marks
    from .deployment_book import DeploymentBook
    from .money_book import MoneyBook

__all__ = ["Living"]


class Living:
    """A shadow of each deployment, and who is to be looked into next.

    Attributes:
        books: of every deployment, whoever keeps them; `money` that of their budgets.
        recovered: what each began with, on a journal.
        blind: those who come back from a journal that has lost some of their events.
    """

    COMPARE_EVERY = 64
    """Events of a deployment after which its live state is compared with a replay, byte for byte."""

    def __init__(self, books: dict[str, DeploymentBook], money: MoneyBook, marks: Marks) -> None:
        self.books = books
        self.money = money
        self.marks = marks
        self.blind: set[str] = set()
        self._shadows: dict[str, Shadow] = {}
        self._touched: set[str] = set()
        self._unrecorded: list[tuple[str, str]] = []
        self.recovered: dict[str, DeploymentState] = {}
        self.router: Router = None  # type: ignore[assignment]  # from `watch`

    def __repr__(self) -> str:
        return f"<Living {len(self._shadows)} deployments · {len(self._touched)} touched>"

    def watch(self, router: Router) -> None:
        """It is the deployments of this router that live."""
        self.router = router
        deployments = router._wiring.deployments
        self._shadows = {
            name: Shadow(name, limits_of(each, router.settings), self.recovered.get(name))
            for name, each in deployments.items()
        }

    def added(self, name: str) -> None:
        """A deployment came while the router runs."""
        deployment = self.router._wiring.deployments.get(name)
        if deployment is not None:
            self._shadows[name] = Shadow(name, limits_of(deployment, self.router.settings), None)

    def changed(self, name: str) -> None:
        """It goes by other limits from now on."""
        deployment, shadow = self.router._wiring.deployments.get(name), self._shadows.get(name)
        if deployment is not None and shadow is not None:
            shadow.limits = limits_of(deployment, self.router.settings)
            shadow.state.go_by(shadow.limits)

    def recover(self, disk: SimulatedDisk, now: float, before: Living) -> None:
        """Each begins as its journal on `disk` says, from its snapshot as well as without one."""
        whole = disk.last_position() == sum(1 for _ in disk.read())
        for name, book in self.books.items():
            limits = before._shadows[name].limits
            state = recovered(disk, name, limits)
            if whole and differ(state, replayed(disk, name, limits), now):
                raise Violation("I8", f"{name} recovers to another state from its snapshot", now)
            book.adopt(state)
            book.crashed_at = now
            if state.open:
                self.marks.sometimes("recovery with open calls")
            self.recovered[name] = state

    def actor(self, name: str) -> Any:
        """A deployment's actor, None while it is dead."""
        ref = self.router._switchboard.deployments.get(name)
        return None if ref is None or not ref.is_alive() else ref._actor_weakref()

    def service(self, name: str) -> Any:
        """The actor of a service, None while it is dead."""
        ref = self.router._switchboard.services.get(name)
        return None if ref is None or not ref.is_alive() else ref._actor_weakref()

    @property
    def closed_by_itself(self) -> bool:
        """The Supervisor crashed again and again: no request is taken, and no actor that dies comes back."""
        return "supervisor/supervisor" in self.router._wiring.failed

    def is_retired(self, service: str) -> bool:
        """Whether a service has crashed too often to be brought back."""
        return f"service/{service}" in self.router._wiring.failed

    def touched(self, name: str, event: Event, at: float) -> None:
        """Something was recorded of it."""
        if name not in self.blind and name in self._shadows:
            self._shadows[name].apply(event, at)
        self._touched.add(name)

    def call_is_recorded(self, name: str, call_id: str) -> None:
        """A provider is being called: that must be in the books of the deployment by now (I8)."""
        actor = self.actor(name)
        check = None if actor is None else actor.state.check
        is_check = check is not None and check.check_id == call_id
        if actor is not None and call_id not in actor.state.open and not is_check:
            self._unrecorded.append((name, call_id))

    # -- between two steps

    def look(self, now: float) -> None:
        """Whoever was heard of must be as its books are by now."""
        for name in self._touched | self.blind if self.blind else self._touched:
            self._is_as_its_books(name, now)
        self._touched.clear()

    def were_recorded_first(self, now: float) -> None:
        """I8: what is done is in the journal before it is done."""
        if self._unrecorded:
            raise Violation(
                "I8", f"providers were called for {self._unrecorded} before that was recorded", now
            )

    def _is_as_its_books(self, name: str, now: float) -> None:
        """I4, I8."""
        book, shadow, actor = self.books[name], self._shadows.get(name), self.actor(name)
        if actor is None or shadow is None:
            return
        state = actor.state
        if name in self.blind:
            self.blind.discard(name)
            book.adopt(state)
            self.money.adopt_after_a_gap(name, state, now)
            shadow.state = DeploymentState.restore(name, shadow.limits, state.snapshot(now))
            return
        book.settle_foretold(now)
        breaker = state.breaker
        if state.open.keys() != book.open.keys() or len(actor._running) != len(book.open):
            what = f"{name} has {sorted(state.open)} open, its journal says {sorted(book.open)}"
            raise Violation("I4", what, now)
        if (breaker.until, breaker.trips, breaker.probe) != (book.until, book.trips, book.probe):
            raise Violation("I8", f"the breaker of {name} is {breaker!r}, the books have {book!r}", now)
        if (state.sickness is not None) != book.sick:
            raise Violation("I8", f"{name} is {state.sickness}, and sick by the books: {book.sick}", now)
        book.account.compare(state, name, now)
        if shadow.events >= self.COMPARE_EVERY:
            shadow.compare(state, now)
            book.account.compare_closely(state, book, now)

    def compare_all(self, now: float) -> None:
        """I8, for every deployment that lives."""
        for name, shadow in self._shadows.items():
            actor = self.actor(name)
            if actor is not None and name not in self.blind:
                shadow.compare(actor.state, now)
                self.books[name].account.compare_closely(actor.state, self.books[name], now)
