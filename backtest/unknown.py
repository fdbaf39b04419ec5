"""What a record cannot say, in plain words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import SHARE
from .providers import HARDLY_USED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .comparison import Column
    from .providers import Model
    from .record import Record

__all__ = ["unknown"]


def unknown(record: Record, model: Model, columns: Sequence[Column]) -> Iterator[str]:
    """One sentence for each thing that was assumed or left out."""
    yield from _hardly_used(model, columns)
    for reason, count in record.left_out.most_common():
        yield f"{count:,} requests {reason} are left out: the record does not hold what they asked"
    if record.more:
        yield f"the record holds more: the first {len(record.arrivals):,} requests were played"


def _hardly_used(model: Model, columns: Sequence[Column]) -> Iterator[str]:
    for name, behaviour in model.behaviours.items():
        if behaviour.answers >= HARDLY_USED:
            continue
        used = max((_share(column, name) for column in columns), default=0.0)
        others = ", ".join(behaviour.borrowed)
        like = "the same model" if behaviour.alike else "another model"
        instead = f"taken to be as fast as {others} ({like})" if others else "taken to answer in a second"
        yield (
            f"{name} answered {behaviour.answers} times in the record, too few to know it: it is {instead}; "
            f"it gets up to {100 * used:.1f} % of the answers here"
        )


def _share(column: Column, name: str) -> float:
    told = column.estimate(f"{SHARE}{name}")
    return 0.0 if told is None else told.mean
