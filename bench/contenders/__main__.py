"""A contender's process: `python -m bench.contenders MODULE FIGURE URL`.

It makes its router once, says `ready`, and then, for each number on stdin, makes that many calls and
prints what it measured: the median nanoseconds of one (`mock`, `mock_sync`) or calls per second
(`over_http`). It ends when its stdin does. Between rounds it sleeps, so contenders take turns.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import TYPE_CHECKING

from ..load import blocking_one_by_one, in_flight, one_by_one, p50
from ..workload import WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Reply = Callable[[object], None]


def own_stdout() -> Reply:
    """Answer on the real stdout; whatever a router writes there goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return lambda value: print(value, file=answers, flush=True)


async def mock(contender: ModuleType, reply: Reply) -> None:
    async with contender.mock() as call:
        reply("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            reply(p50(await one_by_one(call, int(line))))


def mock_sync(contender: ModuleType, reply: Reply) -> None:
    with contender.mock_sync() as call:
        reply("ready")
        for line in sys.stdin:
            reply(p50(blocking_one_by_one(call, int(line))))


async def over_http(contender: ModuleType, reply: Reply, url: str) -> None:
    async with contender.over_http(url) as call:
        reply("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            reply(await in_flight(call, int(line), WIDTH))


def main() -> None:
    name, figure, url = sys.argv[1:]
    reply = own_stdout()
    contender = importlib.import_module(f"bench.contenders.{name}")
    if figure == "mock_sync":
        mock_sync(contender, reply)
    else:
        asyncio.run(mock(contender, reply) if figure == "mock" else over_http(contender, reply, url))


if __name__ == "__main__":
    main()
