"""Holds a request that gives a group up, or itself, to the fallbacks it had. I6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .candidates import idle_others, members
from .retries import retries_allowed
from .waits import mark_reasons, might_have_waited, stood_behind_many

if TYPE_CHECKING:
    from ....messages.events import FellBack, RequestFailed
    from .request_book import RequestBook

__all__ = ["fell_back", "gave_the_group_up", "gave_up"]


_TURNED_AWAY = ("NoDeploymentsAvailable", "UnsupportedParamsError")


def fell_back(request: RequestBook, event: FellBack, at: float) -> None:
    """The next of its fallbacks is asked, with nothing left to try or under way where it was."""
    request.must(not request.under_way(), "I6", "it fell back with a call under way", at)
    request.retries -= bool(request.calls) and request.attempts_here > 1  # refused, and so never made
    request.calls.clear()
    request.must(event.from_group == request.group, "I6", f"it fell back from {event.from_group}", at)
    gave_the_group_up(request, at)
    request.history.append((event.from_group, event.error))
    if request.fields is not None:
        name = request.rules.fallbacks(request.fields, request.history, request.tried)
        expected = None if name is None else request.rules.group_of(name)
        what = f"it fell back to {event.to_group}, not to {expected}"
        request.must(expected == event.to_group, "I6", what, at)
        request.go_to(name or "")
    request.must(event.to_group not in request.tried, "I6", f"{event.to_group} was tried before", at)
    request.tried.append(event.to_group)
    if len(request.tried) - 1 == request.rules.max_fallbacks:
        request.marks.sometimes("max_fallbacks reached")
    request.group = event.to_group
    request.failed, request.never = set(), set()
    request.attempts_here, request.error, request.paused_until = 0, None, 0.0
    request.phase, request.waiting_since = "choosing", None


def gave_the_group_up(request: RequestBook, at: float) -> None:
    """A retry that was left, with time and budget and somebody idle, must have been made."""
    if request.error is None or request.fields is None or request.doubtful or request.only is not None:
        return
    if request.attempts_here - bool(request.calls) > retries_allowed(request):
        return
    idle = idle_others(request, at)
    if idle and request.retried.used_up(at):
        request.marks.sometimes("retry budget used up")
    elif idle:
        what = f"{request.attempts_here} attempts in {request.group}, and no retry was made"
        request.accuse(idle, "idle", what)
    elif request.error.retry_after is not None and at + request.error.retry_after >= request.deadline:
        request.marks.sometimes("no pause past the deadline")


def gave_up(request: RequestBook, event: RequestFailed, at: float) -> None:
    """All fallbacks must have been tried, and the first group's error is the one that is told."""
    mark_reasons(request, event.left_out)
    gave_the_group_up(request, at)
    if event.error in _TURNED_AWAY:
        request.marks.sometimes("nobody available")
        if any(item.reason == "tags" for item in event.left_out):
            request.marks.sometimes("nobody with the tags")
        fresh = not request.history and request.error is None and request.only is None
        if fresh and not request.doubtful:
            request.must(not might_have_waited(request, event, at), "idle", f"it was to wait: {event!r}", at)
            if not stood_behind_many(request):
                request.accuse(idle_others(request, at), "idle", "it was refused")
    if request.history:
        request.marks.sometimes("fallbacks exhausted")
        first = request.history[0][1]
        request.must(event.error == first, "I6", f"it failed with {event.error}, {first} came first", at)
    if request.fields is None or request.doubtful:
        return
    _fails_for_a_reason(request, event, at)
    if request.error is None:
        last = event.error if not request.history else "NoDeploymentsAvailable"
    else:
        last = request.error.error
    left = request.rules.fallbacks(request.fields, [*request.history, (request.group, last)], request.tried)
    request.must(left is None, "I6", f"it gave up, and {left} was not tried", at)


def _somebody_is_unable(request: RequestBook) -> bool:
    """Whether one of its group cannot do what is asked for, or stands in and does not say that it can."""
    fields, rules = request.fields, request.rules
    assert fields is not None
    names = members(request) if request.only is None else [request.only]
    return any(not rules.able(fields, n) or rules.deployments[n].group != request.group for n in names)


def _fails_for_a_reason(request: RequestBook, event: RequestFailed, at: float) -> None:
    """Its last attempt's, or since there was none."""
    if request.error is not None:
        right = {request.error.error}
    else:
        right = {"NoDeploymentsAvailable", "NotFoundError"}
        if event.error == "UnsupportedParamsError" and _somebody_is_unable(request):
            right = {event.error}
        if any(request.books[name].crashed_at > 0 for name in members(request)):
            right.add("ServiceUnavailableError")  # its group may be out of rotation
    if not request.history:
        request.must(event.error in right, "reply", f"it failed with {event.error}, not {right}", at)
