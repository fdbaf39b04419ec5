"""What a deployment knows of itself, and what it decides by that. Pure.

`admit` and `end_of_call` decide: they look at the state and say what would happen. `apply` is the
only thing that changes the state. Nothing here reads a clock, starts a call or tells an actor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...messages.commands import UNLIMITED, DeploymentStatus
from ...messages.events import (
    BudgetExhausted,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    CheckStarted,
    ClockSetBack,
    CooldownEnded,
    CooldownStarted,
    HealthChecked,
    LimitsObserved,
)
from ...messages.outcomes import LeftOut
from ..budget.ledger import Ledger, dollars, finite, units
from .cooldown import Breaker
from .latency import LatencyStats
from .limits import RollingWindow
from .parts import Correction, OpenCall, OpenCheck, Sickness, Totals
from .rules import Limits
from .tokens import TokenRatio

if TYPE_CHECKING:
    from ...messages.commands import Call
    from ...messages.events import Event
    from ...messages.outcomes import Demand, ProviderLimits
    from .pricing import Expected

__all__ = ["DeploymentState", "Limits"]


class DeploymentState:
    """Open calls, rolling windows, breaker, latencies, health, totals and own budget of one deployment."""

    __slots__ = (
        "breaker",
        "check",
        "correction",
        "id",
        "latency",
        "ledger",
        "limits",
        "open",
        "quiet_until",
        "ratio",
        "sickness",
        "totals",
        "window",
    )

    def __init__(self, deployment_id: str, limits: Limits) -> None:
        self.id = deployment_id
        self.limits = limits
        self.open: dict[str, OpenCall] = {}
        self.window = RollingWindow()
        self.breaker = Breaker()
        self.latency = LatencyStats()
        self.totals = Totals()
        self.correction = Correction()
        self.ratio = TokenRatio()
        self.ledger = None if limits.budget is None else Ledger(limits.budget)
        self.quiet_until = 0.0
        self.check: OpenCheck | None = None
        self.sickness: Sickness | None = None

    def go_by(self, limits: Limits) -> None:
        """Be limited otherwise from now on. What was spent counts under a new budget, if there is one."""
        former, self.limits = self.ledger, limits
        if limits.budget is None:
            self.ledger = None
        elif former is None:
            self.ledger = Ledger(limits.budget)
        elif former.rule != limits.budget:
            self.ledger = Ledger.restore(limits.budget, former.snapshot())
            self.quiet_until = 0.0
        ledger = self.ledger
        for call in self.open.values():
            call.entry = None if ledger is None or call.counted is None else ledger.entry_at(call.started_at)

    # -- deciding

    def admit(self, call: Call, now: float, cost: Expected | None = None) -> CallStarted | LeftOut:
        """Whether this call may start now: all of cooldown, rpm, tpm, parallel and budget, or none.

        `cost` is what it is expected to cost; None when its price is unknown, which no budget limits.
        """
        limits = self.limits
        breaker = self.breaker
        probe = False
        if limits.barred is not None:
            return limits.barred
        if breaker.trips and not limits.cooldown.off:
            if now < breaker.until or breaker.probe is not None:
                return self._cooling(now)
            probe = True
        demand = call.demand
        starts = 1 if demand.inputs == 1 else demand.starts(limits.batch)
        reserved = self._reservation(demand)
        if limits.rpm is not None or limits.tpm is not None:
            refusal = self._over_limits(reserved, starts, now)
            if refusal is not None:
                return refusal
        parallel = call.request.max_parallel_requests or limits.max_parallel
        if parallel is not None and len(self.open) >= parallel:
            return LeftOut(self.id, "parallel", None, len(self.open) + 1, parallel)
        ledger = self.ledger
        set_aside = None
        if ledger is not None and cost is not None:
            amount = ledger.amount_for(cost.cost, cost.least)
            if not ledger.admits(amount, now):
                return ledger.refusal(self.id, amount, now)
            set_aside = dollars(amount)
        return CallStarted(
            call.call_id,
            call.request_id,
            reserved,
            call.stream,
            probe,
            set_aside,
            demand.text_bytes,
            demand.fixed_tokens,
            starts,
        )

    def exhausted(self, need: float, now: float) -> BudgetExhausted | None:
        """What must be recorded when `need` US dollars more were refused, or 0.0 after a call was settled."""
        ledger = self.ledger
        if ledger is None or now < self.quiet_until or not ledger.used_up_by(units(need), now):
            return None
        name = f"deployment:{self.id}"
        return BudgetExhausted(name, ledger.rule.limit, dollars(ledger.spent), ledger.purse(now).until)

    def _cooling(self, now: float) -> LeftOut:
        until = self.breaker.until
        return LeftOut(self.id, "cooling_down", until if now < until else None)

    def _over_limits(self, reserved: int, starts: int, now: float) -> LeftOut | None:
        limits, window = self.limits, self.window
        window.expire(now)
        extra = self._extra(now)
        if limits.rpm is not None and window.starts + extra.requests + starts > limits.rpm:
            if starts > limits.rpm:
                return LeftOut(self.id, "rpm", None, starts, limits.rpm)
            free = window.start_free_at(limits.rpm - extra.requests, starts)
            until = self._later(free, extra, extra.requests)
            return LeftOut(self.id, "rpm", until, starts, limits.rpm - window.starts - extra.requests)
        if limits.tpm is not None and window.tokens + extra.tokens + reserved > limits.tpm:
            until = self._later(
                window.tokens_free_at(limits.tpm - extra.tokens, reserved), extra, extra.tokens
            )
            return LeftOut(self.id, "tpm", until, reserved, limits.tpm - window.tokens - extra.tokens)
        return None

    def admit_check(self, check_id: str, demand: Demand, now: float) -> CheckStarted | LeftOut:
        """Whether a health check may be made: a cooldown and open calls do not stand in its way, limits do.

        A deployment that is as busy as it may be shows how it is without being asked.
        """
        reserved = self._reservation(demand)
        return self._over_limits(reserved, 1, now) or CheckStarted(check_id, reserved)

    def _reservation(self, demand: Demand) -> int:
        limits = self.limits
        return demand.reservation(self.latency.expected_output, limits.tpm, self.ratio.value, limits.encoding)

    def well_since(self, moment: float) -> bool:
        """Whether calls have gone well since, and the latest of them did."""
        at = self.latency.measured_at
        return self.sickness is None and at is not None and at >= moment and at > self.latency.penalised_at

    def _extra(self, now: float) -> Correction:
        return self.correction if now < self.correction.until else _NO_CORRECTION

    @staticmethod
    def _later(own: float | None, extra: Correction, corrected: int) -> float | None:
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
        bucket = self.window.add(at, event.reserved, event.starts)
        call = OpenCall(
            event.request_id,
            at,
            event.reserved,
            bucket,
            event.stream,
            event.probe,
            prompt_bytes=event.prompt_bytes,
            fixed_tokens=event.fixed_tokens,
        )
        if self.ledger is not None and event.set_aside is not None:
            call.set_aside = units(event.set_aside)
            call.entry = self.ledger.add(at, call.set_aside)
        self.open[event.call_id] = call
        self.totals.started += 1
        if event.probe:
            self.breaker.probe = event.call_id

    def _opened(self, event: CallOpened, _at: float) -> None:
        call = self.open.get(event.call_id)
        if call is not None:
            call.ttft = event.ttft

    def _succeeded(self, event: CallSucceeded, at: float) -> None:
        call = self._settle(event, at)
        self.totals.succeeded += 1
        if call is not None and not event.estimated:
            self.ratio.learn(event.prompt_tokens, call.prompt_bytes, call.fixed_tokens)
        if self.sickness is not None:
            self.sickness = None
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

    def _abandoned(self, event: CallAbandoned, at: float) -> None:
        call = self._close(event.call_id)
        if call is not None:
            self._pay(call, call.set_aside, at)
        self.totals.abandoned += 1

    def _settle(self, event: CallSucceeded | CallFailed | CallCancelled, at: float) -> OpenCall | None:
        call = self._close(event.call_id)
        totals = self.totals
        totals.prompt_tokens += event.prompt_tokens
        totals.completion_tokens += event.completion_tokens
        cost = (event.charged if event.cost is None else event.cost) or 0.0
        totals.cost += cost
        if call is not None and call.bucket is not None:
            used = event.prompt_tokens + event.completion_tokens
            self.window.settle(call.bucket, used - call.reserved, at)
        if call is not None and call.entry is not None:
            self._pay(call, units(cost), at)
        return call

    def _pay(self, call: OpenCall, used: int, at: float) -> None:
        if self.ledger is not None and call.entry is not None:
            self.ledger.settle(call.entry, call.set_aside, used, at)

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

    def _check_started(self, event: CheckStarted, at: float) -> None:
        self.window.expire(at)
        bucket = self.window.add(at, event.reserved)
        self.check = OpenCheck(event.check_id, at, event.reserved, bucket)

    def _health_checked(self, event: HealthChecked, at: float) -> None:
        check, totals = self.check, self.totals
        if check is not None and check.check_id == event.check_id and check.bucket is not None:
            used = event.prompt_tokens + event.completion_tokens
            self.window.settle(check.bucket, used - check.reserved, at)
        self.check = None
        totals.prompt_tokens += event.prompt_tokens
        totals.completion_tokens += event.completion_tokens
        totals.cost += event.cost or 0.0
        if self.ledger is not None and event.cost:
            self.ledger.settle(self.ledger.add(at, 0), 0, units(event.cost), at)
        if event.well:
            self.sickness = None
        elif event.counted:
            self.sickness = Sickness(at, event.error or "")

    def _limits_observed(self, event: LimitsObserved, _at: float) -> None:
        self.correction = Correction(event.requests, event.tokens, event.until)

    def _budget_exhausted(self, event: BudgetExhausted, at: float) -> None:
        if self.ledger is not None and event.limit == self.ledger.rule.limit:  # a larger one was not used up
            self.quiet_until = self.ledger.quiet_until(at)

    def _clock_set_back(self, event: ClockSetBack, at: float) -> None:
        seconds = event.seconds
        self.window.set_back(seconds)
        self.breaker.set_back(seconds)
        self.latency.set_back(seconds)
        self.correction.until -= seconds
        if self.ledger is not None:
            self.ledger.set_back(seconds, at)
            self.quiet_until -= seconds
        for call in self.open.values():
            call.started_at -= seconds

    # -- what others may know

    def status(self, seen: int, now: float, *, window: bool = False) -> DeploymentStatus:
        """The deployment's word on what it can take now (see `DeploymentStatus`)."""
        limits, latency, rolling = self.limits, self.latency, self.window
        rolling.expire(now)
        capacity, blocked = self._capacity(now)
        tokens_left = tokens_until = starts_left = starts_until = None
        if limits.tpm is not None or limits.rpm is not None:
            extra, release = self._extra(now), rolling.next_release()
            if limits.tpm is not None:
                tokens_left = limits.tpm - rolling.tokens - extra.tokens
                tokens_until = self._later(release, extra, extra.tokens)
            if limits.rpm is not None:
                starts_left = limits.rpm - rolling.starts - extra.requests
                starts_until = self._later(release, extra, extra.requests)
        return DeploymentStatus(
            self.id,
            seen,
            len(self.open),
            capacity,
            blocked,
            tokens_left,
            tokens_until,
            rolling.tokens,
            latency.expected_output,
            latency.samples,
            latency.ttft,
            latency.per_token,
            latency.measured_at,
            latency.penalty,
            latency.penalised_at,
            rolling.entries() if window else (),
            None if self.ledger is None else self.ledger.purse(now),
            self.ratio.value,
            self.sickness is not None or (blocked is not None and blocked.reason == "unhealthy"),
            starts_left,
            starts_until,
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
                until = self._later(
                    self.window.start_free_at(limits.rpm - extra.requests), extra, extra.requests
                )
                return 0, LeftOut(self.id, "rpm", until, 1, left)
            capacity = min(capacity, left)
        if limits.max_parallel is not None:
            left = limits.max_parallel - len(self.open)
            if left <= 0:
                return 0, LeftOut(self.id, "parallel", None, 1, left)
            capacity = min(capacity, left)
        if self.ledger is not None and not self.ledger.admits(1, now):
            return 0, self.ledger.refusal(self.id, 1, now)
        return capacity, None

    def describe(self, group: str, now: float) -> str:
        """One line: `<Deployment gpt-4/azure-eu · cooling 4.2s · 3/10 open · 812/90000 tpm>`."""
        limits = self.limits
        self.window.expire(now)
        breaker = self.breaker.state(now)
        parts = [f"<Deployment {group}/{self.id}"]
        if limits.barred is not None:
            parts.append(limits.barred.reason)
        elif self.sickness is not None:
            parts.append("unhealthy")
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
        totals, check, sick = self.totals, self.check, self.sickness
        saved_ledger = self._saved_ledger(now)
        return {
            "open": {
                call_id: [
                    c.request_id,
                    c.started_at,
                    c.reserved,
                    c.stream,
                    c.probe,
                    c.ttft,
                    c.counted,
                    c.prompt_bytes,
                    c.fixed_tokens,
                ]
                for call_id, c in self.open.items()
            },
            "window": self.window.snapshot(),
            "breaker": self.breaker.snapshot(),
            "latency": self.latency.snapshot(),
            "totals": {name: getattr(totals, name) for name in Totals.__slots__ if name != "__weakref__"},
            "correction": [correction.requests, correction.tokens, correction.until],
            "ratio": [self.ratio.value, self.ratio.calls],
            **saved_ledger,
            "check": None if check is None else [check.check_id, check.started_at, check.reserved],
            "sickness": None if sick is None else [sick.since, sick.error],
        }

    def _saved_ledger(self, now: float) -> dict[str, Any]:
        if self.ledger is None:
            return {}
        self.ledger.expire(now)
        quiet = self.quiet_until if now < self.quiet_until else 0.0
        limit = self.ledger.rule.limit
        return {"ledger": self.ledger.snapshot(), "quiet_until": finite(quiet), "limit": limit}

    @classmethod
    def restore(cls, deployment_id: str, limits: Limits, data: dict[str, Any]) -> DeploymentState:
        """The state a snapshot was taken of."""
        state = cls(deployment_id, limits)
        state.window = RollingWindow.restore(data["window"])
        state.breaker = Breaker.restore(data["breaker"])
        state.latency = LatencyStats.restore(data["latency"])
        state.totals = Totals(**data["totals"])
        state.correction = Correction(*data["correction"])
        state.ratio = TokenRatio(*data.get("ratio", ()))
        if limits.budget is not None and "ledger" in data:
            state.ledger = Ledger.restore(limits.budget, data["ledger"])
            quiet = data["quiet_until"]
            if data.get("limit", limits.budget.limit) == limits.budget.limit:
                state.quiet_until = math.inf if quiet is None else quiet
        for call_id, saved in data["open"].items():
            state.open[call_id] = state._reopened(*saved)
        if (check := data.get("check")) is not None:  # older snapshots say nothing of checks
            check_id, started_at, reserved = check
            state.check = OpenCheck(check_id, started_at, reserved, state.window.bucket_at(started_at))
        if (sickness := data.get("sickness")) is not None:
            state.sickness = Sickness(*sickness)
        return state

    def _reopened(  # noqa: PLR0913, PLR0917  (a row of a snapshot)
        self,
        request_id: str,
        started_at: float,
        reserved: int,
        stream: bool,  # noqa: FBT001
        probe: bool,  # noqa: FBT001
        ttft: float | None,
        set_aside: int | None = None,
        prompt_bytes: int = 0,
        fixed_tokens: int = 0,
    ) -> OpenCall:
        bucket = self.window.bucket_at(started_at)
        entry = None if self.ledger is None or set_aside is None else self.ledger.entry_at(started_at)
        return OpenCall(
            request_id,
            started_at,
            reserved,
            bucket,
            stream,
            probe,
            ttft,
            set_aside or 0,
            entry,
            prompt_bytes,
            fixed_tokens,
        )


_NO_CORRECTION = Correction()

_APPLY: dict[type, Any] = {
    CallStarted: DeploymentState._started,
    CallOpened: DeploymentState._opened,
    CallSucceeded: DeploymentState._succeeded,
    CallFailed: DeploymentState._failed,
    CallCancelled: DeploymentState._cancelled,
    CallAbandoned: DeploymentState._abandoned,
    CheckStarted: DeploymentState._check_started,
    HealthChecked: DeploymentState._health_checked,
    CooldownStarted: DeploymentState._cooldown_started,
    CooldownEnded: DeploymentState._cooldown_ended,
    ClockSetBack: DeploymentState._clock_set_back,
    LimitsObserved: DeploymentState._limits_observed,
    BudgetExhausted: DeploymentState._budget_exhausted,
}
