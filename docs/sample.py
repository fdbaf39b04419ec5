"""Makes the journal that the pages and their pictures are of: five minutes of a router, one of them bad.

`python -m docs.sample turnout.db` in a checkout. It is the same each time: a fake clock, one seed.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnout import CompletionRequest, RateLimitError, RequestError, Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders, uniform

START = datetime(2026, 3, 1, 14, 0, tzinfo=UTC).timestamp()
SECONDS = 300
EVERY = 0.5
OUTAGE = range(120, 180)
"""Seconds in which azure-eu answers 503."""
TOLD = 136
"""When the request comes whose story the page on `explain` tells."""
HELLO = [{"role": "user", "content": "Hello"}]

WELL = {
    "azure-eu": SimulatedProvider(latency=uniform(0.5, 1.1), prompt_tokens=420, completion_tokens=160),
    "azure-us": SimulatedProvider(latency=uniform(0.8, 1.6), prompt_tokens=420, completion_tokens=160),
    "mini": SimulatedProvider(latency=uniform(0.3, 0.6), prompt_tokens=420, completion_tokens=150),
}
DOWN = SimulatedProvider(latency=0.25, error_rate=1.0, error=503)
BUSY = SimulatedProvider(latency=0.3, error_rate=1.0, error=RateLimitError("slow down", retry_after=2.0))
STREAM = SimulatedProvider(latency=0.4, chunk_seconds=0.05, text="word " * 30, prompt_tokens=420)


def deployment(name: str, group: str, cost: float, **params: Any) -> dict[str, Any]:
    return {
        "model_name": group,
        "litellm_params": {"model": f"azure/{name}", "api_base": "https://example.invalid", **params},
        "model_info": {"id": name, "input_cost_per_token": cost, "output_cost_per_token": 4 * cost},
    }


def write(file: Path) -> str:
    """Make the journal, and give the id of the request that the page tells of."""
    clock = FakeClock(start=START)
    by_deployment = dict(WELL)
    providers = SimulatedProviders(by_deployment, seed=7)
    router = Router(
        [
            deployment("azure-eu", "gpt-4", 2.5e-6, weight=3, rpm=200),
            deployment("azure-us", "gpt-4", 2.5e-6, weight=1, rpm=60),
            deployment("mini", "small", 0.2e-6),
        ],
        num_retries=2,
        retry_after=1,
        fallbacks=[{"gpt-4": ["small"]}],
        allowed_fails=3,
        cooldown_time=10,
        timeout=30,
        journal=f"sqlite:///{file}",
        clock=clock,
        caller=providers,
        seed=7,
    )
    with router:
        return _live(router, clock, by_deployment)


def _live(router: Router, clock: FakeClock, providers: dict[str, SimulatedProvider]) -> str:
    asked = CompletionRequest(model="gpt-4", messages=HELLO, max_tokens=200)
    first = CompletionRequest(model="gpt-4", messages=HELLO, max_tokens=200, stream=True, priority=0)
    futures: list[Any] = []
    told = None
    for number in range(int(SECONDS / EVERY)):
        second = number * EVERY
        providers["azure-eu"] = DOWN if int(second) in OUTAGE else WELL["azure-eu"]
        if second == TOLD:
            providers |= {"azure-us": BUSY, "mini": STREAM}
            told = router.ask(first, block=False)
        elif second == TOLD + 1:
            providers |= {"azure-us": WELL["azure-us"], "mini": WELL["mini"]}
        futures.append(router.ask(asked, block=False))
        clock.advance(EVERY)
    clock.advance(60)
    for future in futures:
        with suppress(RequestError):
            future.get()
    assert told is not None
    list(told.get())
    return str(told.request_id)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m docs.sample FILE", file=sys.stderr)
        return 2
    file = Path(sys.argv[1])
    if file.exists():
        print(f"{file} is there already", file=sys.stderr)
        return 1
    print(f"made {file}; the request with the longest story is {write(file)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
