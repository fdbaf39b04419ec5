"""Requests per second over HTTP, beside bare aiohttp against the same upstream."""

from __future__ import annotations

import asyncio

import aiohttp

from turnout import Router

from ..bare import chat
from ..children import upstream
from ..load import in_flight, p50
from ..progress import say
from ..report import Figure
from ..workload import GROUP, MESSAGES, WIDTH, http_list

GOAL = 0.75


def measure(*, quick: bool = False) -> list[Figure]:
    with upstream() as url:
        return [asyncio.run(compare(f"{url}/v1", rounds=3 if quick else 12, count=600 if quick else 2000))]


async def compare(url: str, rounds: int, count: int) -> Figure:
    async with Router(model_list=http_list(url)) as router, aiohttp.ClientSession() as session:

        async def routed_call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES)

        async def bare_call() -> None:
            await chat(session, url)

        bare, routed = [], []
        for number in range(rounds + 1):  # the first opens the connections and does not count
            say(f"over HTTP: round {number} of {rounds}")
            bare.append(await in_flight(bare_call, count, WIDTH))
            routed.append(await in_flight(routed_call, count, WIDTH))
    del bare[0], routed[0]
    return Figure(
        what=f"over HTTP, {WIDTH} in flight: requests per second over bare aiohttp's",
        measured=p50([ours / theirs for ours, theirs in zip(routed, bare, strict=True)]),
        goal=GOAL,
        better="higher",
        detail=f"{p50(routed):.0f}/s against {p50(bare):.0f}/s",
    )
