"""Holds a request's attempts in one group to what it may try again, and to its pauses. I5, I7."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from .hedges import hedge_after
from .rulebook import CALLS_FOR_ANOTHER
from .tolerances import ROUNDING

if TYPE_CHECKING:
    from ....messages.events import AttemptFailed, RetryScheduled
    from .request_book import RequestBook

__all__ = ["attempt_failed", "begin_attempt", "pauses", "retries_allowed"]


def begin_attempt(request: RequestBook, at: float) -> None:
    """One more attempt in this group, if so many may be and its pause is over."""
    request.must(at >= request.paused_until - ROUNDING, "I7", "it did not sleep as long as it had to", at)
    if request.attempts_here and request.error is not None and request.fields is not None:
        allowed = retries_allowed(request)
        what = f"attempt {request.attempts_here + 1} in {request.group}, {allowed} retries are allowed"
        request.must(request.attempts_here <= allowed or request.doubtful, "I7", what, at)
        if not request.doubtful:
            request.retrying.retry(request.failed_at, at)
    request.retries += request.attempts_here > 0
    request.tried_at = at
    after = hedge_after(request)
    if after is not None and request.only is None:
        heapq.heappush(request.hedging.due, (at + after, request.request_id))
    request.attempts_here += 1


def retries_allowed(request: RequestBook) -> int:
    """How many may follow the first, after the error that came last."""
    assert request.error is not None
    assert request.fields is not None
    return request.rules.retries(request.error.error, request.fields, request.error.deployment_id)


def attempt_failed(request: RequestBook, event: AttemptFailed, at: float) -> None:
    """A call of its own failed: who is not to be asked again, and whether a retry is due."""
    name = request.calls.pop(event.call_id, None)
    request.must(name == event.deployment_id, "books", f"{event.deployment_id} failed it, {name} had it", at)
    request.error, request.failed_at = event, at
    if name is not None:
        request.failed.add(name)
        if event.error in CALLS_FOR_ANOTHER:
            request.never.add(name)
    if not request.calls:
        request.phase = "choosing"
    if request.fields is not None and request.attempts_here <= retries_allowed(request):
        request.retried.note(at)


def pauses(request: RequestBook, event: RetryScheduled, at: float) -> None:
    """It sleeps before it tries again: as long as the error and the rules say, and not past its deadline."""
    request.marks.sometimes("retry after a pause")
    request.must(request.error is not None, "I7", "it sleeps, and nothing has failed", at)
    assert request.error is not None
    request.paused_until = at + event.seconds
    request.must(request.paused_until < request.deadline, "I7", f"it sleeps {event.seconds} s, too long", at)
    failed = request.attempts_here - bool(request.calls)  # one that was refused was not made
    least, most = request.rules.pause(request.error.error, request.error.retry_after, failed)
    right = least - ROUNDING <= event.seconds <= most + ROUNDING
    request.must(right, "I7", f"it sleeps {event.seconds} s, not {least} to {most}", at)
    if request.fields is not None:
        what = f"it sleeps after attempt {failed}"
        request.must(failed <= retries_allowed(request) or request.doubtful, "I7", what, at)
    request.phase = "pausing"
