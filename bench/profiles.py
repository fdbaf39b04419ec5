"""Where the time goes: `python -m bench.profiles mock|http|stream [--sort cumulative] [--lines 40]`.

cProfile makes small functions look dearer than they are; use it to find what is called too often,
and `bench.run` to see whether a change helped.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import pstats
import sys
from typing import TYPE_CHECKING, Any, cast

from turnout import Router

from .children import upstream
from .load import in_flight, one_by_one
from .workload import GROUP, MESSAGES, WIDTH, http_list, mock_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Sequence

WARM_UP = 200
REQUESTS = {"mock": 20_000, "http": 5_000, "stream": 40}


async def serve(
    profile: cProfile.Profile, path: str, model_list: Sequence[dict[str, Any]], count: int
) -> None:
    """Make requests, the later ones under the profiler."""
    async with Router(model_list=list(model_list)) as router:

        async def call() -> None:
            await router.acompletion(model=GROUP, messages=MESSAGES)

        async def stream() -> None:
            answer = await router.acompletion(model=GROUP, messages=MESSAGES, stream=True)
            async for _ in cast("AsyncIterable[object]", answer):
                pass

        await one_by_one(stream if path == "stream" else call, min(WARM_UP, count))
        with profile:
            if path == "http":
                await in_flight(call, count, WIDTH)
            else:
                await one_by_one(stream if path == "stream" else call, count)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profiles", description="Profile one path.")
    parser.add_argument("path", choices=REQUESTS)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--sort", choices=["tottime", "cumulative", "ncalls"], default="tottime")
    parser.add_argument("--lines", type=int, default=40)
    arguments = parser.parse_args()
    profile = cProfile.Profile()
    count = arguments.requests or REQUESTS[arguments.path]
    with contextlib.ExitStack() as stack:
        if arguments.path == "mock":
            model_list = mock_list()
        else:
            model_list = http_list(f"{stack.enter_context(upstream())}/v1")
        asyncio.run(serve(profile, arguments.path, model_list, count))
    print(f"{count} requests")
    pstats.Stats(profile).sort_stats(arguments.sort).print_stats(arguments.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
