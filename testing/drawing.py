"""Panels over time as SVG: lines beside each other, and areas on top of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ..history.drawing import SHADE, WIDTH, line, nice, rect, svg, text, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["AFTER", "BEFORE", "COLOURS", "Axis", "Panels", "document"]

PANEL, LEFT, RIGHT, TOP, GAP = 150, 64, 24, 84, 56
COLOURS = ("#2f6fb0", "#d9822b", "#4a9d5b", "#8e5ea2", "#c2504f", "#5f8a8b", "#a07c3b", "#6b7280")
BEFORE, AFTER = "#9aa5b1", "#c2410c"

NAME_CHARS = 12
"""Of a deployment's name below its panel."""

LEGEND_WIDTH, CHAR_WIDTH = 160.0, 6.5
"""Of a legend's entry at least, and of a letter."""

EDGE = 4
"""Of the picture, which is kept free of words."""


@frozen
class Axis:
    """Time, from left to right, in steps.

    Attributes:
        steps: how many there are.
        ticks: (at, words) below a panel; `at` counts steps.
        shades: (from, to) of what is marked.
    """

    steps: int
    ticks: Sequence[tuple[float, str]]
    shades: Sequence[tuple[float, float]] = ()

    def x(self, step: float) -> float:
        """Where a step is in the picture."""
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.steps


def document(words: str, panels: int, legend: Sequence[tuple[str, str]], parts: Iterable[str]) -> str:
    """A whole picture.

    Args:
        words: its title.
        panels: how many there are.
        legend: (colour, words) of its lines.
        parts: what the panels are made of.
    """
    return svg(TOP + panels * (PANEL + GAP), [title(LEFT, words), *_legend(legend), *parts])


def _legend(entries: Sequence[tuple[str, str]]) -> list[str]:
    parts = []
    x = float(LEFT)
    for colour, words in entries:
        parts.append(line((x, 44, x + 24, 44), colour, 'stroke-width="2"'))
        parts.append(text(x + 30, 48, words))
        x += max(LEGEND_WIDTH, 46.0 + CHAR_WIDTH * len(words))
    return parts


class Panels:
    """Panels with one time axis, from above numbered 0, 1, 2."""

    def __init__(self, axis: Axis) -> None:
        self._axis = axis

    def _frame(self, number: int, words: str, most: float) -> tuple[list[str], Callable[[float], float]]:
        """A panel's shades, grid and words; and where a value is in it."""
        axis, top = self._axis, TOP + number * (PANEL + GAP)

        def place(value: float) -> float:
            return top + PANEL - PANEL * value / most

        parts = [
            rect((axis.x(begins), top), (max(1.0, axis.x(ends) - axis.x(begins)), PANEL), SHADE)
            for begins, ends in axis.shades
        ]
        for share in (0.0, 0.5, 1.0):
            y = place(most * share)
            parts.append(line((LEFT, y, WIDTH - RIGHT, y)))
            parts.append(text(LEFT - 8, y + 4, f"{most * share:g}", 'text-anchor="end"'))
        parts.extend(self._tick(at, said, top + PANEL + 16) for at, said in axis.ticks)
        parts.append(text(LEFT, top - 8, words, 'font-weight="600"'))
        return parts, place

    def _tick(self, at: float, said: str, y: float) -> str:
        """Its middle is where it belongs in time, or else as far right as the whole of it is seen."""
        last = WIDTH - EDGE - CHAR_WIDTH * len(said) / 2
        return text(min(self._axis.x(at), last), y, said, 'text-anchor="middle"')

    def lines(
        self, number: int, words: str, series: Sequence[tuple[str, Sequence[float | None]]]
    ) -> list[str]:
        """One line for each (colour, values); it is broken where there is no value."""
        most = nice(max((v for _, values in series for v in values if v is not None), default=0.0) or 1.0)
        parts, place = self._frame(number, words, most)
        for colour, values in series:
            for points in self._pieces(values, place):
                parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        return parts

    def _pieces(self, values: Sequence[float | None], place: Callable[[float], float]) -> list[str]:
        pieces: list[list[str]] = [[]]
        for step, value in enumerate(values):
            if value is not None:
                pieces[-1].append(f"{self._axis.x(step + 0.5):.1f},{place(value):.1f}")
            elif pieces[-1]:
                pieces.append([])
        return [" ".join(piece) for piece in pieces if piece]

    def areas(
        self, number: int, words: str, names: Sequence[str], counts: Sequence[Mapping[str, float]]
    ) -> list[str]:
        """One area for each name, on top of each other, and the names below."""
        most = nice(max((sum(step.values()) for step in counts), default=0) or 1)
        parts, place = self._frame(number, words, most)
        below = [0.0] * len(counts)
        for index, name in enumerate(names):
            above = [low + step.get(name, 0.0) for low, step in zip(below, counts, strict=True)]
            parts.append(self._area(below, above, place, COLOURS[index % len(COLOURS)]))
            below = above
        return parts + _names(names, TOP + number * (PANEL + GAP) + PANEL + 36)

    def _area(
        self, below: Sequence[float], above: Sequence[float], place: Callable[[float], float], colour: str
    ) -> str:
        x = self._axis.x
        there = [f"{x(i + 0.5):.1f},{place(v):.1f}" for i, v in enumerate(above)]
        back = [f"{x(i + 0.5):.1f},{place(v):.1f}" for i, v in reversed(list(enumerate(below)))]
        return f'<polygon points="{" ".join(there + back)}" fill="{colour}" fill-opacity="0.75"/>'


def _names(names: Sequence[str], y: float) -> list[str]:
    parts = []
    for index, name in enumerate(names[: len(COLOURS)]):
        x = LEFT + index * 96
        parts.append(rect((x, y - 9), (10, 10), COLOURS[index]))
        parts.append(text(x + 14, y, name[:NAME_CHARS]))
    return parts
