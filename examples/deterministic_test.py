"""How to test what is built on a router: no network, no waiting, the same every time.

    python -m pytest examples/deterministic_test.py

`summarise` stands for your own code; it takes the router it is to use.
"""

from __future__ import annotations

import pytest

from turnout import NoDeploymentsAvailable, Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

ENTRY = {
    "model_name": "writer",
    "litellm_params": {"model": "openai/gpt-4o", "rpm": 2},
    "model_info": {"id": "a"},
}


def summarise(router: Router, texts: list[str]) -> list[str]:
    """A line for each text; waits for the provider's limit rather than fail."""
    answers = (
        router.completion(
            "writer", [{"role": "user", "content": f"Summarise: {text}"}], priority=1, timeout=300
        )
        for text in texts
    )
    return [answer.choices[0].message.content for answer in answers]


def make_router(provider: SimulatedProvider, clock: FakeClock, **settings: object) -> Router:
    """A router whose only provider is simulated."""
    caller = SimulatedProviders({"a": provider})
    return Router([ENTRY], clock=clock, seed=1, caller=caller, **settings)


def test_five_texts_at_two_a_minute_take_two_minutes() -> None:
    clock = FakeClock(start=0)
    with make_router(SimulatedProvider(latency=1, text="in short"), clock) as router:
        assert summarise(router, ["one", "two", "three", "four", "five"]) == ["in short"] * 5
    assert clock.now() == 121


def test_without_a_priority_the_third_is_told_when_to_come_back() -> None:
    with make_router(SimulatedProvider(latency=1), FakeClock(start=0)) as router:
        for _ in range(2):
            router.completion("writer", [{"role": "user", "content": "Hi"}])
        with pytest.raises(NoDeploymentsAvailable) as caught:
            router.completion("writer", [{"role": "user", "content": "Hi"}])
    assert caught.value.retry_after == 58


def test_the_same_seed_tells_the_same_story() -> None:
    def story() -> list[str]:
        flaky = SimulatedProvider(error_rate=0.5, error=503)
        with make_router(flaky, FakeClock(start=0), num_retries=5, allowed_fails=0) as router:
            summarise(router, ["one", "two"])
            return [repr(recorded) for recorded in router.events()]

    assert story() == story()
