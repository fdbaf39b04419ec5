"""How a moment, a difference and a film look on a terminal, and elsewhere."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Self

from ..history.facts import as_data, status_of
from ..messages.figures import dollars, in_seconds
from ..messages.moments import written
from ..supervisor.face.metrics_table import NOTHING, Table, plain
from ..supervisor.stories.story import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from ..actors.deployment.state import DeploymentState
    from ..actors.journal.codec import Recorded
    from ..history.diff import Difference
    from ..history.replay import Moment
    from ..supervisor.request_state import RequestState

__all__ = [
    "MAX_LATEST",
    "MAX_ROWS",
    "TINTS",
    "Screen",
    "before_all",
    "difference_lines",
    "fitting",
    "header",
    "lines_of",
    "tables",
]

MAX_ROWS = 20
"""Open requests, and deployments in a film, that are shown one by one; the rest are counted."""

WHOLE_SECONDS = 10
"""From so many seconds on, what is left of a request's time is told in whole ones."""

MAX_LATEST = 5
"""Events that a frame shows in words."""

TINTS = {
    "cooling": "#fbbf24",
    "half-open": "#fde68a",
    "unhealthy": "#f87171",
    "removed": "#9aa5b1",
    "waiting": "#93c5fd",
}
"""Colours of rows in a picture, by what is in them."""

FRAME_LINES = 9 + MAX_LATEST
"""Of a frame, beside the rows of its tables."""

_DEPLOYMENTS = ("deployment", "open", "rpm", "tpm", "calls", "failed", "tokens", "cost", "state")
_TIMES = frozenset({"accepted_at", "cooling_until", "deadline"})
"""Facts that are moments."""

_REQUESTS = ("request", "for", "due in", "attempt", "retries", "state")


def header(moment: Moment) -> str:
    """One line: when, where, and what the queue is."""
    phases: dict[str, int] = {}
    for request in moment.requests.values():
        phases[request.phase] = phases.get(request.phase, 0) + 1
    queue = ", ".join(f"{count:,} {phase}" for phase, count in sorted(phases.items()))
    return (
        f"{written(moment.at)} UTC · position {moment.position:,} · "
        f"{len(moment.deployments):,} deployments · open requests: {queue or 'none'}"
    )


def before_all(moment: Moment, begins: float) -> str | None:
    """What to say of a moment at which nothing had been recorded: when something was."""
    if moment.position:
        return None
    return f"nothing was recorded until then: the journal begins at {written(begins)} UTC"


def lines_of(moment: Moment) -> list[str]:
    """All of it as plain text."""
    lines = [header(moment)]
    for table in tables(moment):
        lines += ["", table.title, *plain(table)]
    return lines


def tables(moment: Moment, most: int | None = None, requests: int = MAX_ROWS) -> list[Table]:
    """The deployments, and the open requests if there are any.

    Where there are more deployments than `most`, those that are not well go first. Of the requests it is
    the oldest that are shown.
    """
    states = list(moment.deployments.items())
    if most is not None and len(states) > most:
        states.sort(key=lambda item: _well(moment, *item))
    rows = [_deployment_row(name, state, moment) for name, state in states[:most]]
    shown = [Table(_title("Deployments", len(states), most), _DEPLOYMENTS, rows)]
    if moment.requests:
        found = list(moment.requests.items())
        rows = [_request_row(*item, moment.at) for item in found[:requests]]
        shown.append(Table(_title("Open requests", len(found), requests), _REQUESTS, rows))
    return shown


def _well(moment: Moment, name: str, state: DeploymentState) -> bool:
    return status_of(state, removed=moment.groups[name] is None, at=moment.at) == "well"


