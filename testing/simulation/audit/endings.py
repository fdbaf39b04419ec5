"""Holds the last word on a request to its time and to its books. I1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .giving_up import gave_up
from .tolerances import ROUNDING, STALE

if TYPE_CHECKING:
    from ....messages.events import RequestCancelled, RequestFailed, RequestSucceeded
    from .request_book import RequestBook

__all__ = ["cancelled", "failed", "succeeded"]


def succeeded(request: RequestBook, event: RequestSucceeded, at: float) -> None:
    """It was answered: by whom, at what cost and after what must be what its books say."""
    _in_time(request, at)
    if request.hit or event.cached:
        request.must(request.hit and event.cached and not event.cost, "cache", f"cached, and {event!r}", at)
        return
    if request.fields is not None:
        request.cache.answered(request.fields, event, at)
    request.must(event.deployment_id in request.calls.values(), "books", "answered by a stranger", at)
    if event.fallbacks:
        request.marks.sometimes("answered by a fallback")
    elif event.retries:
        request.marks.sometimes("answered by a retry")
    else:
        request.marks.sometimes("answered at the first attempt")
    request.must(event.fallbacks == len(request.tried) - 1, "books", f"{event.fallbacks} fallbacks", at)
    if request.doubtful:
        return
    request.must(
        event.retries == request.retries, "books", f"{event.retries} retries, not {request.retries}", at
    )
    cost = request.costs.get(event.deployment_id)
    request.must(event.cost == cost, "books", f"it cost {event.cost}, its call {cost}", at)
    took = at - request.accepted_at
    request.must(abs(event.seconds - took) < ROUNDING, "books", f"it took {took}, and {event!r}", at)


def failed(request: RequestBook, event: RequestFailed, at: float) -> None:
    """It failed: for want of time when there was none left, or since nothing was left to try."""
    phase = request.phase
    _in_time(request, at)
    if event.error == "Timeout" and at >= request.deadline - ROUNDING:
        on_time = (
            phase != "pausing"
            or request.paused_until >= at - STALE
            or request.excused_until
            or request.doubtful
        )
        request.must(on_time, "idle", f"its pause was over at {request.paused_until}", at)
        _mark_deadline(request, phase)
    elif event.error == "MidStreamError":
        request.marks.sometimes("stream broken after its first chunk")
    elif event.error not in ("RouterClosedError", "APIError"):
        gave_up(request, event, at)


def _mark_deadline(request: RequestBook, phase: str) -> None:
    if phase == "waiting":
        request.marks.sometimes("deadline while waiting")
    elif phase == "pausing":
        request.marks.sometimes("deadline during a pause")
    elif request.calls or phase == "choosing":
        request.marks.sometimes("deadline during a call")


def cancelled(request: RequestBook, _event: RequestCancelled, at: float) -> None:
    """Its caller left, and it was over in time."""
    waiting = request.phase == "waiting"
    request.marks.sometimes("caller left while waiting" if waiting else "caller left during a call")
    _in_time(request, at)


def _in_time(request: RequestBook, at: float) -> None:
    what = f"its reply came {at - request.deadline:.6f} s after its deadline"
    request.must(at <= request.last_moment, "I1", what, at)
    request.phase = "done"
