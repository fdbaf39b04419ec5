"""What the features cost a request when they are switched on, and what a cache saves."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from turnout import CompletionRequest, Router
from turnout.integrations.custom_logger import CustomLogger

from ..load import one_by_one, p50
from ..progress import say
from ..report import Figure
from ..workload import GROUP, MESSAGES, mock_list

GOAL_ALL_ON = 1.4
GOAL_HIT = 1.0
BATCH = 250
IDENTICAL = 100


class Quiet(CustomLogger):
    """Listens to everything and does nothing with it."""


FEATURES: dict[str, dict[str, Any]] = {
    "a cache that misses": {"cache_responses": True},
    "callbacks": {"callbacks": [Quiet()]},
    "pre-call checks": {"enable_pre_call_checks": True},
}
UNPRICED = {"model": "openai/nobody-knows-its-price"}
PRICED = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "max_input_tokens": 128_000}


def measure(*, quick: bool = False) -> list[Figure]:
    rounds = 8 if quick else 60
    everything = {name: value for settings in FEATURES.values() for name, value in settings.items()}
    figures = [asyncio.run(compare("caching, callbacks, prices and pre-call checks", everything, rounds))]
    for name, settings in FEATURES.items():
        figures.append(asyncio.run(compare(name, settings, rounds)))
    figures.append(asyncio.run(hits(rounds)))
    figures.append(asyncio.run(identical()))
    return figures


def deployments(*, priced: bool) -> list[dict[str, Any]]:
    """Those of the other figures, with everything known of them or nothing."""
    entries = mock_list()
    for entry in entries:
        if priced:
            entry["model_info"].update(PRICED)
        else:
            entry["litellm_params"].update(UNPRICED)
    return entries


async def compare(name: str, settings: dict[str, Any], rounds: int) -> Figure:
    """A request with these features, over one without any; the same message never comes twice."""
    numbers = itertools.count()
    async with (
        Router(deployments(priced=False)) as plain,
        Router(deployments(priced=True), **settings) as full,
    ):

        def asking(router: Router) -> Any:
            async def call() -> None:
                content = f"Say hello to number {next(numbers)}."
                await router.acompletion(model=GROUP, messages=[{"role": "user", "content": content}])

            return call

        ratio, detail = await in_turn(name, asking(full), asking(plain), rounds)
    goal = GOAL_ALL_ON if settings.keys() >= {"cache_responses", "callbacks"} else None
    return Figure(f"mock request with {name}, over one without", ratio, goal=goal, detail=detail)


async def hits(rounds: int) -> Figure:
    """The same question again and again, over the same asked of the mock."""
    async with Router(mock_list(), cache_responses=True) as caching, Router(mock_list()) as plain:

        async def hit() -> None:
            await caching.acompletion(model=GROUP, messages=MESSAGES)

        async def mock() -> None:
            await plain.acompletion(model=GROUP, messages=MESSAGES)

        ratio, detail = await in_turn("a cache hit", hit, mock, rounds)
    return Figure("a cache hit in memory over a mock request", ratio, goal=GOAL_HIT, detail=detail)


async def in_turn(name: str, ours: Any, theirs: Any, rounds: int) -> tuple[float, str]:
    for call in (ours, theirs):
        await one_by_one(call, BATCH)
    with_it, without = [], []
    for number in range(rounds):
        say(f"features, {name}: round {number + 1} of {rounds}")
        with_it.append(p50(await one_by_one(ours, BATCH)))
        without.append(p50(await one_by_one(theirs, BATCH)))
    ratio = p50([mine / base for mine, base in zip(with_it, without, strict=True)])
    return ratio, f"{p50(with_it) / 1000:.1f} us against {p50(without) / 1000:.1f} us"


async def identical() -> Figure:
    """How many calls `IDENTICAL` equal requests at one moment make."""
    async with Router(mock_list(), cache_responses=True) as router:
        request = CompletionRequest(model=GROUP, messages=MESSAGES, mock_delay=0.01)
        await asyncio.gather(*(router.ask(request, block=False) for _ in range(IDENTICAL)))
        started = sum(recorded.event.TYPE == "call_started" for recorded in router.events())
    return Figure(f"calls for {IDENTICAL} identical requests at once", started, unit="calls", goal=1)
