"""What is sent, and when: alike alerts once in a period, many alerts in one message. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from .alerts import Alert

__all__ = [
    "GATHER_SECONDS",
    "MAX_KINDS",
    "MAX_LINES",
    "MAX_LINES_WAITING",
    "PERIOD_SECONDS",
    "AlertLedger",
]

PERIOD_SECONDS = 300.0
"""Alerts of one kind about one deployment are told once in this time; the others are counted."""

GATHER_SECONDS = 1.0
"""How long the first alert waits for others that can go with it."""

MAX_KINDS = 2_000
"""Pairs of a kind and a subject that are known at one time; beyond that alerts are only counted."""

MAX_LINES = 20
"""Alerts in one message; the rest goes into the next."""

MAX_LINES_WAITING = 200
"""Alerts that wait to be sent, as for a webhook that does not answer; beyond that they are only counted."""


@define(eq=False)
class _Told:
    until: float
    text: str
    suppressed: int = 0


class AlertLedger:
    """Takes alerts, gives messages."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], _Told] = {}  # in the order in which their periods end
        self._lines: deque[str] = deque()
        self._uncounted = 0
        self._ready_at: float | None = None

    def __len__(self) -> int:
        return len(self._lines)

    def note(self, alert: Alert, now: float) -> None:
        """Take an alert."""
        self.roll(now)
        key = (alert.kind, alert.subject)
        told = self._told.get(key)
        if told is not None:
            told.suppressed += 1
            told.text = alert.text
        elif len(self._told) >= MAX_KINDS:
            self._leave_out(now)
        else:
            self._told[key] = _Told(now + PERIOD_SECONDS, alert.text)
            self._add(alert.text, now)

    def roll(self, now: float) -> None:
        """End the periods that are over; what was suppressed in one is told, and begins another."""
        while self._told:
            key, told = next(iter(self._told.items()))
            if told.until > now:
                return
            del self._told[key]
            if told.suppressed:
                self._told[key] = _Told(now + PERIOD_SECONDS, told.text)
                self._add(_summary(told), now)

    def _add(self, line: str, now: float) -> None:
        if len(self._lines) >= MAX_LINES_WAITING:
            self._leave_out(now)
            return
        self._lines.append(line)
        self._ready(now)

    def _leave_out(self, now: float) -> None:
        self._uncounted += 1
        self._ready(now)

    def _ready(self, now: float) -> None:
        if self._ready_at is None:
            self._ready_at = now + GATHER_SECONDS

    def finish(self, now: float) -> None:
        """No more alerts will come: tell what was suppressed, and let nothing gather any longer."""
        for told in self._told.values():
            if told.suppressed:
                self._add(_summary(told), now)
        self._told.clear()
        if self._ready_at is not None:
            self._ready_at = now

    def take(self, now: float) -> str | None:
        """The next message, if one is due."""
        if self._ready_at is None or self._ready_at > now:
            return None
        lines = [self._lines.popleft() for _ in range(min(MAX_LINES, len(self._lines)))]
        if not self._lines:
            self._ready_at = None
            if self._uncounted:
                lines.append(f"and {self._uncounted} alerts more")
                self._uncounted = 0
        return "\n".join(["*Turnout*", *(f"• {line}" for line in lines)])

    def next_at(self) -> float | None:
        """When there will be something to do: a message to send, or a period that ends."""
        ends = next(iter(self._told.values())).until if self._told else None
        times = [at for at in (self._ready_at, ends) if at is not None]
        return min(times) if times else None


def _summary(told: _Told) -> str:
    return f"{told.text} (and {told.suppressed} more like it in the last {PERIOD_SECONDS / 60:g} minutes)"
