"""`python -m turnout stats journal.db`: what was used, from a journal, also while a router writes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..actors.journal.sqlite_reader import SqliteReader
from ..actors.usage.counted import NAME, counted_before
from ..actors.usage.report import usage_report
from ..messages.errors import TurnoutError
from ..supervisor.face.metrics_table import Table, cost, deployment_table, print_table, seconds, share
from .failure import Failure
from .journals import add_journal
from .progress import Progress
from .sparkline import sparkline

if TYPE_CHECKING:
    import argparse

    from ..actors.usage.state import UsageState

__all__ = ["add_to"]

HELP = "print what was used, from a journal"
EPILOG = """\
Reads the file and changes nothing: it is neither made nor locked, and a router may have it open.

examples:
  python -m turnout stats turnout.db
  python -m turnout stats /var/lib/turnout.db --json | jq .total.cost
  watch -n 5 python -m turnout stats turnout.db
"""

PORTION = 2_000
"""Events that are counted between two looks at the bar."""

_GROUP_COLUMNS = (
    "group",
    "requests",
    "success",
    "retries",
    "fallbacks",
    "cache hits",
    "p50",
    "p95",
    "cost",
    "errors",
)


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "stats",
        help=HELP,
        description="Prints requests, failures, tokens, costs and times from the journal in a file.",
        epilog=EPILOG,
    )
    add_journal(parser)
    parser.add_argument("--json", action="store_true", help="print what get_usage_stats() gives")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Count, and print."""
    try:
        with SqliteReader.open(arguments.journal) as reader:
            state = _counted(reader)
            trimmed = reader.trimmed()
    except TurnoutError as error:
        raise Failure(str(error)) from None
    stats = usage_report(state)
    if arguments.json:
        print(json.dumps(stats, indent=2))
    else:
        _show(stats)
        if trimmed.events:
            print(f"\n{trimmed}" + ("; they are counted all the same" if stats["complete"] else ""))
    return 0


def _counted(reader: SqliteReader) -> UsageState:
    """The account, from the last snapshot on."""
    state = counted_before(reader.snapshot(NAME))
    last = reader.last_position()
    events = reader.read(None, state.position)
    with Progress("portions of events", -(-(last - state.position) // PORTION)) as progress:
        while portion := list(islice(events, PORTION)):
            state.fold(portion)
            progress.step(f"{state.position:,} of {last:,}")
    return state


def _show(stats: dict[str, Any]) -> None:
    if stats["until"] is None:
        print("nothing was recorded yet")
        return
    print(f"from {_when(stats['since'])} to {_when(stats['until'])}")
    if not stats["complete"]:
        print("some events are missing: what they told is not counted")
    print()
    _show_timeline(stats)
    print()
    print_table(_group_table(stats))
    print()
    print_table(deployment_table(stats))


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _show_timeline(stats: dict[str, Any]) -> None:
    timeline, total = stats["timeline"], stats["total"]
    sums = {
        "requests": f"{total['requests']:,}",
        "failures": f"{total['failures']:,}",
        "tokens": f"{total['tokens']['total']:,}",
        "cost": cost(total),
    }
    for name, text in sums.items():
        print(f"{name:<9}{text:>14}  {sparkline(timeline[name])}")
    print(f"{'':<9}{'':>14}  each step is {_span(timeline['step'])}")


def _span(step: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if step >= size:
            return f"{step / size:.3g} {unit}"
    return f"{step:g} s"


def _group_table(stats: dict[str, Any]) -> Table:
    rows = [_group_row(name, entry) for name, entry in stats["groups"].items()]
    return Table("Groups", _GROUP_COLUMNS, [*rows, _group_row("total", stats["total"])])


def _group_row(name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    rate = entry["success_rate"]
    failures = sorted(entry["failures_by_class"].items(), key=lambda item: -item[1])
    classes = ", ".join(f"{times:,} {error}" for error, times in failures)
    return (
        name,
        f"{entry['requests']:,}",
        share(rate),
        f"{entry['retries']:,}",
        f"{entry['fallbacks']:,}",
        f"{entry['cache_hits']:,}",
        seconds(entry["latency"]["p50"]),
        seconds(entry["latency"]["p95"]),
        cost(entry),
        share(None if rate is None else 1 - rate) + (f": {classes}" if classes else ""),
    )
