"""A chart of a play as SVG, written by hand: three panels over time, one beside what would have been."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .play import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .model import Scenario
    from .play import Figures, Minute

__all__ = ["chart"]

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 860, 150, 64, 24, 64, 56
COLOURS = ("#2f6fb0", "#d9822b", "#4a9d5b", "#8e5ea2", "#c2504f", "#5f8a8b", "#a07c3b", "#6b7280")
FONT = 'font-family="system-ui, sans-serif" font-size="12"'
BEFORE, AFTER, SHADE, GRID, INK = "#9aa5b1", "#c2410c", "#fde7d3", "#e5e7eb", "#1f2937"


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
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT}>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(LEFT, 26, scenario.name, 'font-size="16" font-weight="600"'),
        *_legend(),
        *drawing.lines(0, "p95, seconds", _p95, usual, real),
        *drawing.lines(1, "errors, percent", _errors, usual, real),
        *drawing.areas(2, "answers a minute, by deployment", real),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" {more}>{escape(words)}</text>'


def _legend() -> list[str]:
    return [
        f'<line x1="{LEFT}" y1="44" x2="{LEFT + 24}" y2="44" stroke="{BEFORE}" stroke-width="2"/>',
        _text(LEFT + 30, 48, "without incidents"),
        f'<line x1="{LEFT + 160}" y1="44" x2="{LEFT + 184}" y2="44" stroke="{AFTER}" stroke-width="2"/>',
        _text(LEFT + 190, 48, "with them (shaded)"),
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

        parts = [
            f'<rect x="{self._x(i.at / 60):.1f}" y="{top}" height="{PANEL}" fill="{SHADE}" '
            f'width="{max(1.0, self._x((i.at + i.lasts) / 60) - self._x(i.at / 60)):.1f}"/>'
            for i in self.scenario.happens
        ]
        for share in (0.0, 0.5, 1.0):
            y = place(most * share)
            ends = f'x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"'
            parts.append(f'<line {ends} stroke="{GRID}"/>')
            parts.append(_text(LEFT - 8, y + 4, f"{most * share:.3g}", 'text-anchor="end"'))
        parts.extend(
            _text(self._x(minute), top + PANEL + 16, f"{minute} min", 'text-anchor="middle"')
            for minute in range(0, self.minutes + 1, max(1, self.minutes // 6))
        )
        parts.append(_text(LEFT, top - 8, title, 'font-weight="600"'))
        return parts, place

    def lines(
        self, number: int, title: str, value: Callable[[Minute], float], usual: Figures, real: Figures
    ) -> list[str]:
        """One line for each play."""
        plays = ((BEFORE, usual), (AFTER, real))
        series = [(colour, [value(m) for m in play.minutes[: self.minutes]]) for colour, play in plays]
        most = _nice(max((v for _, values in series for v in values), default=1.0))
        parts, place = self._frame(number, title, most)
        for colour, values in series:
            points = " ".join(f"{self._x(i + 0.5):.1f},{place(v):.1f}" for i, v in enumerate(values))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        return parts

    def areas(self, number: int, title: str, play: Figures) -> list[str]:
        """One area for each deployment, on top of each other."""
        minutes = play.minutes[: self.minutes]
        names = [name for name, _ in play.served.most_common()]
        most = _nice(max((m.served.total() for m in minutes), default=1))
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
            parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[index]}"/>')
            parts.append(_text(x + 14, y, name[:12]))
        return parts


def _nice(most: float) -> float:
    """A round number that is not below `most`."""
    step = 1.0
    while step < most:
        for factor in (1, 2, 5):
            if step * factor >= most:
                return step * factor
        step *= 10.0
    return step
