"""Simulated providers that draw, call by call, what they do: answer, fail, dawdle, break off, hang."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ...actors.providers.reply_headers import retry_after
from ...messages.commands import ProviderFinished, ProviderOpened
from ...messages.errors import (
    APIConnectionError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    RateLimitError,
    RequestError,
    error_class_for_status,
)
from ...messages.outcomes import CallOutcome, ProviderLimits, Usage
from ...messages.responses import ModelResponse, ModelResponseStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.providers.ports import ProviderCall
    from ...actors.runtime.clock import Clock, Timer
    from ...actors.runtime.dispatcher import Dispatcher
    from ...messages.commands import Call
    from .chance import Chance
    from .marks import Marks
    from .options import Options

__all__ = ["ANSWER", "Mood", "SimulatedUpstream"]

ANSWER = "an answer that only its caller may see"

_ABSURD = ("-1", "soon", "nan", "inf", "1e300", "99999999", "Thu, 01 Jan 1970 00:00:00 GMT")
CALM_SECONDS = 0.1
"""What a provider that is well takes at most, once all faults have stopped."""

_LATENCIES = (0.05, 0.3, 1.0, 4.0)


@define
class Mood:
    """How one deployment is at the moment: `down` fails every call with that; `slow` stretches time."""

    down: str | None = None
    slow: float = 1.0


@define
class _Latency:
    """Seconds to an answer: one of several shapes around a middle."""

    shape: int
    middle: float

    def draw(self, chance: Chance) -> float:
        middle = self.middle
        match self.shape:
            case 0:
                return middle
            case 1:
                return chance.between(0.5 * middle, 1.5 * middle)
            case 2:
                return chance.exponential(middle)
            case 3:  # log-normal, by way of a logistic draw, which has the fatter tail
                u = max(chance.fraction(), 1e-4)
                return middle * math.pow(u / (1.0 - u), 0.4)
            case _:  # one in twenty takes twenty times as long
                return middle * (20.0 if chance.one_in(20) else 1.0)


def _latency(chance: Chance) -> _Latency:
    return _Latency(chance.below(5), chance.choice(_LATENCIES))


class SimulatedUpstream:
    """The `caller` of a simulated router.

    Attributes:
        moods: by deployment; changed while the world lives.
        calm: no fault befalls a call any more.
        under_way: calls that have neither ended nor been aborted, by id.
        told: the usage that each call's answer told, by id; None when it told none.
        channels: where the chunks of each stream go, by its call's id.
        limits: what a provider said is left of its own, by call.
        sent: chunks of each stream that came to a good end, by call.
        begun: hears of each call that is begun, its deployment first.
    """

    def __init__(self, chance: Chance, options: Options, marks: Marks) -> None:
        self.chance = chance
        self.marks = marks
        self.faults = options.faults
        self.strange = options.strange
        self.calm = False
        self.moods = {name: Mood() for name in options.provider_of}
        self.under_way: dict[str, SimulatedCall] = {}
        self.told: dict[str, Usage | None] = {}
        self.channels: dict[str, Any] = {}
        self.limits: dict[str, ProviderLimits] = {}
        self.sent: dict[str, int] = {}
        self.begun: Callable[[str, str], object] = _nobody
        self._latency = {name: _latency(chance.part(name)) for name in options.provider_of}
        self._kinds = _kinds_of(self.faults)
        self.clock: Clock = None  # type: ignore[assignment]  # from `connect`

    def __repr__(self) -> str:
        return f"<SimulatedUpstream {len(self.under_way)} calls under way>"

    def connect(self, dispatcher: Dispatcher) -> SimulatedUpstream:
        """A router begins its life; calls of the one before died with it."""
        self.clock = dispatcher.clock
        self.under_way = {}
        self.told = {}
        self.channels = {}
        self.limits = {}
        self.sent = {}
        return self

    async def aclose(self) -> None:
        """Nothing to close."""

    def check(self, deployment: Any) -> None:
        """Every deployment can be called."""

    def start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> SimulatedCall:
        """Begin a call; see `actors.providers.ports.Caller`."""
        deployment_id = call.deployment.id
        chance = self.chance.of(call.call.request_id)
        kind = self._kind(deployment_id, chance)
        mood = self.moods.get(deployment_id) or Mood()
        latency = self._latency.get(deployment_id) or _Latency(0, _LATENCIES[0])
        begun = SimulatedCall(self, chance, call.call, call.deployment.model, deliver, kind)
        self.under_way[call.call.call_id] = begun
        self.begun(deployment_id, call.call.call_id)
        if call.call.stream:
            self.channels[call.call.call_id] = call.call.channel
        seconds = latency.draw(chance)
        begun.begin(min(seconds, CALM_SECONDS) if self.calm else seconds * mood.slow)
        return begun

    def _kind(self, deployment_id: str, chance: Chance) -> str:
        """What befalls the next call of this deployment."""
        if self.calm:
            return "answer"
        mood = self.moods.get(deployment_id)
        if mood is not None and mood.down is not None:
            return mood.down
        if self._kinds and chance.percent(self.strange):
            return chance.pick("kind", self._kinds)
        return "answer"


def _nobody(_deployment_id: str, _call_id: str) -> None:
    pass


def _kinds_of(faults: frozenset[str]) -> tuple[str, ...]:
    """What may befall a call, by the families of faults that are switched on."""
    by_family = {
        "errors": ("500", "503", "529", "400", "context", "policy", "401", "refused", "hung up"),
        "rate limits": ("429", "429 later", "429 absurd", "limits"),
        "slow": ("slow",),
        "hang": ("hang",),
        "broken streams": ("cut", "trickle"),
        "late answers": ("late",),
    }
    return tuple(kind for family, kinds in by_family.items() if family in faults for kind in kinds)


@define(eq=False)
class SimulatedCall:
    """One call, moved on by timers."""

    upstream: SimulatedUpstream
    chance: Chance
    call: Call
    model: str
    deliver: Callable[[ProviderOpened | ProviderFinished], None]
    kind: str
    words: int = 0
    sent: int = 0
    cut_after: int = -1
    over: bool = False
    timer: Timer | None = field(default=None, repr=False)

    def begin(self, seconds: float) -> None:
        chance = self.chance
        kind = self.kind
        if kind == "hang":
            return
        if kind == "slow":
            seconds = 5.0 + 20.0 * seconds
        self.words = chance.choice((3, 1, 8, 90)) if self.call.stream else 0
        if kind == "cut" and self.call.stream:
            self.cut_after = chance.below(self.words + 1)
        self._later(seconds, self._first)

    def cancel(self) -> Usage | None:
        """Abort it. One of kind "late" answers all the same, as no provider should.

        One that has answered cannot be aborted; given up before anybody read the answer, it told nothing.
        """
        if self.over:
            self.upstream.told[self.call.call_id] = None
            return None
        self.over = True
        self.upstream.under_way.pop(self.call.call_id, None)
        if self.kind == "late":
            self.upstream.clock.call_later(1.0, self._answer_late)
        if self.timer is not None:
            self.timer.cancel()
        if self.sent and self.chance.below(2):
            usage = Usage(self.call.demand.input_tokens, self.sent)
            self.upstream.told[self.call.call_id] = usage
            return usage
        return None

    def _answer_late(self) -> None:
        self.upstream.marks.sometimes("late answer dropped")
        self.deliver(ProviderFinished(self.call.call_id, CallOutcome("succeeded", self._response(1))))

    # -- the ways a call can go

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        self.timer = self.upstream.clock.call_later(seconds, step)

    def _first(self) -> None:
        error = self._error()
        if error is not None:
            self._finish(CallOutcome("failed", error=error))
        elif self.kind == "late" and self.call.stream is False:
            self._later(25.0, self._answer)
        elif self.call.stream:
            self._next_chunk()
        else:
            self._answer()

    def _error(self) -> RequestError | None:
        """What this kind of call fails with; None when it does not, or not yet."""
        kind, marks = self.kind, self.upstream.marks
        if kind.isdigit():
            status = int(kind)
            return error_class_for_status(status)(f"simulated {kind}", status_code=status)
        match kind:
            case "429 later" | "429 absurd":
                return self._too_many()
            case "context":
                return ContextWindowExceededError("prompt is too long")
            case "policy":
                return ContentPolicyViolationError("filtered")
            case "refused":
                marks.sometimes("connection refused")
                return APIConnectionError("refused", sent="no")
            case "hung up":
                marks.sometimes("hung up after sending")
                return APIConnectionError("hung up", sent="maybe")
        return None

    def _too_many(self) -> RateLimitError:
        """A 429 with a Retry-After header, read as the real caller reads it."""
        chance = self.chance
        absurd = self.kind == "429 absurd"
        text = chance.choice(_ABSURD) if absurd else f"{chance.choice((1.0, 0.05, 20.0, 400.0))}"
        said = retry_after({"retry-after": text}, self.upstream.clock.now())  # type: ignore[arg-type]
        if said.ignored is not None:
            self.upstream.marks.sometimes("absurd Retry-After ignored")
        return RateLimitError("slow down", retry_after=said.seconds)

    def _finish(self, outcome: CallOutcome) -> None:
        if self.over:
            return
        self.over = True
        self.timer = None
        upstream = self.upstream
        upstream.under_way.pop(self.call.call_id, None)
        upstream.told[self.call.call_id] = outcome.usage
        if outcome.limits is not None:
            upstream.limits[self.call.call_id] = outcome.limits
        self.deliver(ProviderFinished(self.call.call_id, outcome))

    def _usage(self, output: int) -> Usage | None:
        """What the answer says it used; now and then nothing."""
        chance = self.chance
        if chance.one_in(10):
            return None
        return Usage(self.call.demand.input_tokens + chance.below(3), output)

    def _limits(self) -> ProviderLimits | None:
        if self.kind != "limits":
            return None
        chance = self.chance
        return ProviderLimits(chance.below(4), chance.below(500), chance.choice((None, 5.0, 90.0)), None)

    def _answer(self) -> None:
        if self.over:
            return
        output = 1 + self.chance.below(self.call.demand.output_tokens or 300)
        usage = self._usage(output)
        self._finish(CallOutcome("succeeded", self._response(output), usage=usage, limits=self._limits()))

    def _response(self, output: int) -> ModelResponse:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
        fields = {"id": self.call.call_id, "created": 0, "model": self.model, "choices": [choice]}
        return ModelResponse.model_validate(fields)

    def _next_chunk(self) -> None:
        if self.over:
            return
        upstream, channel = self.upstream, self.call.channel
        if channel.full:
            upstream.marks.sometimes("slow reader held up a provider")
            channel.when_space(self._next_chunk)
            return
        if self.sent == self.cut_after:
            cut = APIConnectionError("the connection was cut", sent="maybe")
            self._finish(CallOutcome("failed", error=cut))
            return
        if self.sent == self.words:
            upstream.sent[self.call.call_id] = self.sent
            self._finish(CallOutcome("succeeded", usage=self._usage(self.words), limits=self._limits()))
            return
        channel.put(_chunk(self.call.call_id))
        self.sent += 1
        pause = 60.0 if self.kind == "trickle" else self.chance.exponential(0.05)
        self._later(pause, self._next_chunk)
        if self.sent == 1:
            self.deliver(ProviderOpened(self.call.call_id))


def _chunk(call_id: str) -> ModelResponseStream:
    choice: dict[str, Any] = {"index": 0, "delta": {"content": ANSWER}}
    return ModelResponseStream.model_validate({"id": call_id, "choices": [choice]})
