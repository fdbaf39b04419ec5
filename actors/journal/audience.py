"""Those who want to hear what is recorded: statistics, alerts, whoever follows along.

They hear of it in batches, behind the requests it came from: a request waits for none of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..runtime.dispatcher import ManualDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..runtime.clock import Timer
    from ..runtime.dispatcher import Dispatcher
    from .codec import Recorded

__all__ = ["BATCH", "DELAY_SECONDS", "Audience"]

BATCH = 512
"""Events that are told at once; so many at most wait to be told."""

DELAY_SECONDS = 0.05
"""How long an event waits for others to be told with. On a fake clock none does."""

log = logging.getLogger("turnout.journal")


class Audience:
    """Keeps what was recorded until its listeners are told. All of it happens in the dispatcher's thread.

    A router on an event loop tells after `DELAY_SECONDS` or `BATCH` events, one on a fake clock when
    its actors have done what they can, so that a test sees all of it told.
    """

    __slots__ = ("_at_rest", "_dispatcher", "_heard", "_listeners", "_timer", "_waiting")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._at_rest = dispatcher.at_rest if isinstance(dispatcher, ManualDispatcher) else None
        self._listeners: tuple[Callable[[Sequence[Recorded]], object], ...] = ()
        self._heard: list[Recorded] = []
        self._timer: Timer | None = None
        self._waiting = False

    def __repr__(self) -> str:
        return f"<Audience {len(self._listeners)} listeners · {len(self._heard)} events to tell>"

    def join(self, listener: Callable[[Sequence[Recorded]], object]) -> None:
        """Hear of all that is recorded from now on."""
        self._listeners = (*self._listeners, listener)

    def leave(self, listener: Callable[[Sequence[Recorded]], object]) -> None:
        """Hear no more; one that never joined is no error."""
        self._listeners = tuple(other for other in self._listeners if other != listener)

    def hear(self, recorded: Recorded) -> None:
        """Take an event that was just recorded."""
        self._heard.append(recorded)
        if not self._waiting:
            self._tell_soon()
        elif len(self._heard) >= BATCH:
            self.tell()

    def _tell_soon(self) -> None:
        dispatcher = self._dispatcher
        if self._at_rest is not None:
            self._waiting = True
            self._at_rest(self.tell)
        elif dispatcher.bound and not dispatcher.lost:  # else nobody is in a hurry
            self._waiting = True
            self._timer = dispatcher.clock.call_later(DELAY_SECONDS, self.tell)

    def tell(self) -> None:
        """Tell now what was heard so far. A listener that raises is logged and hears the next batch."""
        self._waiting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        heard = self._heard
        if not heard:
            return
        self._heard = []
        for listener in self._listeners:
            try:
                listener(heard)
            except Exception as error:  # noqa: BLE001  (a bug in one that listens must not hurt a request)
                log.error("a listener of the journal failed (%s)", type(error).__name__)  # noqa: TRY400
