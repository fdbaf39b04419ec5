"""A router on a fake clock whose deployments come, change and go."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from turnout import CompletionRequest, Router
from turnout.actors.journal.codec import encode_event
from turnout.messages.events import CallStarted
from turnout.supervisor.fleet.fleet import Fleet
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

KEY = "sk-" + "live0123456789abcdef"
FINAL = {"request_succeeded", "request_failed", "request_cancelled"}
ENDS = {"call_succeeded", "call_failed", "call_cancelled", "call_abandoned"}
MESSAGES = [{"role": "user", "content": "a prompt that nobody but the provider may see"}]


def entry(deployment_id: str, group: str = "gpt-4", **params: Any) -> dict[str, Any]:
    """A `model_list` entry."""
    params = {"model": "openai/gpt-4o", "api_key": KEY, **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": deployment_id}}


class Port:
    """A router, its simulated providers and its clock."""

    def __init__(
        self,
        *entries: dict[str, Any],
        providers: dict[str, SimulatedProvider] | None = None,
        default: SimulatedProvider | None = None,
        start: float = 1_000_000.0,
        model_list: Any = ...,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock(start=start)
        self.providers = SimulatedProviders(providers or {}, default=default or SimulatedProvider())
        listed = list(entries) if model_list is ... else model_list
        self.router = Router(listed, clock=self.clock, seed=7, caller=self.providers, **settings)

    def request(self, model: str = "gpt-4", **fields: Any) -> CompletionRequest:
        return CompletionRequest(model=model, messages=MESSAGES, **fields)

    def ask(self, model: str = "gpt-4", **fields: Any) -> Any:
        return self.router.ask(self.request(model, **fields))

    def send(self, model: str = "gpt-4", **fields: Any) -> Any:
        return self.router.ask(self.request(model, **fields), block=False)

    def served(self, model: str = "gpt-4", **fields: Any) -> str:
        """The deployment that answers."""
        return self.ask(model, **fields).route.deployment_id

    def error(self, model: str = "gpt-4", **fields: Any) -> Any:
        with pytest.raises(Exception) as caught:  # noqa: PT011  (the test looks at what it is)
            self.ask(model, **fields)
        return caught.value

    @property
    def ids(self) -> list[str]:
        return [item["model_info"]["id"] for item in self.router.get_deployments()]

    def state(self, deployment_id: str) -> dict[str, Any]:
        return self.router.health()["deployments"][deployment_id]["state"]

    def line(self, deployment_id: str) -> str:
        return self.router.health()["deployments"][deployment_id]["line"]

    def story(self, stream: str | None = "router") -> list[str]:
        return [recorded.event.TYPE for recorded in self.router.events(stream)]

    def config(self, deployment_id: str) -> dict[str, Any]:
        found = {item["model_info"]["id"]: item for item in self.router.get_deployments()}
        return found[deployment_id]

    def audit(self) -> None:
        """I1, I4, I8, I10, I11, I12, of what the books show."""
        self.router.close()
        recorded = self.router.events()
        fleet, streams = Fleet(), defaultdict(list)
        for item in recorded:
            streams[item.stream].append(item)
            assert KEY.encode() not in encode_event(item.event)
            assert MESSAGES[0]["content"].encode() not in encode_event(item.event)
            fleet.apply(item.event)
        for name, items in streams.items():
            assert [item.version for item in items] == list(
                range(items[0].version, items[0].version + len(items))
            ), name
            types = [item.event.TYPE for item in items]
            if name.startswith("request/"):
                assert sum(kind in FINAL for kind in types) == 1, types
                assert types[-1] in FINAL
            elif name.startswith("deployment/"):
                started = sum(isinstance(item.event, CallStarted) for item in items)
                assert started == sum(kind in ENDS for kind in types)
        assert fleet.snapshot() == self.router._wiring.fleet.fleet.snapshot()
        assert Fleet.restore(fleet.snapshot()).snapshot() == fleet.snapshot()
        assert self.clock.next_timer() is None, "a timer outlived its router"


@pytest.fixture
def port():
    """Opens routers; at the end each is closed and audited."""
    ports: list[tuple[Port, bool]] = []

    def open_port(*entries: Any, audit: bool = True, **settings: Any) -> Port:
        made = Port(*entries, **settings)
        ports.append((made, audit))
        return made

    yield open_port
    for made, audit in ports:
        made.router.close()
        if audit:
            made.audit()


@pytest.fixture(name="entry")
def entry_():
    return entry
