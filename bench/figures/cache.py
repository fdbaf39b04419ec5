"""What a hit in memory costs beside a mock call through the whole path, and what a miss adds to one."""

from __future__ import annotations

import asyncio
import itertools

from turnout import Router

from ..load import one_by_one, p50
from ..progress import say
from ..report import Figure
from ..workload import GROUP, MESSAGES, mock_list

GOAL = 1.0
BATCH = 250
"""Requests of each kind in one round; a round is short beside the noise of the machine."""


def measure(*, quick: bool = False) -> list[Figure]:
    return asyncio.run(compare(rounds=8 if quick else 60))


async def compare(rounds: int) -> list[Figure]:
    plain, hits, misses = [], [], []
    numbers = itertools.count()
    async with Router(mock_list()) as router, Router(mock_list(), cache_responses=True) as caching:

        async def call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES, seed=next(numbers))

        async def hit() -> None:
            await caching.acompletion(model=GROUP, messages=MESSAGES)

        async def miss() -> None:
            await caching.acompletion(model=GROUP, messages=MESSAGES, seed=next(numbers))

        for number in range(rounds + 1):  # the first warms up and does not count
            say(f"cache: round {number} of {rounds}")
            plain.append(p50(await one_by_one(call, BATCH)))
            hits.append(p50(await one_by_one(hit, BATCH)))
            misses.append(p50(await one_by_one(miss, BATCH)))
    return [
        _figure("a hit in memory over a mock call", hits[1:], plain[1:], GOAL),
        _figure("a mock call that the cache missed over one without a cache", misses[1:], plain[1:], None),
    ]


def _figure(what: str, ours: list[float], plain: list[float], goal: float | None) -> Figure:
    return Figure(
        what=what,
        measured=p50([one / other for one, other in zip(ours, plain, strict=True)]),
        goal=goal,
        detail=f"{p50(ours) / 1000:.1f} us against {p50(plain) / 1000:.1f} us",
    )
