"""`set_verbose=True`: what a router decides is also logged, one readable line for each decision.

Through the standard library's `logging`, under "turnout". A router that is not verbose writes to its
journal directly and pays nothing. Each router has its own level: one that tells little does not
silence another that tells much.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...messages.events import (
    AttemptFailed,
    BudgetExhausted,
    BudgetReserved,
    BudgetSettled,
    CacheLost,
    CacheRestored,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
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
from ..stories.story import in_words
from .process_wide import wide_verbose

if TYPE_CHECKING:
    from ...actors.journal.store import Journal
    from ...messages.events import Event
    from ...messages.settings import RouterSettings

__all__ = ["VerboseJournal", "logged"]

log = logging.getLogger("turnout")

_NEWS = frozenset(
    {
        AttemptFailed,
        BudgetExhausted,
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
    }
)
"""What is told at INFO: what goes wrong, and what is done about it."""

_BOOKS = frozenset(
    {
        BudgetReserved,
        BudgetSettled,
        CallAbandoned,
        CallCancelled,
        CallFailed,
        CallOpened,
        CallStarted,
        CallSucceeded,
    }
)
"""What deployments and budgets write down of a call: its request's lines say the same in fewer. For the
very detailed level only."""


class VerboseJournal:
    """A journal that tells the log of an event before it keeps it.

    Args:
        journal: keeps the events.
        level: `logging.INFO` or `logging.DEBUG`, this router's own.
        books: whether the books of deployments and budgets are told as well.
    """

    def __init__(self, journal: Journal, level: int, *, books: bool) -> None:
        self._journal = journal
        self._level = level
        self._books = books

    def append(self, stream: str, version: int, at: float, event: Event) -> int:
        """Log and record an event."""
        kind = type(event)
        level = logging.INFO if kind in _NEWS else logging.DEBUG
        if level >= self._level and (self._books or kind not in _BOOKS) and log.isEnabledFor(level):
            log.log(level, "%s: %s", stream, in_words(event, at))
        return self._journal.append(stream, version, at, event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def logged(journal: Journal, settings: RouterSettings) -> Journal:
    """The journal that actors write to.

    `turnout.set_verbose = True` makes every router verbose that is made from then on, and with
    `debug_level="DEBUG"` very detailed. Lets the logger "turnout" through what this router tells, and
    gives it a handler to standard error when nobody has configured logging: who asks for words wants
    to see them.
    """
    wide = wide_verbose()
    if not settings.set_verbose and not wide:
        return journal
    level: int = getattr(logging, settings.debug_level)
    if log.getEffectiveLevel() > level:
        log.setLevel(level)
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        log.addHandler(handler)
    verbose_journal: Any = VerboseJournal(journal, level, books=wide)
    return verbose_journal  # type: ignore[no-any-return]
