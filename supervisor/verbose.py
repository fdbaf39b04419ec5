"""`set_verbose=True`: what is recorded is also logged, one readable line for each event.

Through the standard library's `logging`, under "turnout". A router that is not verbose writes to its
journal directly and pays nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..messages.events import (
    AttemptFailed,
    CacheLost,
    CacheRestored,
    CooldownEnded,
    CooldownStarted,
    DeploymentRestarted,
    DeploymentRetired,
    EventsLost,
    FellBack,
    RequestFailed,
    RetryScheduled,
    WaitStarted,
)
from .story import in_words

if TYPE_CHECKING:
    from ..actors.journal.store import Journal
    from ..messages.events import Event

__all__ = ["VerboseJournal", "logged"]

log = logging.getLogger("turnout")

_NEWS = (
    AttemptFailed,
    CacheLost,
    CacheRestored,
    CooldownEnded,
    CooldownStarted,
    DeploymentRestarted,
    DeploymentRetired,
    EventsLost,
    FellBack,
    RequestFailed,
    RetryScheduled,
    WaitStarted,
)
"""What is told at INFO; the rest (each request, decision and call) is for DEBUG."""


class VerboseJournal:
    """A journal that tells the log of every event before it keeps it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def append(self, stream: str, version: int, at: float, event: Event) -> int:
        """Log and record an event."""
        level = logging.INFO if isinstance(event, _NEWS) else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(level, "%s: %s", stream, in_words(event))
        return self._journal.append(stream, version, at, event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def logged(journal: Journal, verbose: bool, level: str) -> Journal:  # noqa: FBT001  (the settings as they are)
    """The journal that actors write to.

    Sets the level of the logger "turnout", and gives it a handler to standard error when nobody has
    configured logging: who asks for words wants to see them.
    """
    if not verbose:
        return journal
    log.setLevel(level)
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        log.addHandler(handler)
    verbose_journal: Any = VerboseJournal(journal)
    return verbose_journal  # type: ignore[no-any-return]
