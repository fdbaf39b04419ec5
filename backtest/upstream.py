"""The `caller` of a router in a play: whatever the providers reply, at the time it comes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import define

from ..messages import errors
from ..messages.commands import ProviderFinished, ProviderOpened
from ..messages.errors import APIConnectionError, RequestError, error_class_for_status
from ..messages.outcomes import CallOutcome, Usage
from ..messages.responses import ModelResponse, ModelResponseStream
from .latencies import NEVER
from .ports import Asked, Fault, Reply
from .sharers import Sharers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.providers.ports import ProviderCall
    from ..actors.runtime.clock import Clock, Timer
    from ..actors.runtime.dispatcher import Dispatcher
    from ..messages.commands import Call
    from ..messages.deployment import Deployment
    from .ports import Providers
    from .record import Arrival

__all__ = ["Upstream"]

CHUNKS_AT_MOST = 32
"""Chunks of a played stream; a channel holds more, so that nobody need read them."""

CHUNK_SECONDS = 1.0
"""Between two of them, or longer where they would be too many."""

_ANSWER = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "…"}}
_CHUNK = {"index": 0, "delta": {"role": "assistant", "content": "…"}}


class Upstream:
    """Plays what `providers` reply.

    Attributes:
        stranger: in place of the arrival of a call that no request made, as a health check's.
        sharers: who else uses the same keys.
        open: calls under way, by deployment.
        busiest: the most calls that came in one minute, by deployment.
    """

    def __init__(self, providers: Providers, stranger: Arrival, sharers: Sharers | None = None) -> None:
        self.providers = providers
        self.stranger = stranger
        self.sharers = sharers or Sharers({})
        self.open: Counter[str] = Counter()
        self.busiest: Counter[str] = Counter()
        self._minute: Counter[tuple[str, int]] = Counter()
        self._expected: dict[str, tuple[int, Arrival, Counter[str]]] = {}
        self._clock: Clock = None  # type: ignore[assignment]  # from `connect`

    def __repr__(self) -> str:
        return f"<Upstream {self.open.total()} calls under way>"

    def connect(self, dispatcher: Dispatcher) -> Upstream:
        """A router begins its life."""
        self._clock = dispatcher.clock
        return self

    async def aclose(self) -> None:
        """Nothing to close."""

    def check(self, deployment: Any) -> None:
        """Every deployment can be called."""

    def expect(self, request_id: str, number: int, arrival: Arrival) -> None:
        """The request that comes next, and its name."""
        self._expected[request_id] = (number, arrival, Counter())

    def start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> _Playing:
        """Begin a call; see `actors.providers.ports.Caller`."""
        asked = call.call
        name = call.deployment.id
        number, arrival, sent = self._expected.get(asked.request_id) or (-1, self.stranger, Counter())
        refusal = arrival.refused.get(call.deployment.model_name)
        if refusal is None:
            reply = self.providers.reply(
                Asked(name, self._clock.now(), number, arrival, sent[name], asked.stream, self.open[name])
            )
        else:
            error, status, seconds = refusal
            reply = Reply(seconds, fault=Fault(error, status))
        sent[name] += 1
        self._count(name)
        self.open[name] += 1
        self.sharers.start(name, self._clock.now(), reply.prompt_tokens + reply.output_tokens)
        playing = _Playing(self, asked, call.deployment, reply, deliver)
        playing.begin()
        return playing

    def _count(self, name: str) -> None:
        minute = (name, int(self._clock.now() // 60.0))
        self._minute[minute] += 1
        self.busiest[name] = max(self.busiest[name], self._minute[minute])


@define(eq=False)
class _Playing:
    """One call under way, moved on by timers."""

    upstream: Upstream
    call: Call
    deployment: Deployment
    reply: Reply
    deliver: Callable[[ProviderOpened | ProviderFinished], None]
    timer: Timer | None = None
    pause: float = CHUNK_SECONDS
    left: float = 0.0
    over: bool = False

    def begin(self) -> None:
        """Wait for the first content, or for the end."""
        reply = self.reply
        if self.call.stream and reply.ttft is not None and reply.ttft < NEVER:
            self.left = max(0.0, reply.seconds - reply.ttft)
            self.pause = (
                CHUNK_SECONDS if self.left == NEVER else max(CHUNK_SECONDS, self.left / CHUNKS_AT_MOST)
            )
            self._later(reply.ttft, self._open)
        elif reply.seconds < NEVER:
            self._later(reply.seconds, self._finish)

    def cancel(self) -> Usage | None:
        """Nothing more is delivered; what a provider that was given up charges it has not told."""
        self._close()
        if self.timer is not None:
            self.timer.cancel()
        return None

    def _close(self) -> None:
        if not self.over:
            self.over = True
            self.upstream.open[self.deployment.id] -= 1

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        self.timer = self.upstream._clock.call_later(seconds, step)

    def _open(self) -> None:
        self.call.channel.put(_chunk())
        self._go_on()
        self.deliver(ProviderOpened(self.call.call_id))

    def _go_on(self) -> None:
        """Wait for the next chunk, or for the end. One that never ends is silent from here on."""
        if self.left == NEVER:
            return
        if self.left > self.pause:
            self.left -= self.pause
            self._later(self.pause, self._next)
        else:
            self._later(self.left, self._finish)

    def _next(self) -> None:
        self.call.channel.put(_chunk())
        self._go_on()

    def _finish(self) -> None:
        self._close()
        self.deliver(ProviderFinished(self.call.call_id, self._outcome()))

    def _outcome(self) -> CallOutcome:
        reply, upstream = self.reply, self.upstream
        limits = reply.limits or upstream.sharers.limits(self.deployment, upstream._clock.now())
        if reply.fault is not None:
            return CallOutcome("failed", error=_error(reply.fault), limits=limits)
        response = None if self.call.stream else _response(self.call.call_id)
        usage = Usage(reply.prompt_tokens, reply.output_tokens)
        return CallOutcome("succeeded", response, usage=usage, limits=limits)


def _response(call_id: str) -> ModelResponse:
    return ModelResponse.model_validate({"id": call_id, "choices": [_ANSWER]})


def _chunk() -> ModelResponseStream:
    return ModelResponseStream.model_validate({"id": "played", "choices": [_CHUNK]})


def _error(fault: Fault) -> RequestError:
    """A fresh error each time: it is written on as it travels."""
    kind = getattr(errors, fault.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, RequestError)):
        kind = error_class_for_status(fault.status)
    text = "as recorded"
    if issubclass(kind, APIConnectionError):
        return kind(text, sent="no" if fault.sent == "no" else "maybe")
    return kind(text, status_code=fault.status, retry_after=fault.retry_after)
