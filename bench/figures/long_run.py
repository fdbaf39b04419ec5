"""A million requests: whether memory stays where it was after the first tenth of them."""

from __future__ import annotations

import asyncio
import time

from turnout import Router

from ..load import in_flight
from ..progress import say
from ..report import Figure
from ..resident import resident_bytes
from ..workload import GROUP, MESSAGES, mock_list

GOAL = 1.05
TENTHS = 10
WIDTH = 16
REQUESTS = 1_000_000
QUICK_REQUESTS = 400_000
"""Not fewer: a tenth of it must fill the journal in memory (100,000 events), which then stays full."""


def measure(*, quick: bool = False) -> list[Figure]:
    return [asyncio.run(run(QUICK_REQUESTS if quick else REQUESTS))]


async def run(requests: int) -> Figure:
    async with Router(model_list=mock_list()) as router:

        async def call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES)

        held, started = [], time.perf_counter()
        for tenth in range(1, TENTHS + 1):
            rate = await in_flight(call, requests // TENTHS, WIDTH)
            held.append(resident_bytes())
            made = tenth * requests // TENTHS
            say(f"long run: {made:,} of {requests:,}, {rate:,.0f}/s, {megabytes(held[-1])}")
    seconds = time.perf_counter() - started
    most, last = megabytes(max(held)), megabytes(held[-1])
    return Figure(
        what=f"{requests:,} mock requests: most memory held over that after the first tenth",
        measured=max(held) / held[0],
        goal=GOAL,
        detail=f"{megabytes(held[0])}, then at most {most}, {last} at the end; {seconds:.0f} s",
    )


def megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MB"
