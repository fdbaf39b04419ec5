"""Who else uses the same keys, as far as a provider's headers said so. Pure.

Headers that say less is left than this router had used tell of others: so many requests and tokens of
theirs, until the provider's window ends. The record holds each such moment. In a play the provider says the
same again, beside what the play itself has used: from the moment at which it was told, until the same end.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from ..messages.outcomes import ProviderLimits
from .refusals import Load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..messages.deployment import Deployment

__all__ = ["Sharers"]

WINDOW_SECONDS = 60.0
"""What `rpm` and `tpm` count."""


class Sharers:
    """Of one play. `seen` is what was told of each deployment: at, requests, tokens, until."""

    def __init__(self, seen: Mapping[str, Sequence[tuple[float, int, int, float]]]) -> None:
        self._seen = seen
        self._own = {name: (Load("calls", WINDOW_SECONDS), Load("tokens", WINDOW_SECONDS)) for name in seen}

    def start(self, name: str, at: float, tokens: float) -> None:
        """The play itself begins a call of this deployment."""
        for load in self._own.get(name, ()):
            load.take(at, tokens)

    def limits(self, deployment: Deployment, at: float) -> ProviderLimits | None:
        """What its headers say at the end of a call; None when nobody else was known of just then."""
        seen = self._seen.get(deployment.id, ())
        place = bisect_right(seen, at, key=lambda each: each[0]) - 1
        if place < 0 or seen[place][3] <= at:
            return None
        _, requests, tokens, until = seen[place]
        calls, used = (load.before(at, 0) for load in self._own[deployment.id])
        return ProviderLimits(
            _left(deployment.rpm, calls, requests),
            _left(deployment.tpm, used, tokens),
            until - at,
            until - at,
        )


def _left(limit: int | None, own: float, theirs: int) -> int | None:
    return max(0, limit - round(own) - theirs) if limit is not None and theirs else None
