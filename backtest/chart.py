"""A comparison as SVG: p95 and errors over time, and who would have served."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING

from ..testing.drawing import BEFORE, COLOURS, Axis, Panels, document
from .figures import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .comparison import Column, Comparison
    from .figures import Figures, Step

__all__ = ["chart"]

TICKS = 6


def chart(comparison: Comparison, title: str = "Backtest") -> str:
    """Means over the seeds, in `STEPS` steps of time; the record beside them.

    The areas are the last candidate's, above those of the record.
    """
    columns = comparison.columns[1:] or comparison.columns
    last = columns[-1]
    plays: list[tuple[str, Sequence[Figures]]] = [(BEFORE, [comparison.recorded])]
    plays += [(COLOURS[(place + 1) % len(COLOURS)], column.plays) for place, column in enumerate(columns)]
    panels = Panels(_axis(comparison))
    names = _names(comparison.recorded, last)
    parts = [
        *panels.lines(0, "p95, seconds", [(colour, _means(of, _p95)) for colour, of in plays]),
        *panels.lines(1, "errors, percent", [(colour, _means(of, _errors)) for colour, of in plays]),
        *panels.areas(2, "answers, by deployment: recorded", names, _served([comparison.recorded])),
        *panels.areas(3, f"answers, by deployment: {last.name}", names, _served(last.plays)),
    ]
    legend = [
        (colour, words)
        for (colour, _), words in zip(plays, ["recorded", *(c.name for c in columns)], strict=True)
    ]
    return document(title, 4, legend, parts)


def _axis(comparison: Comparison) -> Axis:
    span = comparison.ended - comparison.began
    form = "%H:%M" if span >= TICKS * 60 else "%H:%M:%S"
    places = [STEPS * tick / TICKS for tick in range(TICKS + 1)]
    times = [datetime.fromtimestamp(comparison.began + span * place / STEPS, UTC) for place in places]
    return Axis(STEPS, [(place, f"{at:{form}}") for place, at in zip(places, times, strict=True)])


def _names(recorded: Figures, last: Column) -> list[str]:
    """Everybody who answered, the busiest first."""
    total: dict[str, float] = {}
    for play in (recorded, *last.plays):
        for step in play.steps:
            for name, count in step.served.items():
                total[name] = total.get(name, 0.0) + count
    return sorted(total, key=lambda name: (-total[name], name))


def _means(plays: Sequence[Figures], value: Figure) -> list[float | None]:
    means: list[float | None] = []
    for place in range(STEPS):
        known = [v for play in plays if (v := value(play.steps[place])) is not None]
        means.append(fmean(known) if known else None)
    return means


def _served(plays: Sequence[Figures]) -> list[dict[str, float]]:
    counts = []
    for place in range(STEPS):
        total: dict[str, float] = {}
        for play in plays:
            for name, count in play.steps[place].served.items():
                total[name] = total.get(name, 0.0) + count / len(plays)
        counts.append(total)
    return counts


def _p95(step: Step) -> float | None:
    return step.p95


def _errors(step: Step) -> float | None:
    return 100.0 * step.errors


if TYPE_CHECKING:
    from collections.abc import Callable

    Figure = Callable[[Step], float | None]
