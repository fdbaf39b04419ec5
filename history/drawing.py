"""Charts as SVG, written by hand: what ours have in common. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from ..supervisor.face.metrics_table import cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "GRID",
    "INK",
    "MUTED",
    "SHADE",
    "WIDTH",
    "line",
    "nice",
    "rect",
    "screen",
    "svg",
    "text",
    "ticks",
    "title",
]

WIDTH = 860
GRID, INK, MUTED, SHADE = "#e5e7eb", "#1f2937", "#6b7280", "#fde7d3"
NIGHT, DAY = "#111827", "#e5e7eb"
MARGIN, LINE, CHARACTER = 16, 18, 7.3
MONOSPACE = 'font-family="monospace"'
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def svg(height: float, parts: Iterable[str], width: float = WIDTH) -> str:
    """A chart on white."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {FONT}>',
            f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
            *parts,
            "</svg>\n",
        ]
    )


def title(x: float, words: str) -> str:
    """The chart's, above everything."""
    return text(x, 26, words, 'font-size="16" font-weight="600"')


def text(x: float, y: float, words: str, more: str = "", colour: str = INK) -> str:
    """Words that begin at x (or end there, or have their middle there: `more`), on the line y."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" {more}>{escape(words)}</text>'


def line(ends: tuple[float, float, float, float], colour: str = GRID, more: str = "") -> str:
    """From x1, y1 to x2, y2."""
    x1, y1, x2, y2 = ends
    style = f" {more}" if more else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{style}/>'


def rect(corner: tuple[float, float], size: tuple[float, float], colour: str, more: str = "") -> str:
    """A filled rectangle: its upper left corner, its width and height."""
    (x, y), (width, height) = corner, size
    style = f" {more}" if more else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}"{style}/>'


def nice(most: float) -> float:
    """A round number that is not below `most`."""
    step = 1e-6
    while step * 10 < most:
        step *= 10.0
    return next(step * factor for factor in (1, 2, 5, 10) if step * factor >= most * (1 - 1e-9))


def ticks(most: float, about: int = 6) -> list[float]:
    """Round places from 0 to `most`, about so many."""
    step = nice(most / about)
    return [step * number for number in range(int(most / step + 1e-9) + 1)]


def screen(command: str, lines: Sequence[str], tints: Mapping[str, str]) -> str:
    """A terminal: a command, and what it printed.

    Lines that hold a word of `tints`, other than the first, are in the colour that is said there.
    """
    width = MARGIN * 2 + CHARACTER * max(map(cells, (f"$ {command}", *lines)))
    height = MARGIN * 2 + LINE * (len(lines) + 1)
    parts = [rect((0, 0), (width, height), NIGHT, 'rx="8"'), _typed(0, f"$ {command}", MUTED)]
    for number, words in enumerate(lines, start=1):
        found = [tints[word] for word in tints if word in words and number > 1]
        parts.append(_typed(number, words, found[0] if found else DAY))
    return svg(height, parts, width)


def _typed(number: int, words: str, colour: str) -> str:
    """A line of the terminal. The length is set, since fonts differ in the width of a character."""
    if not words:
        return ""
    y = MARGIN + LINE * (number + 0.75)
    length = f'textLength="{CHARACTER * cells(words):.1f}" lengthAdjust="spacingAndGlyphs"'
    return text(MARGIN, y, words, f'{MONOSPACE} {length} xml:space="preserve"', colour)
