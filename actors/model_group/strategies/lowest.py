"""The choice that ranking strategies share: the lowest score, and chance among equals. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Pick
from .chance import in_random_order

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .base import Candidate
    from .count_buckets import CountBuckets, Place
    from .ranking import Ranking

__all__ = ["fewest", "lowest"]

Row = tuple[float, int, "Candidate"]


def fewest(buckets: CountBuckets, admits: Callable[[Candidate], bool], rng: random.Random) -> Pick | None:
    """The admitted candidate of the lowest count, ties at random."""
    if not buckets:
        return None
    bucket = buckets.lowest()
    if len(bucket) == 1:
        draw = None
        place, other = bucket[0], buckets.second_lowest()
    else:
        draw = rng.random()
        place = bucket[int(draw * len(bucket))]
        other = bucket[1] if place is bucket[0] else bucket[0]
    if admits(place.candidate):
        return _compared(place, other, draw)
    for bucket in buckets.ascending():
        for position, again in in_random_order(len(bucket), rng):
            following = bucket[position]
            if following is not place and admits(following.candidate):
                return _compared(following, None, again)
    return None


def _compared(place: Place, other: Place | None, draw: float | None) -> Pick:
    """The pick, beside the best of the rest where that is known."""
    candidate, count = place.candidate, place.count
    if other is None:
        return Pick(candidate, count, draw, ((candidate.id, count),))
    return Pick(candidate, count, draw, ((candidate.id, count), (other.candidate.id, other.count)))


def lowest(
    ranking: Ranking[Candidate],
    admits: Callable[[Candidate], bool],
    rng: random.Random,
    within: float = 0.0,
) -> Pick | None:
    """The admitted candidate of the lowest score, at random among those close to it.

    Close is: the same, or higher by at most the fraction `within` of it (scores above 0 only).
    """
    rows = iter(ranking)
    start = 0
    for row in rows:
        if admits(row[2]):
            break
        start += 1
    else:
        return None
    best = row[0]
    limit = best * (1.0 + within) if best > 0 else best
    runner_up = next(rows, None)
    if runner_up is None or runner_up[0] > limit:
        return _explained(row, runner_up, None)
    return _near(ranking, start, ranking.end_of(limit), admits, rng)


def _near(
    ranking: Ranking[Candidate],
    start: int,
    end: int,
    admits: Callable[[Candidate], bool],
    rng: random.Random,
) -> Pick:
    """One of the rows from `start` (known to be admitted) up to `end`."""
    for offset, draw in in_random_order(end - start, rng):
        row = ranking[start + offset]
        if not offset or admits(row[2]):
            return _explained(row, ranking[start if offset else start + 1], draw)
    raise AssertionError  # the first row was admitted


def _explained(row: Row, other: Row | None, draw: float | None) -> Pick:
    """The pick, beside the best of the rest."""
    key, _, candidate = row
    if other is None:
        return Pick(candidate, key, draw, ((candidate.id, key),))
    return Pick(candidate, key, draw, ((candidate.id, key), (other[2].id, other[0])))
