"""Where calls wait until a deployment of their group can take them. Pure.

Lower priority number first, then the earlier deadline, then who came first.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Assign

__all__ = ["DEFAULT_MAX_QUEUE", "MAX_GARBAGE", "Waiting", "WaitingRoom"]

DEFAULT_MAX_QUEUE = 1000

MAX_GARBAGE = 64
"""Withdrawn calls the heap may hold beyond one for each call that waits; then they are swept out."""


@define(eq=False)
class Waiting:
    """A call that waits; not tried before router time `not_before`."""

    assign: Assign
    arrival: int
    not_before: float = 0.0

    @property
    def rank(self) -> tuple[int, float, int]:
        """Smaller is served first; unique."""
        return (self.assign.priority, self.assign.call.deadline, self.arrival)


class WaitingRoom:
    """A bounded priority queue that calls can leave from anywhere."""

    __slots__ = ("_arrivals", "_by_call", "_heap", "_max_queue")

    def __init__(self, max_queue: int = DEFAULT_MAX_QUEUE) -> None:
        self._max_queue = max_queue
        self._by_call: dict[str, Waiting] = {}
        self._heap: list[tuple[tuple[int, float, int], Waiting]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._by_call)

    @property
    def full(self) -> bool:
        return len(self._by_call) >= self._max_queue

    def join(self, assign: Assign, not_before: float = 0.0) -> bool:
        """Let a call wait; False when the room is full. A call waits once: the latest word counts."""
        call_id = assign.call.call_id
        if call_id in self._by_call:
            self.withdraw(call_id)
        elif self.full:
            return False
        self._arrivals += 1
        self._put(Waiting(assign, self._arrivals, not_before))
        return True

    def withdraw(self, call_id: str) -> bool:
        """Let a call leave; False when it is not here."""
        if self._by_call.pop(call_id, None) is None:
            return False
        self._sweep()
        return True

    def pop(self) -> Waiting | None:
        """Take out the call whose turn it is."""
        heap = self._heap
        while heap:
            _, waiting = heapq.heappop(heap)
            if self._here(waiting):
                del self._by_call[waiting.assign.call.call_id]
                return waiting
        return None

    def put_back(self, waiting: Waiting) -> None:
        """Return a call that was popped, to the place it had."""
        self._put(waiting)

    def take(self, wanted: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out all that are `wanted`, in their order. Looks at every one."""
        taken = sorted((w for w in self._by_call.values() if wanted(w)), key=lambda w: w.rank)
        for waiting in taken:
            del self._by_call[waiting.assign.call.call_id]
        self._sweep()
        return taken

    def _put(self, waiting: Waiting) -> None:
        self._by_call[waiting.assign.call.call_id] = waiting
        heapq.heappush(self._heap, (waiting.rank, waiting))

    def _here(self, waiting: Waiting) -> bool:
        return self._by_call.get(waiting.assign.call.call_id) is waiting

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._by_call) + MAX_GARBAGE:
            self._heap = [entry for entry in self._heap if self._here(entry[1])]
            heapq.heapify(self._heap)
