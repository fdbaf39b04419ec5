"""An auditor's own account of one deployment, kept from its events alone and by other arithmetic.

It holds what it sees against I2, I3 and I4, and foretells every cooldown.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define

from ....messages.events import (
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
from .account import Account
from .violation import Violation

if TYPE_CHECKING:
    from ....actors.deployment.state import DeploymentState
    from ....messages.events import Event
    from ....messages.outcomes import ProviderLimits
    from ..marks import Marks
    from .rulebook import DeploymentRules

__all__ = ["DeploymentBook", "OpenCall"]

MINUTE = 60.0
ROUNDING = 1e-5

CRASH_SECONDS = 30.0
"""For so long after a crash nobody can say what a deployment ought to take."""


@define(eq=False)
class OpenCall:
    """A call under way, and the line of the window where its tokens stand."""

    request_id: str
    at: float
    probe: bool
    line: list[Any]
    reserved: int
    stream: bool = False
    opened: bool = False


class DeploymentBook:
    """Calls, windows and breaker of one deployment.

    Attributes:
        foretold: the cooldown (until, seconds, trips) that the last failure must lead to, or "closed".
        changed_at: when anything was last heard of it.
        ended_at: when a call last ended, and freed its slot.
        crashed_at: when its actor, or its group's, last died.
    """

    def __init__(self, rules: DeploymentRules, marks: Marks) -> None:
        self.rules = rules
        self.marks = marks
        self.open: dict[str, OpenCall] = {}
        self.lines: deque[list[Any]] = deque()  # [started_at, tokens]
        self.until = 0.0
        self.trips = 0
        self.probe: str | None = None
        self.failures: dict[str, deque[float]] = {}
        self.foretold: tuple[float, float, int] | str | None = None
        self.foretold_limits: tuple[int, int, float] | None = None
        self.extra = (0, 0, 0.0)  # requests, tokens, until
        self.check: tuple[str, list[Any], int] | None = None  # id, line in the window, reserved
        self.sick = False
        self.started = self.ended = 0
        self.changed_at = self.ended_at = 0.0
        self._closed_at, self._at_once = 0.0, 0
        self.crashed_at = -CRASH_SECONDS
        self.lenient_at = -1.0
        self.sick_at = 0.0
        self.account = Account()
        self.sent = (-1.0, "")  # when a call was last sent there, and whose

    def __repr__(self) -> str:
        return f"<DeploymentBook {self.rules.id} · {len(self.open)} open · {self.trips} trips>"

    def adopt(self, state: DeploymentState) -> None:
        """Take a recovered state at its word: what happened before is not ours to judge."""
        self.account.adopt(state)
        self.lines.clear()
        self.open.clear()
        self.foretold = self.foretold_limits = None
        sums: dict[float, list[Any]] = {}
        for _, at, starts, tokens in state.window.snapshot():
            self.lines.extend([at, 0] for _ in range(starts - 1))
            self.lines.append(sums.setdefault(at, [at, tokens]))
        breaker = state.breaker
        self.until, self.trips, self.probe = breaker.until, breaker.trips, breaker.probe
        self.failures = {key: deque(times) for key, times in breaker.failures.items()}
        for call_id, call in state.open.items():
            line = [0.0, 0] if call.bucket is None else sums.get(call.bucket.at, [0.0, 0])
            self.open[call_id] = OpenCall(
                call.request_id, call.started_at, call.probe, line, call.reserved, call.stream
            )
        correction = state.correction
        self.extra = (correction.requests, correction.tokens, correction.until)
        self.sick = state.sickness is not None
        self.check = None
        if state.check is not None:
            line = [0.0, 0] if state.check.bucket is None else sums.get(state.check.bucket.at, [0.0, 0])
            self.check = (state.check.check_id, line, state.check.reserved)

    def change(self, rules: DeploymentRules, at: float) -> None:
        """It goes on under another configuration; at this very moment its actor may not know yet."""
        self.rules = rules
        self.lenient_at = at

    # -- what happened

    def apply(self, event: Event, at: float, parallel: int | None) -> None:
        """Take an event into account. `parallel` is the limit that the request brought along.

        Raises:
            Violation: it must not have happened.
        """
        if self.foretold is not None and not isinstance(event, (CooldownStarted, CooldownEnded)):
            self.settle_foretold(at)
        self.changed_at = at
        self.account.apply(event, at)
        handler = _HANDLERS.get(type(event))
        if handler is CallStarted:
            self._started(event, at, parallel)  # type: ignore[arg-type]
        elif handler is not None:
            handler(self, event, at)

    def _expire(self, at: float) -> None:
        lines = self.lines
        while lines and lines[0][0] <= at - MINUTE:
            lines.popleft()

    def _started(self, event: CallStarted, at: float, parallel: int | None) -> None:
        self._may_start(event, at)
        self._expire(at)
        line = [at, event.reserved]
        self.lines.append(line)
        self.open[event.call_id] = OpenCall(
            event.request_id, at, event.probe, line, event.reserved, event.stream
        )
        self.started += 1
        if event.probe:
            self.probe = event.call_id
        self._within_limits(at, parallel)

    def _may_start(self, event: CallStarted, at: float) -> None:
        """I2."""
        name = self.rules.id
        if event.call_id in self.open:
            raise Violation("I4", f"call {event.call_id} started twice on {name}", at)
        if self.trips and not self.rules.never_cools:
            if at < self.until:
                raise Violation("I2", f"{name} rests until {self.until} and was called", at)
            if self.probe is not None:
                raise Violation("I2", f"{name} is half-open and was given a second probe", at)
            if not event.probe:
                raise Violation("I2", f"{name} is half-open and its call is no probe", at)
        elif event.probe:
            raise Violation("I2", f"{name} is not half-open and was probed", at)

    def _within_limits(self, at: float, parallel: int | None) -> None:
        """I3, I4."""
        rules = self.rules
        if at == self.lenient_at:
            return
        self._within_windows(at)
        most = parallel or rules.parallel
        if most is not None and len(self.open) > most:
            raise Violation("I4", f"{len(self.open)} calls open on {rules.id}, {most} are allowed", at)

    def _within_windows(self, at: float) -> None:
        """I3."""
        rules = self.rules
        if at == self.lenient_at:
            return
        requests, tokens = self._extra(at)
        if rules.rpm is not None and len(self.lines) + requests > rules.rpm:
            raise Violation("I3", f"{len(self.lines)} starts on {rules.id} in 60 s, rpm is {rules.rpm}", at)
        if rules.tpm is not None:
            used = sum(line[1] for line in self.lines) + tokens
            if used > rules.tpm:
                raise Violation("I3", f"{used} tokens on {rules.id} in 60 s, tpm is {rules.tpm}", at)

    def _extra(self, at: float) -> tuple[int, int]:
        """Requests and tokens that the provider counts beyond our own."""
        return self.extra[:2] if at < self.extra[2] else (0, 0)

    # -- health checks

    def _check_started(self, event: CheckStarted, at: float) -> None:
        """A call like any other to the windows, and to nothing else."""
        self._expire(at)
        line = [at, event.reserved]
        self.lines.append(line)
        self.check = (event.check_id, line, event.reserved)
        self.marks.sometimes("health check made")
        self._within_windows(at)

    def _health_checked(self, event: HealthChecked, at: float) -> None:
        if self.check is None or self.check[0] != event.check_id:
            raise Violation("books", f"{event.check_id} ended, and {self.check} was under way", at)
        _, line, reserved = self.check
        line[1] += event.prompt_tokens + event.completion_tokens - reserved
        self.check = None
        counted = self.rules.counted(event.error) if event.error is not None else False
        if event.counted != counted:
            raise Violation("books", f"{event.error} of {event.check_id}: counted is {event.counted}", at)
        if event.well and self.sick:
            self.marks.sometimes("found well again by a check")
        if counted and not self.sick:
            self.marks.sometimes("health check failed")
            self.sick_at = at
        self.sick = not event.well and (counted or self.sick)

    # -- how calls end

    def _close(self, call_id: str, at: float) -> OpenCall:
        call = self.open.pop(call_id, None)
        if call is None:
            raise Violation("I4", f"call {call_id} ended on {self.rules.id}, where it was not open", at)
        self.ended += 1
        self._closed_at, self._at_once = at, self._at_once + 1 if at == self._closed_at else 1
        if self.probe == call_id:
            self.probe = None
        return call

    def _settle(self, call: OpenCall, event: CallSucceeded | CallFailed | CallCancelled) -> None:
        took = self.changed_at - call.at
        if abs(event.seconds - took) > ROUNDING:
            raise Violation("books", f"{event.call_id} took {took} s: {event!r}", self.changed_at)
        call.line[1] += event.prompt_tokens + event.completion_tokens - call.reserved
        self.ended_at = self.changed_at

    def _opened(self, event: CallOpened, at: float) -> None:
        call = self.open.get(event.call_id)
        if call is None or call.opened or not call.stream:
            raise Violation("I4", f"call {event.call_id} opened on {self.rules.id} out of turn", at)
        call.opened = True
        if abs(event.ttft - (at - call.at)) > ROUNDING:
            raise Violation("books", f"{event.call_id} opened after {at - call.at} s: {event!r}", at)

    def _succeeded(self, event: CallSucceeded, at: float) -> None:
        call = self._close(event.call_id, at)
        self._settle(call, event)
        self.sick = False
        prices = self.rules.prices
        if prices is None or event.estimated:
            right = event.cost is None
        else:
            cost = event.prompt_tokens * prices[0] + event.completion_tokens * prices[1]
            right = event.cost is not None and abs(event.cost - cost) < 1e-9
        if not right:
            raise Violation("books", f"call {event.call_id} on {self.rules.id} cost {event.cost}", at)
        if call.probe:
            self.foretold = "closed"
            self.marks.sometimes("half-open probe succeeding")

    def _cancelled(self, event: CallCancelled, at: float) -> None:
        call = self._close(event.call_id, at)
        self._settle(call, event)
        self.ended_at = at
        if call.probe:
            self.marks.sometimes("half-open probe abandoned")

    def _abandoned(self, event: CallAbandoned, at: float) -> None:
        if self._close(event.call_id, at).probe:
            self.marks.sometimes("half-open probe abandoned")

    # -- the breaker

    def _failed(self, event: CallFailed, at: float) -> None:
        rules = self.rules
        call = self._close(event.call_id, at)
        self._settle(call, event)
        if event.error == "Timeout":
            self.marks.sometimes("call timed out" if event.ttft is None else "stream stalled")
        counted = rules.counted(event.error)
        if event.counted != counted:
            raise Violation("books", f"{event.error} on {rules.id}: counted is {event.counted}", at)
        recent = self._count(event.error, at) if counted else 0
        rest = rules.rest(event.error, event.retry_after, self.trips, recent, probe=call.probe)
        if rest is None:
            if call.probe and not counted:
                self.foretold = "closed"
            return
        until = at + rest
        if until > self.until or call.probe:
            trips = self.trips + 1 if call.probe else max(1, self.trips)
            self.foretold = (max(until, self.until), rest, trips)
            self._mark_cooldown(event, probe=call.probe)

    def _mark_cooldown(self, event: CallFailed, *, probe: bool) -> None:
        if probe:
            self.marks.sometimes("half-open probe failing")
        elif event.retry_after is not None:
            self.marks.sometimes("cooldown by Retry-After")
        elif event.error == "AuthenticationError":
            self.marks.sometimes("cooldown at once")
        else:
            self.marks.sometimes("cooldown by count")

    def _count(self, error: str, at: float) -> int:
        """Failures in the last minute, this one included, on the counter of its class."""
        key = error if error in self.rules.allowed_by_error else ""
        times = self.failures.setdefault(key, deque())
        times.append(at)
        while times[0] <= at - MINUTE:
            times.popleft()
        return len(times)

    def _cooldown_started(self, event: CooldownStarted, at: float) -> None:
        if self.foretold != (event.until, event.seconds, event.trips):
            said = (event.until, event.seconds, event.trips)
            raise Violation("books", f"{self.rules.id} rests {said}; foretold: {self.foretold}", at)
        self.foretold = None
        self.until, self.trips = event.until, event.trips

    def _cooldown_ended(self, _event: CooldownEnded, at: float) -> None:
        if self.foretold != "closed":
            raise Violation("books", f"the breaker of {self.rules.id} closed; foretold: {self.foretold}", at)
        self.foretold = None
        self.until, self.trips = 0.0, 0
        self.failures.clear()

    def settle_foretold(self, at: float) -> None:
        """What was foretold must have happened by now."""
        if self.foretold_limits is not None:
            what = f"{self.rules.id} took no heed of its provider's count; foretold: {self.foretold_limits}"
            raise Violation("books", what, at)
        if self.foretold is not None:
            raise Violation("books", f"{self.rules.id} did not rest; foretold: {self.foretold}", at)

    def foretell_limits(self, said: ProviderLimits, at: float) -> None:
        """Its provider said what is left there: where that is less than we count, it holds."""
        rules, requests, tokens = self.rules, 0, 0
        self._expire(at)
        if rules.rpm is not None and said.remaining_requests is not None:
            requests = max(0, rules.rpm - len(self.lines) - said.remaining_requests)
        if rules.tpm is not None and said.remaining_tokens is not None:
            tokens = max(0, rules.tpm - self.tokens_at(at) - said.remaining_tokens)
        known = self._extra(at)
        if (requests > known[0] or tokens > known[1]) and at != self.lenient_at:
            resets = ((requests, said.reset_requests), (tokens, said.reset_tokens))
            reset = max((seconds or 0.0 for more, seconds in resets if more), default=0.0)
            self.foretold_limits = (requests, tokens, at + (min(reset, MINUTE) or MINUTE))

    def _limits_observed(self, event: LimitsObserved, at: float) -> None:
        self.marks.sometimes("provider counts more than we")
        said = (event.requests, event.tokens, event.until)
        if self.foretold_limits != said and at != self.lenient_at:
            raise Violation("books", f"{event!r}; foretold: {self.foretold_limits}", at)
        self.foretold_limits = None
        self.extra = (event.requests, event.tokens, event.until)

    def _clock_set_back(self, event: ClockSetBack, _at: float) -> None:
        seconds = event.seconds
        for line in self.lines:
            line[0] -= seconds
        self.until -= seconds if self.trips else 0.0
        self.failures = {key: deque(at - seconds for at in times) for key, times in self.failures.items()}
        requests, tokens, until = self.extra
        self.extra = (requests, tokens, until - seconds)

    # -- what it could do

    def doubtful(self, at: float) -> bool:
        """Whether its actor, or its group's, may still be on its way back."""
        return at < self.crashed_at + CRASH_SECONDS

    def several_ended(self, at: float) -> bool:
        """Whether calls ended at once: the group hears of one after the other, and serves in between."""
        return at == self._closed_at and self._at_once > 1

    def tokens_at(self, at: float) -> int:
        """Reserved and used in the last minute."""
        self._expire(at)
        return sum(line[1] for line in self.lines)

    def idle_at(self, at: float, tokens: int | None) -> bool:
        """Whether a call of so many tokens (None: nobody knows) would surely be admitted."""
        rules = self.rules
        if self.sick:  # unless all of its group are, which others may say
            return False
        self._expire(at)
        extra_requests, extra_tokens = self._extra(at)
        if rules.tpm is not None and (
            tokens is None or sum(line[1] for line in self.lines) + extra_tokens + tokens > rules.tpm
        ):
            return False
        if self.trips and not rules.never_cools and (at < self.until or self.probe is not None):
            return False
        if rules.parallel is not None and len(self.open) >= rules.parallel:
            return False
        return rules.rpm is None or len(self.lines) + extra_requests < rules.rpm


_HANDLERS: dict[type, Any] = {
    CallStarted: CallStarted,
    CallOpened: DeploymentBook._opened,
    CallSucceeded: DeploymentBook._succeeded,
    CallFailed: DeploymentBook._failed,
    CallCancelled: DeploymentBook._cancelled,
    CallAbandoned: DeploymentBook._abandoned,
    CooldownStarted: DeploymentBook._cooldown_started,
    CooldownEnded: DeploymentBook._cooldown_ended,
    LimitsObserved: DeploymentBook._limits_observed,
    CheckStarted: DeploymentBook._check_started,
    HealthChecked: DeploymentBook._health_checked,
    ClockSetBack: DeploymentBook._clock_set_back,
}
