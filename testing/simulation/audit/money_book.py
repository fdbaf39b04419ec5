"""An auditor's own account of all budgets, kept from what calls are said to cost and by other arithmetic.

A budget's owner is a deployment, or the Treasury, which has those of providers and of tags. Neither is
taken at its word: who may spend what is read from what the user wrote, and summed up call by call.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import define

from ....actors.budget.ledger import GONE
from ....messages.events import (
    BudgetExhausted,
    BudgetReserved,
    BudgetSettled,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallStarted,
    CallSucceeded,
    ClockSetBack,
    HealthChecked,
)
from .pots import UNIT, Line, Pot, in_units
from .tolerances import ROUNDING, SOON, STALE
from .violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ....actors.budget.ledger import Entry
    from ....actors.budget.state import TreasuryState
    from ....actors.deployment.state import DeploymentState
    from ....actors.journal.codec import Recorded
    from ....messages.events import Event
    from ..marks import Marks
    from .deployment_book import DeploymentBook
    from .request_book import RequestBook
    from .rulebook import Rulebook

__all__ = ["BACK_WITHIN", "SETTLE_WITHIN", "MoneyBook"]

BACK_WITHIN = 30.0
"""Seconds after a crash in which what it left behind must be cleared up."""

SETTLE_WITHIN = SOON
"""Seconds after a call in which what was set aside for it must be settled."""
_NEAR = 2
"""Units by which two sums of the same prices may differ."""


@define(eq=False)
class Reservation:
    """What the Treasury has set aside for a call.

    Attributes:
        started, over_at: what its deployment has recorded of it.
        paid: what it cost by that; None: nobody knows.
        in_doubt: somebody who had to do with it has died since.
    """

    deployment_id: str
    at: float
    lines: dict[str, Line]
    started: bool = False
    over_at: float | None = None
    paid: float | None = None
    in_doubt: bool = False


class MoneyBook:
    """Every budget, and the calls for which money is set aside.

    Attributes:
        own: of deployments, by their ids.
        shared: `provider:...` and `tag:...`.
        open: what the Treasury has set aside, by call.
        crashed_at: when the Treasury last died.
        blind: it came back over a gap in its journal, and is taken at its word once.
    """

    def __init__(self, rules: Rulebook, books: dict[str, DeploymentBook], marks: Marks) -> None:
        self.rules = rules
        self.books = books
        self.marks = marks
        self.own = {
            name: Pot(each.budget) for name, each in rules.deployments.items() if each.budget is not None
        }
        self.shared = {name: Pot(terms) for name, terms in rules.shared_budgets.items()}
        self.open: dict[str, Reservation] = {}
        self.crashed_at = -math.inf
        self._back_at: dict[str, float] = {}
        self.blind = False
        self._judging = True
        self._own_lines: dict[str, Line] = {}
        self._touched: set[str] = set()

    def __repr__(self) -> str:
        return f"<MoneyBook {len(self.own) + len(self.shared)} budgets · {len(self.open)} reservations>"

    @property
    def on(self) -> bool:
        """Whether there is a budget at all."""
        return bool(self.own or self.shared)

    def concerned(self, name: str, tags: tuple[str, ...]) -> list[str]:
        """The shared budgets that a call of such a request there concerns."""
        rules = self.rules.deployments[name]
        if rules.prompt_price is None:
            return []
        names = [f"provider:{rules.provider}", *(f"tag:{tag}" for tag in dict.fromkeys(tags))]
        return [each for each in names if each in self.shared]

    def _cost(self, name: str, request: RequestBook, more: float = 0.0) -> tuple[int, int] | None:
        """What its prompt alone will cost, and what the whole call is expected to; None: nobody can say."""
        prices, fields = self.rules.deployments[name].prices, request.fields
        if prices is None:  # nobody knows what its answers cost
            return 0, 0
        if fields is None:
            return None
        output = fields.get("max_tokens")
        expected = round(self.books[name].account.mean_output + more) if output is None else output
        cost = request.input_tokens * prices[0] + expected * prices[1]
        return in_units(cost if output is not None else request.input_tokens * prices[0]), in_units(cost)

    # -- a call begins

    def started(self, name: str, event: CallStarted, request: RequestBook | None, at: float) -> None:
        """A call began: with money for it, and no more than there was.

        Raises:
            Violation: a budget had too little left, or nothing was set aside.
        """
        book, pot = self.books[name], self.own.get(name)
        if at != book.lenient_at and self._judging:
            unlimited = pot is None or self.rules.deployments[name].prompt_price is None
            if unlimited != (event.set_aside is None):
                raise Violation("money", f"{event.call_id} set {event.set_aside} $ aside on {name}", at)
        if pot is not None and event.set_aside is not None:
            amount = in_units(event.set_aside)
            if at != book.lenient_at:
                self._sets_aside(f"deployment:{name}", pot, amount, name, request, at, ROUNDING)
            self._own_lines[event.call_id] = pot.add(at, amount)
            self._touched.add(name)
        if self.shared:
            self._was_paid_for(name, event, request, at)

    def _sets_aside(
        self,
        budget: str,
        pot: Pot,
        amount: int,
        name: str,
        request: RequestBook | None,
        at: float,
        near: float,
    ) -> None:
        """So much, when there is so much. `near`: tokens by which the expected answer may be another."""
        limit = pot.terms.limit
        if not self._judging:
            return
        if pot.total(at) + max(amount, 1) > limit and at > pot.unsure_until:
            what = f"{amount} units are set aside in {budget}, and {pot.total(at)} of {limit} are gone"
            raise Violation("money", what, at)
        if request is None:
            return
        least, most = self._cost(name, request, -near), self._cost(name, request, near)
        if least is None or most is None:
            return
        bounds = max(least[0], min(least[1], limit)), max(most[0], min(most[1], limit))
        if not bounds[0] - _NEAR <= amount <= bounds[1] + _NEAR:
            raise Violation("money", f"{amount} units are set aside in {budget}, not {bounds}", at)

    def _was_paid_for(self, name: str, event: CallStarted, request: RequestBook | None, at: float) -> None:
        reserved = self._reserved_for(event.call_id, name)
        if reserved is not None:
            if reserved.started:
                raise Violation("money", f"{event.call_id} began on {name}: {reserved!r}", at)
            reserved.started = True
        elif request is not None and request.fields is not None and not self._is_in_the_dark(name, at):
            names = self.concerned(name, tuple(request.fields.get("tags", ())))
            if names:
                raise Violation("money", f"{event.call_id} began with nothing set aside in {names}", at)

    def _is_in_the_dark(self, name: str, at: float) -> bool:
        return self.blind or at == self.books[name].lenient_at

    def _reserved_for(self, call_id: str, name: str) -> Reservation | None:
        """What is set aside for a call there; one that was refused elsewhere may not be settled yet."""
        reserved = self.open.get(call_id)
        return None if reserved is None or reserved.deployment_id != name else reserved

    # -- it is over

    def ended(self, name: str, event: CallSucceeded | CallFailed | CallCancelled, at: float) -> None:
        """A call is over, and cost what it says; an estimate is charged at its price."""
        cost = event.charged if event.cost is None else event.cost
        self._price_is_right(name, event, at)
        self._settle_own(name, event.call_id, in_units(cost or 0.0), at)
        reserved = self._reserved_for(event.call_id, name)
        if reserved is not None:
            reserved.over_at, reserved.paid = at, cost or 0.0

    def _price_is_right(self, name: str, event: Any, at: float) -> None:
        rules = self.rules.deployments[name]
        if at == self.books[name].lenient_at or not self._judging:
            return
        told = event.charged if event.cost is None else event.cost
        if rules.prompt_price is None or (rules.prices is None and event.completion_tokens):
            right = not told
        else:
            per_answer = 0.0 if rules.prices is None else rules.prices[1]
            price = event.prompt_tokens * rules.prompt_price + event.completion_tokens * per_answer
            right = told is not None and abs(told - price) < _NEAR * UNIT
        if not right:
            raise Violation("money", f"{name} asks {rules.prices}: {event!r}", at)

    def _settle_own(self, name: str, call_id: str, amount: int | None, at: float) -> None:
        line = self._own_lines.pop(call_id, None)
        if line is None:
            return
        line.open = False
        if amount is not None:
            line.amount = amount
        pot = self.own.get(name)
        if pot is not None:
            pot.changed_at = at
            self._touched.add(name)

    def _abandoned(self, name: str, event: CallAbandoned, at: float) -> None:
        """Nobody knows what it cost: what was set aside is gone."""
        self._settle_own(name, event.call_id, None, at)
        reserved = self._reserved_for(event.call_id, name)
        if reserved is not None:
            reserved.over_at, reserved.paid = at, None

    def _checked(self, name: str, event: HealthChecked, at: float) -> None:
        """A health check costs what it costs, whatever is left."""
        pot = self.own.get(name)
        if pot is not None and event.cost:
            pot.add(at, in_units(event.cost), is_open=False)
            self._touched.add(name)

    def of_deployment(
        self, name: str, event: Event, request: RequestBook | None, at: float, *, blind: bool = False
    ) -> None:
        """Take an event of a deployment into account; of a `blind` one only what is shared can be told."""
        if blind:
            self._of_blind(name, event, at)
        elif isinstance(event, CallStarted):
            self.started(name, event, request, at)
        elif isinstance(event, (CallSucceeded, CallFailed, CallCancelled)):
            self.ended(name, event, at)
        elif isinstance(event, CallAbandoned):
            self._abandoned(name, event, at)
        elif isinstance(event, HealthChecked):
            self._checked(name, event, at)
        elif isinstance(event, BudgetExhausted):
            self._used_up(event, self.own.get(name), at)
        elif isinstance(event, ClockSetBack) and name in self.own:
            self.own[name].set_back(event.seconds, at)

    def _of_blind(self, name: str, event: Event, at: float) -> None:
        reserved = self._reserved_for(getattr(event, "call_id", ""), name)
        if reserved is not None and isinstance(event, CallStarted):
            reserved.started = True
        elif reserved is not None and isinstance(event, (CallSucceeded, CallFailed, CallCancelled)):
            cost = event.charged if event.cost is None else event.cost
            reserved.over_at, reserved.paid = at, cost or 0.0
        elif reserved is not None and isinstance(event, CallAbandoned):
            reserved.over_at = at

    def changed(self, name: str) -> None:
        """A deployment came, or goes by another budget: what was spent counts under that as well."""
        terms, pot = self.rules.deployments[name].budget, self.own.get(name)
        self._touched.add(name)
        if terms is None:
            self.own.pop(name, None)
        elif pot is None:
            self.own[name] = Pot(terms)
        elif pot.terms != terms:
            pot.terms, pot.told_at = terms, None

    # -- the Treasury

    def of_treasury(self, event: Event, request: RequestBook | None, at: float) -> None:
        """Take what it records into account.

        Raises:
            Violation: it must not have happened.
        """
        if isinstance(event, BudgetReserved):
            self._reserved(event, request, at)
        elif isinstance(event, BudgetSettled):
            self._settled(event, at)
        elif isinstance(event, BudgetExhausted):
            self._touched.add("")
            self._used_up(event, self.shared.get(event.budget), at)
        elif isinstance(event, ClockSetBack):
            for pot in self.shared.values():
                pot.set_back(event.seconds, at)
            for reserved in self.open.values():
                reserved.at -= event.seconds

    def _reserved(self, event: BudgetReserved, request: RequestBook | None, at: float) -> None:
        name = event.deployment_id
        if event.call_id in self.open:
            raise Violation("money", f"money was set aside twice for {event.call_id}", at)
        if request is not None and request.fields is not None:
            names = self.concerned(name, tuple(request.fields.get("tags", ())))
            if set(names) != event.amounts.keys() and at != self.books[name].lenient_at:
                raise Violation("money", f"{event!r} concerns {names}", at)
        lines = {}
        for budget, cost in event.amounts.items():
            pot, amount = self.shared[budget], in_units(cost)
            book = self.books[name]
            near = (
                ROUNDING if max(book.changed_at, self._back_at.get(name, -math.inf)) < at - STALE else 1_000.0
            )
            known = request if at != book.lenient_at else None
            self._sets_aside(budget, pot, amount, name, known, at, near)
            lines[budget] = pot.add(at, amount)
        self.open[event.call_id] = Reservation(name, at, lines)
        self._touched.add("")

    def _settled(self, event: BudgetSettled, at: float) -> None:
        reserved = self.open.pop(event.call_id, None)
        if reserved is None:
            raise Violation("money", f"{event!r}, and nothing was set aside for it", at)
        self._is_what_it_cost(event, reserved, at)
        for budget, line in reserved.lines.items():
            line.open = False
            if event.cost is not None:
                line.amount = in_units(event.cost)
            self.shared[budget].changed_at = at
        self._touched.add("")

    def _is_what_it_cost(self, event: BudgetSettled, reserved: Reservation, at: float) -> None:
        """What its deployment says; when one of the two has crashed since nobody may know."""
        if not self._judging:
            return
        crashed_at = max(self.crashed_at, self.books[reserved.deployment_id].crashed_at)
        crashed = reserved.in_doubt or crashed_at >= reserved.at - STALE
        if crashed and (event.cost is None or reserved.over_at is None):  # it may never have begun
            return
        if not reserved.started:
            right = event.cost == 0.0
        elif reserved.over_at is None:
            right = False
        else:
            right = event.cost is not None and event.cost == reserved.paid
        if not right:
            raise Violation("money", f"{event!r} of {reserved!r}", at)

    def _used_up(self, event: BudgetExhausted, pot: Pot | None, at: float) -> None:
        """It is said once in a period, and true."""
        if pot is None or at <= pot.unsure_until or not self._judging:
            return
        self.marks.sometimes("a budget used up")
        spent, told = pot.spent(at), in_units(event.spent)
        if not spent[0] <= told <= spent[1] or in_units(event.limit) != pot.terms.limit:
            raise Violation("money", f"{event!r}: {spent} of {pot.terms} are spent", at)
        again = pot.told_at is not None and pot.told_at // pot.terms.seconds == at // pot.terms.seconds
        if again and not pot.terms.rolling:
            raise Violation("money", f"{event!r} was told at {pot.told_at} already", at)
        pot.told_at = at

    # -- who could pay

    def has_room(self, request: RequestBook, name: str, at: float) -> bool:
        """Whether every budget that a call there concerns has had room for it for a while."""
        if not self.on or self.rules.deployments[name].prompt_price is None:
            return True
        cost = self._cost(name, request, more=2.0)
        if cost is None:
            return False
        tags = tuple((request.fields or {}).get("tags", ()))
        return self.admits(name, tags, cost, at)

    def admits(self, name: str, tags: tuple[str, ...], cost: tuple[int, int], at: float) -> bool:
        """The same for a call of this cost: its prompt's, and what is expected of it."""
        names = self.concerned(name, tags)
        if names and at < self.crashed_at + BACK_WITHIN:
            return False
        pots = [self.shared[each] for each in names]
        if any(pot.changed_at >= at - STALE for pot in pots):
            return False
        if name in self.own:
            pots.append(self.own[name])
        return all(pot.surely_admits(*cost, moment) for pot in pots for moment in (at - STALE, at))

    def moved(self, name: str, since: float) -> bool:
        """Whether a shared budget of this deployment has changed since; tags are anybody's."""
        provider = f"provider:{self.rules.deployments[name].provider}"
        return any(
            pot.changed_at >= since
            for each, pot in self.shared.items()
            if each == provider or each.startswith("tag:")
        )

    # -- crashes, and another life

    def came_back(self, name: str, at: float) -> None:
        """A deployment's actor was restarted: it may have forgotten how long answers are."""
        self._back_at[name] = at

    def crashed(self, now: float, *, lost: int) -> None:
        """The Treasury is about to die."""
        self.crashed_at = now
        self.blind = self.blind or lost > 0
        self._doubt_all()
        if self.open:
            self.marks.sometimes("treasury crashed with money set aside")

    def _doubt_all(self) -> None:
        for reserved in self.open.values():
            reserved.in_doubt = True

    def replay(self, recorded: Iterable[Recorded], now: float) -> None:
        """Begin with what lives before this one have spent, by a journal of which nothing is missing."""
        self._judging = False
        for item in recorded:
            kind, _, name = item.stream.partition("/")
            if kind == "deployment":
                self.of_deployment(name, item.event, None, item.at)
            elif kind == "budgets":
                self.of_treasury(item.event, None, item.at)
        self._judging = True
        self.crashed_at = now
        self._doubt_all()
        for pot in (*self.own.values(), *self.shared.values()):
            pot.look_out_for_the_future(now)
            if pot.total(now):
                self.marks.sometimes("restarted with a budget partly spent")

    def compare_own(self, states: dict[str, DeploymentState], now: float) -> None:
        """What deployments were recovered with is what is here."""
        for name, state in states.items():
            pot = self.own.get(name)
            wrong = None if pot is None or state.ledger is None else pot.differs_from(state.ledger, now)
            if wrong is not None:
                raise Violation("money", f"{name} was recovered, and its budget: {wrong}", now)

    def adopt(self, name: str, state: DeploymentState, now: float) -> None:
        """Take a deployment's recovered ledger at its word."""
        pot, ledger = self.own.get(name), state.ledger
        for call_id in [each for each in self._own_lines if each in state.open]:
            del self._own_lines[call_id]
        if pot is None or ledger is None:
            return
        held = [(call_id, call) for call_id, call in state.open.items() if call.entry is not None]
        amounts = [(_counted_since(call.started_at, call.entry), call.set_aside) for _, call in held]
        lines = pot.adopt(ledger, now, amounts)
        self._own_lines.update(zip((call_id for call_id, _ in held), lines, strict=True))

    def adopt_after_a_gap(self, name: str, state: DeploymentState, now: float) -> None:
        """The same where the journal lost some of it, so that it may tell once more what it told."""
        self.adopt(name, state, now)
        if name in self.own:
            self.own[name].told_at = None

    def adopt_shared(self, state: TreasuryState, now: float) -> None:
        """Take the Treasury's word."""
        self.open = {
            call_id: Reservation(each.deployment_id, each.at, {}, started=True, in_doubt=True)
            for call_id, each in state.open.items()
        }
        self.crashed_at = now
        for budget, pot in self.shared.items():
            held = [(call_id, each) for call_id, each in state.open.items() if budget in each.entries]
            amounts = [(_counted_since(r.at, r.entries[budget]), r.amounts[budget]) for _, r in held]
            lines = pot.adopt(state.ledgers[budget], now, amounts)
            for (call_id, _), line in zip(held, lines, strict=True):
                self.open[call_id].lines[budget] = line

    # -- between two steps

    def look(self, treasury: Any, deployment: Any, now: float) -> None:
        """Nothing is set aside for what is over, and the owners' sums are these.

        Args:
            treasury: the living actor, None while it is dead.
            deployment: gives the living actor of one.
            now: router time.

        Raises:
            Violation: something is.
        """
        if self.blind and treasury is not None:
            self.blind = False
            self.adopt_shared(treasury.state, now)
            for pot in self.shared.values():
                pot.told_at = None  # what the journal lost it may tell again
        for call_id, reserved in self.open.items():
            self._is_still_wanted(call_id, reserved, now)
        for name in self._touched:
            if name:
                self._is_as_told(name, deployment(name), now)
            elif treasury is not None:
                self.compare_shared(treasury.state, now)
        self._touched.clear()

    def _is_still_wanted(self, call_id: str, reserved: Reservation, now: float) -> None:
        book = self.books[reserved.deployment_id]
        if call_id in book.open:
            return
        since = reserved.at if reserved.over_at is None else reserved.over_at
        crashed_at = max(self.crashed_at, -math.inf if book.crashed_at == math.inf else book.crashed_at)
        if now > max(since + SETTLE_WITHIN, crashed_at + BACK_WITHIN):
            what = f"{call_id} is over since {since}, and its money is still set aside: {reserved!r}"
            raise Violation("money", what, now)

    def _is_as_told(self, name: str, actor: Any, now: float) -> None:
        pot = self.own.get(name)
        if actor is None or pot is None or actor.state.ledger is None:
            return
        wrong = pot.differs_from(actor.state.ledger, now)
        if wrong is not None:
            raise Violation("money", f"the budget of {name}: {wrong}", now)

    def compare_shared(self, state: TreasuryState, now: float) -> None:
        """What the Treasury, alive or as it was recovered, has is what is here."""
        if state.open.keys() != self.open.keys():
            what = f"the Treasury has set money aside for {sorted(state.open)}, not {sorted(self.open)}"
            raise Violation("money", what, now)
        for budget, pot in self.shared.items():
            wrong = pot.differs_from(state.ledgers[budget], now)
            if wrong is not None:
                raise Violation("money", f"the budget {budget}: {wrong}", now)


def _counted_since(at: float, entry: Entry | None) -> float:
    """When a call began; a clock that was set back may have put it into the period that it is now."""
    return at if entry is None or entry.leaves == GONE else max(at, entry.first)
