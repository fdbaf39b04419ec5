"""Makes a history that went wrong as short as it can be and still go wrong.

What was drawn is known by what it was for. So first the world is made as plain as it can be while so
much happens in it that it goes wrong all the same: one deployment, no such limit, no such fault. Then
requests are left out, and whole turns, and all others keep their draws; and what is left is made dull,
one thing at a time. What remains is given to Hypothesis, as choices it might have drawn itself, to shrink.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from .chance import FINE, MAX_TAPE, DrawnChance, PartedChance
from .marks import Marks
from .options import ARRIVALS, FIRST, GROUPS, HOW_MANY_GROUPS, LEAST_ARRIVALS, MOST_ARRIVALS
from .run import run_world
from .world import COMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .chance import Part
    from .run import Outcome

    Notes = dict[Part, list[int]]

__all__ = ["MAX_RUNS", "Shrunk", "shrink"]

MAX_RUNS = 2_000
"""Worlds that are tried on the way."""

FOR_THE_WORLD, FOR_HYPOTHESIS = 0.25, 0.15
"""The shares of them that go into a plainer world, and that are left to Hypothesis."""


PATIENCE = 2
"""So many times the requests may come to a plainer world before it goes wrong."""


@frozen
class Shrunk:
    """The shortest history found.

    Attributes:
        outcome: what happens in it.
        runs: worlds that were tried.
        draws, draws_before: how many draws are left, of how many there were.
        tape: the draws that repeat it, less the zeros at their end.
    """

    outcome: Outcome
    runs: int
    draws: int
    draws_before: int
    tape: tuple[int, ...] = field(repr=False)


def shrink(outcome: Outcome, max_runs: int = MAX_RUNS) -> Shrunk:
    """Look for a shorter history that breaks the same invariant.

    Raises:
        ImportError: Hypothesis is not installed.
    """
    import hypothesis  # noqa: F401, PLC0415  (early, before any work)

    search = _Search(outcome, max_runs)
    search.make_the_world_plain()
    search.leave_out_and_make_dull()
    if len(search.tape) <= MAX_TAPE:
        search.let_hypothesis_shrink()
    tape = search.tape
    while tape and tape[-1] == 0:
        tape = tape[:-1]
    return Shrunk(search.best, search.runs, len(search.tape), search.draws_before, tape)


def drawn_for(arrivals: int) -> int:
    """The draw that has somebody come so many times, or a few more; in those turns nobody comes then."""
    share = math.log(max(arrivals, LEAST_ARRIVALS) / LEAST_ARRIVALS) / math.log(
        MOST_ARRIVALS / LEAST_ARRIVALS
    )
    return min(math.ceil(FINE * share), FINE - 1)


class _Search:
    """Tries histories; the best so far has the fewest requests, then events, then the smallest draws."""

    def __init__(self, outcome: Outcome, max_runs: int) -> None:
        assert outcome.seed is not None
        self.hours = outcome.hours
        self.invariant = outcome.invariant
        self.max_runs = self.patience = max_runs
        self.runs = 0
        chance = PartedChance(outcome.seed)
        self.best = run_world(chance, self.hours, Marks())
        self.notes: Notes = chance.parts
        self.tape: tuple[int, ...] = tuple(chance.tape)
        self.draws_before = len(self.tape)
        self._to_the_end = any(turn < 0 for turn, _ in self.notes)
        """It went wrong when the faults had stopped; else what comes after that need not be looked at."""
        self._rank = _rank_of(self.best, self.tape)

    def _run(self, chance: PartedChance | DrawnChance, times: int = 1, begun: int = 0) -> Outcome:
        """Run a history; if the same invariant is broken by a shorter one, that is the best so far.

        Unless it is to come to rest it ends when it has `times` as many requests as the best, or as
        there were to begin with.
        """
        self.runs += 1
        most = None if self._to_the_end else (begun or self.best.requests) * times
        outcome = run_world(chance, self.hours, Marks(), most)
        if outcome.invariant == self.invariant and _rank_of(outcome, chance.tape) < self._rank:
            self._take(outcome, chance)
        return outcome

    def _take(self, outcome: Outcome, chance: PartedChance | DrawnChance) -> None:
        self.best, self.tape, self._rank = outcome, tuple(chance.tape), _rank_of(outcome, chance.tape)

    def _try(self, notes: Notes) -> bool:
        chance = PartedChance(notes)
        if self._run(chance) is not self.best:
            return False
        self.notes = chance.parts
        return True

    def _try_plainer(self, notes: Notes) -> bool:
        """The same for a plainer world, in which it may well take longer to go wrong."""
        chance = PartedChance(notes)
        outcome = self._run(chance, PATIENCE)
        plainer = outcome.invariant == self.invariant and _interest(chance.parts) < _interest(self.notes)
        if plainer:
            self._take(outcome, chance)
            self.notes = chance.parts
        return plainer

    def _tired(self) -> bool:
        return self.runs >= self.patience

    def make_the_world_plain(self) -> None:
        """While much happens in it: later on every request will matter."""
        self.patience = int(self.max_runs * FOR_THE_WORLD)
        for fewer in (with_one_group, with_one_deployment):
            self._keep_one(fewer)
        before = None
        while before != _interest(self.notes) and not self._tired():
            before = _interest(self.notes)
            for part in self._of_the_world():
                if not self._tired() and any(self.notes.get(part, ())):
                    self._try_plainer({**self.notes, part: []})
            for part in self._of_the_world():
                self._make_dull(part, self._try_plainer)

    def _keep_one(self, fewer: Callable[[Notes, str], Notes]) -> None:
        for _, name in self._of_the_world():
            shorter = fewer(self.notes, name)
            if shorter != self.notes and self._try_plainer(shorter):
                return
            if self._tired():
                return

    def _of_the_world(self) -> list[Part]:
        return sorted(part for part in self.notes if part[0] == 0 and part != (0, ARRIVALS))

    def leave_out_and_make_dull(self) -> None:
        """Again and again, since one makes room for the other."""
        self.patience = int(self.max_runs * (1.0 - FOR_HYPOTHESIS))
        before = None
        while before != self._rank[:2] and not self._tired():
            before = self._rank[:2]
            self._leave_out(without_requests)
            self._leave_out(without_turns)
            self._make_draws_dull(COMES)
            self._make_parts_dull()
            self._make_draws_dull()
        self.patience = self.max_runs

    def _leave_out(self, without: Callable[[Notes, int, int], Notes]) -> None:
        """From the first turn to the last: blocks that grow while they can be spared, and else shrink."""
        first, size = 1, max(1, _turns(self.notes) // 2)
        while first <= (turns := _turns(self.notes)) and not self._tired():
            shorter = without(self.notes, first, min(first + size - 1, turns))
            if shorter == self.notes or self._try(shorter):
                if _turns(self.notes) == turns:
                    first += size
                size *= 2
            elif size > 1:
                size //= 2
            else:
                first += 1

    def _make_parts_dull(self) -> None:
        """One thing after the other, the world itself first, all zero."""
        for part in sorted(self.notes):
            if self._tired():
                return
            if any(self.notes.get(part, ())) and part != (0, ARRIVALS):
                self._try({**self.notes, part: []})

    def _make_draws_dull(self, of: str = "") -> None:
        """One draw after the other, or those for one thing: zero, or else half as large."""
        for part in sorted(self.notes):
            if part != (0, ARRIVALS) and (not of or part[1] == of):
                self._make_dull(part, self._try)

    def _make_dull(self, part: Part, try_it: Callable[[Notes], bool]) -> None:
        for at in range(len(self.notes.get(part, ()))):
            for smaller in self._smaller(part, at):
                if self._tired():
                    return
                if try_it(_with_draw(self.notes, part, at, smaller)):
                    break

    def _smaller(self, part: Part, at: int) -> Iterator[int]:
        draws = self.notes.get(part, ())
        drawn = draws[at] if at < len(draws) else 0
        if drawn:
            yield 0
        if drawn > 1:
            yield drawn // 2

    def let_hypothesis_shrink(self) -> None:
        """Hand the tape over as an example that is known to fail."""
        from hypothesis import HealthCheck, Phase, find, settings  # noqa: PLC0415
        from hypothesis import strategies as st  # noqa: PLC0415
        from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes  # noqa: PLC0415
        from hypothesis.errors import Flaky, NoSuchExample  # noqa: PLC0415

        key = b"the history that failed"
        database = InMemoryExampleDatabase()
        # among its second choices: what is among the first counts as short already
        database.save(key + b".secondary", choices_to_bytes(self.tape))
        how = settings(
            database=database,
            deadline=None,
            phases=(Phase.reuse, Phase.shrink),
            max_examples=self.max_runs,
            suppress_health_check=list(HealthCheck),
        )
        most = self.best.requests  # the same for each run: Hypothesis compares what equal choices lead to

        def fails(data: Any) -> bool:
            if self._tired():
                return False
            chance = DrawnChance(data)
            outcome = self._run(chance, begun=most)
            if chance.stopped is not None:
                raise chance.stopped
            return outcome.invariant == self.invariant and outcome.requests <= most

        try:
            find(st.data(), fails, settings=how, database_key=key)
        except NoSuchExample:  # a history that Hypothesis cannot draw stays as it is
            return
        except Flaky:
            if not self._tired():
                raise
            # a world that was not run any more has drawn nothing, which ends the search


def _rank_of(outcome: Outcome, tape: Any) -> tuple[int, int, int, int]:
    """Smaller is shorter."""
    return outcome.requests, outcome.events, sum(tape), len(tape)


def _interest(notes: Notes) -> tuple[int, int]:
    """How far from plain a world is: settings that are not the dullest, and by how much they are not."""
    draws = [drawn for part, drawn_for_it in notes.items() if part[0] == 0 for drawn in drawn_for_it]
    return sum(map(bool, draws)), sum(draws)


def _turns(notes: Notes) -> int:
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
    return {**notes, (0, HOW_MANY_GROUPS): [], **its}


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


def without_turns(notes: Notes, first: int, last: int) -> Notes:
    """The notes without the turns from `first` to `last`; the later ones move up."""
    gone = last - first + 1
    kept: Notes = {}
    for (turn, name), draws in notes.items():
        if not first <= turn <= last:
            kept[turn - gone if turn > last else turn, name] = draws
    kept[0, ARRIVALS] = [drawn_for(_turns(kept))]
    return kept


def _with_draw(notes: Notes, part: Part, at: int, drawn: int) -> Notes:
    draws = list(notes[part])
    draws[at] = drawn
    return {**notes, part: draws}
