"""Providers that exist only on the clock: latencies, errors and streams as a test wants them.

::

    slow = SimulatedProvider(latency=lognormal(0.8, 0.4), error_rate=0.05)
    flaky = SimulatedProvider(script=[503, RateLimitError("slow down", retry_after=2.0), None])
    router = Router(model_list, clock=FakeClock(), caller=SimulatedProviders({"a": slow, "b": flaky}))
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from ..actors.providers.mock_kinds import MAKERS, Asked
from ..actors.runtime.chance import make_rng
from ..messages.commands import ProviderFinished, ProviderOpened
from ..messages.errors import APIConnectionError, RequestError, error_class_for_status
from ..messages.outcomes import CallOutcome, Usage
from ..messages.responses import ModelResponse, ModelResponseStream, ResponseUsage
from ..messages.text_completions import TextCompletionResponse

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel

    from ..actors.providers.ports import CallHandle, ProviderCall
    from ..actors.runtime.clock import Timer
    from ..actors.runtime.dispatcher import Dispatcher

__all__ = ["SimulatedProvider", "SimulatedProviders", "exponential", "lognormal", "uniform"]

Fault = int | type[RequestError] | RequestError


def uniform(low: float, high: float) -> Callable[[random.Random], float]:
    """Seconds, evenly between `low` and `high`."""
    return lambda rng: low + (high - low) * rng.random()


def exponential(mean: float) -> Callable[[random.Random], float]:
    """Seconds, exponential with this mean."""
    return lambda rng: rng.expovariate(1.0 / mean)


def lognormal(median: float, sigma: float) -> Callable[[random.Random], float]:
    """Seconds, log-normal: half of them below `median`; `sigma` is the spread of the logarithm."""
    return lambda rng: rng.lognormvariate(math.log(median), sigma)


@frozen
class SimulatedProvider:
    """How one deployment behaves.

    Attributes:
        latency: seconds to the answer (a stream: to its first chunk), or a draw such as `uniform(1, 2)`.
        script: what the next calls do, in order: None for an answer, an HTTP status, an error class
            or an error. After the script every call answers (or draws by `error_rate`).
        error_rate: the chance of `error` for a call the script has no word on.
        error: what such a call fails with.
        hang: never answer at all.
        text: the answer; a stream sends it word by word.
        vector: the embedding of everything.
        sound: what every text sounds like.
        chunk_seconds: the pause before each further chunk, or a draw.
        cut_after: break a stream off after so many chunks.
        prompt_tokens, completion_tokens: the usage told; None counts the words of `text`.
    """

    latency: float | Callable[[random.Random], float] = 0.0
    script: Sequence[Fault | None] = ()
    error_rate: float = 0.0
    error: Fault = 500
    hang: bool = False
    text: str = "Hello from a simulated provider"
    vector: tuple[float, ...] = (0.25, -0.5, 1.0)
    sound: bytes = b"RIFF....WAVE"
    chunk_seconds: float | Callable[[random.Random], float] = 0.0
    cut_after: int | None = None
    prompt_tokens: int = 10
    completion_tokens: int | None = None

    @property
    def words(self) -> list[str]:
        words = self.text.split(" ")
        return [word if position == 0 else " " + word for position, word in enumerate(words)]

    def said_to(self, kind: str) -> Any:
        """What it answers to a kind of request, in the way of a `mock_response`."""
        said: dict[str, Any] = {"embedding": self.vector, "speech": self.sound, "moderation": False}
        return said.get(kind, self.text)

    @property
    def usage(self) -> Usage:
        output = self.completion_tokens
        return Usage(self.prompt_tokens, len(self.words) if output is None else output)


@define(eq=False)
class SimulatedProviders:
    """The `caller` of a router whose providers are simulated.

    It takes every call: `mock_response` and the like have no say beside it.

    Args:
        by_deployment: the behaviour of each deployment, by id; may be changed while the test runs.
        default: the behaviour of all others.
        seed: of every draw.
    """

    by_deployment: Mapping[str, SimulatedProvider] = field(factory=dict)
    default: SimulatedProvider = field(factory=SimulatedProvider)
    seed: int = 0
    calls: dict[str, int] = field(factory=dict, init=False)
    """Calls started so far, by deployment."""
    _rng: Any = field(init=False, repr=False)
    _dispatcher: Any = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._rng = make_rng(self.seed)

    def connect(self, dispatcher: Dispatcher) -> SimulatedProviders:
        """Called by the router: live on its clock."""
        self._dispatcher = dispatcher
        return self

    async def aclose(self) -> None:
        """Nothing to close; part of what a router asks of its caller."""

    def start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> CallHandle:
        """Begin a call; see `actors.providers.ports.Caller`."""
        name = call.deployment.id
        number = self.calls.get(name, 0)
        self.calls[name] = number + 1
        provider = self.by_deployment.get(name, self.default)
        simulated = _SimulatedCall(call, provider, deliver, self._dispatcher.clock, self._rng)
        simulated.begin(self._fault(provider, number))
        return simulated

    def _fault(self, provider: SimulatedProvider, number: int) -> Fault | None:
        if number < len(provider.script):
            return provider.script[number]
        if provider.error_rate and self._rng.random() < provider.error_rate:
            return provider.error
        return None


@define(eq=False)
class _SimulatedCall:
    """One call, moved on by timers."""

    call: ProviderCall
    provider: SimulatedProvider
    deliver: Callable[[ProviderOpened | ProviderFinished], None]
    clock: Any
    rng: Any
    timer: Timer | None = None
    sent: int = 0
    cancelled: bool = False

    @property
    def model(self) -> str:
        """The deployment's, with what the caller's name put in the place of a `*`."""
        model, wildcard = self.call.deployment.model, self.call.call.wildcard
        return model if wildcard is None else model.replace("*", wildcard, 1)

    def begin(self, fault: Fault | None) -> None:
        if self.provider.hang:
            return
        delay = _seconds(self.provider.latency, self.rng)
        if fault is not None:
            error = _error(fault)
            self._later(delay, lambda: self._finish(CallOutcome("failed", error=error)))
        elif self.call.call.stream:
            self._later(delay, self._next_chunk)
        else:
            self._later(delay, self._answer)

    def cancel(self) -> Usage | None:
        self.cancelled = True
        if self.timer is not None:
            self.timer.cancel()
        return Usage(self.provider.prompt_tokens, self.sent) if self.sent else None

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        self.timer = self.clock.call_later(seconds, step)

    def _finish(self, outcome: CallOutcome) -> None:
        self.timer = None
        self.deliver(ProviderFinished(self.call.call.call_id, outcome))

    def _answer(self) -> None:
        if self.call.call.request.KIND != "completion":
            self._answer_of_kind()
            return
        usage = self.provider.usage
        response = ModelResponse.model_validate(
            {
                "id": f"chatcmpl-{self.call.call.call_id}",
                "created": int(self.clock.now()),
                "model": self.model,
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": self.provider.text},
                    }
                ],
                "usage": _told(usage),
            }
        )
        self._finish(CallOutcome("succeeded", response=response, usage=usage))

    def _answer_of_kind(self) -> None:
        call, provider = self.call.call, self.provider
        kind = call.request.KIND
        name, model, now = call.call_id, self.model, int(self.clock.now())
        made = MAKERS[kind](
            Asked(call.request, provider.prompt_tokens, name, model, now), provider.said_to(kind)
        )
        assert made is not None, f"nothing to say to a {kind}"
        usage = made.usage
        if kind == "text_completion":
            usage = provider.usage
            made.answer.usage = _told(usage)
        self._finish(CallOutcome("succeeded", response=made.answer, usage=usage))

    def _next_chunk(self) -> None:
        if self.cancelled:
            return
        channel = self.call.call.channel
        if channel.full:
            channel.when_space(self._next_chunk)
            return
        words = self.provider.words
        if self.provider.cut_after is not None and self.sent >= self.provider.cut_after:
            cut = APIConnectionError("the connection was cut", sent="maybe")
            self._finish(
                CallOutcome("failed", error=cut, usage=Usage(self.provider.prompt_tokens, self.sent))
            )
            return
        if self.sent == len(words):
            channel.put(self._chunk("", "stop"))
            if (getattr(self.call.call.request, "stream_options", None) or {}).get("include_usage"):
                channel.put(self._usage_chunk())
            self._finish(CallOutcome("succeeded", usage=self.provider.usage))
            return
        channel.put(self._chunk(words[self.sent], None))
        self.sent += 1
        self._later(_seconds(self.provider.chunk_seconds, self.rng), self._next_chunk)
        if self.sent == 1:
            self.deliver(ProviderOpened(self.call.call.call_id))

    def _chunk(self, text: str, finish_reason: str | None) -> Any:
        kind = self.call.call.request.KIND
        if kind == "speech":
            return self.provider.sound
        said: dict[str, Any] = {"text": text} if kind == "text_completion" else {"delta": self._delta(text)}
        return self._piece(choices=[{"index": 0, "finish_reason": finish_reason, **said}])

    def _usage_chunk(self) -> Any:
        """The last of a stream whose caller asked for the usage: it has no choices."""
        return self._piece(choices=[], usage=_told(self.provider.usage))

    def _piece(self, **fields: Any) -> Any:
        call = self.call.call
        plain = call.request.KIND == "text_completion"
        kind: type[BaseModel] = TextCompletionResponse if plain else ModelResponseStream
        head = {"created": int(self.clock.now()), "model": self.model}
        return kind.model_validate(
            {"id": f"{'cmpl' if plain else 'chatcmpl'}-{call.call_id}", **head, **fields}
        )

    @staticmethod
    def _delta(text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text} if text else {}


def _told(usage: Usage) -> ResponseUsage:
    """The usage as a provider writes it."""
    return ResponseUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )


def _seconds(value: float | Callable[[random.Random], float], rng: random.Random) -> float:
    return value(rng) if callable(value) else value


def _error(fault: Fault) -> RequestError:
    """A fresh error each time: an error is written on (attempts, deployment) as it travels."""
    if isinstance(fault, int):
        return error_class_for_status(fault)(f"simulated {fault}", status_code=fault)
    if isinstance(fault, RequestError):
        copy = type(fault)(fault.message, status_code=fault.status_code, retry_after=fault.retry_after)
        if isinstance(fault, APIConnectionError) and isinstance(copy, APIConnectionError):
            copy.sent = fault.sent
        return copy
    return fault("simulated failure")
