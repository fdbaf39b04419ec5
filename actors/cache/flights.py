"""Identical requests that are open at the same time share one call. Pure.

The first to ask for a key *leads*: it makes the call. The others *follow*: they wait for its answer.
A leader that leaves (its caller left, its time ran out) is followed by one of those who wait, so nobody
fails for a stranger's sake. One that *failed* is followed by twice as many as led before: a provider
that is down is not besieged, and nobody waits for a hundred failures in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Flights"]


@define(eq=False)
class _Flight:
    """One key that is being asked for."""

    leaders: set[str] = field(factory=set)
    followers: dict[str, None] = field(factory=dict)  # in the order in which they came
    width: int = 1


class Flights:
    """Who leads and who follows, for every key that is being asked for."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight | str] = {}  # one leader whom nobody follows is a name and no more
        self._key_of: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._key_of

    def join(self, key: str, request_id: str) -> bool:
        """Ask for `key`; True for who leads and so must call."""
        flight = self._flights.get(key)
        self._key_of[request_id] = key
        if flight is None:
            self._flights[key] = request_id
            return True
        if isinstance(flight, str):
            flight = self._flights[key] = _Flight({flight})
        flight.followers[request_id] = None
        return False

    def leave(self, request_id: str, *, failed: bool) -> list[str]:
        """Go without having brought an answer; gives those who lead now in its place."""
        key = self._key_of.pop(request_id, None)
        if key is None:
            return []
        flight = self._flights[key]
        if isinstance(flight, str):
            del self._flights[key]
            return []
        if request_id in flight.followers:
            del flight.followers[request_id]
            return []
        flight.leaders.discard(request_id)
        if failed:
            flight.width *= 2
        promoted = list(self._promoted(flight))
        if not flight.leaders:
            del self._flights[key]
        return promoted

    @staticmethod
    def _promoted(flight: _Flight) -> Iterator[str]:
        while flight.followers and len(flight.leaders) < flight.width:
            request_id = next(iter(flight.followers))
            del flight.followers[request_id]
            flight.leaders.add(request_id)
            yield request_id

    def land(self, key: str) -> list[str]:
        """There is an answer: all who follow, in the order in which they came. Leaders are let go of."""
        flight = self._flights.pop(key, None)
        if flight is None:
            return []
        if isinstance(flight, str):
            del self._key_of[flight]
            return []
        for request_id in (*flight.leaders, *flight.followers):
            del self._key_of[request_id]
        return list(flight.followers)
