"""One budget by the auditor's own arithmetic: a line for each call, and every sum is made anew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

if TYPE_CHECKING:
    from ....actors.budget.ledger import Ledger

__all__ = ["UNIT", "Line", "Pot", "Terms", "in_units", "read_terms"]

UNIT = 1e-12
"""US dollars: what is counted, so that sums are exact."""

SHARE_OF_A_MOMENT = 0.001
"""Of a rolling period: so much later than it must a start may leave, with others of about its time."""

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def in_units(cost: float) -> int:
    """US dollars as they are counted here."""
    return round(cost / UNIT)


@frozen
class Terms:
    """How much may be spent, in how many seconds (infinite: ever), of the clock's or of those just past."""

    limit: int
    seconds: float = math.inf
    rolling: bool = False


def read_terms(limit: float | None, period: str | None, reset: str | None) -> Terms | None:
    """A budget as a user writes it."""
    if limit is None:
        return None
    if period is None:
        return Terms(in_units(limit))
    return Terms(in_units(limit), float(period[:-1]) * _SECONDS[period[-1]], reset == "rolling")


@define(eq=False)
class Line:
    """What one call has cost; while it is open, what is set aside for it."""

    at: float
    amount: int
    open: bool = False


@define(eq=False)
class Pot:
    """What was spent of a budget, and is set aside.

    Attributes:
        changed_at: when anything was last written down here.
        unsure_until: a clock was set back, and what was spent later than now is in somebody else's books.
        told_at: when it was last said to be used up.
    """

    terms: Terms
    lines: list[Line] = field(factory=list)
    changed_at: float = -math.inf
    unsure_until: float = -math.inf
    told_at: float | None = None

    def add(self, at: float, amount: int, *, is_open: bool = True) -> Line:
        line = Line(at, amount, is_open)
        if at < self.changed_at:
            self.look_out_for_the_future(at)
        self.lines.append(line)
        self.changed_at = at
        if len(self.lines) > 64 and not self._may_count(self.lines[0], at):
            self.lines = [each for each in self.lines if each.open or self._may_count(each, at)]
        return line

    def _counts(self, line: Line, at: float) -> bool:
        """Whether the call began in the period of this moment."""
        seconds = self.terms.seconds
        if seconds == math.inf:
            return True
        return at < line.at + seconds if self.terms.rolling else line.at // seconds == at // seconds

    def _may_count(self, line: Line, at: float) -> bool:
        if not self.terms.rolling:
            return self._counts(line, at)
        return at <= line.at + self.terms.seconds * (1.0 + SHARE_OF_A_MOMENT)

    def total(self, at: float) -> int:
        """Spent and set aside, at least."""
        return sum(line.amount for line in self.lines if self._counts(line, at))

    def most(self, at: float) -> int:
        """The same at most: of a rolling period's moments some may be taken for one."""
        return sum(line.amount for line in self.lines if self._may_count(line, at))

    def spent(self, at: float) -> tuple[int, int]:
        """By calls that are over, at least and at most."""
        over = [line for line in self.lines if not line.open]
        return (
            sum(line.amount for line in over if self._counts(line, at)),
            sum(line.amount for line in over if self._may_count(line, at)),
        )

    def surely_admits(self, least: int, expected: int, at: float) -> bool:
        """Whether there is room for a call that will cost `least`, and is expected to cost more."""
        limit = self.terms.limit
        need = max(least, min(expected, limit), 1)
        return at > self.unsure_until and self.most(at) + need <= limit

    def set_back(self, seconds: float, now: float) -> None:
        """What is past moves with the clock; what counts in a calendar's period, into the one it is now."""
        for line in self.lines:
            if self.terms.rolling:
                line.at -= seconds
            else:
                line.at = now if self._counts(line, now + seconds) else -math.inf
        self.lines = [line for line in self.lines if line.open or self._may_count(line, now)]
        self.changed_at -= seconds
        self.unsure_until, self.told_at = -math.inf, None

    # -- another life

    def adopt(self, ledger: Ledger, now: float, held: list[tuple[float, int]]) -> list[Line]:
        """Take a recovered ledger at its word; gives the lines of the open calls, (at, set aside) each."""
        self.lines = [Line(row[0], row[2] - row[3]) for row in ledger.snapshot()]
        kept = [Line(at, amount, open=True) for at, amount in held]
        self.lines += kept
        self.changed_at = max((line.at for line in self.lines), default=self.changed_at)
        self.look_out_for_the_future(now)
        return kept

    def look_out_for_the_future(self, now: float) -> None:
        """After a clock was set back some of it may be spent later than now."""
        latest = max((line.at for line in self.lines), default=-math.inf)
        if latest > now:
            self.unsure_until = latest + 2.0 * self.terms.seconds

    def differs_from(self, ledger: Ledger, now: float) -> str | None:
        """How a living ledger is not what this one is."""
        if now <= self.unsure_until:
            return None
        rows: list[Any] = [entry for entry in ledger._entries if entry.leaves > now]
        kept, held = sum(row.amount for row in rows), sum(row.set_aside for row in rows)
        ours = [line for line in self.lines if line.open]
        least = sum(line.amount for line in ours if self._counts(line, now))
        most = sum(line.amount for line in ours if self._may_count(line, now))
        if self.total(now) <= kept <= self.most(now) and least <= held <= most:
            return None
        return f"it has {kept} units, {held} of them set aside, and not {self.total(now)}, {least}"
