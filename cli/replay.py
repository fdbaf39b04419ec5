"""`python -m turnout replay`: every deployment and the queue, at any moment of a journal."""

from __future__ import annotations

import argparse
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..history.diff import difference
from ..history.drawing import screen
from ..history.facts import as_data
from ..history.moments import HOW, Position
from ..history.player import Player
from ..history.replay import Replay
from ..messages.errors import TurnoutError
from ..supervisor.face.metrics_table import print_table
from .failure import Failure
from .journals import add_journal
from .pictures import write_picture
from .replay_views import TINTS, Screen, before_all, difference_lines, header, lines_of, tables

if TYPE_CHECKING:
    from ..history.replay import Moment

__all__ = ["FRAME_SECONDS", "IDLE_SECONDS", "add_to"]

FRAME_SECONDS = 0.25
"""Of real time between two frames on a terminal; elsewhere a frame is a second."""

PLAIN_FRAME_SECONDS = 1.0

IDLE_SECONDS = 2.0
"""Of real time in which nothing would happen, at most: longer pauses of the journal are passed over."""

SPEED, MAX_SPEED = 1.0, 1e6

HELP = "show every deployment and the queue at any moment of a journal"
EPILOG = f"""\
The journal may be in use: it is only read. Times are UTC. A moment is
{HOW};
without one it is the end, and with --follow the beginning.

examples:
  python -m turnout replay turnout.db --at 2026-03-01T14:05:00Z
  python -m turnout replay turnout.db --at 15m --json | jq .requests
  python -m turnout replay turnout.db --at 15m --svg moment.svg
  python -m turnout replay turnout.db --diff 20m 15m
  python -m turnout replay turnout.db --follow --at 1h --speed 10
"""


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "replay",
        help=HELP,
        description="Shows the deployments and the requests under way at a moment, or plays them.",
        epilog=EPILOG,
    )
    add_journal(parser)
    parser.add_argument("--at", metavar="MOMENT", help="which moment")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--diff", metavar=("A", "B"), nargs=2, help="what changed between two moments")
    what.add_argument("--follow", action="store_true", help="play the journal from there on")
    parser.add_argument("--speed", type=_speed, metavar="N", help=f"N times as fast ({SPEED:g})")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw the moment as a picture")
    parser.add_argument("--json", action="store_true", help="as data; with --follow one object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show a moment, a difference, or the film."""
    _must_go_together(arguments)
    try:
        with Replay(arguments.journal) as replay:
            if arguments.diff:
                _diff(replay, arguments)
            elif arguments.follow:
                _follow(replay, arguments)
            else:
                moment = replay.at(_end(replay) if arguments.at is None else arguments.at)
                note = before_all(moment, replay.beginning()[1])
                _show(moment, arguments, note)
    except TurnoutError as error:
        raise Failure(str(error)) from None
    return 0


def _must_go_together(arguments: argparse.Namespace) -> None:
    """What would have no effect is refused, and not passed over."""
    if arguments.svg is not None and (arguments.diff or arguments.follow):
        msg = "--svg draws one moment: leave --diff and --follow away"
        raise Failure(msg)
    if arguments.diff and arguments.at is not None:
        msg = "--diff has two moments of its own: leave --at away"
        raise Failure(msg)
    if arguments.speed is not None and not arguments.follow:
        msg = "--speed is that of a film: say --follow"
        raise Failure(msg)


def _end(replay: Replay) -> Position:
    return Position(replay.last_position())


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= MAX_SPEED:
        msg = f"{text!r} is no speed: more than 0 and at most {MAX_SPEED:g}"
        raise argparse.ArgumentTypeError(msg)
    return speed


def _show(moment: Moment, arguments: argparse.Namespace, note: str | None) -> None:
    if arguments.svg is not None:
        when = f" --at {arguments.at}" if arguments.at else ""
        command = f"python -m turnout replay {Path(arguments.journal).name}{when}"
        write_picture(arguments.svg, screen(command, lines_of(moment), TINTS))
    if arguments.json:
        print(json.dumps(as_data(moment), indent=2))
        return
    print(header(moment))
    if note is not None:
        print(note)
        return
    for table in tables(moment):
        print()
        print_table(table)


def _diff(replay: Replay, arguments: argparse.Namespace) -> None:
    before, after = (replay.at(when) for when in arguments.diff)
    found = difference(before, after)
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        print("\n".join(difference_lines(found)))


def _follow(replay: Replay, arguments: argparse.Namespace) -> None:
    position, at = replay.beginning() if arguments.at is None else replay.place(arguments.at)
    player = Player(replay.world_at(position, at), position, at, replay.events(position))
    with Screen(as_json=arguments.json) as screen:
        frame = FRAME_SECONDS if screen.live else PLAIN_FRAME_SECONDS
        speed = SPEED if arguments.speed is None else arguments.speed
        while not player.over:
            played = player.advance(frame * speed, IDLE_SECONDS * speed)
            screen.show(player.moment, played)
            if not player.over:
                _wait(frame)


def _wait(seconds: float) -> None:
    """Let time pass; Ctrl-C ends it."""
    threading.Event().wait(seconds)
