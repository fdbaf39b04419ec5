"""What the router adds to one streamed chunk, over bare aiohttp, the SSE reader and the JSON decode.

CPU time of this process is compared, not time on the wall: waiting for the next chunk costs nothing,
and a router that worked only while the program would have waited anyway should not look free.
Two streams: one whose chunks are all there at once, one whose chunks arrive one by one.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import aiohttp
import msgspec

from turnout import Router
from turnout.actors.providers.sse import SseReader

from ..bare import chat_stream
from ..children import upstream
from ..load import in_flight, p50
from ..progress import say
from ..report import Figure
from ..upstream import STREAM_CHUNKS
from ..workload import GROUP, MESSAGES, http_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

GOAL_US = 8.0
STREAMS = 8
"""Under way at a time."""


def measure(*, quick: bool = False) -> list[Figure]:
    rounds = 3 if quick else 12
    with upstream() as url:
        return [
            asyncio.run(compare("all there at once", f"{url}/v1", rounds)),
            asyncio.run(compare("arriving one by one", f"{url}/paced/v1", rounds)),
        ]


async def compare(kind: str, url: str, rounds: int) -> Figure:
    async with Router(model_list=http_list(url)) as router, aiohttp.ClientSession() as session:

        async def routed_call() -> None:
            answer = await router.acompletion(model=GROUP, messages=MESSAGES, stream=True)
            chunks = 0
            async for _ in cast("AsyncIterable[object]", answer):  # neither side keeps them
                chunks += 1
            check(chunks)

        async def bare_call() -> None:
            check(await decoded(session, url))

        bare, routed = [], []
        for number in range(rounds + 1):  # the first opens the connections and does not count
            say(f"stream, {kind}: round {number} of {rounds}")
            bare.append(await microseconds_per_chunk(bare_call))
            routed.append(await microseconds_per_chunk(routed_call))
    del bare[0], routed[0]
    return Figure(
        what=f"one streamed chunk, {kind}: CPU time added by the router",
        measured=p50([ours - theirs for ours, theirs in zip(routed, bare, strict=True)]),
        unit="us",
        goal=GOAL_US,
        detail=f"{p50(routed):.1f} us against {p50(bare):.1f} us",
    )


async def decoded(session: aiohttp.ClientSession, url: str) -> int:
    """Read a stream with no router; how many chunks it had."""
    reader = SseReader()
    chunks = 0
    async for data in chat_stream(session, url):
        for event in reader.feed(data):
            if event.data != b"[DONE]":
                msgspec.json.decode(event.data)
                chunks += 1
    return chunks


def check(chunks: int) -> None:
    """Both sides must have seen the whole stream, or they cannot be compared."""
    if chunks < STREAM_CHUNKS:
        msg = f"a stream ended after {chunks} of {STREAM_CHUNKS} chunks"
        raise RuntimeError(msg)


async def microseconds_per_chunk(call: Callable[[], Awaitable[None]]) -> float:
    """CPU time of this process for one chunk."""
    started = time.process_time()
    await in_flight(call, STREAMS, STREAMS)
    return (time.process_time() - started) / (STREAMS * STREAM_CHUNKS) * 1e6
