"""Holds what calls are said to have used to what providers told, and the sums of the router to theirs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ....messages.events import CallSucceeded, HealthChecked
from ....messages.outcomes import Usage
from .violation import Violation

if TYPE_CHECKING:
    from ....messages.events import CallCancelled, CallFailed
    from ....supervisor.face.router import Router
    from ..upstream import SimulatedUpstream
    from .living import Living
    from .request_book import RequestBook

__all__ = ["compare_usage", "usage_is_what_was_told"]

_USED = ("started", "succeeded", "failed", "cancelled", "abandoned", "prompt_tokens", "completion_tokens")
_NEVER_TOLD = Usage()


def usage_is_what_was_told(
    event: CallSucceeded | CallFailed | CallCancelled | HealthChecked,
    upstream: SimulatedUpstream,
    requests: dict[str, RequestBook],
    at: float,
) -> None:
    """The tokens that are recorded of a call are those its provider told."""
    call_id = event.check_id if isinstance(event, HealthChecked) else event.call_id
    told = upstream.told.pop(call_id, _NEVER_TOLD)
    if told is None and isinstance(event, CallSucceeded):
        _usage_is_estimated(event, requests.get(event.request_id), at)
    if told is None or told is _NEVER_TOLD:
        return
    said = (told.prompt_tokens, told.completion_tokens)
    if (event.prompt_tokens, event.completion_tokens) != said:
        raise Violation("books", f"call {call_id} used {said}, recorded is {event!r}", at)


def _usage_is_estimated(event: CallSucceeded, request: RequestBook | None, at: float) -> None:
    """Nobody said what an answer used, so it counts as what was sent, and a little at least came back."""
    least = 0 if request is None else request.input_tokens // 2
    if not event.estimated or event.prompt_tokens < least or event.cost is not None:
        raise Violation("books", f"nobody told what {event.call_id} used: {event!r}", at)


def compare_usage(router: Router, living: Living, now: float) -> None:
    """What the router says it has used is what its deployments add up to."""
    ref = router._switchboard.services.get("usage")
    actor = None if ref is None or not ref.is_alive() else ref._actor_weakref()
    if actor is None or not actor._state.complete or actor._state.position != router._journal.position:
        return
    for name, usage in actor._state.deployments.items():
        live = living.actor(name)
        if live is None or name in living.blind or router._journal.health().lost:
            continue
        calls, totals = usage.calls, live.state.totals
        sums = (*_USED, "cost")
        said, kept = ([getattr(each, what) for what in sums] for each in (calls, totals))
        if said[:-1] != kept[:-1] or not math.isclose(said[-1], kept[-1], rel_tol=1e-9, abs_tol=1e-12):
            raise Violation("books", f"{name} is said to have used {said}, and used {kept}", now)
