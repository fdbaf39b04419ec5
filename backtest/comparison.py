"""Candidates side by side: what each comes to, and where it differs from the first. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from .chart import chart
from .figures import BY_SHARE, COUNTED, METRICS, SHARE
from .intervals import Estimate, estimate
from .report import report, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .figures import Figures

__all__ = ["Column", "Comparison"]


@frozen
class Column:
    """A candidate's plays, one for each seed."""

    name: str
    plays: tuple[Figures, ...]

    def values(self, metric: str) -> list[float] | None:
        """One for each play; None where some have none."""
        values = [play.get(metric) for play in self.plays]
        return None if None in values else values  # type: ignore[return-value]  # all are numbers

    def estimate(self, metric: str) -> Estimate | None:
        """What it comes to; None where there is nothing to measure."""
        values = self.values(metric)
        if values is None:
            return None
        return estimate(values, self._unit(metric), by_share=metric in BY_SHARE)

    def _unit(self, metric: str) -> float | None:
        """What one request more or less makes, of a figure that may come to the same in all plays."""
        requests = max(1.0, self.plays[0].values["requests"])
        if metric == "bill":
            return self.plays[0].values[metric] / requests
        if metric.startswith(SHARE):
            return 1.0 / requests
        if metric not in COUNTED:
            return None
        return 1.0 / requests if next(each.scale != 1.0 for each in METRICS if each.name == metric) else 1.0

    def difference(self, metric: str, other: Column) -> Estimate | None:
        """What it comes to beyond another column, seed by seed."""
        mine, theirs = self.values(metric), other.values(metric)
        if mine is None or theirs is None:
            return None
        return estimate([a - b for a, b in zip(mine, theirs, strict=True)])


@frozen
class Comparison:
    """What a backtest came to.

    Attributes:
        began, ended: the stretch that was counted, in router time.
        requests: how many were played.
        recorded: what the record itself came to.
        columns: the candidates; the first is what the others are compared with.
        unknown: what the record cannot say, in plain words.
    """

    began: float
    ended: float
    requests: int
    recorded: Figures
    columns: tuple[Column, ...]
    unknown: tuple[str, ...] = field(default=())

    @property
    def usual(self) -> Column:
        """The first column: the settings of the record."""
        return self.columns[0]

    @property
    def metrics(self) -> list[str]:
        """The figures there are, in the order in which they are shown."""
        everything = [self.recorded, *(play for column in self.columns for play in column.plays)]
        shares = sorted({name for each in everything for name in each.values if name.startswith(SHARE)})
        known = [metric.name for metric in METRICS if self.recorded.get(metric.name) is not None]
        return [*known, *shares]

    def off(self) -> list[str]:
        """The figures in which the unchanged settings do not reproduce the record."""
        return [name for name, told in self._reproduced() if not told]

    def _reproduced(self) -> Iterator[tuple[str, bool]]:
        for name in self.metrics:
            known, told = self.recorded.get(name), self.usual.estimate(name)
            if known is not None and told is not None:
                yield name, told.holds(known)

    def table(self) -> str:
        """The columns side by side, as text."""
        return table(self)

    def report(self) -> str:
        """The table, what differs, and what nobody can know."""
        return report(self)

    def chart(self, title: str = "Backtest") -> str:
        """A picture, as SVG."""
        return chart(self, title)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "began": self.began,
            "ended": self.ended,
            "requests": self.requests,
            "recorded": dict(self.recorded.values),
            "columns": [self._column(column) for column in self.columns],
            "not_reproduced": self.off(),
            "unknown": list(self.unknown),
        }

    def _column(self, column: Column) -> dict[str, Any]:
        return {
            "name": column.name,
            "seeds": len(column.plays),
            "figures": {name: _plain(column.estimate(name)) for name in self.metrics},
            "differences": {}
            if column is self.usual
            else {name: _plain(column.difference(name, self.usual)) for name in self.metrics},
        }


def _plain(told: Estimate | None) -> dict[str, float | None] | None:
    if told is None:
        return None
    if told.low == -told.high == float("-inf"):
        return {"mean": told.mean, "low": None, "high": None}
    return {"mean": told.mean, "low": told.low, "high": told.high}
