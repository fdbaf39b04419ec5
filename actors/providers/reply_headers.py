"""What a provider's headers say of its limits and of when to come back. Pure."""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from attrs import frozen

from ...messages.outcomes import ProviderLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

__all__ = ["MAX_RETRY_AFTER", "RetryAfter", "provider_limits", "retry_after"]

MAX_RETRY_AFTER = 3600.0
"""Seconds; a provider that asks for more is not believed."""

MAX_COUNT = 1 << 53
"""More requests or tokens than this are left nowhere; the number is nonsense."""

_IN_MS = ("retry-after-ms", "x-ms-retry-after-ms")
_LIMITS = (
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)
_SPAN = re.compile(
    r"(?=[\d.])(?:(\d+(?:\.\d*)?)d)?(?:(\d+(?:\.\d*)?)h)?(?:(\d+(?:\.\d*)?)m(?!s))?"
    r"(?:(\d+(?:\.\d*)?)s)?(?:(\d+(?:\.\d*)?)ms)?"
)
_SECONDS_OF = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_NOTED = 40


@frozen
class RetryAfter:
    """`seconds` to wait, None when nothing usable was said; `ignored` is what was not believed."""

    seconds: float | None = None
    ignored: str | None = None


def retry_after(headers: httpx.Headers, now: float, ceiling: float = MAX_RETRY_AFTER) -> RetryAfter:
    """When to come back: `retry-after-ms`, `x-ms-retry-after-ms`, then `retry-after`.

    Args:
        headers: of the answer.
        now: router time, for an HTTP date.
        ceiling: the most that is believed, in seconds.
    """
    ignored = None
    for name in (*_IN_MS, "retry-after"):
        text = headers.get(name)
        if text is None:
            continue
        seconds = _milliseconds(text) if name in _IN_MS else _seconds_or_date(text, now)
        if seconds is not None and 0.0 <= seconds <= ceiling:
            return RetryAfter(seconds)
        ignored = f"{name}: {text[:_NOTED]!r}"
    return RetryAfter(None, ignored)


def _milliseconds(text: str) -> float | None:
    value = _number(text)
    return None if value is None else value / 1000.0


def _seconds_or_date(text: str, now: float) -> float | None:
    value = _number(text)
    if value is not None:
        return value
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def provider_limits(headers: Mapping[str, str]) -> ProviderLimits | None:
    """What `x-ratelimit-remaining-*` and `x-ratelimit-reset-*` say; None when they say nothing.

    Args:
        headers: of the answer, found by name whatever its case.
    """
    requests, tokens, requests_in, tokens_in = (headers.get(name) for name in _LIMITS)
    if requests is tokens is requests_in is tokens_in is None:
        return None
    limits = ProviderLimits(_count(requests), _count(tokens), _span(requests_in), _span(tokens_in))
    return None if limits == _NOTHING else limits


_NOTHING = ProviderLimits()


def _count(value: str | None) -> int | None:
    number = None if value is None else _number(value)
    return int(number) if number is not None and 0 <= number <= MAX_COUNT else None


def _span(value: str | None) -> float | None:
    """Seconds, from `1s`, `6m0s`, `120ms`, `1h2m3.5s` or a plain number of seconds."""
    if value is None:
        return None
    text = value.strip()
    seconds = _number(text)
    if seconds is None:
        match = _SPAN.fullmatch(text)
        if match is None:
            return None
        parts = zip(match.groups(), _SECONDS_OF, strict=True)
        seconds = sum(float(part) * unit for part, unit in parts if part)
    return seconds if 0.0 <= seconds < math.inf else None
