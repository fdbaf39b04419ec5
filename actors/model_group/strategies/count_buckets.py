"""Candidates by a whole number, such as open calls: the lowest, and all that share it. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base import Candidate

__all__ = ["CountBuckets", "Place"]


@define(eq=False, weakref_slot=False)
class Place:
    """Where a candidate stands: its count, and its position among those that share it."""

    candidate: Candidate
    count: int
    position: int


class CountBuckets:
    """One dense list per count, and the counts in use in order.

    The counts are kept in a plain list, highest first, so the lowest, which changes most, is at
    the cheap end. A change is a binary search and a move of memory, 8 bytes for each lower count in
    use: less than the overhead of any tree until there are far more than 10,000 of them.
    """

    __slots__ = ("_buckets", "_negated", "_places")

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._buckets: dict[int, list[Place]] = {}
        self._negated: list[int] = []
        """The counts in use, each times -1, ascending."""

    def __len__(self) -> int:
        return len(self._places)

    def put(self, candidate: Candidate, count: int) -> None:
        """Add the candidate, or change its count."""
        place = self._places.get(candidate.id)
        if place is None:
            place = self._places[candidate.id] = Place(candidate, count, 0)
        else:
            place.candidate = candidate
            if place.count == count:
                return
            self._leave(place)
            place.count = count
        self._enter(place)

    def move(self, name: str, count: int) -> None:
        """Change the count of the candidate of this id, if it is here."""
        place = self._places.get(name)
        if place is not None and place.count != count:
            self._leave(place)
            place.count = count
            self._enter(place)

    def drop(self, candidate: Candidate) -> None:
        place = self._places.pop(candidate.id, None)
        if place is not None:
            self._leave(place)

    def _enter(self, place: Place) -> None:
        bucket = self._buckets.get(place.count)
        if bucket is None:
            place.position = 0
            self._buckets[place.count] = [place]
            insort(self._negated, -place.count)
        else:
            place.position = len(bucket)
            bucket.append(place)

    def _leave(self, place: Place) -> None:
        bucket = self._buckets[place.count]
        last = bucket.pop()
        if last is not place:
            bucket[place.position] = last
            last.position = place.position
        elif not bucket:
            del self._buckets[place.count]
            del self._negated[bisect_left(self._negated, -place.count)]

    def lowest(self) -> list[Place]:
        """The bucket of the lowest count. There must be one."""
        return self._buckets[-self._negated[-1]]

    def second_lowest(self) -> Place | None:
        """Any candidate of the next higher count."""
        negated = self._negated
        return self._buckets[-negated[-2]][0] if len(negated) > 1 else None

    def ascending(self) -> Iterator[list[Place]]:
        """The buckets, lowest count first."""
        for negated in reversed(self._negated):
            yield self._buckets[-negated]
