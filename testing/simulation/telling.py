"""Tells a history that went wrong in plain words: who asked what, what broke, which actor did what. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...messages.events import DeploymentAdded, ModelListSet, RouterStarted
from ...supervisor.stories.story import in_words
from .audit.violation import INVARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .diary import Diary, Line
    from .run import Outcome

__all__ = ["MOST_LINES", "tell"]

MOST_LINES = 40
"""Of a story; what lies between its beginning and its end is left out when there is more."""

BEGINNING = 8
"""Lines of its beginning that are told then."""

MOST_PARTS = 6
"""Deployments that are described; the others are counted."""

WIDEST = 220
"""Characters of a line."""

_SET_UP = (DeploymentAdded, ModelListSet, RouterStarted)
_NOT_TOLD = {"model", "api_key", "id"}


def tell(diary: Diary, outcome: Outcome) -> list[str]:
    """The story of a world, line by line; the last ones say which invariant was broken, and how."""
    names = {request_id: f"r{number}" for number, request_id in enumerate(diary.asked, 1)}
    known = re.compile("|".join(map(re.escape, names)) or "(?!)")
    told = [line for line in diary.lines if not isinstance(line.what, _SET_UP) or line.at > diary.start]
    lines = [
        _cut(f"{number:4}  {line.at - diary.start:10.3f} s  {_said(line)}")
        for number, line in enumerate(told, 1)
    ]
    whole = [*_world(diary), *_without_the_middle(lines), *_end(outcome)]
    return [known.sub(lambda found: names[found[0]], line) for line in whole]


def _said(line: Line) -> str:
    if isinstance(line.what, str):
        return f"{line.who}: {line.what}"
    kind, _, name = line.who.partition("/")
    return f"{name or kind}: {in_words(line.what, line.at)}"


def _without_the_middle(lines: Sequence[str]) -> list[str]:
    if len(lines) <= MOST_LINES:
        return list(lines)
    ending = lines[BEGINNING + 1 - MOST_LINES :]
    left_out = len(lines) - BEGINNING - len(ending)
    return [*lines[:BEGINNING], f"      ... {left_out} lines are left out ...", *ending]


def _cut(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 4]} ..."


# -- the world


def _world(diary: Diary) -> Iterator[str]:
    shown = diary.model_list[:MOST_PARTS]
    more = len(diary.model_list) - len(shown)
    yield _cut("a router with " + "; ".join(map(_deployment, shown)) + (f"; and {more} more" if more else ""))
    yield _cut("set up with " + _figures(diary.settings))


def _deployment(entry: dict[str, Any]) -> str:
    params = {**entry["litellm_params"], **entry["model_info"]}
    figures = _figures({name: value for name, value in params.items() if name not in _NOT_TOLD})
    return f"{entry['model_info']['id']}{f' ({figures})' if figures else ''}"


def _figures(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


# -- the end


def _end(outcome: Outcome) -> Iterator[str]:
    """What was broken, what it means, and how it was."""
    if outcome.problem is None:
        yield "and no invariant was broken"
        return
    meaning = INVARIANTS.get(outcome.invariant or "", "the simulator itself failed")
    yield f"that breaks {outcome.invariant}: {meaning}"
    yield _cut(f"here: {outcome.what or outcome.problem.splitlines()[0]}")
