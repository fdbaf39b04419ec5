"""What was spent of one budget, and what is set aside. Pure.

Money is set aside when a call starts and settled when it ends, at the time of the *start*: a call that
runs past the end of a period is charged to the one it began in. It is counted in whole millionths of
a millionth of a dollar, so that what was set aside and is given back leaves nothing behind.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define

from ...messages.budgets import Purse
from ...messages.outcomes import LeftOut

if TYPE_CHECKING:
    from ...messages.budgets import BudgetRule

__all__ = ["GONE", "MAX_ENTRIES", "Entry", "Ledger", "dollars", "finite", "units"]

MAX_ENTRIES = 1000
"""Starts of a rolling period share an entry when they are closer than this share of it.

An entry leaves with its latest start, so sharing can only delay a release, never hasten it.
"""

PER_DOLLAR = 10**12
GONE = -math.inf
"""When an entry leaves that has left: its receipts are worth nothing, also on a clock that is set back."""

QUIET_SHARE = 0.1
"""A rolling budget that is used up again within this share of its period is old news."""


def units(cost: float) -> int:
    """US dollars as the ledger counts them."""
    return round(cost * PER_DOLLAR)


def dollars(amount: int) -> float:
    """And back."""
    return amount / PER_DOLLAR


@define(eq=False)
class Entry:
    """Amounts that leave the ledger together, when it is `leaves`."""

    first: float
    leaves: float
    amount: int = 0
    set_aside: int = 0
    """What of it is for open calls."""


class Ledger:
    """One budget's account.

    Attributes:
        total: what is in its period, spent or set aside.
        set_aside: what of that is for open calls.
    """

    __slots__ = ("_entries", "limit", "rule", "set_aside", "total")

    def __init__(self, rule: BudgetRule) -> None:
        self.rule = rule
        self.limit = units(rule.limit)
        self.total = 0
        self.set_aside = 0
        self._entries: deque[Entry] = deque()

    def __repr__(self) -> str:
        return f"<Ledger ${dollars(self.total):g} of ${self.rule.limit:g}>"

    def __len__(self) -> int:
        return len(self._entries)

    def expire(self, now: float) -> None:
        """Let go of what is older than the period."""
        entries = self._entries
        while entries and entries[0].leaves <= now:
            entry = entries.popleft()
            self.total -= entry.amount
            self.set_aside -= entry.set_aside
            entry.leaves = GONE

    def amount_for(self, cost: float, least: float) -> int:
        """What to set aside for a call that is expected to cost `cost`, and will cost `least`.

        What is only expected must not exceed the limit by itself: it would never be admitted, and so
        never be put right.
        """
        return max(units(least), min(units(cost), self.limit))

    def admits(self, amount: int, now: float) -> bool:
        """Whether so much more may be set aside. Nothing is left for a call that costs nothing, too."""
        self.expire(now)
        return self.total + max(amount, 1) <= self.limit

    def add(self, now: float, amount: int) -> Entry:
        """Set it aside; the entry is the receipt for `settle`."""
        self.expire(now)
        entries, rule = self._entries, self.rule
        entry = entries[-1] if entries else None
        if not rule.rolling:
            if entry is None:
                entry = Entry(now, rule.end_of(now))
                entries.append(entry)
        elif entry is None or now - entry.first >= rule.seconds / MAX_ENTRIES:
            entry = Entry(now, now + rule.seconds)
            entries.append(entry)
        else:
            entry.leaves = max(entry.leaves, now + rule.seconds)
        entry.amount += amount
        entry.set_aside += amount
        self.total += amount
        self.set_aside += amount
        return entry

    def settle(self, entry: Entry, set_aside: int, used: int, now: float) -> None:
        """A call is over for which `set_aside` was kept, and has used `used`; if that still counts."""
        self.expire(now)
        if entry.leaves != GONE:
            entry.amount += used - set_aside
            entry.set_aside -= set_aside
            self.total += used - set_aside
            self.set_aside -= set_aside

    def set_back(self, seconds: float, now: float) -> None:
        """The clock was set back to `now`.

        What was spent a while ago was spent as long ago by the new clock; what counted in a period of the
        calendar counts in the one that it is now, whichever that is: nobody may spend a day's money twice.
        """
        rule = self.rule
        self.expire(now + seconds)
        for entry in self._entries:
            if rule.rolling:  # to the last bit what a snapshot gives back
                alone = entry.leaves == entry.first + rule.seconds
                entry.first -= seconds
                entry.leaves = entry.first + rule.seconds if alone else entry.leaves - seconds
            else:
                entry.first, entry.leaves = now, rule.end_of(now)

    @property
    def spent(self) -> int:
        """What the calls that are over have used."""
        return self.total - self.set_aside

    def refusal(self, deployment_id: str, amount: int, now: float, detail: str | None = None) -> LeftOut:
        """Why a call that needs `amount` is refused."""
        purse = self.purse(now)
        sooner = purse.sooner and amount <= self.limit
        until = self.free_at(max(amount, 1))
        return LeftOut(deployment_id, "budget", until, dollars(amount), purse.left, detail, sooner)

    def used_up_by(self, amount: int, now: float) -> bool:
        """Whether what is spent leaves no room for `amount` (1 at least), which the whole budget would."""
        self.expire(now)
        return amount <= self.limit and self.spent + max(amount, 1) > self.limit

    def free_at(self, amount: int) -> float | None:
        """When so much fits, if open calls take all that was set aside for them; None: never."""
        if amount > self.limit:
            return None
        over = self.total + amount - self.limit
        for entry in self._entries:
            over -= entry.amount
            if over <= 0:
                return finite(entry.leaves)
        return None

    def purse(self, now: float) -> Purse:
        """What others may know."""
        self.expire(now)
        entry = self._entries[0] if self._entries else None
        until = None if entry is None else finite(entry.leaves)
        return Purse(dollars(self.limit - self.total), until, self.set_aside > 0, self.rule.limit)

    def describe(self, now: float) -> dict[str, Any]:
        """For `health()`: US dollars, and when it resets (rolling: when the next of it is released)."""
        purse = self.purse(now)
        rule = self.rule
        resets_at = purse.until if rule.rolling else rule.end_of(now)
        return {
            "limit": rule.limit,
            "spent": dollars(self.spent),
            "reserved": dollars(self.set_aside),
            "left": purse.left,
            "period": rule.period,
            "reset": "rolling" if rule.rolling else "calendar",
            "resets_at": None if resets_at is None else finite(resets_at),
        }

    def quiet_until(self, at: float) -> float:
        """Until when it need not be said again that this budget is used up."""
        return at + QUIET_SHARE * self.rule.seconds if self.rule.rolling else self.rule.end_of(at)

    def entry_at(self, at: float) -> Entry | None:
        """The entry in which a start at `at` that still counts is counted; for a state that is restored."""
        if not self.rule.rolling:  # all that counts is in one
            return self._entries[-1] if self._entries else None
        for entry in reversed(self._entries):
            if entry.first <= at:
                return entry
        return None

    def snapshot(self) -> list[list[Any]]:
        return [[e.first, finite(e.leaves), e.amount, e.set_aside] for e in self._entries]

    @classmethod
    def restore(cls, rule: BudgetRule, rows: list[list[Any]]) -> Ledger:
        """The account as it was written; a rule that was changed meanwhile goes by its new periods."""
        ledger = cls(rule)
        for first, leaves, amount, set_aside in rows:
            ends = first + rule.seconds if rule.rolling else rule.end_of(first)
            shared = rule.rolling and leaves is not None and 0 < leaves - ends <= rule.seconds / MAX_ENTRIES
            ledger._entries.append(Entry(first, leaves if shared else ends, amount, set_aside))
            ledger.total += amount
            ledger.set_aside += set_aside
        return ledger


def finite(at: float) -> float | None:
    """JSON has no infinity: never is None."""
    return None if at == math.inf else at
