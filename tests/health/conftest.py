"""Routers on a fake clock whose deployments are well, or not."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from turnout import CompletionRequest, Router
from turnout.actors.deployment.state import DeploymentState
from turnout.actors.journal.codec import encode_event
from turnout.messages.events import CallStarted, CheckStarted, HealthChecked
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

KEY = "sk-" + "live0123456789abcdef"
MESSAGES = [{"role": "user", "content": "a prompt that nobody but the provider may see"}]
DOWN = SimulatedProvider(error_rate=1.0)


def entry(deployment_id: str, group: str = "gpt-4", info: Any = None, **params: Any) -> dict[str, Any]:
    params = {"model": "openai/gpt-4o", "api_key": KEY, **params}
    return {
        "model_name": group,
        "litellm_params": params,
        "model_info": {"id": deployment_id, **(info or {})},
    }


class Ward:
    """A router, its simulated providers and its clock."""

    def __init__(self, *entries: Any, providers: Any = None, default: Any = None, **settings: Any) -> None:
        self.clock = settings.pop("clock", None) or FakeClock(start=1_000_000.0)
        self.providers = SimulatedProviders(providers or {}, default=default or SimulatedProvider())
        self.router = Router(list(entries), clock=self.clock, seed=7, caller=self.providers, **settings)

    def send(self, model: str = "gpt-4", **fields: Any) -> Any:
        return self.router.ask(CompletionRequest(model=model, messages=MESSAGES, **fields), block=False)

    def served(self, model: str = "gpt-4", **fields: Any) -> str:
        return self.send(model, **fields).get().route.deployment_id

    def serving(self, model: str = "gpt-4") -> set[str]:
        return {self.served(model) for _ in range(16)}

    def line(self, deployment_id: str) -> str:
        return self.router.health()["deployments"][deployment_id]["line"]

    def state(self, deployment_id: str) -> dict[str, Any]:
        return self.router.health()["deployments"][deployment_id]["state"]

    def checks(self, deployment_id: str | None = None) -> list[HealthChecked]:
        stream = None if deployment_id is None else f"deployment/{deployment_id}"
        found = (recorded.event for recorded in self.router.events(stream))
        return [event for event in found if isinstance(event, HealthChecked)]

    def audit(self) -> None:
        """I3, I4, I8, I10, I11, I12, checks included."""
        deployments, settings = self.router._wiring.fleet, self.router.settings
        self.router.close()
        streams = defaultdict(list)
        for item in self.router.events():
            streams[item.stream].append(item)
            written = encode_event(item.event)
            assert KEY.encode() not in written
            assert MESSAGES[0]["content"].encode() not in written
        for name, items in streams.items():
            versions = [item.version for item in items]
            assert versions == list(range(versions[0], versions[0] + len(versions)))
            berth = deployments.berths.get(name.removeprefix("deployment/"))
            if name.startswith("deployment/") and berth is not None:
                self._replays(items, deployments.limits(berth))
        assert self.clock.next_timer() is None, "a timer outlived its router"
        assert settings is self.router.settings

    @staticmethod
    def _replays(items: Any, limits: Any) -> None:
        state = DeploymentState("x", limits)
        tokens: dict[str, list[float]] = {}
        for number, item in enumerate(items):
            event = item.event
            if isinstance(event, (CallStarted, CheckStarted)):
                name = event.call_id if isinstance(event, CallStarted) else event.check_id
                tokens[name] = [item.at, event.reserved]
                recent = [used for at, used in tokens.values() if at > item.at - 60.0]
                assert limits.rpm is None or len(recent) <= limits.rpm
                assert limits.tpm is None or sum(recent) <= limits.tpm
            elif hasattr(event, "completion_tokens"):
                name = getattr(event, "call_id", None) or event.check_id
                tokens[name][1] = event.prompt_tokens + event.completion_tokens
            if number % 3 == 1:
                state = DeploymentState.restore("x", limits, json.loads(json.dumps(state.snapshot(item.at))))
            state.apply(event, item.at)
        assert not state.open
        totals = state.totals
        assert totals.started == totals.succeeded + totals.failed + totals.cancelled + totals.abandoned


@pytest.fixture
def ward():
    """Opens wards; each is closed and audited at the end."""
    wards: list[Ward] = []

    def open_ward(*entries: Any, **settings: Any) -> Ward:
        wards.append(Ward(*entries, **settings))
        return wards[-1]

    yield open_ward
    for made in wards:
        made.audit()


@pytest.fixture(name="entry")
def entry_():
    return entry


@pytest.fixture(name="down")
def down_():
    return DOWN
