"""What keeping every event in SQLite costs, beside keeping them in memory.

A round makes a router, serves, and closes it; the close is part of the time, so a backlog that the
writer still has to commit is paid for in the round that made it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout import Router

from ..children import upstream
from ..load import in_flight, p50
from ..progress import say
from ..report import Figure
from ..workload import GROUP, MESSAGES, WIDTH, http_list, mock_list

if TYPE_CHECKING:
    from collections.abc import Sequence

GOAL = 0.8


def measure(*, quick: bool = False) -> list[Figure]:
    rounds = 3 if quick else 7
    mocked = compare("mock", mock_list(), rounds, 3_000 if quick else 20_000)
    with upstream() as url:
        routed = compare("HTTP", http_list(f"{url}/v1"), rounds, 1_000 if quick else 6_000)
    return [routed, mocked]


def compare(kind: str, model_list: Sequence[dict[str, Any]], rounds: int, count: int) -> Figure:
    memory, sqlite = [], []
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        for number in range(rounds):
            say(f"journal, {kind}: round {number + 1} of {rounds}")
            database = Path(folder) / f"{number}.db"
            memory.append(asyncio.run(throughput(model_list, "memory", count)))
            sqlite.append(asyncio.run(throughput(model_list, f"sqlite:///{database}", count)))
    return Figure(
        what=f"throughput with the SQLite journal over memory's, {kind}, {WIDTH} in flight",
        measured=p50([ours / theirs for ours, theirs in zip(sqlite, memory, strict=True)]),
        goal=GOAL,
        better="higher",
        detail=f"{p50(sqlite):.0f}/s against {p50(memory):.0f}/s",
    )


async def throughput(model_list: Sequence[dict[str, Any]], journal: str, count: int) -> float:
    """Requests per second, from the first request until the router is closed."""
    async with Router(model_list=list(model_list), journal=journal) as router:

        async def call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES)

        await in_flight(call, WIDTH, WIDTH)
        started = time.perf_counter()
        await in_flight(call, count, WIDTH)
    return count / (time.perf_counter() - started)
