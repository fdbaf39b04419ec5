"""One request's events, told as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...supervisor.story import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...actors.journal.codec import Recorded

__all__ = ["tell"]


def tell(recorded: Iterable[Recorded]) -> Iterator[str]:
    """A line for each event, with the seconds since the first."""
    started: float | None = None
    for row in recorded:
        started = row.at if started is None else started
        yield f"+{row.at - started:6.3f} s  {in_words(row.event, row.at)}"
