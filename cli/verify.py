"""`python -m turnout verify`: is a journal whole?"""

from __future__ import annotations

import json
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..actors.journal.ports import JournalError, Trimmed
from ..actors.journal.sqlite_file import cut_short, has_log
from ..actors.journal.sqlite_history import SqliteHistory
from ..actors.journal.sqlite_reader import SqliteReader
from ..history.verify import Findings, Verifier
from ..messages.errors import TurnoutError
from .failure import EXIT_FAILED, Failure
from .journals import add_journal
from .progress import Progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..actors.journal.sqlite_history import Row

__all__ = ["add_to"]

PORTION = 10_000
"""Positions between two looks at the bar."""

HELP = "check that a journal is whole"
EPILOG = """\
Reads all of the file and changes nothing; a router may have it open. What is checked: the file's own
structure, that every event can be read, that versions and positions go on without a gap (save where
events are recorded as lost, or were removed by retention), and that snapshots are what the events
before them rebuild.

Exit code 0: it is whole. 1: it is not, or it is no journal at all; what is wrong is told.

examples:
  python -m turnout verify turnout.db
  python -m turnout verify /var/lib/turnout.db --json | jq .findings
"""


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "verify",
        help=HELP,
        description="Checks every event and every snapshot of a journal.",
        epilog=EPILOG,
    )
    add_journal(parser)
    parser.add_argument("--json", action="store_true", help="the report as data")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check, and tell what was found."""
    try:
        with SqliteReader.open(arguments.journal) as reader, reader.one_moment():
            report = _report(reader)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _show(report, arguments.journal)
    return 0 if report["whole"] else EXIT_FAILED


def _report(reader: SqliteReader) -> dict[str, Any]:
    findings = Findings()
    told: dict[str, Any] = {}
    if not has_log(reader.path) and (short := cut_short(reader.path)):  # else what is missing may be there
        findings.add("file", f"the file lacks its end{short}")
    try:
        told = _checked(reader, findings)
    except JournalError as error:  # torn in the middle: what is behind cannot be seen
        findings.add("file", str(error))
    return {
        "whole": not findings,
        **told,
        "findings": [
            {"kind": f.kind, "position": f.position, "stream": f.stream, "text": f.text}
            for f in findings.told
        ],
        "more_findings": findings.more,
    }


def _checked(reader: SqliteReader, findings: Findings) -> dict[str, Any]:
    history = SqliteHistory(reader)
    last = reader.last_position()
    trimmed = reader.trimmed()
    with Progress("positions", last) as progress:
        for fault in history.faults(progress.tick):
            findings.add("file", f"SQLite finds: {fault}")
        for stream, position in history.copies_that_differ():
            findings.add("snapshot", f"there are two of {stream!r}, and they differ", position, stream)
        verifier = Verifier(history.snapshot_places(), history.snapshot_of, trimmed, findings)
        done = 0
        for _, rows in groupby(_rows(history, last), key=attrgetter("batch")):
            batch = list(rows)
            verifier.take(batch)
            if batch[-1].last - done >= PORTION:
                progress.step(f"{len(findings.told)} findings", batch[-1].last - done)
                done = batch[-1].last
    verifier.finish(history.last_written())
    return {
        "events": verifier.events,
        "last_position": last,
        "snapshots_compared": verifier.states.compared,
        "snapshots_trusted": verifier.states.trusted,
        "events_lost": verifier.lost,
        "removed_by_retention": trimmed._asdict(),
        "bytes": history.used_bytes(),
    }


def _rows(history: SqliteHistory, last: int) -> Iterator[Row]:
    """Those that were there in the beginning; a router may be adding to them."""
    for row in history.rows():
        if row.last > last:
            return
        yield row


def _show(report: dict[str, Any], journal: str) -> None:
    for finding in report["findings"]:
        where = "" if finding["position"] is None else f" at #{finding['position']}"
        print(f"{finding['kind']}{where}: {finding['text']}")
    if report["more_findings"]:
        print(f"and {report['more_findings']:,} more")
    if "events" in report:
        print(_summary(report))
    print(f"{journal}: {'whole' if report['whole'] else 'NOT whole'}")


def _summary(report: dict[str, Any]) -> str:
    parts = [
        f"{report['events']:,} events up to position {report['last_position']:,}",
        f"{report['snapshots_compared']:,} snapshots compared",
    ]
    if report["snapshots_trusted"]:
        parts.append(f"{report['snapshots_trusted']:,} that nothing is left to compare with")
    if report["events_lost"]:
        parts.append(f"{report['events_lost']:,} events recorded as lost")
    summary = " · ".join(parts)
    trimmed = Trimmed(**report["removed_by_retention"])
    return f"{summary}\n{trimmed}" if trimmed.events else summary
