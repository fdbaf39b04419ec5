"""Makes a history that went wrong as short as it can be and still go wrong.

First its end is cut off, by halves: past the end of its tape every draw is the dullest, and the world
comes to rest. Then blocks from its midst are left out. What remains is given to Hypothesis, as choices it
might have drawn itself, to shrink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from .chance import MAX_TAPE, DrawnChance, SeededChance, TapedChance
from .marks import Marks
from .run import run_world

if TYPE_CHECKING:
    from .run import Outcome

__all__ = ["Shrunk", "shrink"]

MAX_RUNS = 300
"""Worlds that are tried on the way."""


@frozen
class Shrunk:
    """The shortest history found.

    Attributes:
        outcome: what happens in it.
        runs: worlds that were tried.
        draws: how many draws are left, of how many there were.
    """

    outcome: Outcome
    runs: int
    draws: int
    draws_before: int


def shrink(outcome: Outcome, max_runs: int = MAX_RUNS) -> Shrunk:
    """Look for a shorter history that breaks the same invariant.

    Raises:
        ImportError: Hypothesis is not installed.
    """
    import hypothesis  # noqa: F401, PLC0415  (early, before any work)

    search = _Search(outcome, max_runs)
    search.cut_the_end()
    search.leave_blocks_out()
    if len(search.tape) <= MAX_TAPE:
        search.let_hypothesis_shrink()
    return Shrunk(search.best, search.runs, len(search.tape), search.draws_before)


class _Search:
    def __init__(self, outcome: Outcome, max_runs: int) -> None:
        assert outcome.seed is not None
        self.hours = outcome.hours
        self.invariant = outcome.invariant
        self.max_runs = max_runs
        self.runs = 0
        self.best = outcome
        chance = SeededChance(outcome.seed, max_tape=1 << 22)
        run_world(chance, self.hours, Marks())
        self.tape: tuple[int, ...] = tuple(chance.tape)
        self.draws_before = len(self.tape)

    def _fails(self, chance: Any) -> bool:
        """Whether the same invariant is broken; if so this history is the best so far."""
        self.runs += 1
        outcome = run_world(chance, self.hours, Marks())
        stopped = getattr(chance, "stopped", None)
        if stopped is not None:
            raise stopped
        if outcome.invariant != self.invariant or len(chance.tape) > len(self.tape):
            return False
        self.best, self.tape = outcome, tuple(chance.tape)
        return True

    def cut_the_end(self) -> None:
        """Halve the part that is in doubt, until it is a few draws long."""
        whole = self.tape
        passes, fails = 0, len(whole)
        while fails - passes > max(4, fails // 50) and self.runs < self.max_runs:
            middle = (passes + fails) // 2
            if self._fails(TapedChance(whole[:middle])):
                fails = middle
            else:
                passes = middle

    def leave_blocks_out(self) -> None:
        """Take out what it does not need, in ever smaller blocks, from the end to the beginning."""
        size = len(self.tape) // 2
        while size >= 4 and self.runs < self.max_runs // 2:
            start = len(self.tape) - size
            while start >= 0 and self.runs < self.max_runs // 2:
                self._fails(TapedChance(self.tape[:start] + self.tape[start + size :]))
                start = min(start, len(self.tape)) - size
            size //= 2

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

        def fails(data: Any) -> bool:
            return self.runs < self.max_runs and self._fails(DrawnChance(data))

        try:
            find(st.data(), fails, settings=how, database_key=key)
        except NoSuchExample:  # a history that Hypothesis cannot draw stays as it is
            return
        except Flaky:
            if self.runs < self.max_runs:
                raise
            # a world that was not run any more has drawn nothing, which ends the search
