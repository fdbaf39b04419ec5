"""The providers of a scenario: a latency, an error rate, and tokens as the request asks for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...messages.commands import ProviderFinished
from ...messages.errors import APIConnectionError, error_class_for_status
from ...messages.outcomes import CallOutcome, Usage
from ...messages.responses import Choice, Message, ModelResponse

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ...actors.providers.ports import ProviderCall
    from ...actors.runtime.clock import Clock, Timer
    from ...actors.runtime.dispatcher import Dispatcher

__all__ = ["BYTES_PER_TOKEN", "Behaviour", "Upstream"]

BYTES_PER_TOKEN = 4
"""Of a prompt of `x`s: by its length a provider knows how many tokens the scenario means."""

REFUSED = 0
"""In place of a status: nobody listens."""


_CHOICE = Choice(message=Message(content="answered"), finish_reason="stop")
"""What every answer says; one for all of them."""

_response = ModelResponse.__pydantic_validator__.validate_python
"""What `model_validate` does, without the way there."""


@frozen
class Behaviour:
    """How a deployment behaves: log-normal seconds, the share of its calls that fail, and with what."""

    median: float
    spread: float
    error_rate: float
    status: int
    output_tokens: int
    hangs: bool = False

    def seconds(self, rng: random.Random) -> float:
        return self.median if not self.spread else rng.lognormvariate(math.log(self.median), self.spread)


class _Hanging:
    """A call that will never end by itself."""

    def cancel(self) -> None:
        """Nothing is under way that could be cancelled."""


class Upstream:
    """The `caller` of a router in a scenario. `by_deployment` is changed as incidents come and go."""

    def __init__(self, by_deployment: dict[str, Behaviour], rng: random.Random) -> None:
        self.by_deployment = by_deployment
        self._rng = rng
        self._clock: Clock = None  # type: ignore[assignment]  # from `connect`

    def connect(self, dispatcher: Dispatcher) -> Upstream:
        self._clock = dispatcher.clock
        return self

    async def aclose(self) -> None:
        """Nothing to close."""

    def check(self, deployment: Any) -> None:
        """Every deployment can be called."""

    def start(self, call: ProviderCall, deliver: Callable[[ProviderFinished], None]) -> Timer:
        """Begin a call; see `actors.providers.ports.Caller`."""
        behaviour = self.by_deployment[call.deployment.id]
        if behaviour.hangs:
            return _Hanging()
        rng = self._rng
        fails = behaviour.error_rate > 0 and rng.random() < behaviour.error_rate

        def finish() -> None:
            outcome = _failure(behaviour.status) if fails else _answer(call, behaviour)
            deliver(ProviderFinished(call.call.call_id, outcome))

        return self._clock.call_later(behaviour.seconds(rng), finish)


def _failure(status: int) -> CallOutcome:
    if status == REFUSED:
        return CallOutcome("failed", error=APIConnectionError("refused", sent="no"))
    return CallOutcome(
        "failed", error=error_class_for_status(status)(f"simulated {status}", status_code=status)
    )


def _answer(call: ProviderCall, behaviour: Behaviour) -> CallOutcome:
    most = call.call.demand.output_tokens
    asked: Any = call.call.request  # a chat: nothing else is played
    prompt = len(asked.messages[0]["content"]) // BYTES_PER_TOKEN  # not what the router guesses
    output = behaviour.output_tokens if most is None else min(most, behaviour.output_tokens)
    response = _response({"id": call.call.call_id, "choices": [_CHOICE]})
    return CallOutcome("succeeded", response, usage=Usage(prompt, output))
