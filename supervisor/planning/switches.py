"""The test switches of a request: its first group fails once, with the error that is wanted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...messages.errors import (
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    RateLimitError,
)

if TYPE_CHECKING:
    from ...messages.errors import RequestError
    from ...messages.requests import Request

__all__ = ["WantedFailure", "wanted_failure"]


class WantedFailure(NamedTuple):
    """What to fail with, and whether that may be retried in the group."""

    error: RequestError
    retried: bool


_SWITCHES: tuple[tuple[str, type[RequestError]], ...] = (
    ("mock_testing_fallbacks", InternalServerError),
    ("mock_testing_context_fallbacks", ContextWindowExceededError),
    ("mock_testing_content_policy_fallbacks", ContentPolicyViolationError),
    ("mock_testing_rate_limit_error", RateLimitError),
)
_NAMES = frozenset(name for name, _ in _SWITCHES)


def wanted_failure(request: Request) -> WantedFailure | None:
    """What the request asks to fail with; None for nothing.

    The fallback switches exist to see a fallback, so no retry comes between; the rate limit is an
    attempt like any other.
    """
    if _NAMES.isdisjoint(request.__pydantic_fields_set__):
        return None
    for name, error in _SWITCHES:
        if getattr(request, name):
            wanted = error(f"asked for by {name}", model=request.model)
            return WantedFailure(wanted, error is RateLimitError)
    return None
