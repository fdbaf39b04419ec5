"""What a play came to, beside what it would have come to: rows for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...supervisor.face.metrics_table import NOTHING, cells, filled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .play import Figures

__all__ = ["rows", "table"]


def rows(plays: Sequence[Sequence[Figures]]) -> list[tuple[str, ...]]:
    """A name and one cell for each column; a column is the plays of several seeds, told as mean and range."""
    lines = [(name, *(_cell(value, column) for column in plays)) for name, value in _ROWS]
    ids = sorted({name for column in plays for figures in column for name in figures.served})
    for name in ids:
        share = _share_of(name)
        lines.append((f"share of {name}", *(_cell(share, column) for column in plays)))
    kinds = sorted({kind for column in plays for figures in column for kind in figures.errors})
    for kind in kinds:
        count = _count_of(kind)
        lines.append((f"  {kind}", *(_cell(count, column) for column in plays)))
    return lines


def table(heads: Sequence[str], plays: Sequence[Sequence[Figures]]) -> str:
    """The rows as aligned text."""
    lines = [("", *heads), *rows(plays)]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            filled(cell, width, left=column == 0)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cell(value: Callable[[Figures], tuple[float, str]], column: Sequence[Figures]) -> str:
    """`2.31 s ± 0.05`: the mean over the seeds, and half of what lies between the extremes."""
    if value is _bill and all(figures.unpriced == figures.answered for figures in column):
        return NOTHING  # nobody knows it, which is not that it is nothing
    values = [value(figures) for figures in column]
    numbers, form = [number for number, _ in values], values[0][1]
    mean = sum(numbers) / len(numbers)
    text = form.format(mean)
    off = (max(numbers) - min(numbers)) / 2.0
    return text if len(numbers) == 1 or not off else f"{text} ± {_plain(form).format(off)}"


def _plain(form: str) -> str:
    return form.partition("}")[0] + "}"


def _per(count: float, of: float) -> float:
    return 100.0 * count / of if of else 0.0


def _share_of(name: str) -> Callable[[Figures], tuple[float, str]]:
    return lambda figures: (_per(figures.served[name], figures.answered), "{:.1f} %")


def _count_of(kind: str) -> Callable[[Figures], tuple[float, str]]:
    return lambda figures: (float(figures.errors[kind]), "{:,.0f}")


def _bill(figures: Figures) -> tuple[float, str]:
    return figures.cost, "{:,.2f} $"


_ROWS: tuple[tuple[str, Callable[[Figures], tuple[float, str]]], ...] = (
    ("requests", lambda f: (float(f.requests), "{:,.0f}")),
    ("answered", lambda f: (_per(f.answered, f.requests), "{:.2f} %")),
    ("errors", lambda f: (_per(f.requests - f.answered, f.requests), "{:.2f} %")),
    ("p50", lambda f: (f.quantile(0.5), "{:.2f} s")),
    ("p95", lambda f: (f.quantile(0.95), "{:.2f} s")),
    ("p99", lambda f: (f.quantile(0.99), "{:.2f} s")),
    ("failed attempts", lambda f: (float(f.failed_attempts), "{:,.0f}")),
    ("retries", lambda f: (float(f.retries), "{:,.0f}")),
    ("fallbacks", lambda f: (float(f.fallbacks), "{:,.0f}")),
    ("waits", lambda f: (float(f.waits), "{:,.0f}")),
    ("bill", _bill),
    ("answers without a price", lambda f: (float(f.unpriced), "{:,.0f}")),
)
