"""Plays a scenario in simulated time: the real router, simulated providers, no event loop."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from ...actors.runtime.chance import make_rng
from ...messages.errors import ConfigurationError
from ...messages.events import (
    AttemptFailed,
    CallCancelled,
    CallFailed,
    CallSucceeded,
    FellBack,
    RequestAccepted,
    RequestFailed,
    RequestSucceeded,
    WaitStarted,
)
from ...messages.problems import did_you_mean, quoted
from ...messages.requests import CompletionRequest
from ...supervisor.face.router import Router
from ..fake_clock import FakeClock
from .upstream import BYTES_PER_TOKEN, REFUSED, Behaviour, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...actors.journal.codec import Recorded
    from .model import Deployment, Incident, Scenario

__all__ = ["Figures", "Minute", "play"]

SETTLE_SECONDS = 120.0
"""Until the first look at whether all requests are over; each further one comes after twice as long."""


@define
class Minute:
    """What the requests that came within one minute came to."""

    seconds: list[float] = field(factory=list)
    failed: int = 0
    served: Counter[str] = field(factory=Counter)


@define
class Figures:
    """What one play came to; seconds, and US dollars where prices are known.

    Attributes:
        minutes: by the minute in which a request came.
        errors: failed requests by class of error.
        cost: of all calls: what failed or was given up is paid for, too; an estimate where nobody told.
        unpriced: answers whose cost nobody knows.
    """

    minutes: list[Minute] = field(factory=list)
    requests: int = 0
    answered: int = 0
    errors: Counter[str] = field(factory=Counter)
    failed_attempts: int = 0
    retries: int = 0
    fallbacks: int = 0
    waits: int = 0
    cost: float = 0.0
    unpriced: int = 0
    messages: int = 0
    _came: dict[str, float] = field(factory=dict)

    @property
    def open(self) -> int:
        """Requests that are not over."""
        return len(self._came)

    @property
    def served(self) -> Counter[str]:
        """Answers by deployment."""
        return sum((minute.served for minute in self.minutes), Counter())

    def quantile(self, share: float) -> float:
        """Seconds in which such a share of the answered requests was answered."""
        seconds = sorted(each for minute in self.minutes for each in minute.seconds)
        return quantile(seconds, share)

    def hear(self, recorded: Sequence[Recorded]) -> None:
        """Take events into account."""
        for item in recorded:
            count = _COUNTS.get(type(item.event))
            if count is not None:
                count(self, item.event, item.at)

    def _minute(self, request_id: str) -> Minute:
        number = int(self._came.pop(request_id) // 60.0)
        while len(self.minutes) <= number:
            self.minutes.append(Minute())
        return self.minutes[number]

    def _accepted(self, event: RequestAccepted, at: float) -> None:
        self.requests += 1
        self._came[event.request_id] = at

    def _succeeded(self, event: RequestSucceeded, _at: float) -> None:
        minute = self._minute(event.request_id)
        minute.seconds.append(event.seconds)
        minute.served[event.deployment_id] += 1
        self.answered += 1
        self.retries += event.retries
        self.unpriced += event.cost is None

    def _failed(self, event: RequestFailed, _at: float) -> None:
        self._minute(event.request_id).failed += 1
        self.errors[event.error] += 1
        self.retries += event.retries

    def _called(self, event: CallSucceeded | CallFailed | CallCancelled, _at: float) -> None:
        self.cost += (event.charged if event.cost is None else event.cost) or 0.0

    def _attempt_failed(self, _event: AttemptFailed, _at: float) -> None:
        self.failed_attempts += 1

    def _fell_back(self, _event: FellBack, _at: float) -> None:
        self.fallbacks += 1

    def _waited(self, _event: WaitStarted, _at: float) -> None:
        self.waits += 1


_COUNTS: dict[type, Callable[[Figures, Any, float], None]] = {
    RequestAccepted: Figures._accepted,
    RequestSucceeded: Figures._succeeded,
    RequestFailed: Figures._failed,
    CallSucceeded: Figures._called,
    CallFailed: Figures._called,
    CallCancelled: Figures._called,
    AttemptFailed: Figures._attempt_failed,
    FellBack: Figures._fell_back,
    WaitStarted: Figures._waited,
}


def quantile(ordered: list[float], share: float) -> float:
    """The value below which such a share of `ordered` lies; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def play(scenario: Scenario, seed: int = 1, *, calm: bool = False, tick: Any = None) -> Figures:
    """Play it once.

    Args:
        scenario: what to play.
        seed: of arrivals, latencies and the router's own draws.
        calm: leave out what happens, to compare with.
        tick: called with the seconds played so far, once a minute.

    Raises:
        ConfigurationError: the router does not take the settings or a deployment.
    """
    clock = FakeClock()
    upstream = Upstream({d.id: _behaviour(d) for d in scenario.deployments}, make_rng(seed))
    router = _router(scenario, clock, upstream, seed)
    figures = Figures()
    router._journal.subscribe(figures.hear)
    if not calm:
        for deployment in scenario.deployments:
            _schedule(clock, upstream, scenario, deployment)
    _send_all(scenario, router, clock, seed, tick)
    _settle(figures, clock)
    router.close()
    return figures


