"""Why deployments were left out, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import dollars, in_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .outcomes import LeftOut

__all__ = ["SHOWN", "left_out_in_words"]

SHOWN = 8
"""Left-out candidates that are named; the rest are counted."""

_WORDS = {
    "removed": "removed",
    "unhealthy": "not well",
    "cooling_down": "cooling down",
    "rpm": "at its limit of requests",
    "tpm": "at its limit of tokens",
    "parallel": "at its limit of open calls",
    "context_window": "context window too small",
    "region": "in another region",
    "capability": "unable",
    "tags": "tagged otherwise",
    "order": "comes later by its order",
    "failed_in_this_request": "tried in this request",
    "budget": "too little left in the budget",
}


def left_out_in_words(left_out: Iterable[LeftOut], by_reason: Mapping[str, int], at: float) -> str:
    """`us (cooling down for 3.2 s), ap (at its limit of requests: needs 1, has 0), 40 more (removed)`."""
    named = [f"{item.deployment_id} ({_why(item, at)})" for item in left_out]
    counts = [f"{count} more ({_WORDS.get(reason, reason)})" for reason, count in sorted(by_reason.items())]
    if len(named) > SHOWN:
        counts.append(f"{len(named) - SHOWN} more")
    return ", ".join([*named[:SHOWN], *counts])


def _why(item: LeftOut, at: float) -> str:
    words = _WORDS.get(item.reason, item.reason)
    until = "" if item.until is None else f" for {in_seconds(max(0.0, item.until - at))}"
    if item.reason == "cooling_down" and item.until is None:
        until = ", its probe is under way"
    return words + until + "".join(f": {more}" for more in _more(item))


def _more(item: LeftOut) -> Iterable[str]:
    if item.reason == "capability":
        yield f"no {item.detail}"
    elif item.reason == "region":
        yield item.detail or "nobody knows where"
    elif item.reason == "tags":
        yield item.detail or "not at all"
    elif item.detail and item.reason in {"budget", "unhealthy"}:
        yield item.detail
    if item.reason == "budget" and (item.has or 0) <= 0:
        yield "it is used up"
    elif item.need is not None:
        need, has = (_amount(item.reason, value) for value in (item.need, max(0, item.has or 0)))
        yield f"needs {need}, has {has}"


def _amount(reason: str, value: float) -> str:
    return dollars(value) if reason == "budget" else f"{value:g}"
