"""Tables for a terminal: drawn by rich where that is installed, in plain text where not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO
from unicodedata import combining, east_asian_width

from ...messages.figures import dollars

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "NOTHING",
    "Table",
    "cells",
    "cost",
    "deployment_table",
    "filled",
    "print_table",
    "seconds",
    "share",
]

NOTHING = "–"

GAP = 2
"""Blanks between two columns."""

LAST_COLUMN = 16
"""Characters that the last column has at least, on a terminal however narrow."""

_COLUMNS = (
    "deployment", "requests", "success", "latency", "p95", "ttft", "tokens/s", "tokens", "cost", "errors",
)  # fmt: skip
"""Counts and success rate; average latency, its 95th percentile, median time to first token, throughput
(output tokens per second of answering); tokens and cost; the rate of errors and their classes."""


class Table(NamedTuple):
    """What a table shows, all of it texts. The first and the last column hold words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def deployment_table(stats: dict[str, Any]) -> Table:
    """The table of `print_deployment_metrics()` for what `get_usage_stats()` gave."""
    rows = [
        (f"{entry['model_group']}/{name}{' (removed)' * entry['removed']}", *_cells(entry))
        for name, entry in stats["deployments"].items()
    ]
    rows.append(("total", *_cells(stats["total"])))
    return Table("Deployments", _COLUMNS, rows)


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    rate = entry["success_rate"]
    failures = sorted(entry["failures_by_class"].items(), key=lambda item: -item[1])
    classes = ", ".join(f"{times:,} {name}" for name, times in failures)
    return (
        f"{entry['requests']:,}",
        share(rate),
        seconds(entry["latency"]["average"]),
        seconds(entry["latency"]["p95"]),
        seconds(entry["time_to_first_token"]["p50"]),
        NOTHING if entry["tokens_per_second"] is None else f"{entry['tokens_per_second']:,.0f}",
        f"{entry['tokens']['total']:,}",
        cost(entry),
        share(None if rate is None else 1 - rate) + (f": {classes}" if classes else ""),
    )


def cost(entry: dict[str, Any]) -> str:
    """Dollars; with a + when there were calls whose cost is not known; none where nothing was used."""
    known = entry["cost"]
    if known is None or not (known or entry["tokens"]["total"]):
        return NOTHING
    return dollars(known) + ("+" if entry["calls_without_cost"] else "")


def share(value: float | None) -> str:
    """A share of one as a percentage."""
    return NOTHING if value is None else f"{value * 100:.1f} %"


def seconds(value: float | None) -> str:
    """Seconds, or milliseconds below one."""
    if value is None:
        return NOTHING
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def print_table(table: Table, out: TextIO | None = None) -> None:
    """Print a table to `out`, or to standard output."""
    stream = sys.stdout if out is None else out
    try:
        from rich.console import Console  # noqa: PLC0415  (an extra)
        from rich.markup import escape  # noqa: PLC0415
        from rich.table import Table as RichTable  # noqa: PLC0415
    except ImportError:
        print("\n".join([table.title, *plain(table)]), file=stream)
        return
    drawn = RichTable(title=table.title, title_justify="left", box=None, padding=(0, GAP, 0, 0))
    widths = _widths(table)
    for position, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
        if position == len(widths) - 1:
            drawn.add_column(column, overflow="fold")
        else:
            drawn.add_column(column, justify="right" if position else "left", min_width=width, no_wrap=True)
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    console = Console(file=stream)
    # a terminal breaks the last column, and no number; into a pipe or a file goes each row on one line
    least = sum(widths[:-1]) + GAP * len(widths) + LAST_COLUMN
    whole = sum(widths) + GAP * len(widths)
    console.width = min(whole, max(console.width, least)) if console.is_terminal else whole
    console.print(drawn)


def _widths(table: Table) -> list[int]:
    grid: list[Sequence[str]] = [table.columns, *table.rows]
    return [max(cells(row[position]) for row in grid) for position in range(len(table.columns))]


def cells(text: str) -> int:
    """Columns of a terminal that a text takes: an ideograph takes two, an accent that is added none."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(c) in "WF" else not combining(c) for c in text)


def filled(cell: str, width: int, *, left: bool) -> str:
    """A cell as wide as its column, its text on the left or on the right."""
    room = " " * (width - cells(cell))
    return cell + room if left else room + cell


def plain(table: Table) -> list[str]:
    """The lines of a table without any help: columns as wide as they need to be."""
    widths = _widths(table)
    return [
        (" " * GAP)
        .join(
            filled(cell, width, left=position in (0, len(row) - 1))
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in (table.columns, *table.rows)
    ]
