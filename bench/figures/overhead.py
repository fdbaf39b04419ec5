"""What a request costs before anything is asked of a provider, on the caller's own loop."""

from __future__ import annotations

import asyncio

from turnout import Router

from ..load import one_by_one, p50, wake_up
from ..progress import say
from ..report import Figure
from ..workload import GROUP, MESSAGES, mock_list

GOAL = 12.0
BATCH = 250
"""Wake-ups, then requests, in one round; a round is short beside the noise of the machine."""


def measure(*, quick: bool = False) -> list[Figure]:
    return [asyncio.run(compare(rounds=8 if quick else 60))]


async def compare(rounds: int) -> Figure:
    async with Router(model_list=mock_list()) as router:

        async def call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES)

        await one_by_one(call, BATCH)
        await one_by_one(wake_up, BATCH)
        bare, routed = [], []
        for number in range(rounds):
            say(f"overhead: round {number + 1} of {rounds}")
            bare.append(p50(await one_by_one(wake_up, BATCH)))
            routed.append(p50(await one_by_one(call, BATCH)))
    return Figure(
        what="mock request, 4 deployments, caller's loop: p50 over a bare future wake-up",
        measured=p50([ours / theirs for ours, theirs in zip(routed, bare, strict=True)]),
        goal=GOAL,
        detail=f"{p50(routed) / 1000:.1f} us against {p50(bare) / 1000:.2f} us",
    )
