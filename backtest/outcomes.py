"""What became of each request, from its events: one row a request, the same for a record and for a play."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define

from ..messages.events import (
    AttemptFailed,
    CacheHit,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallSucceeded,
    FellBack,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    WaitStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..actors.journal.codec import Recorded

__all__ = ["Outcomes", "Row"]


@define(eq=False)
class Row:
    """One request. Times are seconds; `at` is router time.

    Attributes:
        seconds: to its answer; None without one.
        ttft: of a stream, to its first content.
        error: the class of error it failed with.
        deployment: who answered.
        cost: US dollars of all its calls, by an estimate where nobody told what was used; `unpriced` of
            those that succeeded have no price.
        ended: it got its one reply.
        cached: a cache answered.
    """

    at: float
    stream: bool
    seconds: float | None = None
    ttft: float | None = None
    error: str | None = None
    deployment: str | None = None
    retries: int = 0
    failed_attempts: int = 0
    fallbacks: int = 0
    waits: int = 0
    cost: float = 0.0
    unpriced: int = 0
    ended: bool = False
    left: bool = False
    cached: bool = False


class Outcomes:
    """Follows events; `rows` are the requests by id, in the order in which they came.

    Events of a request whose beginning was not seen say nothing.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def hear(self, recorded: Sequence[Recorded]) -> None:
        """Take events into account."""
        rows = self.rows
        for item in recorded:
            event: Any = item.event
            if type(event) is RequestAccepted:
                rows[event.request_id] = Row(item.at, event.stream)
                continue
            follow = _FOLLOW.get(type(event))
            if follow is not None and (row := rows.get(event.request_id)) is not None:
                follow(row, event, item.at)


def _opened(row: Row, _event: CallOpened, at: float) -> None:
    if row.ttft is None:
        row.ttft = at - row.at


def _called(row: Row, event: CallSucceeded | CallFailed | CallCancelled, _at: float) -> None:
    row.cost += (event.charged if event.cost is None else event.cost) or 0.0
    if event.cost is None and type(event) is CallSucceeded:
        row.unpriced += 1


def _attempt_failed(row: Row, _event: AttemptFailed, _at: float) -> None:
    row.failed_attempts += 1


def _waited(row: Row, _event: WaitStarted, _at: float) -> None:
    row.waits += 1


def _fell_back(row: Row, _event: FellBack, _at: float) -> None:
    row.fallbacks += 1


def _cached(row: Row, _event: CacheHit, _at: float) -> None:
    row.cached = True


def _succeeded(row: Row, event: RequestSucceeded, _at: float) -> None:
    row.ended = True
    row.seconds = event.seconds
    row.deployment = event.deployment_id
    row.retries = event.retries


def _failed(row: Row, event: RequestFailed, _at: float) -> None:
    row.ended = True
    row.error = event.error
    row.retries = event.retries


def _left(row: Row, _event: RequestCancelled, _at: float) -> None:
    row.ended = row.left = True


_FOLLOW: dict[type, Callable[[Row, Any, float], None]] = {
    CallOpened: _opened,
    CallSucceeded: _called,
    CallFailed: _called,
    CallCancelled: _called,
    AttemptFailed: _attempt_failed,
    WaitStarted: _waited,
    FellBack: _fell_back,
    CacheHit: _cached,
    RequestSucceeded: _succeeded,
    RequestFailed: _failed,
    RequestCancelled: _left,
}
