"""The auditor's books of money: each lets what is right pass, and tells what is not."""

from __future__ import annotations

import pytest
from attrs import evolve

from turnout.actors.budget.ledger import Ledger, units
from turnout.messages.budgets import budget_of
from turnout.messages.events import (
    BudgetExhausted,
    BudgetReserved,
    BudgetSettled,
    CallStarted,
    CallSucceeded,
    ClockSetBack,
)
from turnout.testing.simulation.audit.deployment_book import DeploymentBook
from turnout.testing.simulation.audit.money_book import BACK_WITHIN, SETTLE_WITHIN, MoneyBook
from turnout.testing.simulation.audit.pots import Pot, in_units, read_terms
from turnout.testing.simulation.audit.rulebook import Rulebook
from turnout.testing.simulation.audit.violation import Violation
from turnout.testing.simulation.chance import SeededChance
from turnout.testing.simulation.marks import Marks
from turnout.testing.simulation.options import draw_options

PRICES = {"input_cost_per_token": 0.01, "output_cost_per_token": 0.1}
PROVIDERS = {"provider_budget_config": {"openai": {"max_budget": 1.0, "budget_duration": "1m"}}}


class Books:
    """Deployment "a", whose calls of 10 and 4 tokens cost half a dollar, and what is written down of it."""

    def __init__(self, settings=None, **params):
        entry = {
            "model_name": "g",
            "litellm_params": {"model": "openai/m", **PRICES, **params},
            "model_info": {"id": "a"},
        }
        options = draw_options(SeededChance(1), 0.01)
        rules = Rulebook.of(evolve(options, model_list=[entry], settings=settings or {}, groups=("g",)))
        self.books = {name: DeploymentBook(each, Marks()) for name, each in rules.deployments.items()}
        self.money = MoneyBook(rules, self.books, Marks())

    def start(self, number, at, set_aside=None):
        event = CallStarted(f"r{number}.1", f"r{number}", 14, set_aside=set_aside)
        self.money.of_deployment("a", event, None, at)
        self.books["a"].apply(event, at, None)

    def end(self, number, at, cost=0.5, tokens=4):
        event = CallSucceeded(f"r{number}.1", f"r{number}", 10, tokens, cost, 1.0, None)
        self.books["a"].open.pop(event.call_id)
        self.money.of_deployment("a", event, None, at)

    def reserve(self, number, at, amount=0.5):
        self.money.of_treasury(BudgetReserved(f"r{number}.1", "a", {"provider:openai": amount}), None, at)

    def settle(self, number, at, cost=0.5):
        self.money.of_treasury(BudgetSettled(f"r{number}.1", cost), None, at)

    def look(self, now):
        self.money.look(None, lambda _name: None, now)


@pytest.mark.parametrize(("reset", "later"), [(None, 61.0), ("rolling", 91.0)])
def test_no_more_is_set_aside_than_a_budget_has_in_its_period(reset, later):
    books = Books(max_budget=1.0, budget_duration="1m", budget_reset=reset)
    books.start(1, 31.0, 0.5)
    books.start(2, 32.0, 0.5)
    books.end(1, 33.0)
    with pytest.raises(Violation, match="money"):
        books.start(3, 59.0, 0.1)
    books.start(4, later, 0.5)


def test_a_call_that_cost_less_leaves_room_and_one_that_is_free_needs_some():
    books = Books(max_budget=0.5)
    books.start(1, 0.0, 0.5)
    books.end(1, 1.0, 0.1, tokens=0)
    books.start(2, 2.0, 0.4)
    with pytest.raises(Violation, match="money"):
        books.start(3, 3.0, 0.0)


def test_where_there_is_a_budget_money_is_set_aside_and_nowhere_else():
    with pytest.raises(Violation, match="money"):
        Books(max_budget=1.0).start(1, 0.0)
    with pytest.raises(Violation, match="money"):
        Books().start(1, 0.0, 0.5)


