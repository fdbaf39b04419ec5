"""Turnout beside its peers: `make bench-peers`, or `python -m bench.peers [--quick]`.

Every contender is a process that waits until it is its turn; a round gives each of them one, in an
order that is reversed every other round. A ratio is taken within a round, and the figure is the
median over the rounds, so what slows the machine for a while slows all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from attrs import field, frozen

from .children import ROOT, serving, upstream
from .load import p50
from .peers_environment import environment, versions
from .progress import done, say
from .report import Figure, as_json, machine, side_by_side, table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

TURN_SECONDS = 120.0
"""How long a contender may take to get ready, or for one turn."""

OURS = "turnout_router"
NAMES = {
    OURS: "Turnout",
    "litellm_router": "LiteLLM",
    "tensorzero_gateway": "TensorZero",
    "bare_aiohttp": "bare aiohttp",
}
"""The modules of `bench.contenders`, and what they are called in the table."""


@frozen(eq=False)
class Contest:
    """One figure that several contenders are measured on.

    Attributes:
        figure: its name in `bench.contenders`.
        what: its name in the table.
        unit: of what a contender answers: `ns` (less is better) or `/s` (more is).
        calls: how many calls each contender makes in a turn.
        goals: how many times better than whom Turnout should be.
    """

    figure: str
    what: str
    unit: str
    calls: Mapping[str, int]
    goals: Mapping[str, float] = field(factory=dict)

    def ratio(self, ours: float, theirs: float) -> float:
        """How many times better ours is."""
        return theirs / ours if self.unit == "ns" else ours / theirs

    def shown(self, value: float) -> str:
        return f"{value / 1000:.1f} us" if self.unit == "ns" else f"{value:.0f}/s"


CONTESTS = (
    Contest(
        figure="mock",
        what="mock request, one after another, caller's loop (p50)",
        unit="ns",
        calls={OURS: 2000, "litellm_router": 100},
        goals={"litellm_router": 80.0},
    ),
    Contest(
        figure="mock_sync",
        what="mock request, one after another, synchronous (p50)",
        unit="ns",
        calls={OURS: 2000, "litellm_router": 100},
        goals={"litellm_router": 40.0},
    ),
    Contest(
        figure="over_http",
        what="over HTTP, 64 in flight (requests per second)",
        unit="/s",
        calls={OURS: 3000, "litellm_router": 320, "tensorzero_gateway": 3000, "bare_aiohttp": 3000},
        goals={"litellm_router": 20.0, "tensorzero_gateway": 1.0, "bare_aiohttp": 0.75},
    ),
)

Results = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Measure beside the peers.")
    parser.add_argument("--quick", action="store_true", help="three rounds: a look, not a measurement")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="contenders; the others stay out")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench-peers.json")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 12
    try:
        python = environment()
        held = {contest: hold(contest, python, rounds, arguments.only or NAMES) for contest in CONTESTS}
    except KeyboardInterrupt:
        return 130
    finally:
        done()
    report(held, arguments.output, quick=arguments.quick)
    return 0


def report(held: Mapping[Contest, Results], output: Path, *, quick: bool) -> None:
    """Print both tables and write them as JSON."""
    figures = [figure for contest, results in held.items() for figure in ratios(contest, results)]
    measured = {
        contest.what: {NAMES[name]: contest.shown(p50(values)) for name, values in results.items()}
        for contest, results in held.items()
    }
    print("\n".join(f"{name}: {value}" for name, value in (machine() | versions()).items()))
    print("", side_by_side(measured), table(figures), sep="\n\n")
    output.parent.mkdir(parents=True, exist_ok=True)
    text = as_json(figures, quick=quick, peers=versions(), measured=measured)
    output.write_text(text, encoding="utf-8")
    print(f"\nwritten to {output}")


def hold(contest: Contest, python: Path, rounds: int, wanted: Collection[str]) -> Results:
    """Start the contenders of a contest, let them take turns, and end them."""
    names = [name for name in contest.calls if name in wanted]
    results: Results = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        url = f"{stack.enter_context(upstream())}/v1"
        contenders = {}
        for name in names:
            say(f"{contest.figure}: {NAMES[name]} gets ready")
            interpreter = sys.executable if name == OURS else str(python)
            command = [interpreter, "-m", "bench.contenders", name, contest.figure, url]
            contenders[name] = stack.enter_context(serving(command))
            answer(name, contenders[name][1])
        for number in range(rounds + 1):  # the first warms up and does not count
            for name in names if number % 2 else reversed(names):
                say(f"{contest.figure}: round {number} of {rounds}, {NAMES[name]}")
                value = turn(name, contenders[name], contest.calls[name])
                if number:
                    results[name].append(value)
    return results


def turn(name: str, pipes: tuple[IO[str], IO[str]], calls: int) -> float:
    """One contender's turn."""
    asked, answers = pipes
    asked.write(f"{calls}\n")
    asked.flush()
    return float(answer(name, answers))


def answer(name: str, answers: IO[str]) -> str:
    """The next line a contender says.

    Raises:
        RuntimeError: it ended, or said nothing for `TURN_SECONDS`.
    """
    ready, _, _ = select.select([answers], [], [], TURN_SECONDS)
    if not ready:
        msg = f"{NAMES[name]} did not answer within {TURN_SECONDS:g} s"
        raise RuntimeError(msg)
    line = answers.readline().strip()
    if not line:
        msg = f"{NAMES[name]} ended; what it said about it stands above"
        raise RuntimeError(msg)
    return line


def ratios(contest: Contest, results: Results) -> list[Figure]:
    """Turnout against each of the others, round by round."""
    if OURS not in results:
        return []
    return [
        Figure(
            what=f"{contest.what}: Turnout over {NAMES[name]}",
            measured=p50([contest.ratio(o, t) for o, t in zip(results[OURS], theirs, strict=True)]),
            goal=contest.goals.get(name),
            better="higher",
            detail=f"{contest.shown(p50(results[OURS]))} against {contest.shown(p50(theirs))}",
        )
        for name, theirs in results.items()
        if name != OURS
    ]


if __name__ == "__main__":
    sys.exit(main())
