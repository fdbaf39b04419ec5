"""Holds second attempts to when they are due, and looks for those that were not made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .candidates import idle_others
from .tolerances import ROUNDING, STALE

if TYPE_CHECKING:
    from ....messages.events import DeploymentPicked, HedgeRefused, HedgeSettled
    from .request_book import RequestBook

__all__ = ["hedge_after", "hedge_refused", "hedge_settled", "hedged", "misses_a_hedge"]


def hedged(request: RequestBook, event: DeploymentPicked, at: float) -> None:
    """A second attempt is made when it is due, and no more often than may be."""
    request.hedges += 1
    if event.call_id not in request.calls:  # else the first that was asked refused
        request.hedging.hedge(at)
    after = None if request.fields is None else hedge_after(request)
    if after is not None:
        due = request.tried_at + after
        request.must(at >= due - ROUNDING, "times", f"it was hedged at {at}, due at {due}", at)


def hedge_after(request: RequestBook) -> float | None:
    """Seconds after which an attempt is slow; None: never, or nobody knows."""
    after = (request.fields or {}).get("hedge_after", request.rules.settings.get("hedge_after"))
    return after if isinstance(after, float) else None


def misses_a_hedge(request: RequestBook, due: float, now: float) -> list[str]:
    """Those who stood idle, with no limit of a minute, when a second attempt was due there."""
    after, calls = hedge_after(request), [*request.calls.values()]
    if request.phase != "calling" or after is None or due != request.tried_at + after or len(calls) != 1:
        return []
    if request.doubtful or request.error is not None or now > due + 5 * STALE:
        return []
    open_calls = [request.books[name].open.get(call_id) for call_id, name in request.calls.items()]
    if any(call is None or call.opened for call in open_calls):
        return []
    return [
        name
        for name in idle_others(request, now)
        if name not in calls
        and request.books[name].changed_at < due - STALE
        and not request.money.moved(name, due - STALE)
        and request.books[name].rules.rpm is None
        and request.books[name].rules.tpm is None
        and not request.books[name].trips
    ]


def hedge_refused(request: RequestBook, event: HedgeRefused, _at: float) -> None:
    """Nobody takes the second attempt: it costs nothing."""
    request.hedging.give_back()
    request.calls.pop(event.call_id, None)


def hedge_settled(request: RequestBook, event: HedgeSettled, _at: float) -> None:
    """One of two attempts is the answer, and the other is not of this request any more."""
    request.calls.pop(event.loser, None)
