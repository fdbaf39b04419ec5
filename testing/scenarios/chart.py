"""A chart of a play as SVG: three panels over time, one beside what would have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drawing import AFTER, BEFORE, Axis, Panels, document
from .play import quantile

if TYPE_CHECKING:
    from .model import Scenario
    from .play import Figures, Minute

__all__ = ["chart"]


def chart(scenario: Scenario, usual: Figures, real: Figures) -> str:
    """p95, errors and who served, minute by minute; incidents are shaded.

    Args:
        scenario: what was played.
        usual: without its incidents.
        real: with them.
    """
    minutes = max(1, round(scenario.lasts / 60.0))
    plays = [(BEFORE, usual.minutes[:minutes]), (AFTER, real.minutes[:minutes])]
    panels = Panels(_axis(scenario, minutes))
    names = [name for name, _ in real.served.most_common()]
    parts = [
        *panels.lines(0, "p95, seconds", [(colour, [_p95(m) for m in of]) for colour, of in plays]),
        *panels.lines(1, "errors, percent", [(colour, [_errors(m) for m in of]) for colour, of in plays]),
        *panels.areas(2, "answers a minute, by deployment", names, [m.served for m in plays[1][1]]),
    ]
    legend = [(BEFORE, "without incidents"), (AFTER, "with them (shaded)")]
    return document(scenario.name, 3, legend, parts)


def _axis(scenario: Scenario, minutes: int) -> Axis:
    ticks = [(float(minute), f"{minute} min") for minute in range(0, minutes + 1, max(1, minutes // 6))]
    return Axis(minutes, ticks, [(i.at / 60.0, min(minutes, i.ends / 60.0)) for i in scenario.happens])


def _p95(minute: Minute) -> float | None:
    """None where nobody was answered: that is no fast answer."""
    return quantile(sorted(minute.seconds), 0.95) if minute.seconds else None


def _errors(minute: Minute) -> float | None:
    requests = minute.failed + len(minute.seconds)
    return 100.0 * minute.failed / requests if requests else None
