"""`python -m turnout backtest`: what a journal's requests would have come to under other settings."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ..actors.journal.sqlite_reader import SqliteReader
from ..backtest.backtest import MAX_SEEDS, SEEDS, Backtest
from ..backtest.chart import chart
from ..backtest.report import report
from ..backtest.setups import as_recorded, from_config, with_settings
from ..history.moments import HOW
from ..messages.errors import TurnoutError
from .config import read_config, yaml_reader
from .failure import Failure
from .interrupts import held_back
from .journals import add_journal
from .once import told_once
from .pictures import check_place, write_picture
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..backtest.comparison import Comparison
    from ..backtest.setups import Setup

__all__ = ["add_to"]

HELP = "play a journal's requests again under other settings"
EPILOG = f"""\
The journal is only read. Its requests come again at the same times, on a router with other settings, in
simulated time; who answers them is modelled from the record: latency by size and by time, errors and
outages, rate limits. Nothing real is called. Each --vs starts another candidate; without one the record
is played under its own settings, which should come to what was recorded.

A moment is {HOW}.

examples:
  python -m turnout backtest turnout.db --set routing_strategy=adaptive --set cooldown_time=30
  python -m turnout backtest turnout.db --set num_retries=3 --vs hedge_after=p95 num_retries=1
  python -m turnout backtest turnout.db --config tomorrow.yaml --svg tomorrow.svg
  python -m turnout backtest turnout.db --from 2026-03-01T14:00:00Z --to 2026-03-01T15:00:00Z --set timeout=20
"""


class _Said(argparse.Action):
    """`--set`, `--config` and `--vs`, in the order in which they stand."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        said = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*said, (str(option_string).removeprefix("--"), values)])


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "backtest",
        help=HELP,
        description="Plays recorded requests again under other settings, and compares.",
        epilog=EPILOG,
    )
    add_journal(parser)
    parser.add_argument(
        "--set",
        dest="said",
        action=_Said,
        metavar="NAME=VALUE",
        help="a setting of the router, its value in YAML; may be repeated",
    )
    parser.add_argument(
        "--config",
        dest="said",
        action=_Said,
        metavar="FILE",
        help="a whole configuration: other deployments and settings",
    )
    parser.add_argument(
        "--vs",
        dest="said",
        action=_Said,
        nargs="*",
        metavar="NAME=VALUE",
        help="what follows is another candidate: its settings here, or by --set and --config",
    )
    parser.add_argument("--from", dest="since", metavar="MOMENT", help="only what came from then on")
    parser.add_argument("--to", dest="until", metavar="MOMENT", help="only what came until then")
    parser.add_argument(
        "--seeds", type=_count, default=SEEDS, metavar="N", help="plays of each candidate (%(default)s)"
    )
    parser.add_argument("--svg", "--chart", dest="svg", type=Path, metavar="FILE", help="write a chart there")
    parser.add_argument("--json", action="store_true", help="all of it as data")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= MAX_SEEDS):
        msg = f"must be a whole number from 1 to {MAX_SEEDS}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Play, and show what it came to."""
    if arguments.svg is not None:
        check_place(arguments.svg)
    try:
        candidates = _candidates(arguments.said or [])
        backtest = _read(arguments)
        setups = [_setup(backtest, each) for each in candidates]
        found = _play(backtest, setups, arguments.seeds)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        print(report(found))
    if arguments.svg is not None:
        write_picture(arguments.svg, chart(found, f"Backtest of {Path(arguments.journal).name}"))
    return 0


def _read(arguments: argparse.Namespace) -> Backtest:
    with SqliteReader.open(arguments.journal) as reader:
        last = reader.last_position()
    with Progress("events", last) as progress:
        return Backtest(
            arguments.journal,
            arguments.since,
            arguments.until,
            tick=lambda count: progress.step("read", count),
        )


def _play(backtest: Backtest, setups: Sequence[Setup], seeds: int) -> Comparison:
    """Ctrl-C ends it between two requests: within one, it would look like the crash of an actor."""
    total = seeds * (1 + len(setups)) * len(backtest.record.arrivals)
    stopped: Callable[[], bool] | None = None
    with told_once(), Progress("requests", total) as progress, ExitStack() as stack:

        def step(name: str, count: int) -> None:
            nonlocal stopped
            stopped = stopped or stack.enter_context(held_back())
            if stopped():
                raise KeyboardInterrupt
            progress.step(name, count)

        return backtest.run(setups, seeds=seeds, progress=step)


# -- candidates


@define
class _Candidate:
    """What the command says of one."""

    settings: dict[str, Any] = field(factory=dict)
    config: str | None = None


def _candidates(said: Sequence[tuple[str, Any]]) -> list[_Candidate]:
    """In their order; none when nothing is said."""
    candidates = [_Candidate()]
    for option, value in said:
        if option == "vs":
            candidates.append(_Candidate(dict(_setting(each, option) for each in value)))
        elif option == "config":
            candidates[-1].config = value
        else:
            name, changed = _setting(value, option)
            candidates[-1].settings[name] = changed
    if said and not all(each.settings or each.config for each in candidates):
        msg = "a candidate changes nothing: say --set NAME=VALUE or --config FILE before --vs and after it"
        raise Failure(msg)
    return candidates if said else []


def _setting(text: str, option: str) -> tuple[str, Any]:
    yaml = yaml_reader()
    name, equals, value = text.partition("=")
    if not name or not equals:
        msg = f"--{option} {text}: write NAME=VALUE, such as cooldown_time=30"
        raise Failure(msg)
    try:
        return name, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):  # a day that is none; brackets without end
        msg = f"--{option} {text}: the value is not YAML"
        raise Failure(msg) from None


def _setup(backtest: Backtest, candidate: _Candidate) -> Setup:
    name = ", ".join(
        str(value) if setting == "routing_strategy" else f"{setting}={value}"
        for setting, value in candidate.settings.items()
    )
    if candidate.config is None:
        return with_settings(as_recorded(backtest.record), name, candidate.settings)
    config = read_config(candidate.config)
    if config.wrong:
        msg = f"{candidate.config}: {config.wrong[0]}; python -m turnout check tells more"
        raise Failure(msg)
    stem = Path(candidate.config).stem
    whole = from_config(stem, config.entries, config.settings)
    return with_settings(whole, f"{stem}, {name}" if name else stem, candidate.settings)
