"""What `turnout simulate` says of a world that went wrong: the seed, and a short history that runs again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..actors.runtime.clock import LoopClock
from ..messages.errors import ConfigurationError
from ..testing.simulation.diary import Diary
from ..testing.simulation.history import History
from ..testing.simulation.shrink import Effort, shrink
from ..testing.simulation.telling import tell
from .failure import EXIT_FAILED, Failure
from .interrupts import held_back
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..testing.simulation.run import Outcome
    from ..testing.simulation.shrink import Shrunk

__all__ = ["play_history", "tell_failures", "tell_shorter"]

TOLD = 5
"""Failures that are told of; all of them are counted."""

_ENDED = {
    "nothing is left to try": "nothing is left to try",
    "runs": "as many as may be tried",
    "time": "when the time was over: --shrink-for gives more",
    "stopped": "when it was stopped",
}


def tell_failures(failures: Sequence[Outcome]) -> None:
    """The first few, each with the command that runs its seed again."""
    for outcome in failures[:TOLD]:
        print(f"\nseed {outcome.seed}: {outcome.problem}")
        print(f"  in {outcome.options}")
        print(
            f"  again: python -m turnout simulate --seed {outcome.seed} --hours {outcome.hours:g}", flush=True
        )


def tell_shorter(outcome: Outcome, seconds: float, path: Path | None) -> None:
    """The shortest history found that goes wrong in the same way, written to `path` or a name of its own."""
    assert outcome.seed is not None
    try:
        shrunk = _shrunk(outcome, seconds)
    except ImportError:
        print("  (with hypothesis installed a shorter history would be looked for)")
        return
    history = History.of(shrunk, outcome.seed)
    shortest = shrunk.outcome
    print(
        f"\nthe shortest history found: {shortest.requests} requests, {shortest.events} events, "
        f"{shrunk.draws} draws (of {outcome.requests}, {outcome.events}, {shrunk.draws_before}), "
        f"after {shrunk.runs} runs, {_ENDED[shrunk.ended]}\n"
    )
    diary = Diary()
    _tell(diary, history.play(diary))
    _write(history, path or Path(f"turnout-history-{outcome.seed}.json"))


def _shrunk(outcome: Outcome, seconds: float) -> Shrunk:
    print(f"\nlooking for a shorter history, {seconds:g} s at most (Ctrl-C: the best so far) ...", flush=True)
    clock = LoopClock()
    begun, shown = clock.now(), 0
    with Progress("seconds", round(seconds)) as progress, held_back() as stopped:

        def hears(best: Outcome, runs: int) -> None:
            nonlocal shown
            passed = min(int(clock.now() - begun), round(seconds))
            progress.step(f"{runs} runs · {best.requests} requests · {best.events} events", passed - shown)
            shown = passed

        return shrink(outcome, Effort(seconds=seconds, stopped=stopped, hears=hears))


def _tell(diary: Diary, outcome: Outcome) -> None:
    for line in tell(diary, outcome):
        print(f"  {line}")


def _write(history: History, path: Path) -> None:
    """A failure that cannot be written was told all the same."""
    try:
        history.write(path)
    except (ConfigurationError, OSError) as error:
        print(f"\n  (it is not written: {error})")
        return
    print(f"\n  again: python -m turnout simulate --history {path}", flush=True)


def play_history(path: Path) -> int:
    """Run what is written there; 0 when it no longer goes wrong."""
    try:
        history = History.read(path)
    except (ConfigurationError, OSError) as error:
        raise Failure(str(error)) from None
    diary = Diary()
    outcome = history.play(diary)
    _tell(diary, outcome)
    print(f"\n{_verdict(history, outcome)}")
    return EXIT_FAILED if outcome.problem is not None else 0


def _verdict(history: History, outcome: Outcome) -> str:
    was = f"the history of seed {history.seed}"
    if outcome.ok:
        again = f"python -m turnout simulate --seed {history.seed} --hours {history.hours:g}"
        return (
            f"{was} no longer breaks {history.invariant}: it is mended, or it is another history, since "
            f"other things are drawn than before; the seed tells which: {again}"
        )
    if outcome.invariant != history.invariant:
        return f"{was} breaks {outcome.invariant} now; it broke {history.invariant} when it was written"
    same = "byte for byte" if outcome.digest == history.digest else "though other events were recorded"
    return f"{was} breaks {history.invariant} again, {same}"
