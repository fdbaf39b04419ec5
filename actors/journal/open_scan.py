"""Which requests are open, followed event by event. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...messages.events import (
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RouterStarted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OF_INTEREST", "REQUEST", "OpenScan"]

REQUEST = "request/"
BEGINS = RequestAccepted.TYPE
ENDS = frozenset({RequestCancelled.TYPE, RequestFailed.TYPE, RequestSucceeded.TYPE})
STARTED = RouterStarted.TYPE
OF_INTEREST = frozenset({BEGINS, STARTED, *ENDS})
"""Events that decide what is open, by type; all others may be left out."""


class OpenScan:
    """The streams of the requests that are open, each with the position of its first event.

    Args:
        streams: those that were open where the scan begins.
    """

    def __init__(self, streams: Mapping[str, int] | None = None) -> None:
        self.streams = dict(streams or {})

    def __repr__(self) -> str:
        return f"<OpenScan · {len(self.streams)} open>"

    def see(self, position: int, stream: str, kind: str) -> None:
        """An event of this type happened."""
        if kind == BEGINS:
            self.streams[stream] = position
        elif kind in ENDS:
            self.streams.pop(stream, None)
        elif kind == STARTED:  # nobody is left to answer those of the router before
            for name in [name for name, first in self.streams.items() if first < position]:
                del self.streams[name]
