"""`python -m turnout trim`: remove what is old from a journal that no router has open."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..actors.journal.retention import Retention, decide
from ..actors.journal.sqlite import SqliteStore
from ..actors.journal.sqlite_reader import SqliteReader
from ..actors.runtime.clock import LoopClock
from ..messages.errors import TurnoutError
from ..messages.sizes import HOW_BYTES, HOW_SECONDS, bytes_in, seconds_in
from .failure import EXIT_FAILED, Failure
from .journals import add_journal
from .progress import Progress

if TYPE_CHECKING:
    from ..actors.journal.ports import Holdings

__all__ = ["add_to"]

REASON = "turnout trim"

MAX_PASSES = 50
"""Cuts for size, each of which goes by what came of the one before."""

HELP = "remove old events from a journal"
EPILOG = """\
Does at once what journal_max_age and journal_max_bytes have a router do as it goes. Removed are requests
that are over, each whole, and what deployments and budgets did before their last snapshot. Totals, snapshots,
and every moment after the cut stay. No router may have the file; one that was closed in good order has
left the snapshots that this needs.

A file made before there was retention does not get smaller by itself: it is written anew, for which as
much room is needed again.

Exit code 0: done, or nothing to do. 1: it is no journal, a router has it, or --max-bytes cannot be
reached since what is left is still needed.

examples:
  python -m turnout trim turnout.db --max-age 30d --dry-run
  python -m turnout trim turnout.db --max-age 30d --max-bytes 1G
"""


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "trim",
        help=HELP,
        description="Removes events that are too old, or too many, and keeps what is still needed.",
        epilog=EPILOG,
    )
    add_journal(parser)
    parser.add_argument("--max-age", type=_age, metavar="AGE", help=f"like {_plain(HOW_SECONDS)}")
    parser.add_argument("--max-bytes", type=_amount, metavar="BYTES", help=f"like {_plain(HOW_BYTES)}")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    parser.set_defaults(run=run)


def _plain(how: str) -> str:
    return how.replace('"', "")


def _age(text: str) -> float:
    seconds = seconds_in(text)
    if seconds is None:
        msg = f"{text!r} is no age: write it like {_plain(HOW_SECONDS)}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _amount(text: str) -> int:
    amount = bytes_in(text)
    if amount is None:
        msg = f"{text!r} is no number of bytes: write it like {_plain(HOW_BYTES)}"
        raise argparse.ArgumentTypeError(msg)
    return amount


def run(arguments: argparse.Namespace) -> int:
    """Trim, and say what went."""
    rules = Retention(arguments.max_age, arguments.max_bytes)
    if not rules:
        msg = "say how much to keep: --max-age, --max-bytes, or both"
        raise Failure(msg)
    try:
        SqliteReader.open(
            arguments.journal
        ).close()  # to open it for writing would make one that is not there
        store = SqliteStore(Path(arguments.journal))
    except TurnoutError as error:
        raise Failure(str(error)) from None
    try:
        return _forecast(store, rules) if arguments.dry_run else _trim(store, rules)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    finally:
        store.close()


def _cut(store: SqliteStore, rules: Retention, held: Holdings, now: float) -> int:
    aged = 0 if rules.max_age is None else store.last_before(now - rules.max_age)
    return decide(rules, held, aged).cut


def _forecast(store: SqliteStore, rules: Retention) -> int:
    held = store.holdings()
    cut = _cut(store, rules, held, LoopClock().now())
    if cut <= held.trimmed.position:
        print(f"nothing to remove: {_size(held.bytes)} in use")
    else:
        print(
            f"events up to about position {cut:,} of {held.last:,} would be removed, where nothing needs them"
        )
    return 0


def _trim(store: SqliteStore, rules: Retention) -> int:
    now = LoopClock().now()
    before = held = store.holdings()
    for _ in range(MAX_PASSES):
        cut = _cut(store, rules, held, now)
        if cut <= held.trimmed.position and not held.unfinished:
            break
        _trim_to(store, cut, now)
        former, held = held, store.holdings()
        if held.trimmed == former.trimmed:
            break
    store.compact()
    held = store.holdings()
    removed = held.trimmed.events - before.trimmed.events
    print(f"{removed:,} events removed; {_size(before.bytes)} in use before, {_size(held.bytes)} now")
    if rules.too_large(held):
        print("that is still too much: what is left is still needed, or not yet in a snapshot")
        return EXIT_FAILED
    return 0


def _trim_to(store: SqliteStore, cut: int, now: float) -> None:
    with Progress("steps", 0) as progress:
        while store.trim(cut, REASON, now).more:
            progress.step(f"to position {cut:,}")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
