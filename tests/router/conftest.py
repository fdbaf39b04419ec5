"""A router in a town of simulated providers, and an auditor who goes through its books afterwards.

Every router opened with `town(...)` is closed at the end of its test, and all that was recorded is
held against the invariants. So each test here is a test of I1-I6, I8, I10 and I11, whatever it is about.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from turnout import CompletionRequest, Router
from turnout.actors.deployment.state import DeploymentState
from turnout.actors.journal.codec import encode_event
from turnout.messages.events import CallStarted, DeploymentPicked, FellBack, RequestAccepted
from turnout.supervisor.planning.compile_rules import limits_of
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

PROMPT = "a prompt that nobody but the provider may see"
KEY = "sk-" + "live0123456789abcdef"

FINAL = {"request_succeeded", "request_failed", "request_cancelled"}


def entry(deployment_id: str, group: str, **fields: Any) -> dict[str, Any]:
    """A `model_list` entry; prices go to `model_info`, the rest to the parameters."""
    info = {name: fields.pop(name) for name in tuple(fields) if name.endswith("_cost_per_token")}
    params = {"model": "openai/gpt-4o", "api_key": KEY, **fields}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": deployment_id, **info}}


class Town:
    """A router on a fake clock; `deployments` maps an id to its group, or to `{"group": ..., ...}`."""

    def __init__(
        self,
        deployments: dict[str, str | dict[str, Any]],
        providers: dict[str, SimulatedProvider | list[Any]] | None = None,
        *,
        default: SimulatedProvider | None = None,
        clock: FakeClock | None = None,
        seed: int = 7,
        mocks: bool = False,
        caller: Any = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or FakeClock()
        self.start = self.clock.now()
        self.deployments = deployments
        self.providers = SimulatedProviders(
            {
                name: SimulatedProvider(script=item) if isinstance(item, list) else item
                for name, item in (providers or {}).items()
            },
            default=default or SimulatedProvider(),
            seed=seed,
        )
        self.router = Router(
            model_list=[
                entry(name, **({"group": item} if isinstance(item, str) else item))
                for name, item in deployments.items()
            ],
            clock=self.clock,
            seed=seed,
            caller=None if mocks else caller or self.providers,
            **settings,
        )

    # -- asking

    def request(self, model: str = "gpt-4", **fields: Any) -> CompletionRequest:
        return CompletionRequest(
            **{"model": model, "messages": [{"role": "user", "content": PROMPT}], **fields}
        )

    def ask(self, model: str = "gpt-4", **fields: Any) -> Any:
        return self.router.ask(self.request(model, **fields))

    def send(self, model: str = "gpt-4", **fields: Any) -> Any:
        return self.router.ask(self.request(model, **fields), block=False)

    def error(self, model: str = "gpt-4", **fields: Any) -> Any:
        """The error that a request ends in."""
        with pytest.raises(Exception) as caught:  # noqa: PT011  (the test looks at what it is)
            self.ask(model, **fields)
        return caught.value

    # -- looking

    @property
    def passed(self) -> float:
        """Seconds since the router started."""
        return round(self.clock.now() - self.start, 6)

    @property
    def calls(self) -> dict[str, int]:
        return self.providers.calls

    def story(self, stream: str | None = None) -> list[str]:
        """The types of the events of a stream."""
        return [recorded.event.TYPE for recorded in self.router.events(stream)]

    def found(self, kind: type) -> list[Any]:
        """Every event of a class."""
        return [recorded.event for recorded in self.router.events() if type(recorded.event) is kind]

    def state(self, deployment_id: str) -> dict[str, Any]:
        return self.router.health()["deployments"][deployment_id]["state"]

    def line(self, deployment_id: str) -> str:
        return self.router.health()["deployments"][deployment_id]["line"]

    def audit(self) -> None:
        """Close the router and go through its books."""
        self.router.close()
        Auditor(self.router).audit()
        assert self.clock.next_timer() is None, "a timer outlived its router"

    def open_calls(self) -> int:
        return sum(len(entry["state"]["open"]) for entry in self.router.health()["deployments"].values())


class Auditor:
    """Goes through everything a router recorded and asserts the invariants that its books can show."""

    def __init__(self, router: Router) -> None:
        self.recorded = router.events()
        self.settings = router.settings
        self.deployments = router._wiring.deployments
        self.streams: dict[str, list[Any]] = defaultdict(list)
        for item in self.recorded:
            self.streams[item.stream].append(item)

    def audit(self) -> None:
        self.versions_are_contiguous()
        for name, items in self.streams.items():
            if name.startswith("request/"):
                self.request_is_answered_once_and_in_time(items)
                self.groups_are_tried_once_and_no_failed_deployment_again_while_another_will_do(items)
            elif name.startswith("deployment/"):
                self.deployment_keeps_its_limits(name.partition("/")[2], items)
        self.nothing_secret_was_written()

    def versions_are_contiguous(self) -> None:
        """I10"""
        positions = [item.position for item in self.recorded]
        assert positions == sorted(set(positions))
        for name, items in self.streams.items():
            first = items[0].version
            assert [item.version for item in items] == list(range(first, first + len(items))), name

    def request_is_answered_once_and_in_time(self, items: list[Any]) -> None:
        """I1"""
        finals = [item for item in items if item.event.TYPE in FINAL]
        accepted = items[0].event
        assert isinstance(accepted, RequestAccepted)
        assert len(finals) == 1, [item.event for item in items]
        assert finals[0] is items[-1]
        assert finals[0].at <= accepted.deadline + 1e-6

    def groups_are_tried_once_and_no_failed_deployment_again_while_another_will_do(
        self, items: list[Any]
    ) -> None:
        """I5, I6"""
        groups = [items[0].event.group]
        failed: set[str] = set()
        for item in items:
            event = item.event
            if isinstance(event, FellBack):
                assert event.to_group not in groups
                groups.append(event.to_group)
                failed.clear()
            elif event.TYPE == "attempt_failed" and event.deployment_id:
                failed.add(event.deployment_id)
            elif isinstance(event, DeploymentPicked) and event.decision.deployment_id in failed:
                assert event.decision.eligible <= len(failed), event
        assert len(groups) - 1 <= self.settings.max_fallbacks

    def deployment_keeps_its_limits(self, deployment_id: str, items: list[Any]) -> None:
        """I2, I4, and I8: what was recorded can be replayed at all, from any snapshot on the way."""
        self.windows_hold(deployment_id, items)
        limits = limits_of(self.deployments[deployment_id], self.settings)
        state = DeploymentState(deployment_id, limits)
        for number, item in enumerate(items):
            event = item.event
            if isinstance(event, CallStarted):
                breaker = state.breaker
                assert not breaker.trips or (item.at >= breaker.until and breaker.probe is None), event
                assert event.probe == bool(breaker.trips)
            if number % 7 == 3:
                copy = json.loads(json.dumps(state.snapshot(item.at)))
                state = DeploymentState.restore(deployment_id, limits, copy)
            state.apply(event, item.at)
            assert limits.max_parallel is None or len(state.open) <= limits.max_parallel
        assert not state.open, "calls left open"
        totals = state.totals
        assert totals.started == totals.succeeded + totals.failed + totals.cancelled + totals.abandoned

    def windows_hold(self, deployment_id: str, items: list[Any]) -> None:
        """I3, counted here anew: starts and tokens of the last 60 s, tokens at the time of their start."""
        deployment = self.deployments[deployment_id]
        calls: dict[str, list[float]] = {}
        for item in items:
            event = item.event
            if isinstance(event, CallStarted):
                calls[event.call_id] = [item.at, event.reserved, event.starts]
                recent = [call for call in calls.values() if call[0] > item.at - 60.0]
                assert deployment.rpm is None or sum(starts for *_, starts in recent) <= deployment.rpm
                assert deployment.tpm is None or sum(tokens for _, tokens, _ in recent) <= deployment.tpm
            elif hasattr(event, "completion_tokens"):
                calls[event.call_id][1] = event.prompt_tokens + event.completion_tokens

    def nothing_secret_was_written(self) -> None:
        """I11"""
        for item in self.recorded:
            written = encode_event(item.event)
            assert PROMPT.encode() not in written
            assert KEY.encode() not in written


@pytest.fixture
def town():
    """Opens towns; at the end each is closed and audited. `audit=False` where a test breaks the rules."""
    towns: list[tuple[Town, bool]] = []

    def open_town(*args: Any, audit: bool = True, **kwargs: Any) -> Town:
        made = Town(*args, **kwargs)
        towns.append((made, audit))
        return made

    yield open_town
    for made, audit in towns:
        made.router.close()
        if audit:
            made.audit()


@pytest.fixture
def hello():
    """A request for tests that make their own router."""

    def make(model: str = "gpt-4", **fields: Any) -> CompletionRequest:
        return CompletionRequest(model=model, messages=[{"role": "user", "content": PROMPT}], **fields)

    return make


@pytest.fixture
def sabotage(monkeypatch):
    """`sabotage(Actor, "_handler", times, error)`: it raises that often, before its work or `after` it."""

    def break_it(actor, handler, times=1, error=ZeroDivisionError, when=lambda actor: True, *, after=False):
        real = getattr(actor, handler)
        left = [times]

        def broken(self, *args):
            if left[0] and when(self):
                left[0] -= 1
                if after:
                    real(self, *args)
                raise error
            return real(self, *args)

        monkeypatch.setattr(actor, handler, broken)
        return left

    return break_it