def test_a_call_costs_what_its_tokens_say():
    books = Books(max_budget=2.0)
    books.start(1, 0.0, 0.5)
    with pytest.raises(Violation, match="money"):
        books.end(1, 1.0, 0.4)


def test_a_reservation_is_settled_once_with_what_its_call_cost():
    books = Books(PROVIDERS)
    books.reserve(1, 0.0)
    books.start(1, 0.0)
    books.end(1, 1.0)
    books.settle(1, 1.0)
    with pytest.raises(Violation, match="nothing was set aside"):
        books.settle(1, 1.0)
    books.reserve(2, 2.0)
    books.start(2, 2.0)
    books.end(2, 3.0)
    with pytest.raises(Violation, match="money"):
        books.settle(2, 3.0, 0.4)


def test_a_reservation_whose_call_goes_on_or_never_began_is_not_settled_for_money():
    books = Books(PROVIDERS)
    books.reserve(1, 0.0)
    books.settle(1, 0.0, 0.0)  # it was refused
    books.reserve(2, 0.0)
    books.start(2, 0.0)
    with pytest.raises(Violation, match="money"):
        books.settle(2, 1.0)


@pytest.mark.parametrize("how", ["never began", "is over", "after a crash"])
def test_a_reservation_does_not_outlive_its_call(how):
    books, late = Books(PROVIDERS), SETTLE_WITHIN
    books.reserve(1, 0.0)
    if how != "never began":
        books.start(1, 0.0)
        books.look(100.0)
        books.end(1, 100.0)
        late = 100.0 + SETTLE_WITHIN
    if how == "after a crash":
        books.money.crashed(100.0, lost=0)
        late = 100.0 + BACK_WITHIN
    books.look(late)
    with pytest.raises(Violation, match="still set aside"):
        books.look(late + 0.001)


def test_nobody_knows_what_a_call_cost_when_the_treasury_died_meanwhile():
    books = Books(PROVIDERS)
    books.reserve(1, 0.0)
    books.start(1, 0.0)
    books.end(1, 1.0)
    with pytest.raises(Violation, match="money"):
        books.settle(1, 1.0, None)
    books.reserve(2, 2.0)
    books.money.crashed(2.0, lost=0)
    books.settle(2, 2.0, None)


def test_used_up_is_told_once_in_a_period_and_when_it_is_true():
    books = Books(max_budget=0.5, budget_duration="1m")
    books.start(1, 0.0, 0.5)
    with pytest.raises(Violation, match="money"):
        books.money.of_deployment("a", BudgetExhausted("deployment:a", 0.5, 0.5, 60.0), None, 0.0)
    books.end(1, 1.0)
    books.money.of_deployment("a", BudgetExhausted("deployment:a", 0.5, 0.5, 60.0), None, 1.0)
    with pytest.raises(Violation, match="already"):
        books.money.of_deployment("a", BudgetExhausted("deployment:a", 0.5, 0.5, 60.0), None, 2.0)


def test_a_ledger_that_forgets_is_told_and_so_is_one_that_keeps():
    pot, ledger = Pot(read_terms(1.0, "1m", None)), Ledger(budget_of(1.0, "1m", None, "here"))
    line, entry = pot.add(0.0, in_units(0.5)), ledger.add(0.0, units(0.5))
    assert pot.differs_from(ledger, 1.0) is None
    line.amount, line.open = in_units(0.2), False
    assert pot.differs_from(ledger, 1.0) is not None
    ledger.settle(entry, units(0.5), units(0.2), 1.0)
    assert pot.differs_from(ledger, 1.0) is None
    assert pot.differs_from(ledger, 60.0) is None


def test_what_was_spent_moves_with_a_clock_that_was_set_back():
    books = Books(max_budget=0.5, budget_duration="1m", budget_reset="rolling")
    books.start(1, 600.0, 0.5)
    books.end(1, 601.0)
    books.money.of_deployment("a", ClockSetBack(500.0), None, 101.0)
    with pytest.raises(Violation, match="money"):
        books.start(2, 159.0, 0.5)
    books.start(3, 160.0, 0.5)
