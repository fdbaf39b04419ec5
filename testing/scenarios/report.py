"""What a play came to, beside what it would have come to: rows for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...supervisor.face.metrics_table import NOTHING, cells, filled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .play import Figures

__all__ = ["rows", "table"]

_Told = tuple[float, str]
"""A figure, and how it is written; None in its place where there is nothing to tell."""


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


def _cell(value: Callable[[Figures], _Told | None], column: Sequence[Figures]) -> str:
    """`2.31 s ± 0.05`: the mean over the seeds, and half of what lies between the extremes."""
    told = [each for figures in column if (each := value(figures)) is not None]
    if not told:
        return NOTHING
    numbers, form = [number for number, _ in told], told[0][1]
    mean = sum(numbers) / len(numbers)
    text = form.format(mean)
    off = (max(numbers) - min(numbers)) / 2.0
    return text if len(numbers) == 1 or not off else f"{text} ± {_plain(form).format(off)}"


def _plain(form: str) -> str:
    return form.partition("}")[0] + "}"


def _share(count: float, of: float, form: str) -> _Told | None:
    """Of nothing there is no share."""
    return (100.0 * count / of, form) if of else None


def _share_of(name: str) -> Callable[[Figures], _Told | None]:
    return lambda figures: _share(figures.served[name], figures.answered, "{:.1f} %")


def _count_of(kind: str) -> Callable[[Figures], _Told | None]:
    return lambda figures: (float(figures.errors[kind]), "{:,.0f}")


def _time(share: float) -> Callable[[Figures], _Told | None]:
    """What nobody was given took no time."""
    return lambda figures: (figures.quantile(share), "{:.2f} s") if figures.answered else None


def _bill(figures: Figures) -> _Told | None:
    """Where nobody knows it, that is not that it is nothing."""
    unknown = figures.unpriced == figures.answered and not figures.cost
    return None if unknown else (figures.cost, "{:,.2f} $")


_ROWS: tuple[tuple[str, Callable[[Figures], _Told | None]], ...] = (
    ("requests", lambda f: (float(f.requests), "{:,.0f}")),
    ("answered", lambda f: _share(f.answered, f.requests, "{:.2f} %")),
    ("errors", lambda f: _share(f.requests - f.answered, f.requests, "{:.2f} %")),
    ("p50", _time(0.5)),
    ("p95", _time(0.95)),
    ("p99", _time(0.99)),
    ("failed attempts", lambda f: (float(f.failed_attempts), "{:,.0f}")),
    ("retries", lambda f: (float(f.retries), "{:,.0f}")),
    ("fallbacks", lambda f: (float(f.fallbacks), "{:,.0f}")),
    ("waits", lambda f: (float(f.waits), "{:,.0f}")),
    ("bill", _bill),
    ("answers without a price", lambda f: (float(f.unpriced), "{:,.0f}")),
)