def _router(scenario: Scenario, clock: FakeClock, upstream: Upstream, seed: int) -> Router:
    entries = [_entry(d) for d in scenario.deployments]
    try:
        router = Router(entries, clock=clock, seed=seed, caller=upstream, **scenario.router)
    except ConfigurationError as error:  # in the words of the file
        said = str(error).replace("model_list[", "deployments[").replace(".litellm_params.", ".params.")
        raise ConfigurationError(said.replace(".model_info.id", ".id")) from None
    directory = router._wiring.directory
    for number, traffic in enumerate(scenario.mix):
        if directory.find(traffic.model) is None and not scenario.router.get("default_fallbacks"):
            names = [d.model_name for d in scenario.deployments]
            hint = did_you_mean(traffic.model, names)
            router.close()
            msg = f"traffic[{number}].model: no deployment serves {quoted(traffic.model)}{hint}"
            raise ConfigurationError(msg)
    return router


def _send_all(scenario: Scenario, router: Router, clock: FakeClock, seed: int, tick: Any) -> None:
    rng = make_rng(seed + 1)
    requests = [_request(traffic) for traffic in scenario.mix]
    shares = [traffic.share for traffic in scenario.mix]
    next_tick = 0.0
    gap = rng.expovariate
    while True:
        clock.advance(gap(scenario.requests_per_second))
        now = clock.now()
        if now >= scenario.lasts:
            return
        if tick is not None and now >= next_tick:
            tick(now)
            next_tick += 60.0
        request = requests[0] if len(requests) == 1 else rng.choices(requests, shares)[0]
        router.ask(request, block=False)


def _settle(figures: Figures, clock: FakeClock) -> None:
    """Let time pass until every request is over: none is an error for having come late."""
    seconds = SETTLE_SECONDS
    clock.advance(seconds)
    while figures.open:
        clock.advance(seconds)
        seconds *= 2.0


def _request(traffic: Any) -> CompletionRequest:
    text = "x" * (BYTES_PER_TOKEN * traffic.prompt_tokens)
    fields = {"max_tokens": traffic.max_tokens, "priority": traffic.priority}
    given = {name: value for name, value in fields.items() if value is not None}
    return CompletionRequest(model=traffic.model, messages=[{"role": "user", "content": text}], **given)


def _entry(deployment: Deployment) -> dict[str, Any]:
    prices = {
        name: value
        for name in ("input_cost_per_token", "output_cost_per_token")
        if (value := getattr(deployment, name)) is not None
    }
    return {
        "model_name": deployment.model_name,
        "litellm_params": {"model": "openai/simulated", **deployment.params},
        "model_info": {"id": deployment.id, **prices},
    }


def _behaviour(deployment: Deployment) -> Behaviour:
    latency = deployment.latency
    return Behaviour(
        latency.p50, latency.spread, deployment.error_rate, deployment.error, deployment.output_tokens
    )


def _schedule(clock: FakeClock, upstream: Upstream, scenario: Scenario, deployment: Deployment) -> None:
    """Change how it behaves whenever something begins or ends that is about it."""
    usual = _behaviour(deployment)
    theirs = [incident for incident in scenario.happens if deployment in scenario.hit_by(incident)]
    for at in {moment for incident in theirs for moment in (incident.at, incident.ends)}:
        on = [incident for incident in theirs if incident.at <= at < incident.ends]
        latest = max(on, key=lambda incident: incident.at, default=None)
        behaviour = usual if latest is None else _during(latest, usual)
        clock.call_later(at, partial(upstream.by_deployment.__setitem__, deployment.id, behaviour))


def _during(incident: Incident, usual: Behaviour) -> Behaviour:
    if incident.how == "slow":
        return evolve(usual, median=usual.median * incident.slower)
    if incident.how == "hang":
        return evolve(usual, hangs=True)
    status = REFUSED if incident.how == "refused" else int(incident.how)
    return evolve(usual, error_rate=incident.error_rate, status=status, median=0.05, spread=0.0)
