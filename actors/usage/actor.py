"""The actor that keeps the account of what was used, told in batches behind the requests.

It records nothing: its state is a fold over the events of all others. A snapshot now and then, under the
name `usage`, keeps recovery short; it is only a shortcut, and without one everything is counted again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...messages.commands import ActorCrashed, EventsRecorded, Inspect, SaveSnapshot
from ...messages.errors import TurnoutError
from ..journal.ports import Snapshot
from ..runtime.actor import LoopActor, where_it_broke
from .counted import NAME, counted_before
from .report import usage_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..journal.codec import Recorded
    from ..journal.store import Journal
    from ..runtime.dispatcher import Dispatcher
    from ..runtime.switchboard import Switchboard
    from .state import UsageState

__all__ = ["MIN_EVENTS", "NAME", "UsageActor", "recovered"]

log = logging.getLogger("turnout.usage")

MIN_EVENTS = 10_000
"""Events between two snapshots, at least."""

EVENTS_PER_LINE = 20
"""Events between two snapshots for each line of the account, so that writing them stays a small part."""


class UsageActor(LoopActor):
    """Keeps the account of one router."""

    def __init__(self, dispatcher: Dispatcher, journal: Journal, switchboard: Switchboard) -> None:
        super().__init__(dispatcher)
        self._journal = journal
        self._switchboard = switchboard
        self._state, self._saved = recovered(journal)

    def __repr__(self) -> str:
        return repr(self._state)

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {EventsRecorded: self._count, Inspect: self._report, SaveSnapshot: self._save}

    def on_start(self) -> None:
        self._journal.subscribe(self._hear)

    def _hear(self, events: Sequence[Recorded]) -> None:
        self.inbox.post(EventsRecorded(events))

    def _count(self, message: EventsRecorded) -> None:
        state = self._state
        state.fold(message.events)
        since = state.position - self._saved
        if since >= MIN_EVENTS and since >= EVENTS_PER_LINE * state.lines:
            self.save_snapshot()

    def _report(self, _message: Inspect) -> dict[str, Any]:
        return usage_report(self._state)

    def _save(self, _message: SaveSnapshot) -> None:
        self.save_snapshot()

    def save_snapshot(self) -> None:
        """Keep what is counted, so that a recovery need not count it again."""
        state = self._state
        self._saved = state.position
        self._journal.save_snapshot(
            Snapshot(NAME, 0, state.position, state.until or self.clock.now(), state.snapshot())
        )

    def on_stop(self) -> None:
        self._journal.unsubscribe(self._hear)
        if self._state.position > self._saved:
            self.save_snapshot()

    def on_crash(self, error: BaseException, message: Any) -> None:
        """The next one counts from the last snapshot on."""
        self._journal.unsubscribe(self._hear)
        crash = ActorCrashed("service", NAME, where_it_broke(error), message)
        self.send(self._switchboard.supervisor, crash)


def recovered(journal: Journal) -> tuple[UsageState, int]:
    """The account as the journal tells it, and the position of the snapshot it begins with.

    An event that cannot be read, or counted, ends it there, and the account says that it is not complete: a
    router must not fail to start for its statistics.
    """
    state = counted_before(journal.snapshot(NAME))
    saved = state.position
    try:
        state.fold(journal.read(None, state.position))
    except Exception as error:  # noqa: BLE001  (whatever it is, requests are not to suffer from it)
        reason = error if isinstance(error, TurnoutError) else where_it_broke(error)
        log.warning("what was used is not known in full: %s", reason)
        state.complete = False
        state.position = journal.position
    return state, saved
