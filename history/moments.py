"""What a person writes for a moment: a time, a while ago, or a position. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from attrs import frozen

from ..messages.errors import ConfigurationError
from ..messages.problems import quoted

__all__ = ["HOW", "Position", "parse_moment"]

HOW = (
    "2026-03-01T14:05:00Z (UTC where no offset is said), 10m or 1h30m (so long ago), "
    "@1767225600.5 (seconds since 1970) or #1234 (a position)"
)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = r"(\d{1,12}(?:\.\d{1,6})?)(ms|[smhdw])"
_AGO = re.compile(rf"(?:{_PART})+(?: ago)?")


@frozen
class Position:
    """A place in the journal: after the event that has it."""

    number: int


def parse_moment(text: str, now: float) -> float | Position:
    """Router time in seconds since the epoch, or a position; `now` is what a while ago is counted from.

    Raises:
        ConfigurationError: it is neither.
    """
    text = text.strip()
    if text.startswith("#") and text[1:].isdecimal() and len(text) <= 19:
        return Position(int(text[1:]))
    if text.startswith("@"):
        return _epoch(text)
    if _AGO.fullmatch(text):
        return now - sum(float(count) * _UNITS[unit] for count, unit in re.findall(_PART, text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _unclear(text) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _epoch(text: str) -> float:
    try:
        seconds = float(text[1:])
    except ValueError:
        raise _unclear(text) from None
    if not math.isfinite(seconds):
        raise _unclear(text)
    return seconds


def _unclear(text: str) -> ConfigurationError:
    return ConfigurationError(f"{quoted(text)} is no moment: write {HOW}")
