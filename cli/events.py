"""`python -m turnout events`: what a journal holds, line by line, also while a router writes it."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.journal.sqlite_reader import SqliteReader
from ..actors.journal.sqlite_search import search
from ..actors.runtime.clock import LoopClock
from ..history.moments import HOW, Position, parse_moment
from ..messages.errors import TurnoutError
from ..messages.events import EVENT_TYPES
from ..messages.moments import written
from ..messages.problems import did_you_mean, quoted
from ..supervisor.stories.story import in_words
from .failure import Failure, complain
from .journals import add_journal, name_given

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..actors.journal.codec import Recorded

__all__ = ["POLL_SECONDS", "add_to"]

POLL_SECONDS = 0.25
"""Between two looks for more, with --follow."""

SINGLE, KINDS = ("router", "budgets"), ("deployment", "request")
"""Streams of which there is one, and kinds of which there are many."""

STREAMS = "router, budgets, deployment/ID or request/ID"

HELP = "print the events of a journal, line by line"
EPILOG = f"""\
The journal may be in use: it is only read, and locks nobody out. Times are UTC.

A stream is {STREAMS}; without an ID it is all of that kind.
A moment is {HOW}.

Exit code 0: all was printed. 1: it is no journal, or damaged. 130: Ctrl-C, which is how --follow ends.

examples:
  python -m turnout events turnout.db --since 10m
  python -m turnout events turnout.db --stream deployment/azure-eu --type cooldown_started
  python -m turnout events turnout.db --follow --stream request
  python -m turnout events turnout.db --json | jq 'select(.type == "request_failed") | .event.error'
"""

_encode = msgspec.json.Encoder().encode


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "events",
        help=HELP,
        description="Prints what was recorded: when, where it stands, whose it is, and what happened.",
        epilog=EPILOG,
    )
    add_journal(parser)
    parser.add_argument(
        "--stream", metavar="STREAM", type=name_given, help="only this stream, or this kind of stream"
    )
    parser.add_argument("--type", metavar="TYPE", action="append", help="only these events; may be repeated")
    parser.add_argument("--since", metavar="MOMENT", help="only what happened after it")
    parser.add_argument("--follow", action="store_true", help="go on with what is recorded from now on")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked for, and with --follow what comes."""
    try:
        wanted = _types(arguments.type)
        after = _start(arguments)
        after = _print_from(arguments, after, wanted)
        while arguments.follow:
            sys.stdout.flush()
            _wait(POLL_SECONDS)
            after = _print_from(arguments, after, wanted)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    return 0


def _wait(seconds: float) -> None:
    """Let time pass; Ctrl-C ends it."""
    threading.Event().wait(seconds)


def _types(names: list[str] | None) -> frozenset[str] | None:
    for name in names or ():
        if name not in EVENT_TYPES:
            msg = f"no event is called {quoted(name)}{did_you_mean(name, EVENT_TYPES)}"
            raise Failure(msg)
    return None if names is None else frozenset(names)


def _start(arguments: argparse.Namespace) -> int:
    """The position behind which to begin."""
    with SqliteReader.open(arguments.journal) as reader:
        if arguments.stream is not None:
            _must_be_known(reader, arguments.stream, may_come=arguments.follow)
        if arguments.since is None:
            return 0
        moment = parse_moment(arguments.since, LoopClock().now())
        return moment.number if isinstance(moment, Position) else reader.first_after(moment) - 1


def _must_be_known(reader: SqliteReader, stream: str, *, may_come: bool) -> None:
    """Silence should mean that nothing happened, and not that a name was misspelt."""
    kind, _, name = stream.partition("/")
    if kind not in {*KINDS, *SINGLE} or (name and kind in SINGLE):
        hint = did_you_mean(stream, (*SINGLE, *KINDS))
        msg = f"no stream is called {quoted(stream)}{hint} (it is {STREAMS})"
        raise Failure(msg)
    if name and not may_come and not reader.last_version(stream):
        trimmed = reader.trimmed()
        more = f"; {trimmed}" if trimmed.events else did_you_mean(stream, reader.versions())
        complain(
            f"the journal holds nothing of {quoted(stream)}{more}"
        )  # a deployment may never have been asked


def _print_from(arguments: argparse.Namespace, after: int, wanted: frozenset[str] | None) -> int:
    """Print what is there behind `after`, and give the position of the last event looked at.

    The file is opened for each look: between two of them a router may start, stop, or fold its log in.
    """
    with SqliteReader.open(arguments.journal) as reader:
        last = max(after, reader.last_position())
        gone = _say_what_is_gone(reader, after)
        for recorded in _read(reader, arguments.stream, after, wanted):
            if recorded.position > last:
                break
            print(_json(recorded) if arguments.json else _line(recorded))
        _say_what_is_gone(reader, max(after, gone))  # meanwhile, under our hands
    return last


def _say_what_is_gone(reader: SqliteReader, after: int) -> int:
    """Say, where a person sees it and no program does, that not all is there; up to which position."""
    trimmed = reader.trimmed()
    if after < trimmed.position:
        complain(f"{trimmed}; of what came before, only what is still needed is left")
    return trimmed.position


def _read(
    reader: SqliteReader, stream: str | None, after: int, wanted: frozenset[str] | None
) -> Iterator[Recorded]:
    kind = None if stream is None else stream.rstrip("/")
    if kind is None or kind in KINDS:
        return search(reader, after, kind=kind, types=wanted)
    found = reader.read(stream, after)
    return found if wanted is None else (recorded for recorded in found if recorded.event.TYPE in wanted)


def _line(recorded: Recorded) -> str:
    said = in_words(recorded.event, recorded.at)
    return f"{written(recorded.at)}  #{recorded.position}  {recorded.stream}  {said}"


def _json(recorded: Recorded) -> str:
    told = {
        "position": recorded.position,
        "at": recorded.at,
        "stream": recorded.stream,
        "version": recorded.version,
        "type": recorded.event.TYPE,
        "event": recorded.event,
    }
    return _encode(told).decode()
