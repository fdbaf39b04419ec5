"""What it costs to record why a deployment was chosen, as a share of all that a router costs.

Timed by itself, with the objects of a live router: building the decision from what the choice left at
hand, making its event, and handing that to the journal. The rest of a pick is needed to serve.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from turnout import Router
from turnout.actors.model_group.roster import Roster
from turnout.messages.events import DeploymentPicked

from ..load import one_by_one, p50, wake_up
from ..progress import say
from ..report import Figure
from ..workload import GROUP, MESSAGES, mock_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOAL = 0.10
BATCH = 250
STREAM = "request/bench"


def measure(*, quick: bool = False) -> list[Figure]:
    return [asyncio.run(compare(rounds=8 if quick else 60))]


async def compare(rounds: int) -> Figure:
    async with Router(model_list=mock_list()) as router:

        async def call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES)

        await one_by_one(call, BATCH)
        record = await recording(router, call)
        shares = []
        for number in range(rounds):
            say(f"decisions: round {number + 1} of {rounds}")
            bare = p50(await one_by_one(wake_up, BATCH))
            overhead = p50(await one_by_one(call, BATCH)) - bare
            shares.append(spent(record) / overhead)
    return Figure(
        what="recording decisions, as a share of a mock request's overhead: p50",
        measured=p50(shares),
        goal=GOAL,
        detail="build the decision, make its event, hand it to the journal",
        unit="",
    )


async def recording(router: Router, call: Callable[[], Any]) -> Callable[[], None]:
    """Records the decision of one real pick, as the group and the Supervisor do."""
    with seen_picks() as picks:
        await call()
    roster, arguments = picks[0]
    append, versions = router._journal.append, itertools.count(1)

    def record() -> None:
        decision = roster._decision(*arguments)
        append(STREAM, next(versions), 0.0, DeploymentPicked("bench", "bench-1", 1, decision))

    return record


def spent(record: Callable[[], None]) -> int:
    """Nanoseconds of recording once."""
    samples = []
    for _ in range(BATCH):
        started = time.perf_counter_ns()
        record()
        samples.append(time.perf_counter_ns() - started)
    return int(p50(samples))


@contextmanager
def seen_picks() -> Iterator[list[Any]]:
    """What decisions are built from, while the context is open."""
    picks: list[Any] = []
    built = Roster._decision

    def noted(roster: Roster, *arguments: Any) -> Any:
        picks.append((roster, arguments))
        return built(roster, *arguments)

    Roster._decision = noted  # type: ignore[method-assign,assignment]
    try:
        yield picks
    finally:
        Roster._decision = built  # type: ignore[method-assign]
