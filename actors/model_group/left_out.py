"""Who is left out of a group's index, why, and until when. Pure.

Everything a pick needs is kept current as deployments come and go, so no pick looks at all of them:
the counts by reason, the first few names for the decision record, and the releases in a heap.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING

from ...messages.outcomes import MAX_LEFT_OUT, LeftOut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["MIN_WAIT_SECONDS", "RELEASES_SLACK", "LeftOutTable", "release_unknown"]

MIN_WAIT_SECONDS = 0.001
"""No release is nearer than this. Two roundings of one moment can differ; without it, the owner's
"not yet" and our "it is time" could answer each other for ever at the same instant."""

RELEASES_SLACK = 64
"""Outdated releases the heap may hold beyond one for each deployment that is left out."""

_NONE_MORE: dict[str, int] = {}


def release_unknown(item: LeftOut) -> bool:
    """Whether it may be back at a moment that nobody knows. A budget that never resets will not be."""
    return item.sooner or (item.until is None and item.reason != "budget")


class LeftOutTable:
    """Left-out deployments in the order in which they were left out.

    `unknown` counts those of whom nobody knows when they will be back. `by_id` is for reading: a pick
    asks several times whether anybody is in it, and a dict answers without a call.
    """

    __slots__ = ("_counts", "_releases", "_summary", "by_id", "unknown")

    def __init__(self) -> None:
        self.by_id: dict[str, LeftOut] = {}
        self._counts: dict[str, int] = {}
        self._releases: list[tuple[float, str]] = []
        self._summary: tuple[tuple[LeftOut, ...], dict[str, int]] | None = None
        self.unknown = 0

    def __len__(self) -> int:
        return len(self.by_id)

    def __contains__(self, deployment_id: str) -> bool:
        return deployment_id in self.by_id

    def __iter__(self) -> Iterator[LeftOut]:
        return iter(self.by_id.values())

    def get(self, deployment_id: str) -> LeftOut | None:
        return self.by_id.get(deployment_id)

    def put(self, item: LeftOut) -> None:
        """Leave a deployment out, or change why it is; it keeps its place in the order."""
        old = self.by_id.get(item.deployment_id)
        if old is not None:
            self._uncount(old)
        self.by_id[item.deployment_id] = item
        self._counts[item.reason] = self._counts.get(item.reason, 0) + 1
        self._summary = None
        self.unknown += release_unknown(item)
        if item.until is not None:
            heapq.heappush(self._releases, (item.until, item.deployment_id))
            self._sweep()

    def drop(self, deployment_id: str) -> LeftOut | None:
        """It is no longer left out (or no longer there); what it was left out for."""
        item = self.by_id.pop(deployment_id, None)
        if item is not None:
            self._uncount(item)
            self._summary = None
        return item

    @property
    def never_released(self) -> bool:
        """Whether nobody in it will ever be back by itself."""
        return bool(self.by_id) and not self.unknown and self.next_release() is None

    def pop_due(self, now: float) -> LeftOut | None:
        """Take out one whose time has come; None when there is none."""
        releases = self._releases
        while releases and releases[0][0] <= now:
            until, deployment_id = heapq.heappop(releases)
            if self._current(until, deployment_id):
                return self.drop(deployment_id)
        return None

    def next_release(self, without: Collection[str] = ()) -> float | None:
        """The earliest known release, of those not in `without` (which is small)."""
        releases = self._releases
        aside = []
        while releases:
            until, deployment_id = releases[0]
            if not self._current(until, deployment_id):
                heapq.heappop(releases)
            elif deployment_id in without:
                aside.append(heapq.heappop(releases))
            else:
                break
        earliest = releases[0][0] if releases else None
        for release in aside:
            heapq.heappush(releases, release)
        return earliest

    def summary(self) -> tuple[tuple[LeftOut, ...], dict[str, int]]:
        """The first `MAX_LEFT_OUT`, and how many more there are by reason. Shared: not to be changed."""
        if self._summary is None:
            self._summary = self._summed_up(MAX_LEFT_OUT)
        return self._summary

    def summary_after(self, others: tuple[LeftOut, ...]) -> tuple[tuple[LeftOut, ...], dict[str, int]]:
        """The same with `others` (`MAX_LEFT_OUT` at most) named first."""
        if not others:
            return self.summary()
        named, more = self._summed_up(MAX_LEFT_OUT - len(others))
        return others + named, more

    def _summed_up(self, most: int) -> tuple[tuple[LeftOut, ...], dict[str, int]]:
        named = tuple(islice(self.by_id.values(), most))
        if len(named) == len(self.by_id):
            return named, _NONE_MORE
        more = self._counts.copy()
        for item in named:
            more[item.reason] -= 1
        return named, {reason: count for reason, count in more.items() if count}

    def _uncount(self, item: LeftOut) -> None:
        self._counts[item.reason] -= 1
        self.unknown -= release_unknown(item)

    def _current(self, until: float, deployment_id: str) -> bool:
        item = self.by_id.get(deployment_id)
        return item is not None and item.until == until

    def _sweep(self) -> None:
        if len(self._releases) > 2 * len(self.by_id) + RELEASES_SLACK:
            self._releases = [(i.until, i.deployment_id) for i in self.by_id.values() if i.until is not None]
            heapq.heapify(self._releases)