def fitting(moment: Moment, height: int) -> tuple[int, int]:
    """How many deployments and requests are shown in so many lines, neither crowding out the other."""
    room = max(2, height - FRAME_LINES)
    requests = min(len(moment.requests), room // 2)
    deployments = min(len(moment.deployments), room - requests, MAX_ROWS)
    return deployments, min(len(moment.requests), room - deployments, MAX_ROWS)


def _title(what: str, count: int, most: int | None) -> str:
    return what if most is None or count <= most else f"{what} ({count - most:,} more)"


def _deployment_row(name: str, state: DeploymentState, moment: Moment) -> tuple[str, ...]:
    limits, totals, group = state.limits, state.totals, moment.groups[name]
    tokens = totals.prompt_tokens + totals.completion_tokens
    return (
        f"{NOTHING if group is None else group}/{name}",
        _of(len(state.open), limits.max_parallel),
        _of(state.window.starts, limits.rpm),
        _of(state.window.tokens, limits.tpm),
        f"{totals.started:,}",
        f"{totals.failed:,}",
        f"{tokens:,}",
        dollars(totals.cost) if totals.cost or not tokens else NOTHING,  # its prices are not known
        _state_words(state, moment.at, removed=group is None),
    )


def _state_words(state: DeploymentState, at: float, *, removed: bool) -> str:
    status = status_of(state, removed=removed, at=at)
    if status == "cooling":
        return f"cooling for {in_seconds(state.breaker.until - at)} more"
    return status


def _of(used: int, limit: int | None) -> str:
    return f"{used:,}" if limit is None else f"{used:,}/{limit:,}"


def _request_row(name: str, state: RequestState, at: float) -> tuple[str, ...]:
    where = f" {state.deployment_id}" if state.phase == "calling" else ""
    errors = "".join(f", {attempt.deployment_id} {attempt.error}" for attempt in state.attempts)
    return (
        name,
        in_seconds(max(0.0, at - state.accepted_at)),
        f"{left:,.0f} s" if (left := state.deadline - at) >= WHOLE_SECONDS else in_seconds(left),
        str(state.attempt),
        str(state.retries),
        f"{state.group}: {state.phase}{where}{errors}",
    )


def difference_lines(found: Difference) -> Iterator[str]:
    """What changed, a line each."""
    (first, second), (one, other) = found.positions, found.times
    yield (
        f"from {written(one)} (position {first:,}) to {written(other)} (position {second:,}): "
        f"{other - one:.3f} s, {second - first:,} events"
    )
    yield from (f"+ deployment {name}" for name in found.added)
    yield from (f"- deployment {name}" for name in found.removed)
    for name in dict.fromkeys((*found.deployments, *found.counted)):
        yield f"  deployment {name}: {_changes(found.deployments.get(name, {}), found.counted.get(name, {}))}"
    yield from (f"  budget {name}: spent {_shown(a)} → {_shown(b)}" for name, (a, b) in found.budgets.items())
    yield from (f"- request {name}" for name in found.requests_ended[:MAX_ROWS])
    yield from _rest("-", len(found.requests_ended))
    yield from (f"+ request {name}" for name in found.requests_begun[:MAX_ROWS])
    yield from _rest("+", len(found.requests_begun))
    for name, changes in found.requests.items():
        yield f"  request {name}: {_changes(changes, {})}"
    if not found:
        yield "nothing changed"


def _rest(sign: str, count: int) -> Iterator[str]:
    if count > MAX_ROWS:
        yield f"{sign} {count - MAX_ROWS:,} more requests"


def _changes(changes: dict[str, tuple[Any, Any]], counts: dict[str, float]) -> str:
    parts = [f"{name} {_shown(a, name)} → {_shown(b, name)}" for name, (a, b) in changes.items()]
    parts += [f"{name} {_counted(name, count)}" for name, count in counts.items()]
    return ", ".join(parts)


def _counted(name: str, count: float) -> str:
    return f"{'+' if count > 0 else ''}{dollars(count)}" if name == "cost" else f"{count:+,}"


def _shown(value: Any, name: str = "") -> str:
    if value is None:
        return NOTHING
    if name in _TIMES:
        return written(value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


class Screen:
    """Where the frames of a film go: a live table on a terminal with rich, else one text after the other."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._live: Any = None

    @property
    def live(self) -> bool:
        """Whether a frame takes the place of the one before."""
        return self._live is not None

    def __enter__(self) -> Self:
        if not self._as_json and sys.stdout.isatty():
            self._open()
        return self

    def _open(self) -> None:
        try:
            from rich.live import Live
        except ImportError:  # the `cli` extra is not installed
            return
        self._live = Live(auto_refresh=False)
        self._live.start()

    def show(self, moment: Moment, played: Sequence[Recorded]) -> None:
        """The next frame: what is now, and what has just happened."""
        if self._as_json:
            print(json.dumps({**as_data(moment), "events": len(played)}), flush=True)
            return
        lines = [header(moment)]
        for table in tables(moment, *self._rows(moment)):
            lines += ["", table.title, *plain(table)]
        lines.append("")
        lines += [f"{r.stream}  {in_words(r.event, r.at)}" for r in played[-MAX_LATEST:]]
        if self._live is None:
            print("\n".join(lines), end="\n\n", flush=True)
        else:
            self._draw(lines)

    def _rows(self, moment: Moment) -> tuple[int, int]:
        """A table that is drawn anew must fit on the terminal, which may be made smaller meanwhile."""
        return (MAX_ROWS, MAX_ROWS) if self._live is None else fitting(moment, self._live.console.height)

    def _draw(self, lines: list[str]) -> None:
        from rich.text import Text

        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
