"""The same from a synchronous caller, whose router lives on a thread of its own."""

from __future__ import annotations

import asyncio
import threading

from turnout import Router

from ..load import blocking_one_by_one, p50
from ..progress import say
from ..report import Figure
from ..workload import GROUP, MESSAGES, mock_list

BATCH = 250


def measure(*, quick: bool = False) -> list[Figure]:
    """The goal of this one is a multiple of a peer's: see `bench.peers`."""
    rounds = 4 if quick else 20
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bench-loop")
    thread.start()
    try:
        return [compare(loop, rounds)]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def compare(loop: asyncio.AbstractEventLoop, rounds: int) -> Figure:
    """Requests, and bare round trips to a thread with an event loop, in turn."""
    with Router(model_list=mock_list()) as router:

        def call() -> None:
            router.completion(model=GROUP, messages=MESSAGES)

        def round_trip() -> None:
            asyncio.run_coroutine_threadsafe(nothing(), loop).result()

        blocking_one_by_one(call, BATCH)
        bare, routed = [], []
        for number in range(rounds):
            say(f"overhead, synchronous: round {number + 1} of {rounds}")
            bare.append(p50(blocking_one_by_one(round_trip, BATCH)))
            routed.append(p50(blocking_one_by_one(call, BATCH)))
    return Figure(
        what="the same from a synchronous caller: p50 over a bare round trip to a loop's thread",
        measured=p50([ours / theirs for ours, theirs in zip(routed, bare, strict=True)]),
        detail=f"{p50(routed) / 1000:.1f} us against {p50(bare) / 1000:.1f} us",
    )


async def nothing() -> None:
    """The least that a loop in another thread can be asked."""
