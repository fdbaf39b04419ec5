"""The account as a user reads it: plain JSON-able data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tallies import CallTally, RequestTally

if TYPE_CHECKING:
    from .quantiles import Quantiles
    from .state import UsageState

__all__ = ["QUANTILES", "usage_report"]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def usage_report(state: UsageState) -> dict[str, Any]:
    """Everything, for the total, for each group and for each deployment."""
    calls_of = {name: _copy(group.gone) for name, group in state.groups.items()}
    for usage in state.deployments.values():
        calls_of[usage.group].merge(usage.calls)
    every = _copy(state.strays.gone)
    asked = RequestTally()
    asked.merge(state.strays.requests)
    for name, group in state.groups.items():
        every.merge(calls_of[name])
        asked.merge(group.requests)
    return {
        "since": state.since,
        "until": state.until,
        "cost_since": state.since if state.cost_since is None else state.cost_since,
        "complete": state.complete,
        "total": _of_requests(asked, every),
        "groups": {
            name: _of_requests(group.requests, calls_of[name]) for name, group in state.groups.items()
        },
        "deployments": {
            name: {"model_group": usage.group, "removed": name not in state.present, **_of_calls(usage.calls)}
            for name, usage in state.deployments.items()
        },
        "timeline": {"start": state.timeline.start, "step": state.timeline.step, **state.timeline.series()},
    }


def _copy(calls: CallTally) -> CallTally:
    made = CallTally()
    made.merge(calls)
    return made


def _of_requests(asked: RequestTally, calls: CallTally) -> dict[str, Any]:
    """One group, or all of them: what was asked of it, and what its deployments used."""
    return {
        "requests": asked.accepted,
        "successes": asked.succeeded,
        "failures": asked.failed,
        "failures_by_class": dict(asked.errors),
        "cancelled": asked.cancelled,
        "interrupted": asked.interrupted,
        "open": max(0, asked.open),
        "success_rate": _rate(asked.succeeded, asked.failed),
        "retries": asked.retries,
        "fallbacks": asked.fallbacks,
        "cache_hits": asked.cache_hits,
        **_calls(calls),
        **_used(calls),
        "latency": _spread(asked.seconds),
        "time_to_first_token": _spread(calls.ttft),
    }


def _of_calls(calls: CallTally) -> dict[str, Any]:
    """One deployment: what it was asked for are the calls it was given, so they are its requests as well."""
    return {
        "requests": calls.started,
        "successes": calls.succeeded,
        "failures": calls.failed,
        "failures_by_class": dict(calls.errors),
        "cancelled": calls.cancelled,
        "interrupted": calls.abandoned,
        "open": max(0, calls.open),
        "health_checks": calls.checks,
        "success_rate": _rate(calls.succeeded, calls.failed),
        **_calls(calls),
        **_used(calls),
        "latency": _spread(calls.seconds),
        "time_to_first_token": _spread(calls.ttft),
    }


def _calls(calls: CallTally) -> dict[str, Any]:
    return {
        "calls": calls.started,
        "failed_calls": calls.failed,
        "failed_calls_by_class": dict(calls.errors),
    }


def _used(calls: CallTally) -> dict[str, Any]:
    return {
        "tokens": {
            "prompt": calls.prompt_tokens,
            "completion": calls.completion_tokens,
            "cached": calls.cached_tokens,
            "total": calls.prompt_tokens + calls.completion_tokens,
        },
        "tokens_per_second": calls.answered_tokens / calls.seconds.total if calls.seconds.total else None,
        "cost": None if calls.unpriced and not calls.priced else float(calls.cost),
        "estimated_cost": float(calls.estimated),
        "calls_without_cost": calls.unpriced,
    }


def _rate(succeeded: int, failed: int) -> float | None:
    """Of those that had an answer or an error: who left in between says nothing of either."""
    return succeeded / (succeeded + failed) if succeeded + failed else None


def _spread(seconds: Quantiles) -> dict[str, float | None]:
    return {
        "average": seconds.mean,
        **{name: seconds.at(share) for name, share in QUANTILES.items()},
        "longest": seconds.longest if seconds.count else None,
    }
