"""How long a call takes by the size of its prompt and its answer: a robust line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Line", "fit_line"]

MAX_POINTS = 1_500
"""Points of which a line is fitted; of more, evenly many along time."""

ROUNDS = 12
LEAST_SPREAD = 0.02
"""Sizes that vary by less than this share of their mean explain nothing."""


class Line(NamedTuple):
    """Seconds = base + by_prompt * prompt tokens + by_output * output tokens; never negative."""

    base: float
    by_prompt: float = 0.0
    by_output: float = 0.0

    def at(self, prompt: float, output: float) -> float:
        return max(1e-6, self.base + self.by_prompt * prompt + self.by_output * output)

    def slowed(self, factor: float) -> Line:
        """That of one that takes so many times as long."""
        return Line(self.base * factor, self.by_prompt * factor, self.by_output * factor)


def fit_line(points: Sequence[tuple[float, float, float]]) -> Line:
    """The line from which (prompt tokens, output tokens, seconds) are off by the least absolute share.

    Least *absolute*, so that one call in ten that took twenty times as long moves nothing; a *share*,
    since what takes longer also varies by more.
    """
    if not points:
        return Line(1.0)
    step = -(-len(points) // MAX_POINTS)
    some = [point for point in points[::step] if point[2] > 0.0] or [(0.0, 0.0, 1e-6)]
    columns = [index for index in (0, 1) if _varies([point[index] for point in some])]
    while True:
        weights = _reweighted(some, columns)
        negative = [index for index, value in zip(columns, weights[1:], strict=True) if value < 0.0]
        if not negative:
            break
        columns = [index for index in columns if index not in negative]
    by = dict(zip(columns, weights[1:], strict=True))
    return Line(max(0.0, weights[0]), by.get(0, 0.0), by.get(1, 0.0))


def _varies(values: Sequence[float]) -> bool:
    mean = sum(values) / len(values)
    off = sum(abs(value - mean) for value in values) / len(values)
    return mean > 0 and off > LEAST_SPREAD * mean


def _reweighted(points: Sequence[tuple[float, float, float]], columns: Sequence[int]) -> list[float]:
    """Least absolute deviations by weighted least squares, again and again."""
    weighted = [(point, 1.0 / (point[2] * point[2])) for point in points]
    found: list[float] = []
    for _ in range(ROUNDS):
        found = _least_squares(weighted, columns)
        weighted = [(point, _weight(point, columns, found)) for point in points]
    return found


def _weight(point: tuple[float, float, float], columns: Sequence[int], found: Sequence[float]) -> float:
    line = found[0] + sum(value * point[index] for index, value in zip(columns, found[1:], strict=True))
    line = max(line, 0.05 * point[2])
    return 1.0 / (line * max(abs(point[2] - line), 0.01 * line))


def _least_squares(
    weighted: Sequence[tuple[tuple[float, float, float], float]], columns: Sequence[int]
) -> list[float]:
    size = 1 + len(columns)
    left = [[0.0] * size for _ in range(size)]
    right = [0.0] * size
    for point, weight in weighted:
        row = [1.0, *(point[index] for index in columns)]
        for i in range(size):
            scaled = weight * row[i]
            right[i] += scaled * point[2]
            for j in range(size):
                left[i][j] += scaled * row[j]
    return _solved(left, right)


def _solved(left: list[list[float]], right: list[float]) -> list[float]:
    """Gauss's elimination; a column that says what another says already gets nothing."""
    size = len(right)
    scale = [left[i][i] or 1.0 for i in range(size)]
    for i in range(size):
        if abs(left[i][i]) < 1e-12 * scale[i]:
            continue
        for j in range(size):
            if j == i:
                continue
            factor = left[j][i] / left[i][i]
            left[j] = [a - factor * b for a, b in zip(left[j], left[i], strict=True)]
            right[j] -= factor * right[i]
    return [right[i] / left[i][i] if abs(left[i][i]) >= 1e-12 * scale[i] else 0.0 for i in range(size)]
