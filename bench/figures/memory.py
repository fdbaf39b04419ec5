"""What one more deployment costs in memory: the slope between a small group and one of 10,000.

Both are measured in a fresh process after the same number of requests, so that what does not grow
with the deployments (code, the journal in memory) is in both and falls out.
"""

from __future__ import annotations

import asyncio
import sys

from turnout import Router

from ..children import module
from ..load import in_flight
from ..progress import say
from ..report import Figure
from ..resident import resident_bytes
from ..workload import GROUP, MESSAGES, mock_list

GOAL_KB = 15.0
FEW = 10
MANY = 10_000
QUICK_MANY = 1_000
REQUESTS_EACH = 3
"""Requests for each deployment of the large group on the average; some get none, most get some."""

LIMIT_SECONDS = 300.0


def measure(*, quick: bool = False) -> list[Figure]:
    many = QUICK_MANY if quick else MANY
    small = resident_of(FEW, many * REQUESTS_EACH)
    large = resident_of(many, many * REQUESTS_EACH)
    return [
        Figure(
            what=f"memory for one deployment, {many:,} in a group",
            measured=(large - small) / (many - FEW) / 1024,
            unit="KB",
            goal=GOAL_KB,
            detail=f"{large / 2**20:.0f} MB with {many:,}, {small / 2**20:.0f} MB with {FEW}",
        )
    ]


def resident_of(deployments: int, requests: int) -> int:
    """Bytes held by a fresh process whose router has so many deployments."""
    say(f"memory: {deployments:,} deployments, {requests:,} requests")
    return int(module(__name__, str(deployments), str(requests), seconds=LIMIT_SECONDS))


async def serve(deployments: int, requests: int) -> int:
    async with Router(model_list=mock_list(deployments)) as router:

        async def call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES)

        await in_flight(call, requests, width=8)
        return resident_bytes()


if __name__ == "__main__":
    print(asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]))))
