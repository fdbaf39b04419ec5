"""What a deployment knows of itself, and what it decides by that. Pure.

`admit` and `end_of_call` decide: they look at the state and say what would happen. `apply` is the
only thing that changes the state. Nothing here reads a clock, starts a call or tells an actor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from ...messages.commands import UNLIMITED, DeploymentStatus
from ...messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    CooldownEnded,
    CooldownStarted,
    LimitsObserved,
)
from ...messages.outcomes import LeftOut
from .cooldown import Breaker, CooldownPolicy
from .latency import LatencyStats
from .limits import RollingWindow

if TYPE_CHECKING:
    from ...messages.commands import Call
    from ...messages.events import Event
    from ...messages.outcomes import ProviderLimits
    from .limits import Bucket

__all__ = ["DeploymentState", "Limits", "OpenCall", "Totals"]


@frozen
class Limits:
    """The rules a deployment admits by; None is no limit. Not state: they are configured.

    `barred`: why it takes no call whatever, such as one that was removed.
    """

    rpm: int | None = None
    tpm: int | None = None
    max_parallel: int | None = None
    cooldown: CooldownPolicy = field(factory=CooldownPolicy)
    barred: LeftOut | None = None


@define(eq=False)
class OpenCall:
    """A call under way, with the receipt for its reservation."""

    request_id: str
    started_at: float
    reserved: int
    bucket: Bucket | None
    stream: bool = False
    probe: bool = False
    ttft: float | None = None


@define
class Totals:
    """Since the journal began."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    abandoned: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


@define
class _Correction:
    """What the provider counts beyond our own count, until its window has passed."""

    requests: int = 0
    tokens: int = 0
    until: float = 0.0


