"""What the demo shows: three groups over one upstream that misbehaves, and the requests sent to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...testing.upstream.behaviour import Behaviour, Rate, Span

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

__all__ = ["BEHAVIOURS", "NOTES", "SETTINGS", "Planned", "model_list", "plan"]

STREAM_EVERY = 4
POPULAR = 3
"""Questions that are asked again and again, so that the cache has something to do."""

POPULAR_SHARE = 0.2
TOKENS_PER_MILLION = 1_000_000


@frozen
class _Part:
    """One deployment of the scene; prices are US dollars per million tokens."""

    group: str
    id: str
    note: str
    behaviour: Behaviour
    price: tuple[float, float]
    params: dict[str, Any]


PARTS = (
    _Part("fast", "fast-eu", "quick", Behaviour(Span(0.04, 0.02), 0.005), (0.15, 0.60), {}),
    _Part(
        "fast",
        "fast-us",
        "every 6th call fails",
        Behaviour(Span(0.05, 0.02), 0.005, error_rate=0.17, error_status=503),
        (0.15, 0.60),
        {},
    ),
    _Part(
        "fast",
        "fast-small",
        "2 calls a second, then 429",
        Behaviour(Span(0.03, 0.01), 0.005, rate_limit=Rate(2), retry_after=1),
        (0.10, 0.40),
        {},
    ),
    _Part(
        "smart",
        "smart-slow",
        "slow, 2 at a time, may cost $0.002",
        Behaviour(Span(0.35, 0.15), 0.01, words=30),
        (2.50, 10.0),
        {"max_parallel_requests": 2, "max_budget": 0.002, "budget_duration": "1h"},
    ),
    _Part(
        "smart",
        "smart-cuts",
        "cuts streams, 2 at a time",
        Behaviour(Span(0.25, 0.1), 0.01, words=30, cut_streams=0.5),
        (2.50, 10.0),
        {"max_parallel_requests": 2},
    ),
    _Part(
        "cheap",
        "cheap-broken",
        "always fails",
        Behaviour(Span(0.02, 0.01), error_rate=1.0),
        (0.05, 0.20),
        {},
    ),
    _Part(
        "cheap",
        "cheap-tiny",
        "1 call a second, then 429",
        Behaviour(Span(0.08, 0.04), 0.005, rate_limit=Rate(1), retry_after=2),
        (0.05, 0.20),
        {},
    ),
)

SHARES = {"fast": 0.5, "smart": 0.25, "cheap": 0.25}
"""Which part of the requests asks for which group."""

SETTINGS: dict[str, Any] = {
    "num_retries": 2,
    "fallbacks": [{"cheap": ["fast", "smart"]}, {"fast": ["smart"]}, {"smart": ["fast"]}],
    "on_exhausted": "wait",
    "timeout": 20.0,
    "allowed_fails": 2,
    "cooldown_time": 1.0,
    "cache_responses": True,
}
BEHAVIOURS = {part.id: part.behaviour for part in PARTS}
NOTES = {part.id: part.note for part in PARTS}


def model_list(api_base: str) -> list[dict[str, Any]]:
    """The deployments of the scene at `api_base`."""
    return [
        {
            "model_name": part.group,
            "litellm_params": {"model": f"openai/{part.id}", "api_base": api_base, "api_key": "demo"}
            | {name: value / TOKENS_PER_MILLION for name, value in _prices(part)}
            | part.params,
            "model_info": {"id": part.id},
        }
        for part in PARTS
    ]


def _prices(part: _Part) -> Iterator[tuple[str, float]]:
    return zip(("input_cost_per_token", "output_cost_per_token"), part.price, strict=True)


@frozen
class Planned:
    """One request to come, `pause` seconds after the one before."""

    pause: float
    group: str
    stream: bool
    prompt: str


def plan(requests: int, per_second: float, rng: random.Random) -> list[Planned]:
    """The requests of one run: they come as customers do, at random moments; a quarter stream."""
    groups = rng.choices(list(SHARES), list(SHARES.values()), k=requests)
    return [
        Planned(rng.expovariate(per_second), group, number % STREAM_EVERY == 0, _prompt(number, rng))
        for number, group in enumerate(groups, start=1)
    ]


def _prompt(number: int, rng: random.Random) -> str:
    """A question of its own, or one that many ask."""
    if rng.random() < POPULAR_SHARE:
        return f"Popular question {rng.randrange(POPULAR)}"
    return f"Question {number}"
