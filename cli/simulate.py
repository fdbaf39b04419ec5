"""`python -m turnout simulate`: the router in a thousand simulated worlds of bad luck."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..actors.runtime.chance import make_rng
from ..actors.runtime.clock import LoopClock
from ..messages.errors import ConfigurationError
from ..testing.simulation.marks import MARKS
from ..testing.simulation.run import DEFAULT_HOURS, Summary, run_seeds
from ..testing.simulation.shrink import MAX_SECONDS
from ..testing.simulation.tally import Tally
from .failure import EXIT_FAILED, Failure
from .histories import play_history, tell_failures, tell_shorter
from .play import SCENARIO_SEEDS, play_scenario
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..testing.simulation.run import Outcome

__all__ = ["add_to"]

SEEDS = 200
MOST_SEEDS = 1 << 32
MOST_SECONDS = 86_400.0
OF_WORLDS = {
    "seconds": ("--for", None),
    "first": ("--first", None),
    "seed": ("--seed", None),
    "hours": ("--hours", DEFAULT_HOURS),
    "marks_from": ("--marks-from", 1000),
    "stop_at_first": ("--stop-at-first", False),
    "no_shrink": ("--no-shrink", False),
    "shrink_for": ("--shrink-for", MAX_SECONDS),
    "history": ("--history", None),
    "write_history": ("--write-history", None),
    "tally": ("--tally", None),
    "keep": ("--keep", None),
}
"""Options that mean nothing for a scenario, and what they are unless they are given."""

HELP = "run the router in simulated worlds and hold it to its invariants"
EPILOG = """\
Each seed draws a world (groups, deployments, limits, strategy, retries, fallbacks), then what befalls
it: errors, outages, crashes, a failing journal, callers that leave. Nothing real is called, no time
passes. Exit code 0: no invariant was broken and every mark was reached (marks are asked for from
--marks-from seeds on).

examples:
  python -m turnout simulate --seeds 1000
  python -m turnout simulate --seeds 200 --hours 1
  python -m turnout simulate --seed 4711
  python -m turnout simulate --for 60
  python -m turnout simulate --seeds 1000 --tally tally.json    # again and again: it adds up

Of the first failure a shorter history is looked for, told, and written to a file that runs it again:

  python -m turnout simulate --history turnout-history-4711.json
  python -m turnout simulate --seed 4711 --shrink-for 300 --write-history short.json

With a scenario it answers "what happens to my p95, my errors and my bill if azure-eu goes down for ten
minutes?": deployments, limits, prices, latencies and a rate of requests in, a table and a chart out.

  python -m turnout simulate examples/outage.yaml
  python -m turnout simulate examples/outage.yaml --seeds 10 --svg outage.svg
"""


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "simulate",
        help=HELP,
        description="Runs the router in simulated worlds of bad luck and holds it to its invariants.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "scenario",
        nargs="?",
        type=Path,
        metavar="SCENARIO",
        help="a YAML file: play it, and tell what it comes to",
    )
    parser.add_argument(
        "--seeds", type=_count, metavar="N", help=f"how many ({SEEDS}; of a scenario {SCENARIO_SEEDS})"
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_seconds,
        metavar="SECONDS",
        help="as many as there is time for, and no more than --seeds says",
    )
    parser.add_argument("--first", type=int, metavar="SEED", help="the first of them (default: drawn afresh)")
    parser.add_argument("--seed", type=int, metavar="SEED", help="only this one, once more")
    parser.add_argument(
        "--hours",
        type=_hours,
        default=DEFAULT_HOURS,
        metavar="H",
        help="of each world's own time until its faults stop (%(default)g)",
    )
    parser.add_argument(
        "--marks-from",
        type=_count,
        default=1000,
        metavar="N",
        help="from so many seeds on a mark that was never reached is a failure (%(default)s)",
    )
    parser.add_argument("--stop-at-first", action="store_true", help="run no more seeds after a failure")
    parser.add_argument("--no-shrink", action="store_true", help="look for no shorter history of a failure")
    parser.add_argument(
        "--shrink-for",
        type=_seconds,
        default=MAX_SECONDS,
        metavar="SECONDS",
        help="look for it so long at most (%(default)g); Ctrl-C ends the search with the best so far",
    )
    parser.add_argument(
        "--history",
        type=Path,
        metavar="FILE",
        help="run the short history of a failure once more, and tell it",
    )
    parser.add_argument(
        "--write-history",
        type=Path,
        metavar="FILE",
        help="write the short history there (turnout-history-SEED.json)",
    )
    parser.add_argument(
        "--tally", type=Path, metavar="FILE", help="add to what earlier runs came to, and judge all of them"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="of a scenario: write a chart there")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="append seeds that fail to this file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the seeds; 0 when all went well."""
    if arguments.svg is not None and arguments.scenario is None:
        msg = "--svg is a chart of a scenario: name its file"
        raise Failure(msg)
    if arguments.scenario is not None:
        _must_mean_something(arguments)
        return play_scenario(arguments.scenario, arguments.seeds or SCENARIO_SEEDS, arguments.svg)
    if arguments.history is not None:
        return play_history(arguments.history)
    tally = None if arguments.tally is None else _tally(arguments.tally)
    first = _first(arguments)
    summary = Summary()
    if arguments.seconds is None:
        _run(arguments, range(first, first + _how_many(arguments)), summary)
    else:
        print(f"seeds from {first} on, for {arguments.seconds:g} s", flush=True)
        _run(arguments, _in_time(first, arguments), summary)
    tell_failures(summary.failures)
    if summary.failures and not arguments.no_shrink:
        tell_shorter(summary.failures[0], arguments.shrink_for, arguments.write_history)
    everything = Tally() if tally is None else tally
    everything.add(summary, first, arguments.hours)
    _tell_sum(summary, first)
    if tally is not None:
        tally.write(arguments.tally)
        print(f"with those in {arguments.tally} {_sum_of(tally)}")
    return _verdict(everything, arguments.marks_from)


