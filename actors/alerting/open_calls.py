"""Which calls have waited too long for an answer. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from ...messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
)

if TYPE_CHECKING:
    from ...messages.events import Event

__all__ = ["MAX_WATCHED", "OpenCalls"]

MAX_WATCHED = 20_000
"""Open calls that are watched; of more, the oldest are not."""

_OTHER_ENDS = (CallFailed, CallCancelled, CallAbandoned)


class OpenCalls:
    """Follows calls from their start to their answer: of a stream that is its first content.

    Args:
        threshold: seconds after which a call is overdue.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._open: OrderedDict[str, tuple[float, str]] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        return len(self._open)

    def hear(self, event: Event, deployment_id: str, at: float) -> float | None:
        """Follow an event; gives the seconds that an answer took which came late."""
        if isinstance(event, CallStarted):
            self._begin(event.call_id, deployment_id, at)
        elif isinstance(event, CallOpened):
            self._forget(event.call_id)
            return self._if_late(event.ttft)
        elif isinstance(event, CallSucceeded):
            self._forget(event.call_id)
            return self._if_late(event.seconds) if event.ttft is None else None  # a stream's was told before
        elif isinstance(event, _OTHER_ENDS):
            self._forget(event.call_id)
        return None

    def _if_late(self, seconds: float) -> float | None:
        return seconds if seconds >= self._threshold else None

    def _begin(self, call_id: str, deployment_id: str, at: float) -> None:
        if len(self._open) >= MAX_WATCHED:
            self._open.popitem(last=False)
        self._open[call_id] = (at + self._threshold, deployment_id)

    def _forget(self, call_id: str) -> None:
        self._open.pop(call_id, None)

    def overdue(self, now: float) -> list[str]:
        """The deployments of calls that have become overdue, one for each call; each is told once."""
        found = []
        while (due := self.next_at()) is not None and due <= now:
            found.append(self._open.popitem(last=False)[1][1])
        return found

    def next_at(self) -> float | None:
        """When the next call becomes overdue, if it is still open then."""
        return next(iter(self._open.values()))[0] if self._open else None
