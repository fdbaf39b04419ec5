"""`python -m turnout explain`: the story of one request, from a journal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..actors.journal.sqlite_reader import SqliteReader
from ..messages.errors import TurnoutError
from ..messages.problems import quoted
from ..supervisor.face.explaining import explanation_from
from .failure import Failure
from .journals import add_journal, name_given
from .pictures import write_picture

if TYPE_CHECKING:
    import argparse

    from ..supervisor.stories.explanation import Explanation

__all__ = ["add_to"]

STREAM = "request/"

FEWEST = 4
"""Characters with which a request can be meant without all of its id."""

CALL = re.compile(r"\.\d+h?$")
"""What the name of a call has behind that of its request."""

SHOWN = 5
"""Requests that are named where more than one may be meant."""

EPILOG = """\
The journal may be in use: it is only read.

examples:
  python -m turnout explain turnout.db
  python -m turnout explain turnout.db 5ab39fd1b4b815a0
  python -m turnout explain turnout.db --json | jq '.steps[].says'
  python -m turnout explain turnout.db 5ab39fd1b4b815a0 --svg request.svg
"""


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "explain",
        help="tell how a request was answered, step by step",
        description="Tells the story of a request: who was considered, who left out, each attempt, the end.",
        epilog=EPILOG,
    )
    add_journal(parser)
    parser.add_argument(
        "request",
        metavar="REQUEST",
        nargs="?",
        type=name_given,
        help="its id or the beginning of it, its stream, or one of its calls (default: the last one)",
    )
    parser.add_argument("--json", action="store_true", help="as data")
    parser.add_argument("--svg", metavar="FILE", help="also draw it as a chart: bars on a time line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        with SqliteReader.open(arguments.journal) as journal:
            wanted = _last(journal) if arguments.request is None else _meant(journal, arguments.request)
            explanation = explanation_from(journal, wanted)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    print(_as_json(explanation) if arguments.json else explanation)
    if arguments.svg is not None:
        _draw(explanation, arguments.svg)
        if not arguments.json:
            print(f"\nchart: {arguments.svg}")
    return 0


def _as_json(explanation: Explanation) -> str:
    import json

    return json.dumps(explanation.as_dict(), indent=2)


def _draw(explanation: Explanation, file: str) -> None:
    from pathlib import Path

    from ..history.waterfall import waterfall

    write_picture(Path(file), waterfall(explanation))


def _meant(journal: SqliteReader, words: str) -> str:
    """The request with this id, or the only one whose id begins so."""
    beginning = words.removeprefix(STREAM)
    if journal.last_version(STREAM + beginning):
        return beginning
    beginning = CALL.sub("", beginning)
    if len(beginning) < FEWEST:
        msg = f"{quoted(words)} is too short to mean a request: give {FEWEST} characters of its id, or more"
        raise Failure(msg)
    found = journal.beginning_with(STREAM + beginning, SHOWN + 1)
    if len(found) > 1:
        names = ", ".join(name.removeprefix(STREAM) for name in found[:SHOWN])
        more = ", ..." if len(found) > SHOWN else ""
        msg = f"more than one request begins with {quoted(beginning)}: {names}{more}"
        raise Failure(msg)
    return found[0].removeprefix(STREAM) if found else beginning


def _last(journal: SqliteReader) -> str:
    stream = journal.last_stream("request")
    if stream is None:
        trimmed = journal.trimmed()
        why = f"any more: {trimmed}" if trimmed.events else "yet"
        msg = f"journal {journal.path!r} holds no request {why}"
        raise Failure(msg)
    return stream.partition("/")[2]
