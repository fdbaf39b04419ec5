"""What the Treasury knows, and what it decides by that. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import define

from ...messages.events import BudgetExhausted, BudgetReserved, BudgetSettled, ClockSetBack
from .ledger import GONE, Ledger, dollars, finite, units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...messages.budgets import BudgetRule, Purse
    from ...messages.commands import ReserveBudget
    from ...messages.events import Event
    from ...messages.outcomes import LeftOut
    from .ledger import Entry

__all__ = ["OpenReservation", "TreasuryState"]


@define(eq=False)
class OpenReservation:
    """What is set aside for a call under way, with its receipts by budget."""

    deployment_id: str
    at: float
    amounts: dict[str, int]
    entries: dict[str, Entry]

    @property
    def counted(self) -> dict[str, int]:
        """What of it is still in a period."""
        return {name: self.amounts[name] for name, entry in self.entries.items() if entry.leaves != GONE}


class TreasuryState:
    """Budgets by name (`provider:openai`, `tag:team-a`), and the calls for which money is set aside."""

    __slots__ = ("ledgers", "open", "quiet_until")

    def __init__(self, rules: Mapping[str, BudgetRule]) -> None:
        self.ledgers = {name: Ledger(rule) for name, rule in rules.items()}
        self.open: dict[str, OpenReservation] = {}
        self.quiet_until: dict[str, float] = {}
        """Until when it is known of a budget that it is used up."""

    # -- deciding

    def reserve(self, asked: ReserveBudget, now: float) -> BudgetReserved | LeftOut:
        """Set money aside in all the call's budgets, or in none."""
        amounts = {}
        for name in asked.budgets:
            ledger = self.ledgers[name]
            amount = ledger.amount_for(asked.cost, asked.least)
            if not ledger.admits(amount, now):
                return ledger.refusal(asked.deployment_id, amount, now, name)
            amounts[name] = dollars(amount)
        return BudgetReserved(asked.assign.call.call_id, asked.deployment_id, amounts)

    def exhausted(self, name: str, need: float, now: float) -> BudgetExhausted | None:
        """What must be recorded when `need` more was refused, or 0.0 after a call was settled.

        Nothing when it is known, when open calls may leave enough, or when `need` never fits.
        """
        ledger = self.ledgers[name]
        if now < self.quiet_until.get(name, 0.0) or not ledger.used_up_by(units(need), now):
            return None
        return BudgetExhausted(name, ledger.rule.limit, dollars(ledger.spent), ledger.purse(now).until)

    # -- what happened

    def apply(self, event: Event, at: float) -> None:
        """Change the state by an event that happened at router time `at`."""
        if type(event) is BudgetReserved:
            self._reserved(event, at)
        elif type(event) is BudgetSettled:
            self._settled(event, at)
        elif type(event) is BudgetExhausted and event.budget in self.ledgers:
            if event.limit == self.ledgers[event.budget].rule.limit:  # a larger one was not used up
                self.quiet_until[event.budget] = self.ledgers[event.budget].quiet_until(at)
        elif type(event) is ClockSetBack:
            self._set_back(event.seconds, at)

    def _reserved(self, event: BudgetReserved, at: float) -> None:
        amounts = {name: units(cost) for name, cost in event.amounts.items() if name in self.ledgers}
        entries = {name: self.ledgers[name].add(at, amount) for name, amount in amounts.items()}
        self.open[event.call_id] = OpenReservation(event.deployment_id, at, amounts, entries)

    def _settled(self, event: BudgetSettled, at: float) -> None:
        reservation = self.open.pop(event.call_id, None)
        if reservation is None:
            return
        for name, entry in reservation.entries.items():
            set_aside = reservation.amounts[name]
            used = set_aside if event.cost is None else units(event.cost)
            self.ledgers[name].settle(entry, set_aside, used, at)

    def _set_back(self, seconds: float, now: float) -> None:
        for ledger in self.ledgers.values():
            ledger.set_back(seconds, now)
        for reservation in self.open.values():
            reservation.at -= seconds
        self.quiet_until = {name: at - seconds for name, at in self.quiet_until.items()}

    # -- what others may know

    def purse(self, name: str, now: float) -> Purse:
        """What is left of a budget."""
        return self.ledgers[name].purse(now)

    def describe(self, now: float) -> dict[str, dict[str, Any]]:
        """Every budget as plain values."""
        return {name: ledger.describe(now) for name, ledger in self.ledgers.items()}

    # -- snapshots: only a cache of the events

    def snapshot(self, now: float) -> dict[str, Any]:
        """The whole state as plain values; two states are equal when their snapshots are."""
        for ledger in self.ledgers.values():
            ledger.expire(now)
        return {
            "ledgers": {name: ledger.snapshot() for name, ledger in self.ledgers.items()},
            "open": {call: [r.deployment_id, r.at, r.counted] for call, r in self.open.items()},
            "quiet_until": {name: finite(at) for name, at in self.quiet_until.items() if now < at},
            "limits": {name: ledger.rule.limit for name, ledger in self.ledgers.items()},
        }

    @classmethod
    def restore(cls, rules: Mapping[str, BudgetRule], data: dict[str, Any]) -> TreasuryState:
        """The state a snapshot was taken of; budgets that are no longer set are left out."""
        state = cls(rules)
        for name, rows in data["ledgers"].items():
            if name in rules:
                state.ledgers[name] = Ledger.restore(rules[name], rows)
        limits = data.get("limits", {})  # older snapshots do not say of how much they speak
        quiet = {
            name: at
            for name, at in data["quiet_until"].items()
            if name in rules and limits.get(name, rules[name].limit) == rules[name].limit
        }
        state.quiet_until = {name: math.inf if at is None else at for name, at in quiet.items()}
        for call_id, (deployment_id, at, amounts) in data["open"].items():
            kept = {name: amount for name, amount in amounts.items() if name in rules}
            found = {name: entry for name in kept if (entry := state.ledgers[name].entry_at(at)) is not None}
            held = {name: kept[name] for name in found}
            state.open[call_id] = OpenReservation(deployment_id, at, held, found)
        return state
