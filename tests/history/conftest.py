"""Journals of routers that lived: with failures, cooldowns, restarts and changes."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from turnout import RequestError, Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "Hello"}]
START = 1_700_000_000


def entry(name, group="gpt-4", **params):
    litellm = {"model": "openai/gpt-4o", "rpm": 30, "tpm": 100_000, **params}
    return {"model_name": group, "litellm_params": litellm, "model_info": {"id": name}}


def providers():
    failing = SimulatedProvider(script=[500, 500, 500, 500, 429, 500], latency=0.3)
    return SimulatedProviders({"us": failing}, default=SimulatedProvider(latency=0.5))


def a_router(file, clock, **settings):
    fleet = [
        entry(
            "eu",
            max_budget=5.0,
            budget_duration="1d",
            input_cost_per_token=0.001,
            output_cost_per_token=0.002,
        ),
        entry("us"),
        entry("mini", "small"),
    ]
    told = {
        "num_retries": 1,
        "allowed_fails": 2,
        "cooldown_time": 20,
        "provider_budget_config": {"openai": {"max_budget": 50, "budget_duration": "1d"}},
        **settings,
    }
    return Router(fleet, journal=f"sqlite:///{file}", clock=clock, caller=providers(), seed=3, **told)


def use(router, clock, times=30, seconds=3.0):
    for number in range(times):
        try:
            router.completion("gpt-4" if number % 3 else "small", MESSAGES)
        except RequestError:
            continue
        finally:
            clock.advance(seconds)


@pytest.fixture
def past():
    """How a journal is come by: routers, and their use."""
    return SimpleNamespace(a_router=a_router, entry=entry, use=use)


@pytest.fixture(scope="session")
def lives(tmp_path_factory):
    """The file of a router that had three lives, the last with other settings and another deployment."""
    file = tmp_path_factory.mktemp("lives") / "turnout.db"
    clock = FakeClock(start=START)
    with a_router(file, clock) as router:
        use(router, clock)
    with a_router(file, clock) as router:
        use(router, clock, 10)
        router.add_deployment(entry("late"))
        router.update_deployment("us", rpm=99)
        use(router, clock, 10)
    with a_router(file, clock, allowed_fails=1) as router:
        router.delete_deployment("mini")
        use(router, clock, 10)
    return file


@pytest.fixture
def lived(lives, tmp_path):
    """A copy of it, to be spoilt."""
    return Path(shutil.copy(lives, tmp_path / "turnout.db"))