def _must_mean_something(arguments: argparse.Namespace) -> None:
    """Beside a scenario, what is about worlds would have no effect: it is refused, and not passed over."""
    for name, (option, usual) in OF_WORLDS.items():
        if getattr(arguments, name) != usual:
            msg = f"{option} is for worlds that are drawn: leave it away beside a scenario"
            raise Failure(msg)


def _tally(path: Path) -> Tally:
    try:
        return Tally.read(path)
    except (ConfigurationError, OSError) as error:
        raise Failure(str(error)) from None


def _first(arguments: argparse.Namespace) -> int:
    if arguments.seed is not None:
        return int(arguments.seed)
    return make_rng(None).randrange(1 << 32) if arguments.first is None else int(arguments.first)


def _how_many(arguments: argparse.Namespace) -> int:
    return 1 if arguments.seed is not None else arguments.seeds or SEEDS


def _in_time(first: int, arguments: argparse.Namespace) -> Iterator[int]:
    """Seeds until the time is over: the last of them begins before, and ends after it."""
    clock = LoopClock()
    end = clock.now() + arguments.seconds
    for seed in range(first, first + (arguments.seeds or MOST_SEEDS)):
        if clock.now() >= end:
            return
        yield seed


def _run(arguments: argparse.Namespace, seeds: Iterable[int], summary: Summary) -> None:
    """Seeds in a row have a known end; those that time allows do not, and their line shows the seconds."""
    clock = LoopClock()
    counted = arguments.seconds is None
    what, total = ("seeds", _how_many(arguments)) if counted else ("seconds", round(arguments.seconds))
    begun, shown = clock.now(), 0
    with Progress(what, total) as progress:
        for outcome in run_seeds(seeds, arguments.hours, summary):
            done = summary.seeds if counted else int(clock.now() - begun)
            progress.step(f"{summary.seeds} seeds · {len(summary.failures)} failed", done - shown)
            shown = done
            if not outcome.ok:
                _keep(arguments.keep, outcome)
                if arguments.stop_at_first:
                    break


def _keep(path: Path | None, outcome: Outcome) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{outcome.seed} {outcome.hours:g}  # {outcome.invariant}\n")


def _tell_sum(summary: Summary, first: int) -> None:
    alone = Tally()
    alone.add(summary, first, 0.0)
    print(f"seeds {first} to {first + summary.seeds - 1}: {_sum_of(alone)}")


def _sum_of(tally: Tally) -> str:
    reached = len(MARKS) - len(tally.marks.missing)
    return (
        f"{tally.seeds:,} seeds · {tally.requests:,} requests · {tally.events:,} events · "
        f"{tally.twice} run twice · {reached} of {len(MARKS)} marks reached · {len(tally.failed)} failed"
    )


def _verdict(tally: Tally, marks_from: int) -> int:
    """Whether all went well, and everything worth reaching was reached, if there were seeds enough for it."""
    missing = tally.marks.missing
    if missing and tally.seeds > 1:
        print("never reached: " + ", ".join(missing))
    return EXIT_FAILED if tally.failed or (missing and tally.seeds >= marks_from) else 0


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        msg = f"{text!r}: must be a whole number, 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return value


def _seconds(text: str) -> float:
    value = float(text.removesuffix("s"))
    if not 0 < value <= MOST_SECONDS:
        msg = f"must be above 0, and {MOST_SECONDS:g} at most"
        raise argparse.ArgumentTypeError(msg)
    return value


def _hours(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10_000:
        msg = "must be above 0, and 10000 at most"
        raise argparse.ArgumentTypeError(msg)
    return value
