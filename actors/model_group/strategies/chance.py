"""Drawing without replacement, without touching what is drawn from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

__all__ = ["in_random_order"]


def in_random_order(count: int, rng: random.Random) -> Iterator[tuple[int, float]]:
    """0 … count-1 in random order, each with the number that drew it.

    A Fisher-Yates shuffle that notes only what it moved, so k draws cost O(k) whatever `count` is.
    """
    moved: dict[int, int] = {}
    while count:
        draw = rng.random()
        place = int(draw * count)
        count -= 1
        yield moved.get(place, place), draw
        moved[place] = moved.get(count, count)
