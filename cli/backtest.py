"""`python -m turnout backtest`: what a journal's requests would have come to under other settings."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ..backtest.backtest import SEEDS, Backtest
from ..backtest.report import header, table, verdicts
from ..backtest.setups import as_recorded, with_settings
from ..history.moments import HOW
from ..messages.errors import TurnoutError
from .failure import Failure
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..backtest.comparison import Comparison
    from ..backtest.setups import Setup

__all__ = ["add_to"]

HELP = "play a journal's requests again under other settings"
EPILOG = f"""\
The journal is only read. Its requests come again at the same times, on a router with other settings, in
simulated time; who answers them is modelled from the record: latency by size and by time, errors and
outages, rate limits. Nothing real is called. Each --vs starts another candidate.

A moment is {HOW}.

examples:
  python -m turnout backtest turnout.db --set routing_strategy=adaptive --set cooldown_time=30
  python -m turnout backtest turnout.db --set num_retries=3 --vs --set hedge_after=p95
  python -m turnout backtest turnout.db --from 2026-03-01T14:00:00Z --to 2026-03-01T15:00:00Z --set timeout=20
"""


class _Candidates(argparse.Action):
    """`--set`, `--config` and `--vs` in the order in which they stand."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        said = getattr(namespace, self.dest)
        said.append((str(option_string).removeprefix("--"), values))


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "backtest",
        help=HELP,
        description="Plays recorded requests again under other settings, and compares.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("journal", metavar="JOURNAL", help="a journal file")
    parser.add_argument(
        "--set",
        dest="said",
        action=_Candidates,
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the router, its value in YAML; may be repeated",
    )
    parser.add_argument(
        "--vs", dest="said", action=_Candidates, nargs=0, help="what follows is another candidate"
    )
    parser.add_argument("--from", dest="since", metavar="MOMENT", help="only what came from then on")
    parser.add_argument("--to", dest="until", metavar="MOMENT", help="only what came until then")
    parser.add_argument(
        "--seeds", type=_count, default=SEEDS, metavar="N", help="plays of each candidate (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="all of it as data")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        msg = "must be 1 to 1000"
        raise argparse.ArgumentTypeError(msg)
    return value


def run(arguments: argparse.Namespace) -> int:
    """Play, and show what it came to."""
    try:
        backtest = Backtest(arguments.journal, arguments.since, arguments.until)
        setups = _setups(backtest, arguments.said)
        found = _play(backtest, setups, arguments.seeds)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    return 0


def _play(backtest: Backtest, setups: Sequence[Setup], seeds: int) -> Comparison:
    plays = seeds * (1 + len(setups))
    with Progress("requests", plays * len(backtest.record.arrivals)) as progress:
        return backtest.run(setups, seeds=seeds, progress=progress.step_by)


def _setups(backtest: Backtest, said: Sequence[tuple[str, Any]]) -> list[Setup]:
    """The candidates, each named by what it changes."""
    usual = as_recorded(backtest.record)
    candidates: list[dict[str, Any]] = [{}]
    for option, value in said:
        if option == "vs":
            candidates.append({})
        else:
            name, changed = _setting(value)
            candidates[-1][name] = changed
    if not said:
        return []
    return [with_settings(usual, _named(changed), changed) for changed in candidates]


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    name, equals, value = text.partition("=")
    if not name or not equals:
        msg = f"--set {text}: write NAME=VALUE, such as cooldown_time=30"
        raise Failure(msg)
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        msg = f"--set {text}: the value is not YAML"
        raise Failure(msg) from None


def _named(changed: dict[str, Any]) -> str:
    return (
        ", ".join(
            str(value) if name == "routing_strategy" else f"{name}={value}" for name, value in changed.items()
        )
        or "unchanged, once more"
    )


def _show(found: Comparison) -> None:
    print(header(found))
    print()
    print(table(found))
    for sentence in verdicts(found):
        print(f"\n{sentence}")
    if found.unknown:
        print("\nwhat the record cannot say:")
        for sentence in found.unknown:
            print(f"  · {sentence}")
