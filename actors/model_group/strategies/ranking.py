"""Things in the order of a number that changes. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

from sortedcontainers import SortedList

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

__all__ = ["Ranking"]

T = TypeVar("T")


class Ranking(Generic[T]):
    """Rows `(key, order, item)`, lowest key first; equal keys in the order the items first came.

    Every change takes O(log n) comparisons. A row is replaced, never changed.
    """

    __slots__ = ("_added", "_rows", "_sorted")

    def __init__(self, items: Iterable[tuple[Hashable, float, T]] = ()) -> None:
        """`items`: `(name, key, item)` to begin with."""
        self._rows: dict[Hashable, tuple[float, int, T]] = {
            name: (key, order, item) for order, (name, key, item) in enumerate(items)
        }
        self._added = len(self._rows)
        self._sorted = SortedList(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[float, int, T]]:
        return iter(self._sorted)

    def __getitem__(self, index: int) -> tuple[float, int, T]:
        row: tuple[float, int, T] = self._sorted[index]
        return row

    def put(self, name: Hashable, key: float, item: T) -> None:
        """Add the item, or replace it and its key."""
        row = self._rows.get(name)
        if row is None:
            self._added += 1
            order = self._added
        else:
            self._sorted.remove(row)
            order = row[1]
        row = self._rows[name] = (key, order, item)
        self._sorted.add(row)

    def move(self, name: Hashable, key: float) -> bool:
        """Change the key of an item, if it is here; whether it was, and had another."""
        row = self._rows.get(name)
        if row is None or row[0] == key:
            return False
        self._sorted.remove(row)
        row = self._rows[name] = (key, row[1], row[2])
        self._sorted.add(row)
        return True

    def drop(self, name: Hashable) -> None:
        row = self._rows.pop(name, None)
        if row is not None:
            self._sorted.remove(row)

    def end_of(self, key: float) -> int:
        """How many rows have a key of at most `key`."""
        count: int = self._sorted.bisect_right((key, math.inf))
        return count