class DeploymentState:
    """Open calls, rolling windows, breaker, latencies and totals of one deployment."""

    __slots__ = ("breaker", "correction", "id", "latency", "limits", "open", "totals", "window")

    def __init__(self, deployment_id: str, limits: Limits) -> None:
        self.id = deployment_id
        self.limits = limits
        self.open: dict[str, OpenCall] = {}
        self.window = RollingWindow()
        self.breaker = Breaker()
        self.latency = LatencyStats()
        self.totals = Totals()
        self.correction = _Correction()

    # -- deciding

    def admit(self, call: Call, now: float) -> CallStarted | LeftOut:
        """Whether this call may start now: all of cooldown, rpm, tpm and parallel, or none."""
        limits = self.limits
        breaker = self.breaker
        probe = False
        if limits.barred is not None:
            return limits.barred
        if breaker.trips and not limits.cooldown.off:
            if now < breaker.until or breaker.probe is not None:
                return self._cooling(now)
            probe = True
        reserved = call.demand.reservation(self.latency.expected_output, limits.tpm)
        if limits.rpm is not None or limits.tpm is not None:
            refusal = self._over_limits(reserved, now)
            if refusal is not None:
                return refusal
        parallel = call.request.max_parallel_requests or limits.max_parallel
        if parallel is not None and len(self.open) >= parallel:
            return LeftOut(self.id, "parallel", None, len(self.open) + 1, parallel)
        return CallStarted(call.call_id, call.request_id, reserved, call.stream, probe)

    def _cooling(self, now: float) -> LeftOut:
        until = self.breaker.until
        return LeftOut(self.id, "cooling_down", until if now < until else None)

    def _over_limits(self, reserved: int, now: float) -> LeftOut | None:
        limits, window = self.limits, self.window
        window.expire(now)
        extra = self._extra(now)
        if limits.rpm is not None and window.starts + extra.requests >= limits.rpm:
            until = self._later(window.start_free_at(limits.rpm), extra, extra.requests)
            return LeftOut(self.id, "rpm", until, 1, limits.rpm - window.starts - extra.requests)
        if limits.tpm is not None and window.tokens + extra.tokens + reserved > limits.tpm:
            until = self._later(window.tokens_free_at(limits.tpm, reserved), extra, extra.tokens)
            return LeftOut(self.id, "tpm", until, reserved, limits.tpm - window.tokens - extra.tokens)
        return None

    def _extra(self, now: float) -> _Correction:
        return self.correction if now < self.correction.until else _NO_CORRECTION

    @staticmethod
    def _later(own: float | None, extra: _Correction, corrected: int) -> float | None:
        """The first moment that may help: our window's, or the provider's when that binds."""
        if not corrected:
            return own
        return extra.until if own is None else min(own, extra.until)

    def correction_for(self, said: ProviderLimits, now: float) -> LimitsObserved | None:
        """What must be added to our count when the provider says that less is left."""
        limits, window = self.limits, self.window
        window.expire(now)
        requests = tokens = 0
        reset = 0.0
        if limits.rpm is not None and said.remaining_requests is not None:
            requests = max(0, limits.rpm - window.starts - said.remaining_requests)
            reset = max(reset, said.reset_requests or 0.0) if requests else reset
        if limits.tpm is not None and said.remaining_tokens is not None:
            tokens = max(0, limits.tpm - window.tokens - said.remaining_tokens)
            reset = max(reset, said.reset_tokens or 0.0) if tokens else reset
        known = self._extra(now)
        if requests <= known.requests and tokens <= known.tokens:
            return None
        return LimitsObserved(requests, tokens, now + (min(reset, 60.0) if reset > 0 else 60.0))

    # -- what happened

    def apply(self, event: Event, at: float) -> None:
        """Change the state by an event that happened at router time `at`."""
        handler = _APPLY.get(type(event))
        if handler is not None:
            handler(self, event, at)

    def _started(self, event: CallStarted, at: float) -> None:
        self.window.expire(at)
        bucket = self.window.add(at, event.reserved)
        self.open[event.call_id] = OpenCall(
            event.request_id, at, event.reserved, bucket, event.stream, event.probe
        )
        self.totals.started += 1
        if event.probe:
            self.breaker.probe = event.call_id

    def _opened(self, event: CallOpened, _at: float) -> None:
        call = self.open.get(event.call_id)
        if call is not None:
            call.ttft = event.ttft

    def _succeeded(self, event: CallSucceeded, at: float) -> None:
        self._settle(event, at)
        self.totals.succeeded += 1
        self.latency.succeeded(at, event.seconds, event.ttft, event.completion_tokens)

    def _failed(self, event: CallFailed, at: float) -> None:
        self._settle(event, at)
        self.totals.failed += 1
        if event.counted:
            self.breaker.count(event.error, at, self.limits.cooldown)
            self.latency.failed(at)
        if event.error == "Timeout":
            self.latency.timed_out(at, event.seconds)

    def _cancelled(self, event: CallCancelled, at: float) -> None:
        self._settle(event, at)
        self.totals.cancelled += 1

    def _abandoned(self, event: CallAbandoned, _at: float) -> None:
        self._close(event.call_id)
        self.totals.abandoned += 1

    def _settle(self, event: CallSucceeded | CallFailed | CallCancelled, at: float) -> None:
        call = self._close(event.call_id)
        totals = self.totals
        totals.prompt_tokens += event.prompt_tokens
        totals.completion_tokens += event.completion_tokens
        totals.cost += event.cost or 0.0
        if call is not None and call.bucket is not None:
            used = event.prompt_tokens + event.completion_tokens
            self.window.settle(call.bucket, used - call.reserved, at)

    def _close(self, call_id: str) -> OpenCall | None:
        """The call that ended; None when its start was lost to the journal's bound."""
        call = self.open.pop(call_id, None)
        if self.breaker.probe == call_id:
            self.breaker.probe = None
        return call

    def _cooldown_started(self, event: CooldownStarted, _at: float) -> None:
        self.breaker.opened(event)

    def _cooldown_ended(self, _event: CooldownEnded, _at: float) -> None:
        self.breaker.closed()

    def _limits_observed(self, event: LimitsObserved, _at: float) -> None:
        self.correction = _Correction(event.requests, event.tokens, event.until)

    # -- what others may know

    def status(self, seen: int, now: float, *, window: bool = False) -> DeploymentStatus:
        """The deployment's word on what it can take now (see `DeploymentStatus`)."""
        limits, latency, rolling = self.limits, self.latency, self.window
        rolling.expire(now)
        capacity, blocked = self._capacity(now)
        extra = self._extra(now) if limits.tpm is not None else _NO_CORRECTION
        return DeploymentStatus(
            self.id,
            seen,
            len(self.open),
            capacity,
            blocked,
            None if limits.tpm is None else limits.tpm - rolling.tokens - extra.tokens,
            None if limits.tpm is None else self._later(rolling.next_release(), extra, extra.tokens),
            rolling.tokens,
            latency.expected_output,
            tuple(latency.samples),
            latency.ttft,
            latency.per_token,
            latency.measured_at,
            latency.penalty,
            latency.penalised_at,
            rolling.entries() if window else (),
        )

    def _capacity(self, now: float) -> tuple[int, LeftOut | None]:
        """How many more calls would be admitted, and what stands in the way when none would."""
        limits, breaker = self.limits, self.breaker
        if limits.barred is not None:
            return 0, limits.barred
        capacity = UNLIMITED
        if breaker.trips and not limits.cooldown.off:
            if now < breaker.until or breaker.probe is not None:
                return 0, self._cooling(now)
            capacity = 1
        if limits.rpm is not None:
            extra = self._extra(now)
            left = limits.rpm - self.window.starts - extra.requests
            if left <= 0:
                until = self._later(self.window.start_free_at(limits.rpm), extra, extra.requests)
                return 0, LeftOut(self.id, "rpm", until, 1, left)
            capacity = min(capacity, left)
        if limits.max_parallel is not None:
            left = limits.max_parallel - len(self.open)
            if left <= 0:
                return 0, LeftOut(self.id, "parallel", None, 1, left)
            capacity = min(capacity, left)
        return capacity, None

    def describe(self, group: str, now: float) -> str:
        """One line: `<Deployment gpt-4/azure-eu · cooling 4.2s · 3/10 open · 812/90000 tpm>`."""
        limits = self.limits
        self.window.expire(now)
        breaker = self.breaker.state(now)
        parts = [f"<Deployment {group}/{self.id}"]
        if limits.barred is not None:
            parts.append(limits.barred.reason)
        if breaker == "open":
            parts.append(f"cooling {self.breaker.until - now:.1f}s")
        elif breaker == "half-open":
            parts.append("half-open")
        parallel = "" if limits.max_parallel is None else f"/{limits.max_parallel}"
        parts.append(f"{len(self.open)}{parallel} open")
        if limits.rpm is not None:
            parts.append(f"{self.window.starts}/{limits.rpm} rpm")
        if limits.tpm is not None:
            parts.append(f"{self.window.tokens}/{limits.tpm} tpm")
        return " · ".join(parts) + ">"

    # -- snapshots: only a cache of the events

    def snapshot(self, now: float) -> dict[str, Any]:
        """The whole state as plain values; two states are equal when their snapshots are."""
        self.window.expire(now)
        correction = self._extra(now)
        totals = self.totals
        return {
            "open": {
                call_id: [c.request_id, c.started_at, c.reserved, c.stream, c.probe, c.ttft]
                for call_id, c in self.open.items()
            },
            "window": self.window.snapshot(),
            "breaker": self.breaker.snapshot(),
            "latency": self.latency.snapshot(),
            "totals": {name: getattr(totals, name) for name in Totals.__slots__ if name != "__weakref__"},
            "correction": [correction.requests, correction.tokens, correction.until],
        }

    @classmethod
    def restore(cls, deployment_id: str, limits: Limits, data: dict[str, Any]) -> DeploymentState:
        """The state a snapshot was taken of."""
        state = cls(deployment_id, limits)
        state.window = RollingWindow.restore(data["window"])
        state.breaker = Breaker.restore(data["breaker"])
        state.latency = LatencyStats.restore(data["latency"])
        state.totals = Totals(**data["totals"])
        state.correction = _Correction(*data["correction"])
        for call_id, (request_id, started_at, reserved, stream, probe, ttft) in data["open"].items():
            bucket = state.window.bucket_at(started_at)
            state.open[call_id] = OpenCall(request_id, started_at, reserved, bucket, stream, probe, ttft)
        return state


_NO_CORRECTION = _Correction()

_APPLY: dict[type, Any] = {
    CallStarted: DeploymentState._started,
    CallOpened: DeploymentState._opened,
    CallSucceeded: DeploymentState._succeeded,
    CallFailed: DeploymentState._failed,
    CallCancelled: DeploymentState._cancelled,
    CallAbandoned: DeploymentState._abandoned,
    CooldownStarted: DeploymentState._cooldown_started,
    CooldownEnded: DeploymentState._cooldown_ended,
    LimitsObserved: DeploymentState._limits_observed,
}
