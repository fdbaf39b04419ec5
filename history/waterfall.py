"""One request as a chart: its attempts, waits and pauses as bars on a time line. Pure.

::

    Path("request.svg").write_text(waterfall(router.explain()))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, evolve

from ..messages.figures import in_seconds
from .drawing import GRID, MUTED, WIDTH, line, rect, svg, text, ticks, title

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..supervisor.stories.explanation import Explanation, Step

__all__ = ["Bar", "bars", "waterfall"]

ROW, BAR, LEFT, RIGHT, TOP, BOTTOM = 28, 16, 190, 236, 68, 40
MIN_SECONDS = 1e-3
"""The shortest time line: a request that took no time has one, too."""

COLOURS = {
    "answered": "#4a9d5b",
    "failed": "#c2504f",
    "given up": "#9aa5b1",
    "open": "#2f6fb0",
    "waits": "#d9b45b",
    "pauses": "#eed9a6",
}
_OPENED_OPACITY = 'fill-opacity="0.45"'
"""Of a stream's bar until its first content."""


@define
class Bar:
    """A stretch of the request's time.

    Attributes:
        name: ``attempt 2 · us``, or what it waited for.
        how: answered, failed, given up, open, waits or pauses.
        start, end: seconds after the request was accepted; `end` is None while it goes on.
        first: when the first content of a stream came.
        note: the error, and what else is to be said of its end.
        group: the model group it belongs to.
    """

    name: str
    how: str
    start: float
    end: float | None = None
    first: float | None = None
    note: str = ""
    group: str = ""


class _Reader:
    """Goes through the steps of a story, and makes bars of them."""

    def __init__(self) -> None:
        self.calls: dict[str, Bar] = {}
        self.pauses: list[Bar] = []
        self.falls: list[tuple[float, str]] = []

    def take(self, step: Step) -> None:
        facts, at = step.facts, step.at
        match step.event:
            case "deployment_picked":
                self._end_pause(at)
                self._pick(facts, at)
            case "call_opened":
                self._change(facts["call_id"], first=at)
            case "attempt_failed" | "hedge_settled" | "hedge_refused":
                self._end_call(step.event, facts, at)
            case "wait_started":
                self.pauses.append(Bar("nobody is eligible", "waits", at, group=facts["group"]))
            case "retry_scheduled" if facts["seconds"]:
                self.pauses.append(Bar("before a retry", "pauses", at, group=facts["group"]))
            case "fell_back":
                self._end_pause(at)
                self.falls.append((at, f"falls back to {facts['to_group']}"))
            case "cache_hit":
                self.calls[""] = Bar("cache", "answered", at, at, note=f"{facts['age']:.3g} s old")
            case "request_succeeded" | "request_failed" | "request_cancelled":
                self._end_pause(at)
                self._close(step.event, facts, at)

    def _pick(self, facts: dict[str, Any], at: float) -> None:
        decision = facts["decision"]
        name = f"attempt {facts['attempt']} · {decision['deployment_id']}"
        self.calls[facts["call_id"]] = Bar(name, "open", at, group=decision["group"])

    def _end_call(self, event: str, facts: dict[str, Any], at: float) -> None:
        if event == "hedge_refused":
            self.calls.pop(facts["call_id"], None)
        elif event == "hedge_settled":
            self._change(facts["loser"], end=at, how="given up", note="the other was faster")
        else:
            note = f"{facts['error']} ({facts['status_code']})"
            self._change(facts["call_id"], end=at, how="failed", note=note)

    def _change(self, call_id: str, **changes: Any) -> None:
        if call_id in self.calls:
            self.calls[call_id] = evolve(self.calls[call_id], **changes)

    def _end_pause(self, at: float) -> None:
        if self.pauses and self.pauses[-1].end is None:
            self.pauses[-1].end = at

    def _close(self, event: str, facts: dict[str, Any], at: float) -> None:
        answered = event == "request_succeeded"
        note = {"request_cancelled": "its caller left"}.get(event, facts.get("error", ""))
        for call_id, bar in self.calls.items():
            if bar.end is None:
                how = "answered" if answered else "given up"
                self.calls[call_id] = evolve(bar, end=at, how=how, note=note)


def bars(explanation: Explanation) -> list[Bar]:
    """The stretches of a request's time, in the order in which they began."""
    return _read(explanation.steps)[0]


def _read(steps: Iterable[Step]) -> tuple[list[Bar], list[tuple[float, str]]]:
    reader = _Reader()
    for step in steps:
        reader.take(step)
    found = [*reader.pauses, *reader.calls.values()]
    return sorted(found, key=lambda bar: bar.start), reader.falls


def waterfall(explanation: Explanation) -> str:
    """The chart as SVG: a row for each attempt and each wait, the error or the end beside it."""
    rows, falls = _read(explanation.steps)
    ends = [bar.end for bar in rows if bar.end is not None]
    until = max([MIN_SECONDS, explanation.seconds, *ends, *(bar.start for bar in rows)])
    scale = (WIDTH - LEFT - RIGHT) / until
    bottom = TOP + ROW * len(rows)
    parts = [title(16, explanation.headline), *_axis(until, scale, bottom)]
    for at, words in falls:
        x = LEFT + at * scale
        parts.append(line((x, TOP - 8, x, bottom), MUTED, 'stroke-dasharray="4 3"'))
        parts.append(text(x + 4, TOP - 10, words, colour=MUTED))
    for number, bar in enumerate(rows):
        parts += _row(bar, TOP + ROW * number, until, scale)
    return svg(bottom + BOTTOM, parts)


def _axis(until: float, scale: float, bottom: float) -> list[str]:
    parts = []
    for second in ticks(until):
        x = LEFT + second * scale
        parts.append(line((x, TOP - 4, x, bottom + 4), GRID))
        parts.append(text(x, bottom + 20, in_seconds(second), 'text-anchor="middle"', MUTED))
    return parts


def _row(bar: Bar, top: float, until: float, scale: float) -> list[str]:
    end = until if bar.end is None else bar.end
    start, width = LEFT + bar.start * scale, max(2.0, (end - bar.start) * scale)
    y, colour = top + (ROW - BAR) / 2, COLOURS[bar.how]
    parts = [text(LEFT - 10, y + 12, bar.name, 'text-anchor="end"')]
    if bar.first is None:
        parts.append(rect((start, y), (width, BAR), colour, 'rx="2"'))
    else:
        before = max(0.0, (bar.first - bar.start) * scale)
        parts.append(rect((start, y), (before, BAR), colour, _OPENED_OPACITY))
        parts.append(rect((start + before, y), (max(2.0, width - before), BAR), colour, 'rx="2"'))
    words = ", ".join(filter(None, [bar.note or bar.how, in_seconds(end - bar.start)]))
    parts.append(text(WIDTH - RIGHT + 12, y + 12, words, colour=MUTED))
    return parts
