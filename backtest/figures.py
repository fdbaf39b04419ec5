"""What a record, or one play of it, came to: figures and how they went over time. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .outcomes import Row

__all__ = ["BY_SHARE", "COUNTED", "METRICS", "SHARE", "Figures", "Metric", "Step", "figures_of", "quantile"]

STEPS = 60
"""Into so many steps of time a record is divided for its chart."""

LEAST_STREAMS = 20
"""Streams below which their first token is no figure."""

SHARE = "share of "


class Metric(NamedTuple):
    """A figure, and how it is shown: `form` of it times `scale`, which is 100 for a share.

    `small` in place of `form` for one below 1.
    """

    name: str
    form: str
    scale: float = 1.0
    small: str | None = None

    def shape(self, value: float) -> str:
        """In what form one of this size is shown."""
        return self.form if self.small is None or abs(value) >= 1.0 else self.small

    def possible(self, value: float) -> float:
        """What of an interval can be: nothing is below nothing, and no share above all."""
        return max(0.0, value) if self.scale == 1.0 else min(1.0, max(0.0, value))


METRICS: tuple[Metric, ...] = (
    Metric("p50", "{:.2f} s"),
    Metric("p95", "{:.2f} s"),
    Metric("p99", "{:.2f} s"),
    Metric("first token p50", "{:.2f} s"),
    Metric("first token p95", "{:.2f} s"),
    Metric("errors", "{:.2f} %", 100.0),
    Metric("failed attempts", "{:,.0f}"),
    Metric("retries", "{:,.0f}"),
    Metric("fallbacks", "{:,.0f}"),
    Metric("waits", "{:,.0f}"),
    Metric("bill", "{:,.2f} $", small="{:,.4f} $"),
    Metric("answers without a price", "{:,.0f}"),
)
"""The rows of a table, beside those of each deployment's share."""


COUNTED = frozenset({"errors", "failed attempts", "retries", "fallbacks", "waits"})
"""Figures that count what is rare."""


BY_SHARE = frozenset({"p50", "p95", "p99", "first token p50", "first token p95", "bill"})
"""Figures that are off by a share of them rather than by an amount."""


@frozen
class Step:
    """What the requests that came within one step of time came to."""

    p95: float | None
    errors: float
    served: dict[str, int]


@frozen
class Figures:
    """Of one play: `values` by metric, and by deployment its share of the answers.

    What there was none of is not there: a record with hardly a stream has no first token. `busiest` is the
    most calls that a deployment had in one minute.
    """

    values: dict[str, float]
    steps: tuple[Step, ...] = field(repr=False)
    busiest: Mapping[str, int] = field(factory=dict, repr=False)

    def get(self, name: str) -> float | None:
        """A figure by name; a share of nobody is 0."""
        return self.values.get(name, 0.0 if name.startswith(SHARE) else None)


def figures_of(
    rows: Sequence[Row], began: float, ended: float, busiest: Mapping[str, int] | None = None
) -> Figures:
    """The figures of the requests that came from `began` to `ended`; who left got no answer and no error."""
    counted = [row for row in rows if began <= row.at <= ended and not row.left]
    answered = [row for row in counted if row.seconds is not None]
    seconds = sorted(row.seconds for row in answered if row.seconds is not None)
    first = sorted(row.ttft for row in answered if row.stream and row.ttft is not None)
    values: dict[str, float] = {"requests": float(len(counted))}
    if seconds:
        values.update({f"p{share}": quantile(seconds, share / 100.0) for share in (50, 95, 99)})
    if len(first) >= LEAST_STREAMS:
        values.update({f"first token p{share}": quantile(first, share / 100.0) for share in (50, 95)})
    values["errors"] = 1.0 - len(answered) / len(counted) if counted else 0.0
    for name, attribute in _SUMS:
        values[name] = float(sum(getattr(row, attribute) for row in counted))
    for name, count in sorted(Counter(row.deployment or "" for row in answered).items()):
        values[f"{SHARE}{name}"] = count / len(answered)
    return Figures(values, _steps(counted, began, ended), dict(busiest or {}))


_SUMS = (
    ("failed attempts", "failed_attempts"),
    ("retries", "retries"),
    ("fallbacks", "fallbacks"),
    ("waits", "waits"),
    ("bill", "cost"),
    ("answers without a price", "unpriced"),
)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which such a share of them lies, between the two that are nearest."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _steps(rows: Sequence[Row], began: float, ended: float) -> tuple[Step, ...]:
    length = max(1e-9, ended - began) / STEPS
    within: list[list[Row]] = [[] for _ in range(STEPS)]
    for row in rows:
        within[min(STEPS - 1, int((row.at - began) / length))].append(row)
    return tuple(_step(each) for each in within)


def _step(rows: Sequence[Row]) -> Step:
    seconds = sorted(row.seconds for row in rows if row.seconds is not None)
    served = Counter(row.deployment for row in rows if row.deployment is not None)
    errors = 1.0 - len(seconds) / len(rows) if rows else 0.0
    return Step(quantile(seconds, 0.95) if seconds else None, errors, dict(served))
