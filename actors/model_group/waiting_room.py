"""Where calls wait until a deployment of their group can take them. Pure.

Lower priority number first, then the earlier deadline, then who came first.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import attrgetter
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Assign

__all__ = ["DEFAULT_MAX_QUEUE", "Waiting", "WaitingRoom"]

DEFAULT_MAX_QUEUE = 1000


@define(eq=False)
class Waiting:
    """A call that waits; not tried before router time `not_before`.

    Attributes:
        rank: smaller is served first; unique.
    """

    assign: Assign
    rank: tuple[int, float, int]
    not_before: float = 0.0


class WaitingRoom:
    """A bounded priority queue that calls can leave from anywhere.

    A sorted list: those at its front are looked at at every release, while joining and leaving, a binary
    search and a move of pointers, happen once in a call's life.
    """

    __slots__ = ("_arrivals", "_by_call", "_line", "_max_queue")

    def __init__(self, max_queue: int = DEFAULT_MAX_QUEUE) -> None:
        self._max_queue = max_queue
        self._by_call: dict[str, Waiting] = {}
        self._line: list[Waiting] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._line)

    def __getitem__(self, place: int) -> Waiting:
        """Who stands there in the line; 0 is the first."""
        return self._line[place]

    @property
    def full(self) -> bool:
        return len(self._line) >= self._max_queue

    def join(self, assign: Assign, not_before: float = 0.0) -> bool:
        """Let a call wait; False when the room is full. A call waits once: the latest word counts."""
        call_id = assign.call.call_id
        if call_id in self._by_call:
            self.withdraw(call_id)
        elif self.full:
            return False
        self._arrivals += 1
        rank = (assign.priority, assign.call.deadline, self._arrivals)
        self.put_back(Waiting(assign, rank, not_before))
        return True

    def put_back(self, waiting: Waiting) -> None:
        """Let a call that left wait again, in the place it had."""
        self._by_call[waiting.assign.call.call_id] = waiting
        insort(self._line, waiting, key=_rank)

    def withdraw(self, call_id: str) -> bool:
        """Let a call leave; False when it is not here."""
        waiting = self._by_call.pop(call_id, None)
        if waiting is None:
            return False
        del self._line[bisect_left(self._line, waiting.rank, key=_rank)]
        return True

    def leave(self, place: int) -> None:
        """Let the call that stands there leave."""
        del self._by_call[self._line.pop(place).assign.call.call_id]

    def take(self, wanted: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take out all that are `wanted`, in their order. Looks at every one."""
        taken = [waiting for waiting in self._line if wanted(waiting)]
        for waiting in taken:
            self.withdraw(waiting.assign.call.call_id)
        return taken


_rank = attrgetter("rank")
