"""Sums of what happened: those of calls (a deployment's) and those of requests (a group's). Pure."""

from __future__ import annotations

from typing import Any

from .quantiles import Quantiles

__all__ = ["MAX_ERROR_CLASSES", "OTHER_ERRORS", "CallTally", "RequestTally", "count_error"]

MAX_ERROR_CLASSES = 32
"""Classes of error that a tally counts one by one; the others are counted together."""

OTHER_ERRORS = "other"


def count_error(errors: dict[str, int], name: str, times: int = 1) -> None:
    """Count an error under its class, or with the others when there are too many classes."""
    if name not in errors and len(errors) >= MAX_ERROR_CLASSES:
        name = OTHER_ERRORS
    errors[name] = errors.get(name, 0) + times


class _Tally:
    """Numbers, quantiles and dicts of numbers by name, which can be added up and written down."""

    __slots__ = ("errors",)
    NUMBERS: tuple[str, ...] = ()
    SPREADS: tuple[str, ...] = ()

    def __init__(self) -> None:
        for name in self.NUMBERS:
            setattr(self, name, 0)
        for name in self.SPREADS:
            setattr(self, name, Quantiles())
        self.errors: dict[str, int] = {}

    def merge(self, other: Any) -> None:
        """Add what another tally of the same kind holds."""
        for name in self.NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in self.SPREADS:
            getattr(self, name).merge(getattr(other, name))
        for name, times in other.errors.items():
            count_error(self.errors, name, times)

    def snapshot(self) -> list[Any]:
        """JSON-able."""
        numbers = [getattr(self, name) for name in self.NUMBERS]
        return [numbers, [getattr(self, name).snapshot() for name in self.SPREADS], self.errors]

    def restore(self, state: list[Any]) -> None:
        """Take what `snapshot` gave."""
        numbers, spreads, errors = state
        for name, value in zip(self.NUMBERS, numbers, strict=False):  # an older one knows fewer
            setattr(self, name, value)
        for name, value in zip(self.SPREADS, spreads, strict=True):
            setattr(self, name, Quantiles.restore(value))
        self.errors = dict(errors)


class CallTally(_Tally):
    """Calls to one deployment, or to several.

    Attributes:
        started, succeeded, failed, cancelled, abandoned: calls. What was started and has not ended in one
            of the other ways is open.
        errors: failed calls by class of error.
        prompt_tokens, completion_tokens, cached_tokens: of all calls that ended, the failed ones too.
        cost, unpriced: US dollars of the calls whose cost is known, or was charged as estimated; how many
            used something at a cost that is neither.
        priced: how many have such a cost.
        estimated: US dollars of it that were charged for estimated usage.
        checks: health checks; what they used is counted, they themselves are no calls of anybody.
        seconds: of the calls that succeeded.
        answered_tokens: completion tokens of the calls that succeeded, for the throughput.
        ttft: seconds to the first token, of streams.
    """

    NUMBERS = (
        "started", "succeeded", "failed", "cancelled", "abandoned",
        "prompt_tokens", "completion_tokens", "cached_tokens", "answered_tokens",
        "cost", "priced", "unpriced", "checks", "estimated",
    )  # fmt: skip
    SPREADS = ("seconds", "ttft")
    __slots__ = (*NUMBERS, *SPREADS)

    started: int
    succeeded: int
    failed: int
    cancelled: int
    abandoned: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    answered_tokens: int
    cost: float
    priced: int
    unpriced: int
    checks: int
    estimated: float
    seconds: Quantiles
    ttft: Quantiles

    @property
    def open(self) -> int:
        """Calls that have not ended."""
        return self.started - self.succeeded - self.failed - self.cancelled - self.abandoned

    def used(
        self, prompt_tokens: int, completion_tokens: int, cost: float | None, charged: float | None = None
    ) -> None:
        """What a call used, however it ended; what it was `charged` where its cost is not known."""
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        if charged and cost is None:
            self.estimated += charged
            cost = charged
        if cost is not None:
            self.cost += cost
            self.priced += 1
        elif prompt_tokens or completion_tokens:
            self.unpriced += 1

    def reset_cost(self) -> None:
        """Count money from nothing again."""
        self.cost, self.estimated, self.priced, self.unpriced = 0.0, 0.0, 0, 0


class RequestTally(_Tally):
    """Requests that asked for one group, or for several.

    Attributes:
        accepted, succeeded, failed, cancelled: requests; `interrupted` were open when the process died.
        errors: failed requests by class of the error their caller was given.
        retries, fallbacks, cache_hits: of those that succeeded or failed.
        seconds: from acceptance to the answer, of those that succeeded.
    """

    NUMBERS = (
        "accepted", "succeeded", "failed", "cancelled", "interrupted", "retries", "fallbacks", "cache_hits",
    )  # fmt: skip
    SPREADS = ("seconds",)
    __slots__ = (*NUMBERS, *SPREADS)

    accepted: int
    succeeded: int
    failed: int
    cancelled: int
    interrupted: int
    retries: int
    fallbacks: int
    cache_hits: int
    seconds: Quantiles

    @property
    def open(self) -> int:
        """Requests that have not had their reply."""
        return self.accepted - self.succeeded - self.failed - self.cancelled - self.interrupted
