"""`usage-based-routing`: the candidate that used the fewest tokens in the last 60 s. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .count_buckets import CountBuckets
from .lowest import fewest
from .token_mirror import TokenMirror

if TYPE_CHECKING:
    import random

    from .base import Candidate, Pick, Query

__all__ = ["UsageBased"]


class UsageBased:
    """Fewest tokens in the last 60 s, ties at random.

    Only among those whose limits the request would not exceed, which is `query.admits`.
    """

    def __init__(self, name: str = "usage-based-routing") -> None:
        self.name = name
        self._buckets = CountBuckets()
        self._mirror = TokenMirror(self._buckets.move)

    def add(self, candidate: Candidate, now: float) -> None:
        self._buckets.put(candidate, self._mirror.follow(candidate, now))

    def remove(self, candidate: Candidate) -> None:
        self._buckets.drop(candidate)
        self._mirror.release(candidate.id)

    def update(self, candidate: Candidate, now: float) -> None:
        self._mirror.update(candidate, now)

    def started(self, candidate: Candidate, tokens: int, now: float) -> None:
        self._mirror.started(candidate.id, tokens, now)

    def pick(self, query: Query, rng: random.Random) -> Pick | None:
        self._mirror.expire(query.now)
        return fewest(self._buckets, query.admits, rng)
