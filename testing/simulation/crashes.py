"""Hears of every actor that dies, and tells those that were made to from those that had a bug."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .audit.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Crashes", "only_our_crashes"]


class Crashes(logging.Handler):
    """What the runtime logs when a handler raises: the place, and the class of the error."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "InjectedError" not in text:
            self.own.append(text)

    def check(self, now: float) -> None:
        """Raise `Violation` when an actor has died of its own."""
        if self.own:
            raise Violation("crash", self.own[0], now)


@contextmanager
def only_our_crashes() -> Iterator[Crashes]:
    """The loggers of pykka and of ours are quiet meanwhile."""
    handler = Crashes()
    quiet = [logging.getLogger(name) for name in ("pykka", "turnout")]
    before = [logger.propagate for logger in quiet]
    nobody = logging.NullHandler()
    for logger in quiet:
        logger.propagate = False
        logger.addHandler(nobody)
    quiet[0].addHandler(handler)
    try:
        yield handler
    finally:
        quiet[0].removeHandler(handler)
        for logger, propagate in zip(quiet, before, strict=True):
            logger.propagate = propagate
            logger.removeHandler(nobody)
