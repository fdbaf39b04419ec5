"""A series of numbers in one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sparkline"]

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """One bar for each value, the highest for the largest; what is nothing is a blank."""
    largest = max(values, default=0.0)
    return "".join(_bar(value / largest) if value > 0 else " " for value in values)


def _bar(part: float) -> str:
    return BARS[min(len(BARS) - 1, int(part * len(BARS)))]
