"""A router that caches, on a fake clock, over simulated providers whose calls are counted."""

from __future__ import annotations

from typing import Any

import pytest

from turnout import CompletionRequest, Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

PROMPT = "a prompt that nobody but the provider may see"


def deployment(deployment_id: str, group: str = "gpt-4", **params: Any) -> dict[str, Any]:
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o", **params},
        "model_info": {"id": deployment_id},
    }


class House:
    """A router with deployments `eu` and `us` of group gpt-4 and `mini` of group small."""

    def __init__(self, providers: dict[str, Any] | None = None, **settings: Any) -> None:
        self.clock = FakeClock()
        self.providers = SimulatedProviders(
            {
                name: SimulatedProvider(script=how) if isinstance(how, list) else how
                for name, how in (providers or {}).items()
            }
        )
        entries = settings.pop("model_list", [deployment("eu"), deployment("mini", "small")])
        self.router = Router(
            entries, clock=self.clock, seed=7, caller=self.providers, cache_responses=True, **settings
        )

    @property
    def calls(self) -> int:
        """Made upstream so far."""
        return sum(self.providers.calls.values())

    def request(self, text: str = PROMPT, model: str = "gpt-4", **fields: Any) -> CompletionRequest:
        return CompletionRequest(model=model, messages=[{"role": "user", "content": text}], **fields)

    def ask(self, text: str = PROMPT, model: str = "gpt-4", **fields: Any) -> Any:
        return self.router.ask(self.request(text, model, **fields))

    def send(self, text: str = PROMPT, model: str = "gpt-4", **fields: Any) -> Any:
        return self.router.ask(self.request(text, model, **fields), block=False)

    def health(self) -> dict[str, Any]:
        return self.router.health()["cache"]

    def story(self, answer: Any) -> list[str]:
        events = self.router.events(f"request/{answer.route.request_id}")
        return [recorded.event.TYPE for recorded in events]


@pytest.fixture
def house():
    """Opens houses and closes them; nothing may be left in flight, and no timer on the clock."""
    houses: list[House] = []

    def open_house(*args: Any, **kwargs: Any) -> House:
        houses.append(House(*args, **kwargs))
        return houses[-1]

    open_house.deployment = deployment
    yield open_house
    for one in houses:
        one.router.close()
        assert one.clock.next_timer() is None, "a timer outlived its router"
