"""How calls are made and timed. Nothing here knows what a router is."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    AsyncCall = Callable[[], Awaitable[Any]]

__all__ = ["blocking_one_by_one", "in_flight", "one_by_one", "p50", "wake_up"]


async def one_by_one(call: AsyncCall, count: int) -> list[int]:
    """Nanoseconds of each of `count` calls, one after another, on the running loop."""
    samples = []
    clock = time.perf_counter_ns
    for _ in range(count):
        started = clock()
        await call()
        samples.append(clock() - started)
    return samples


def blocking_one_by_one(call: Callable[[], object], count: int) -> list[int]:
    """The same for a synchronous call."""
    samples = []
    clock = time.perf_counter_ns
    for _ in range(count):
        started = clock()
        call()
        samples.append(clock() - started)
    return samples


async def in_flight(call: AsyncCall, count: int, width: int) -> float:
    """Calls per second when `count` of them are made with `width` under way at any time."""
    tickets = iter(range(count))

    async def worker() -> None:
        for _ in tickets:
            await call()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as workers:
        for _ in range(width):
            workers.create_task(worker())
    return count / (time.perf_counter() - started)


async def wake_up() -> None:
    """The yardstick: the least that any asynchronous answer costs, one future woken by the loop."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future


def p50(samples: Sequence[float]) -> float:
    return statistics.median(samples)
