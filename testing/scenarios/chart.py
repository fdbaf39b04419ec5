"""A chart of a play as SVG, written by hand: three panels over time, one beside what would have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...history.drawing import SHADE, WIDTH, line, nice, rect, svg, text, title
from .play import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .model import Scenario
    from .play import Figures, Minute

__all__ = ["chart"]

PANEL, LEFT, RIGHT, TOP, GAP = 150, 64, 24, 84, 56
COLOURS = ("#2f6fb0", "#d9822b", "#4a9d5b", "#8e5ea2", "#c2504f", "#5f8a8b", "#a07c3b", "#6b7280")
BEFORE, AFTER = "#9aa5b1", "#c2410c"


def chart(scenario: Scenario, usual: Figures, real: Figures) -> str:
    """p95, errors and who served, minute by minute; incidents are shaded.

    Args:
        scenario: what was played.
        usual: without its incidents.
        real: with them.
    """
    minutes = max(1, round(scenario.lasts / 60.0))
    height = TOP + 3 * PANEL + 3 * GAP
    drawing = _Drawing(minutes, scenario)
    return svg(
        height,
        [
            title(LEFT, scenario.name),
            *_legend(),
            *drawing.lines(0, "p95, seconds", _p95, usual, real),
            *drawing.lines(1, "errors, percent", _errors, usual, real),
            *drawing.areas(2, "answers a minute, by deployment", real),
        ],
    )


def _legend() -> list[str]:
    thick = 'stroke-width="2"'
    return [
        line((LEFT, 44, LEFT + 24, 44), BEFORE, thick),
        text(LEFT + 30, 48, "without incidents"),
        line((LEFT + 160, 44, LEFT + 184, 44), AFTER, thick),
        text(LEFT + 190, 48, "with them (shaded)"),
    ]


def _p95(minute: Minute) -> float:
    return quantile(sorted(minute.seconds), 0.95)


def _errors(minute: Minute) -> float:
    requests = minute.failed + len(minute.seconds)
    return 100.0 * minute.failed / requests if requests else 0.0


class _Drawing:
    """Panels with one time axis."""

    def __init__(self, minutes: int, scenario: Scenario) -> None:
        self.minutes = minutes
        self.scenario = scenario

    def _x(self, minute: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * minute / self.minutes

    def _frame(self, number: int, title: str, most: float) -> tuple[list[str], Callable[[float], float]]:
        """A panel's shades, grid and words; and where a value is in it."""
        top = TOP + number * (PANEL + GAP)

        def place(value: float) -> float:
            return top + PANEL - PANEL * value / most

        parts = []
        for incident in self.scenario.happens:
            start, end = self._x(incident.at / 60), self._x((incident.at + incident.lasts) / 60)
            parts.append(rect((start, top), (max(1.0, end - start), PANEL), SHADE))
        for share in (0.0, 0.5, 1.0):
            y = place(most * share)
            parts.append(line((LEFT, y, WIDTH - RIGHT, y)))
            parts.append(text(LEFT - 8, y + 4, f"{most * share:g}", 'text-anchor="end"'))
        parts.extend(
            text(self._x(minute), top + PANEL + 16, f"{minute} min", 'text-anchor="middle"')
            for minute in range(0, self.minutes + 1, max(1, self.minutes // 6))
        )
        parts.append(text(LEFT, top - 8, title, 'font-weight="600"'))
        return parts, place

    def lines(
        self, number: int, title: str, value: Callable[[Minute], float], usual: Figures, real: Figures
    ) -> list[str]:
        """One line for each play."""
        plays = ((BEFORE, usual), (AFTER, real))
        series = [(colour, [value(m) for m in play.minutes[: self.minutes]]) for colour, play in plays]
        most = nice(max((v for _, values in series for v in values), default=0.0) or 1.0)
        parts, place = self._frame(number, title, most)
        for colour, values in series:
            points = " ".join(f"{self._x(i + 0.5):.1f},{place(v):.1f}" for i, v in enumerate(values))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        return parts

    def areas(self, number: int, title: str, play: Figures) -> list[str]:
        """One area for each deployment, on top of each other."""
        minutes = play.minutes[: self.minutes]
        names = [name for name, _ in play.served.most_common()]
        most = nice(max((m.served.total() for m in minutes), default=0) or 1)
        parts, place = self._frame(number, title, most)
        below = [0.0] * len(minutes)
        for index, name in enumerate(names):
            above = [low + minute.served[name] for low, minute in zip(below, minutes, strict=True)]
            parts.append(self._area(below, above, place, COLOURS[index % len(COLOURS)]))
            below = above
        return parts + self._names(names, TOP + number * (PANEL + GAP) + PANEL + 36)

    def _area(
        self, below: Sequence[float], above: Sequence[float], place: Callable[[float], float], colour: str
    ) -> str:
        there = [f"{self._x(i + 0.5):.1f},{place(v):.1f}" for i, v in enumerate(above)]
        back = [f"{self._x(i + 0.5):.1f},{place(v):.1f}" for i, v in reversed(list(enumerate(below)))]
        return f'<polygon points="{" ".join(there + back)}" fill="{colour}" fill-opacity="0.75"/>'

    def _names(self, names: Sequence[str], y: float) -> list[str]:
        parts = []
        for index, name in enumerate(names[: len(COLOURS)]):
            x = LEFT + index * 96
            parts.append(rect((x, y - 9), (10, 10), COLOURS[index]))
            parts.append(text(x + 14, y, name[:12]))
        return parts
