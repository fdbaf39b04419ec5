"""What a record cannot say, in plain words. Pure."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from ..messages.moments import written
from .figures import SHARE
from .providers import HARDLY_USED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .comparison import Column
    from .providers import Behaviour, Model
    from .record import Record

__all__ = ["unknown"]

BEYOND = 1.5
"""So many times the most calls a minute that a deployment ever had: what it does then was never seen."""

LEAST_CALLS = 30
"""Calls in a minute below which nobody need worry."""

LEAST_SHARE = 0.001
"""Of the answers: one that gets less under every candidate is not worth a word."""


def unknown(record: Record, model: Model, columns: Sequence[Column]) -> Iterator[str]:
    """One sentence for each thing that was assumed or left out."""
    yield from _hardly_used(model, columns)
    yield from _beyond(record, columns)
    yield from _cut(record)
    yield from _left_out(record)
    yield from _incomplete(record)


def _hardly_used(model: Model, columns: Sequence[Column]) -> Iterator[str]:
    for name, behaviour in model.behaviours.items():
        if behaviour.answers >= HARDLY_USED:
            continue
        used = {column.name: _share(column, name) for column in columns}
        most = max(used, key=lambda column: used[column])
        if used[most] < LEAST_SHARE:
            continue
        count = "one request" if behaviour.answers == 1 else f"{behaviour.answers} requests"
        yield (
            f"how {name} does: it answered {count} in the record, and is taken {_instead(behaviour)}; "
            f"under {most} it gives {100 * used[most]:.1f} % of the answers"
        )


def _instead(behaviour: Behaviour) -> str:
    others = ", ".join(behaviour.borrowed)
    if others:
        like = "the same model" if behaviour.alike else "another model"
        return f"to be like {others} ({like}), give or take as much as such ones differ"
    return "to go on as by these" if behaviour.answers else "to answer in a second"


def _share(column: Column, name: str) -> float:
    told = column.estimate(f"{SHARE}{name}")
    return 0.0 if told is None else told.mean


def _beyond(record: Record, columns: Sequence[Column]) -> Iterator[str]:
    """Loads that were never seen."""
    seen = record.busiest
    for name in sorted({name for column in columns for play in column.plays for name in play.busiest}):
        for column in columns:
            most = fmean(play.busiest.get(name, 0) for play in column.plays)
            if most >= LEAST_CALLS and most > BEYOND * seen.get(name, 0) > 0:
                yield (
                    f"whether {name} can take {most:,.0f} calls a minute, as under {column.name}: "
                    f"it never had more than {seen[name]:,}"
                )


def _cut(record: Record) -> Iterator[str]:
    cut = sum(call.cut and call.error is not None for calls in record.calls.values() for call in calls)
    if cut:
        yield (
            f"how long {cut:,} calls would have taken that ran out of time: they count as calls like those "
            "that took longer, and where none did as calls that never end"
        )


def _left_out(record: Record) -> Iterator[str]:
    for reason, count in record.left_out.most_common():
        yield (
            f"how {count:,} requests {reason} would go, and what they were to their deployments' limits: "
            "they are left out"
        )
    corrections = sum(len(seen) for seen in record.limits.values())
    if corrections:
        yield (
            f"who else uses the same keys, and when: {corrections:,} times a provider's headers said that "
            "less was left than this router had used; they say so again at those times, and at no others"
        )


def _incomplete(record: Record) -> Iterator[str]:
    if record.more:
        yield (
            f"what came after the first {len(record.arrivals):,} requests, which are as many as are played; "
            "--from and --to choose others"
        )
    if record.since:
        yield f"what was before {written(record.since)}: retention removed it"
    if record.lost:
        yield f"what stood in {record.lost:,} events that the journal lost"
    if len({repr(settings) for _, settings in record.settings}) > 1:
        last = record.settings[-1][0]
        yield (
            f"what one setting did all the time: the router was started with others at {written(last)}, and "
            "those are the ones that count as unchanged; --from and --to choose a stretch"
        )
