"""Makes a history that went wrong as short as it can be and still go wrong.

What was drawn is known by what it was for: a request or a turn is left out, and all others keep their
draws. First everything but the end is left out, then blocks of turns, of requests and of misfortunes,
halved until single ones are tried (delta debugging). In between the world is made as plain as it can be:
one deployment, no such limit, no such fault; then what is left is made dull, one draw after the other.
What remains is given to Hypothesis, as choices it might have drawn itself, to shrink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ...actors.runtime.clock import LoopClock
from .chance import MAX_TAPE, DrawnChance, PartedChance
from .marks import Marks
from .misfortunes import CROWDS
from .options import ARRIVALS
from .run import run_world
from .shorter import (
    interest,
    turns_of,
    with_one_deployment,
    with_one_group,
    without_misfortunes,
    without_requests,
    without_turns,
)
from .world import COMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .chance import Part
    from .run import Outcome
    from .shorter import Notes

    _Attempt = Callable[[Notes], bool]
    _Without = Callable[[Notes, int, int], Notes]

__all__ = ["MAX_RUNS", "MAX_SECONDS", "Effort", "Shrunk", "shrink"]

MAX_RUNS = 4_000
"""Worlds that are tried on the way."""

MAX_SECONDS = 60.0
"""In which they are tried; the one that is being tried by then is the last."""

TO_CUT, TO_PLAIN, TO_DULL = 0.3, 0.5, 0.85
"""The shares of the effort after which the world is made plain, the rest is made dull, Hypothesis begins."""

COARSE = 8
"""The part of its turns that is the smallest block at first."""

WHOLE = 1 << 30
"""The smallest block when a thing is made dull as a whole or not at all."""

PATIENCE = 10
"""So many more requests, or twice as many, may come to a plainer world before it goes wrong."""


def _never() -> bool:
    return False


def _nobody(_best: Outcome, _runs: int) -> None:
    pass


@frozen
class Effort:
    """What may be spent on a shorter history, and who hears how far it is.

    Attributes:
        runs: worlds that are tried at most.
        seconds: the time that they may take together; `math.inf` for any.
        stopped: asked before each of them; once it is true the best so far will do.
        hears: is told the best so far and the number of runs, after each.
        clock: tells the time that passes.
    """

    runs: int = MAX_RUNS
    seconds: float = MAX_SECONDS
    stopped: Callable[[], bool] = _never
    hears: Callable[[Outcome, int], None] = _nobody
    clock: Callable[[], float] = field(factory=lambda: LoopClock().now)


@frozen
class Shrunk:
    """The shortest history found.

    Attributes:
        outcome: what happens in it.
        runs: worlds that were tried.
        draws, draws_before: how many draws are left, of how many there were.
        ended: why no more were tried: "nothing is left to try", "time", "runs" or "stopped".
        tape: the draws that repeat it, less the zeros at their end.
    """

    outcome: Outcome
    runs: int
    draws: int
    draws_before: int
    ended: str
    tape: tuple[int, ...] = field(repr=False)


def shrink(outcome: Outcome, effort: Effort | None = None) -> Shrunk:
    """Look for a shorter history that breaks the same invariant.

    Raises:
        ImportError: Hypothesis is not installed.
    """
    import hypothesis  # noqa: F401, PLC0415  (early, before any work)

    search = _Search(outcome, Effort() if effort is None else effort)
    search.cut()
    search.make_the_world_plain()
    if not search.leave_out_and_make_dull(TO_DULL):
        search.leave_out_and_make_dull(1.0)
    return search.result()


class _Search:
    """Tries histories; the best so far has the fewest requests, then events, then the smallest draws."""

    def __init__(self, outcome: Outcome, effort: Effort) -> None:
        assert outcome.seed is not None
        self.hours = outcome.hours
        self.invariant = outcome.invariant
        self.effort = effort
        self.begun = effort.clock()
        self.share = 1.0
        """Of the effort, at which it is time for the next part of the search."""
        self.runs = 0
        chance = PartedChance(outcome.seed)
        self.best = run_world(chance, self.hours, Marks())
        self.notes: Notes = chance.parts
        self.tape: tuple[int, ...] = tuple(chance.tape)
        self.draws_before = len(self.tape)
        self._to_the_end = any(turn < 0 for turn, _ in self.notes)
        """It went wrong when the faults had stopped; else what comes after that need not be looked at."""
        self._rank = _rank_of(self.best, self.tape)
        self._shortest = (self._rank, self.best, self.tape)

    def result(self) -> Shrunk:
        """The shortest, which the search may have left behind for one in a plainer world."""
        _, best, tape = self._shortest
        draws = len(tape)
        while tape and tape[-1] == 0:
            tape = tape[:-1]
        return Shrunk(best, self.runs, draws, self.draws_before, self._why_ended(), tape)

    def _why_ended(self) -> str:
        if self.effort.stopped():
            return "stopped"
        if self.runs >= self.effort.runs:
            return "runs"
        return "time" if self._spent() >= 1.0 else "nothing is left to try"

    def _spent(self) -> float:
        """How much of the effort: of the runs, or of the time if that is more."""
        seconds = self.effort.clock() - self.begun
        return max(self.runs / self.effort.runs, seconds / self.effort.seconds)

    def _tired(self) -> bool:
        return self._spent() >= self.share or self.effort.stopped()

    # -- one history

    def _run(self, chance: PartedChance | DrawnChance, most_requests: int) -> Outcome:
        """Run a history; if the same invariant is broken by a shorter one, that is the best so far.

        It ends when more requests have come than that, and unless it is to come to rest with its faults.
        """
        self.runs += 1
        outcome = run_world(chance, self.hours, Marks(), most_requests, to_the_end=self._to_the_end)
        if outcome.invariant == self.invariant and _rank_of(outcome, chance.tape) < self._rank:
            self._take(outcome, chance)
        self.effort.hears(self._shortest[1], self.runs)
        return outcome

    def _take(self, outcome: Outcome, chance: PartedChance | DrawnChance) -> None:
        self.best, self.tape, self._rank = outcome, tuple(chance.tape), _rank_of(outcome, chance.tape)
        self._shortest = min(self._shortest, (self._rank, self.best, self.tape), key=_ranked)

    def _try(self, notes: Notes) -> bool:
        chance = PartedChance(notes)
        if self._run(chance, self.best.requests) is not self.best:
            return False
        self.notes = chance.parts
        return True

    def _try_plainer(self, notes: Notes, most_requests: int) -> bool:
        """The same for a plainer world, in which it may well take longer to go wrong."""
        chance = PartedChance(notes)
        outcome = self._run(chance, most_requests)
        plainer = (
            outcome.invariant == self.invariant
            and outcome.requests <= most_requests
            and interest(chance.parts) < interest(self.notes)
        )
        if plainer:
            self._take(outcome, chance)
            self.notes = chance.parts
        return plainer

    # -- less of it

    def cut(self) -> None:
        """Everything but its end, and one group; then what can be spared in large blocks.

        Single turns come later: in a world of many deployments each of them takes long.
        """
        self.share = TO_CUT
        for without in (without_turns, without_requests):
            self._keep_the_last(without)
        self._keep_the_first_requests()
        self._keep_one_of_each(self._try)
        self._leave_out_all(max(1, turns_of(self.notes) // COARSE))

    def _keep_the_last(self, without: _Without) -> None:
        """As few turns as will do, doubled until they will; a quarter at most, since each try takes long."""
        turns, kept = turns_of(self.notes), 1
        while 4 * kept <= turns and not self._tired():
            if self._try(without(self.notes, 1, turns - kept)):
                return
            kept *= 2

    def _keep_the_first_requests(self) -> None:
        """As few as will do when nobody comes after them, and time goes on: somebody waits in vain."""
        turns, kept = turns_of(self.notes), 1
        while 2 * kept <= turns and not self._tired():
            if self._try(without_requests(self.notes, kept + 1, turns)):
                return
            kept *= 2

    def _leave_out_all(self, least: int = 1) -> None:
        for without in (without_turns, without_requests, without_misfortunes):
            self._leave_out(without, least)
        for part in sorted(self.notes):
            if part[1] in {COMES, CROWDS}:
                self._make_zero(part, self._try, least)

    def _leave_out(self, without: _Without, least: int) -> None:
        """From the first turn to the last: blocks that grow while they can be spared, and else shrink."""
        first, size = 1, max(1, turns_of(self.notes) // 2)
        while first <= (turns := turns_of(self.notes)) and not self._tired():
            shorter = without(self.notes, first, min(first + size - 1, turns))
            if shorter == self.notes or self._try(shorter):
                if turns_of(self.notes) == turns:
                    first += size
                size *= 2
            elif size > least:
                size //= 2
            else:
                first += size

    # -- a plainer world

    def make_the_world_plain(self) -> None:
        """While there are requests to spare: later on every one of them will matter."""
        self.share = TO_PLAIN
        most = max(2 * self.best.requests, self.best.requests + PATIENCE)

        def try_it(notes: Notes) -> bool:
            return self._try_plainer(notes, most)

        self._keep_one_of_each(try_it)
        before = None
        while before != interest(self.notes) and not self._tired():
            before = interest(self.notes)
            for part in self._of_the_world():
                self._make_zero(part, try_it, WHOLE)
            for part in self._of_the_world():
                self._make_dull(part, try_it)

    def _keep_one_of_each(self, try_it: _Attempt) -> None:
        for fewer in (with_one_group, with_one_deployment):
            self._keep_one(fewer, try_it)

    def _keep_one(self, fewer: Callable[[Notes, str], Notes], try_it: _Attempt) -> None:
        for _, name in self._of_the_world():
            if self._tired():
                return
            shorter = fewer(self.notes, name)
            if shorter != self.notes and try_it(shorter):
                return

    def _of_the_world(self) -> list[Part]:
        return sorted(part for part in self.notes if part[0] == 0 and part != (0, ARRIVALS))

    # -- duller draws

    def leave_out_and_make_dull(self, share: float) -> bool:
        """Again and again, since one makes room for the other; then Hypothesis goes over it.

        False: there was no end to it, and Hypothesis found nothing shorter.
        """
        self.share = share
        before = None
        while before != self._rank[:2] and not self._tired():
            before = self._rank[:2]
            self._leave_out_all()
            self._keep_one_of_each(self._try)
            for part in sorted(self.notes):
                self._make_dull(part, self._try)
        ended, rank = not self._tired(), self._rank
        if len(self.tape) <= MAX_TAPE:
            self.let_hypothesis_shrink()
        return ended or self._rank != rank

    def _make_dull(self, part: Part, try_it: _Attempt) -> None:
        """All that was drawn for one thing: zero, or else some of it, or else half as large, and so on."""
        if part != (0, ARRIVALS):
            self._make_zero(part, try_it)
            for at in range(len(self.notes.get(part, ()))):
                self._make_smaller(part, at, try_it)

    def _make_zero(self, part: Part, try_it: _Attempt, least: int = 1) -> None:
        """In blocks, as turns are left out."""
        at, size = 0, len(self.notes.get(part, ()))
        while at < len(draws := self.notes.get(part, ())) and not self._tired():
            zeros = [0] * len(draws[at : at + size])
            if not any(draws[at : at + size]) or try_it(
                {**self.notes, part: [*draws[:at], *zeros, *draws[at + size :]]}
            ):
                at += size
                size *= 2
            elif size > least:
                size //= 2
            else:
                at += size

    def _make_smaller(self, part: Part, at: int, try_it: _Attempt) -> None:
        while (half := self._drawn(part, at) // 2) and not self._tired():
            draws = list(self.notes[part])
            draws[at] = half
            if not try_it({**self.notes, part: draws}):
                return

    def _drawn(self, part: Part, at: int) -> int:
        draws = self.notes.get(part, ())
        return draws[at] if at < len(draws) else 0

    def let_hypothesis_shrink(self) -> None:
        """Hand the tape over as an example that is known to fail."""
        self.share = 1.0
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
            max_examples=self.effort.runs,
            suppress_health_check=list(HealthCheck),
        )
        most = self.best.requests  # the same for each run: Hypothesis compares what equal choices lead to

        def fails(data: Any) -> bool:
            if self._tired():
                return False
            chance = DrawnChance(data)
            outcome = self._run(chance, most)
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


def _ranked(found: tuple[tuple[int, int, int, int], Outcome, tuple[int, ...]]) -> tuple[int, int, int, int]:
    return found[0]
