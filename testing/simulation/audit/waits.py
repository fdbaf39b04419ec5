"""Holds a request that waits, or does not, against the rules, the room and those who stand idle. I7."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ....actors.model_group.actor import LOOK_AHEAD
from .candidates import idle_others, members
from .tolerances import STALE

if TYPE_CHECKING:
    from ....messages.events import RequestFailed, WaitStarted
    from ....messages.outcomes import LeftOut
    from .request_book import RequestBook

__all__ = [
    "Waiting",
    "mark_reasons",
    "might_have_waited",
    "stands_far_back",
    "stood_behind_many",
    "waits",
    "waits_in_vain",
]

_LIMITS = ("rpm", "tpm", "parallel")
_FOR_GOOD = ("region", "capability")

MAX_QUEUE = 1000
"""How many may wait when the settings do not say."""


class Waiting(dict[str, "RequestBook"]):
    """The books of all requests that wait, by id, and when each group last had to do with which request.

    The Supervisor records a wait, or its end, when it hears of it: for a moment others may be in the room.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lately: dict[str, tuple[str, float, float]] = {}

    def note(self, group: str, request_id: str, at: float) -> None:
        """A group chooses for a request, lets it wait, or has done so."""
        latest, when, others = self._lately.get(group, ("", -math.inf, -math.inf))
        self._lately[group] = (request_id, at, others if latest == request_id else when)

    def had_another(self, group: str, request_id: str, since: float) -> bool:
        """Whether the group had to do with a request besides this one."""
        latest, when, others = self._lately.get(group, ("", -math.inf, -math.inf))
        return (others if latest == request_id else when) >= since


def waits(request: RequestBook, event: WaitStarted, at: float) -> None:
    """It waits for a release, with room for it and nothing better to do."""
    allowed = request.fields is None or request.error is not None or request.rules.waits(request.fields)
    request.must(allowed, "I7", "it waits, and was to fail", at)
    most = request.rules.settings.get("max_queue", MAX_QUEUE)
    if request.phase != "waiting":
        room = sum(_is_in_the_room_of(each, request.group, at) for each in request.waiting.values())
        request.must(room < most, "idle", f"{room} wait, {most} may, and it waits as well", at)
    if request.error is not None and request.fields is not None and not request.doubtful:
        history = [*request.history, (request.group, request.error.error)]
        left = request.rules.fallbacks(request.fields, history, request.tried)
        request.must(left is None, "I6", f"it waits for a retry, and {left} was not tried", at)
    known = all(item.until and not item.sooner for item in event.left_out)
    if known and event.left_out and event.until is not None and len(event.left_out) < 32:
        request.must(event.until < request.deadline, "I7", "it waits for what comes too late", at)
    mark_reasons(request, event.left_out)
    due = (item.until for item in event.left_out if item.reason == "budget")
    request.money_due = tuple(until for until in due if until is not None)
    request.phase = "waiting"
    request.waiting_since = at if request.waiting_since is None else request.waiting_since


def _is_in_the_room_of(request: RequestBook, group: str, at: float) -> bool:
    return request.group == group and at < request.deadline and not request.doubtful


def mark_reasons(request: RequestBook, left_out: tuple[LeftOut, ...]) -> None:
    """Count the limits that were reached."""
    for item in left_out:
        if item.reason in _LIMITS:
            request.marks.sometimes(f"{item.reason} reached")
        elif item.reason == "budget":
            shared = item.detail is not None
            request.marks.sometimes("too little left of a shared budget" if shared else "too little left")
        elif item.reason in _FOR_GOOD:
            request.marks.sometimes(f"turned away for its {item.reason}")


def waits_in_vain(request: RequestBook, now: float) -> list[str]:
    """Those who stand idle although this request has waited for one of them for a while."""
    since = request.waiting_since
    if (
        request.phase != "waiting"
        or since is None
        or since >= now - STALE
        or request.only
        or request.doubtful
    ):
        return []
    return [] if request.error is not None else idle_others(request, now)


def stands_far_back(request: RequestBook) -> bool:
    """Whether so many of those who wait go before it that it may well not be looked at."""
    before = 0
    rank = None if request.fields is None else request.rules.rank(request.fields, request.deadline)
    for each in request.waiting.values():
        if each.group == request.group and each is not request:
            known = rank is not None and each.fields is not None
            before += not known or request.rules.rank(each.fields or {}, each.deadline) <= rank  # type: ignore[operator]
    return before >= LOOK_AHEAD


def might_have_waited(request: RequestBook, event: RequestFailed, at: float) -> bool:
    """Whether somebody would have been free in time, and there was room to wait for it."""
    if request.fields is None or not request.rules.waits(request.fields):
        return False
    most = request.rules.settings.get("max_queue", MAX_QUEUE)
    if 2 * sum(each.group == request.group for each in request.waiting.values()) >= most:
        return False
    if request.waiting.had_another(request.group, request.request_id, at - STALE):
        return False
    if any(request.books[name].doubtful(at) for name in members(request)):  # its group may have just died
        return False
    if not event.left_out and not event.left_out_by_reason and request.only is None:
        return True
    return any(
        item.reason == "parallel" if item.until is None else at < item.until < request.deadline
        for item in event.left_out
    )


def stood_behind_many(request: RequestBook) -> bool:
    """Whether so many waited before it that the room may have turned it away unlooked at.

    One that may wait goes behind those who do, and of those the first `LOOK_AHEAD` are tried: behind
    them a deployment may well be idle, for which nobody before it waits. A full room refuses it.
    """
    if request.fields is None or not request.rules.waits(request.fields):
        return False
    count = sum(each.group == request.group for each in request.waiting.values())
    return count > LOOK_AHEAD and 2 * count > request.rules.settings.get("max_queue", MAX_QUEUE)
