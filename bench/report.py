"""A figure, and the table and JSON that figures end up in."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import asdict, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Figure", "as_json", "machine", "read", "side_by_side", "table"]


@frozen
class Figure:
    """One measured thing.

    Attributes:
        what: what was measured, in the words of the table.
        measured: the value, in `unit`.
        unit: `x` for a ratio, else `KB`, `us`, ...
        goal: what it should be; None when the row only informs.
        better: whether `measured` should be at most (`lower`) or at least (`higher`) the goal.
        detail: the absolute numbers behind it.
    """

    what: str
    measured: float
    unit: str = "x"
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    detail: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        return self.measured <= self.goal if self.better == "lower" else self.measured >= self.goal


def cells(figure: Figure) -> tuple[str, str, str, str, str]:
    """The figure as a row of text."""
    sign = "≤" if figure.better == "lower" else "≥"
    goal = "-" if figure.goal is None else f"{sign} {figure.goal:g} {figure.unit}"
    reached = {None: "-", True: "yes", False: "NO"}[figure.reached]
    return figure.what, f"{figure.measured:.3g} {figure.unit}", goal, reached, figure.detail


def table(figures: Iterable[Figure]) -> str:
    """A Markdown table that also reads well in a terminal."""
    rows = [("what", "measured", "goal", "reached?", "detail"), *map(cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [line([cell.ljust(w) for cell, w in zip(row, widths, strict=True)]) for row in rows]
    return "\n".join([lines[0], line(["-" * w for w in widths]), *lines[1:]])


def side_by_side(measured: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table: a row for each thing measured, a column for each contender."""
    names = list(dict.fromkeys(name for row in measured.values() for name in row))
    rows = [[what, *(row.get(name, "-") for name in names)] for what, row in measured.items()]
    return "\n".join(map(line, [["what", *names], ["---"] * (len(names) + 1), *rows]))


def line(row: Sequence[str]) -> str:
    return "| " + " | ".join(row) + " |"


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    return {
        "cpu": cpu_model(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def as_json(figures: Sequence[Figure], **more: Any) -> str:
    """Figures and the machine they were taken on, as JSON text; `read` is its inverse."""
    rows = [{**asdict(figure), "reached": figure.reached} for figure in figures]
    return json.dumps({"machine": machine(), **more, "figures": rows}, indent=2, ensure_ascii=False)


def read(text: str) -> list[Figure]:
    """The figures in the text that `as_json` made."""
    rows = json.loads(text)["figures"]
    return [Figure(**{name: value for name, value in row.items() if name != "reached"}) for row in rows]
