"""A moment, as it is shown."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["written"]


def written(at: float) -> str:
    """A moment as it is shown: UTC, to the millisecond."""
    if not -6.2e10 < at < 2.5e11:  # years that a calendar has
        return f"@{at:g}"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
