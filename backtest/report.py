"""A comparison in words: a table, the differences, and what nobody can know. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .figures import METRICS, Metric

if TYPE_CHECKING:
    from .comparison import Column, Comparison
    from .intervals import Estimate

__all__ = ["header", "report", "table", "verdicts"]

_METRICS = {metric.name: metric for metric in METRICS}
TOLD = ("p50", "p95", "p99", "first token p95", "errors", "bill")
"""Figures of which a verdict speaks."""

LEAST_TOLD = 0.01
"""A difference of less than this share is not worth a word."""


def report(comparison: Comparison) -> str:
    """All of it: what was played, the table, the verdicts, and what nobody can know."""
    parts = [header(comparison), table(comparison)]
    off = comparison.off()
    if off:
        parts.append(f"Played again unchanged the record does not come out the same in: {', '.join(off)}.")
    parts += [f"{sentence}." for sentence in verdicts(comparison)]
    if comparison.unknown:
        parts.append(
            "\n".join(["What the record cannot say:", *(f"· {said}" for said in comparison.unknown)])
        )
    return "\n\n".join(parts)


def header(comparison: Comparison) -> str:
    """What was played."""
    began, ended = (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        for at in (comparison.began, comparison.ended)
    )
    seeds = len(comparison.usual.plays)
    told = (
        f"{seeds} seeds (mean, and where 95 of 100 such days lie)"
        if seeds > 1
        else "one seed (which does not tell how sure a figure is)"
    )
    many = "one request" if comparison.requests == 1 else f"{comparison.requests:,} requests"
    return f"{many} from {began} to {ended} UTC, {told}"


def table(comparison: Comparison) -> str:
    """Side by side: the record, its settings played again, and the candidates."""
    lines = [("", "recorded", *(column.name for column in comparison.columns))]
    for name in comparison.metrics:
        known = comparison.recorded.get(name)
        metric = _metric(name)
        cells = ["" if known is None else _number(metric, known)]
        lines.append((name, *cells, *(_cell(metric, c.estimate(name)) for c in comparison.columns)))
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _metric(name: str) -> Metric:
    return _METRICS.get(name) or Metric(name, "{:.1f} %", 100.0)


def _number(metric: Metric, value: float) -> str:
    return metric.shape(value).format(value * metric.scale)


def _cell(metric: Metric, told: Estimate | None) -> str:
    if told is None:
        return "–"
    text = _number(metric, told.mean)
    if math.isinf(told.high):
        return text
    plain = metric.shape(told.mean).partition("}")[0] + "}"
    low, high = (plain.format(metric.possible(value) * metric.scale) for value in (told.low, told.high))
    return f"{text} ({low}–{high})"


def verdicts(comparison: Comparison) -> list[str]:
    """One sentence for each candidate beside the first."""
    return [_verdict(column, comparison.usual) for column in comparison.columns[1:]]


def _verdict(column: Column, usual: Column) -> str:
    told = [text for name in TOLD if (text := _said(name, column, usual)) is not None]
    if not told:
        return f"{column.name}: no difference that this record can show"
    return f"{column.name}: {', '.join(told)}"


def _said(name: str, column: Column, usual: Column) -> str | None:
    """`p95 1.90 s instead of 2.60 s (−27 %, −31 to −22 %)`, where it differs for sure."""
    mine, theirs, off = column.estimate(name), usual.estimate(name), column.difference(name, usual)
    if mine is None or theirs is None or off is None or not off.differs:
        return None
    base = theirs.mean
    if abs(off.mean) < LEAST_TOLD * abs(base):
        return None
    metric = _metric(name)
    text = f"{name} {_number(metric, mine.mean)} instead of {_number(metric, base)}"
    if not base:
        return text
    mean, low, high = (_percent(max(-1.0, value / base)) for value in off)
    return f"{text} ({mean} %, {low} to {high} %)"


def _percent(share: float) -> str:
    return f"{100.0 * share:+.0f}".replace("-", "−")
