"""Budgets: US dollars in a period, for a deployment, a provider or a tag.

`{"budget_limit": 100, "time_period": "1d"}`, or the same as `max_budget` and `budget_duration`. A
period is a number and a unit: s, m, h, d, w or mo. With `"reset": "calendar"`, the default, it begins
when a bill's would, in UTC: an hour on the hour, a day at midnight, a week on Monday, a month on its
first day, other lengths at whole multiples since 1970. With `"rolling"` it is the time just past.
Without a period a budget never resets.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError
from .problems import did_you_mean, given, number_in
from .sizes import HOW_SECONDS, seconds_in
from .values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .requests import Request

__all__ = [
    "MAX_PERIOD_SECONDS",
    "BudgetRule",
    "Purse",
    "budget_of",
    "parse_budgets",
    "public_budgets",
    "tags_of",
]

MAX_PERIOD_SECONDS = 10 * 366 * 86400.0
"""A period longer than ten years is a mistake."""

DAY = 86400.0
WEEK = 7 * DAY
MONDAY = 4 * DAY
"""Seconds from the epoch, a Thursday, to a Monday."""

_NAMES = {
    "budget_limit": "limit",
    "max_budget": "limit",
    "time_period": "period",
    "budget_duration": "period",
    "reset": "reset",
}
_RESETS = ("calendar", "rolling")


class BudgetRule(Value, frozen=True):
    """How much may be spent, and in which time.

    Attributes:
        limit: US dollars.
        period: as it was written; None: it never resets.
        seconds: its length; of months, 30 days each.
        months: how many calendar months it is; 0 when it is no such thing.
        rolling: whether it is the time just past, and not one of the calendar's.
    """

    limit: float
    period: str | None = None
    seconds: float = math.inf
    months: int = 0
    rolling: bool = False

    def end_of(self, at: float) -> float:
        """When the calendar's period with `at` in it is over; infinite when it never is."""
        if self.period is None:
            return math.inf
        if self.months:
            return self._end_of_month(at)
        origin = MONDAY if self.seconds % WEEK == 0 else 0.0
        return origin + ((at - origin) // self.seconds + 1) * self.seconds

    def _end_of_month(self, at: float) -> float:
        day = datetime.fromtimestamp(at, UTC)
        past = (day.year - 1970) * 12 + day.month - 1
        following = (past // self.months + 1) * self.months
        return datetime(1970 + following // 12, following % 12 + 1, 1, tzinfo=UTC).timestamp()

    def public(self) -> dict[str, Any]:
        """As it may be written."""
        told: dict[str, Any] = {"max_budget": self.limit}
        if self.period is not None:
            told["budget_duration"] = self.period
        if self.rolling:
            told["reset"] = "rolling"
        return told


class Purse(Value, frozen=True):
    """What a budget's owner says is left in it.

    Attributes:
        left: US dollars that a call may still cost.
        until: when more is left next, at the latest; None: at no time that is known.
        sooner: whether an open call may leave something of what was set aside for it before that.
        limit: the whole budget.
    """

    left: float
    until: float | None = None
    sooner: bool = False
    limit: float = math.inf

    def need(self, cost: float, least: float) -> float:
        """What must be left for a call: what is only expected is no more than the whole budget."""
        return max(least, min(cost, self.limit))


def budget_of(limit: Any, period: Any, reset: Any, path: str) -> BudgetRule:
    """A budget from its parts.

    Raises:
        ConfigurationError: one of them is wrong.
    """
    limit = number_in(limit)
    if type(limit) not in (int, float) or not 0 <= limit < math.inf:
        msg = f"{path}.max_budget = {given(limit)}: must be a number of US dollars, 0 or more"
        raise ConfigurationError(msg)
    if reset not in (None, *_RESETS):
        msg = f'{path}.reset = {given(reset)}: must be "calendar" or "rolling"'
        raise ConfigurationError(msg)
    if period is None:
        return BudgetRule(float(limit))
    seconds = seconds_in(period)
    if seconds is None or seconds > MAX_PERIOD_SECONDS:
        msg = f"{path}.budget_duration = {given(period)}: must be like {HOW_SECONDS}"
        raise ConfigurationError(msg)
    months = int(period.removesuffix("mo")) if period.endswith("mo") else 0
    return BudgetRule(float(limit), period, seconds, months, reset == "rolling")


def parse_budgets(raw: Any, path: str) -> dict[str, BudgetRule]:
    """`provider_budget_config` or `tag_budget_config`: budgets by the name of what they are for.

    Raises:
        ConfigurationError: it is none of that.
    """
    if not isinstance(raw, dict):
        msg = f'{path} = {given(raw)}: must be a dict {{name: {{"max_budget", "budget_duration"}}}}'
        raise ConfigurationError(msg)
    return {_name(name, path): _budget(entry, f"{path}.{name}") for name, entry in raw.items()}


def public_budgets(budgets: dict[str, BudgetRule]) -> dict[str, Any]:
    """As they may be written."""
    return {name: rule.public() for name, rule in budgets.items()}


def _name(name: Any, path: str) -> str:
    if not isinstance(name, str) or not name or not name.isprintable():
        msg = f"{path}: {given(name)} is no name"
        raise ConfigurationError(msg)
    return name


def _budget(entry: Any, path: str) -> BudgetRule:
    if isinstance(entry, BudgetRule):
        return entry
    if not isinstance(entry, dict):
        msg = f'{path} = {given(entry)}: must be a dict with "max_budget" and "budget_duration"'
        raise ConfigurationError(msg)
    parts: dict[str, Any] = {}
    for name, value in entry.items():
        if name not in _NAMES:
            hint = did_you_mean(str(name), _NAMES)
            msg = f"{path}: unknown field {given(name)}{hint}"
            raise ConfigurationError(msg)
        parts.setdefault(_NAMES[name], value)
    return budget_of(parts.get("limit"), parts.get("period"), parts.get("reset"), path)


def tags_of(request: Request) -> Iterable[str]:
    """The request's tags: `tags=[...]`, and `metadata={"tags": [...]}`."""
    metadata = request.metadata
    noted = metadata.get("tags") if isinstance(metadata, dict) else None
    return (*(request.tags or ()), *(noted or ()))
