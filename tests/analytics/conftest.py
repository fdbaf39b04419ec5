"""Routers whose use is counted."""

import pytest

from turnout import Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]


def entry(name, group="gpt-4", **params):
    params = {"model": "openai/gpt-4o", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6, **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": name}}


@pytest.fixture
def make_router():
    """Makes a router on a fake clock; providers answer in half a second unless told otherwise."""
    made = []

    def make(entries, providers=None, **settings):
        settings.setdefault("clock", FakeClock(start=1_000_000))
        quick = SimulatedProviders(
            {name: SimulatedProvider(**how) for name, how in (providers or {}).items()},
            default=SimulatedProvider(latency=0.5, text="Because of light"),
        )
        router = Router(entries, caller=quick, seed=1, **settings)
        made.append(router)
        return router

    yield make
    for router in made:
        router.close()


@pytest.fixture
def ask():
    """Asks a router something."""
    return lambda router, group="gpt-4", **params: router.completion(group, MESSAGES, **params)


@pytest.fixture
def deployment():
    """Makes one entry of a model list."""
    return entry
