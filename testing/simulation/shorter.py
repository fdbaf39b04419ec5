"""The notes of a history with less in them: fewer turns, requests or misfortunes, a smaller world. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .chance import FINE, Named
from .misfortunes import MISFORTUNES
from .options import ARRIVALS, FIRST, GROUPS, HOW_MANY_GROUPS, LEAST_ARRIVALS, MOST_ARRIVALS
from .world import COMES

if TYPE_CHECKING:
    from .chance import Part

    Notes = dict[Part, list[int]]

__all__ = [
    "drawn_for",
    "interest",
    "turns_of",
    "with_one_deployment",
    "with_one_group",
    "without_misfortunes",
    "without_requests",
    "without_turns",
]


def drawn_for(arrivals: int) -> int:
    """The draw that has somebody come so many times, or a few more; in those turns nobody comes then."""
    share = math.log(max(arrivals, LEAST_ARRIVALS) / LEAST_ARRIVALS) / math.log(
        MOST_ARRIVALS / LEAST_ARRIVALS
    )
    return min(math.ceil(FINE * share), FINE - 1)


def interest(notes: Notes) -> tuple[int, int]:
    """How far from plain a world is: settings that are not the dullest, and by how much they are not."""
    draws = [drawn for part, drawn_for_it in notes.items() if part[0] == 0 for drawn in drawn_for_it]
    return sum(map(bool, draws)), sum(draws)


def turns_of(notes: Notes) -> int:
    """How many turns a world of faults had."""
    return max((turn for turn, _ in notes), default=0)


def with_one_group(notes: Notes, group: str) -> Notes:
    """The notes of a world that has only this one, under the name of the first; unchanged for other names."""
    if group not in GROUPS:
        return notes
    its = {
        (0, name.replace(group, GROUPS[0], 1)): draws
        for (_, name), draws in notes.items()
        if _of(name) == group
    }
    kept = {**notes, (0, HOW_MANY_GROUPS): [], **its}
    return {part: [_renamed(drawn, group) for drawn in draws] for part, draws in kept.items()}


def _renamed(drawn: int, group: str) -> int:
    """A draw of this group, or of one of its deployments: by the name it has now."""
    if not isinstance(drawn, Named) or _of(drawn.name) != group:
        return drawn
    return Named.of(drawn, drawn.what, drawn.name.replace(group, GROUPS[0], 1))


def with_one_deployment(notes: Notes, name: str) -> Notes:
    """The same for a deployment."""
    if _of(name) == name:
        return notes
    return {**notes, (0, HOW_MANY_GROUPS): [], (0, GROUPS[0]): [], (0, FIRST): notes[0, name]}


def _of(name: str) -> str:
    """The group of a deployment; a group's own name."""
    return name.partition("/")[0]


def without_requests(notes: Notes, first: int, last: int) -> Notes:
    """The notes with nobody who comes in the turns from `first` to `last`; time goes on in them."""
    return {
        (turn, name): [] if name == COMES and first <= turn <= last else draws
        for (turn, name), draws in notes.items()
    }


def without_misfortunes(notes: Notes, first: int, last: int) -> Notes:
    """The notes with no misfortune in the turns from `first` to `last`."""
    return {
        (turn, name): [] if name == MISFORTUNES and first <= turn <= last else draws
        for (turn, name), draws in notes.items()
    }


def without_turns(notes: Notes, first: int, last: int) -> Notes:
    """The notes without the turns from `first` to `last`; the later ones move up."""
    gone = last - first + 1
    kept: Notes = {}
    for (turn, name), draws in notes.items():
        if not first <= turn <= last:
            kept[turn - gone if turn > last else turn, name] = draws
    kept[0, ARRIVALS] = [drawn_for(turns_of(kept))]
    return kept
