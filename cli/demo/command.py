"""The command itself: upstream, router, traffic, screen; then what it came to."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...actors.runtime.chance import make_rng
from ...supervisor.face.router import Router
from ...testing.upstream.process import run_upstream
from ..failure import EXIT_FAILED, Failure, complain
from .board import Board
from .scene import BEHAVIOURS, SETTINGS, Planned, model_list, plan
from .screen import Screen, make_screen
from .traffic import Received, send_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["add_to"]

REFRESH_SECONDS = 0.12
HELP = "200 requests through a router, live, over HTTP on this machine"
EPILOG = """\
Starts an upstream that is slow, fails, rate-limits and cuts streams, as a process of its own, and
three model groups over it. Needs no key and no network. Exit code 0 means that every request ended
in an answer or in one of the router's own errors.

examples:
  python -m turnout demo
  python -m turnout demo --requests 1000 --rate 60 --seed 42
  python -m turnout demo --plain | tee demo.log
"""


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "demo",
        help=HELP,
        description=f"Sends {HELP}.",
        epilog=EPILOG,
    )
    parser.add_argument("--requests", type=_count, default=200, metavar="N", help="(%(default)s)")
    parser.add_argument("--rate", type=_rate, default=18.0, metavar="N", help="a second (%(default)g)")
    parser.add_argument("--seed", type=int, default=7, help="of all that is left to chance (%(default)s)")
    parser.add_argument("--plain", action="store_true", help="lines in place of the live view")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show it; 0 when every request got an answer or a typed error."""
    planned = plan(arguments.requests, arguments.rate, make_rng(arguments.seed))
    screen = make_screen(arguments.requests, plain=arguments.plain)
    try:
        with run_upstream(models=BEHAVIOURS, seed=arguments.seed) as upstream:
            print(f"upstream: {upstream.url} (process {upstream.pid})\n", flush=True)
            result = asyncio.run(_send(upstream.api_base, planned, screen, arguments.seed))
    except RuntimeError as error:
        raise Failure(str(error)) from None
    print(*_summary(result), sep="\n", flush=True)
    return _verdict(result.received, arguments.requests)


@frozen
class _Result:
    board: Board
    received: Received
    story: Sequence[str]


async def _send(api_base: str, planned: list[Planned], screen: Screen, seed: int) -> _Result:
    board, received = Board(), Received()
    async with Router(model_list(api_base), seed=seed, **SETTINGS) as router:
        with screen:
            traffic = asyncio.create_task(send_all(router, planned, received))
            while not traffic.done():
                await asyncio.wait([traffic], timeout=REFRESH_SECONDS)
                board.catch_up(router)
                screen.show(board)
        await traffic
        story = () if board.story is None else tuple(router.explain(board.story).lines())
    return _Result(board, received, story)


def _summary(result: _Result) -> Iterator[str]:
    board, received = result.board, result.received
    errors = ", ".join(f"{count} {name}" for name, count in received.errors.most_common()) or "none"
    cooldowns = sum(row.cooldowns for row in board.rows.values())
    spent = ", ".join(row.id for row in board.rows.values() if row.spent) or "none"
    yield ""
    yield f"answers     {received.answers}, {received.streams} of them streams"
    yield f"errors      {errors}"
    yield f"retries     {board.retries}"
    yield f"fallbacks   {board.fallbacks}"
    yield f"waits       {board.waits} for a free deployment; {board.waited:.1f} s waited in all"
    yield f"cooldowns   {cooldowns}"
    yield f"cache       {board.cache_hits} answers"
    yield f"budgets     {spent} used up"
    yield f"tokens      {board.tokens}"
    yield f"cost        ${board.cost:.6f}"
    if result.story:
        yield ""
        yield "One that fell back, explained:"
        yield from (f"  {line}" for line in result.story)


def _verdict(received: Received, requests: int) -> int:
    for text in received.unclear:
        complain(f"not a typed error: {text}")
    lost = requests - received.answers - received.errors.total() - len(received.unclear)
    if lost:
        complain(f"{lost} requests got no reply")
    return EXIT_FAILED if lost or received.unclear else 0


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        msg = f"{text!r}: must be a positive number"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        msg = f"{text!r}: must be a positive number"
        raise argparse.ArgumentTypeError(msg)
    return rate
