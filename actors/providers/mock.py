"""Answers that no provider gave: `mock_response`, `mock_timeout`, `mock_tool_calls`, `mock_delay`.

Everything here happens by timer on the router's clock, so it is the same on an event loop and on a
fake clock, and to the rest of the house a mock call is a call like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ...messages.commands import ProviderFinished, ProviderOpened
from ...messages.errors import BadRequestError, RequestError, Timeout
from ...messages.outcomes import CallOutcome, Usage
from ...messages.responses import ModelResponse, ModelResponseStream
from .failures import class_named, error_named, foreign_error, unexpected
from .mock_kinds import CHUNKERS, MAKERS, Asked, words_of
from .usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...messages.deployment import Deployment
    from ...messages.requests import Request
    from ...messages.responses import Answer
    from ..runtime.clock import Clock, Timer
    from .ports import ProviderCall

__all__ = ["MockCaller", "has_mock", "is_mock"]

BYTES_PER_TOKEN = 4
"""A mock answer's tokens are its bytes divided by this, rounded up; its prompt's are our estimate."""

_ERROR_HOMES = ("litellm.", "turnout.", "openai.")
_parse_response: Callable[[Any], ModelResponse] = ModelResponse.__pydantic_validator__.validate_python
_parse_chunk = ModelResponseStream.model_validate


def has_mock(deployment: Deployment) -> bool:
    """Whether every call to this deployment is answered here."""
    return (
        deployment.mock_response is not None
        or deployment.mock_timeout
        or deployment.mock_tool_calls is not None
    )


def is_mock(deployment: Deployment, request: Request) -> bool:
    """Whether this call is answered here and reaches no provider."""
    return (
        has_mock(deployment)
        or request.mock_response is not None
        or bool(request.mock_timeout)
        or request.mock_tool_calls is not None
    )


class MockCaller:
    """Answers calls from their own `mock_` parameters; a request's win over its deployment's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __repr__(self) -> str:
        return "<MockCaller>"

    def start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> MockCall:
        """Begin a call; see :class:`~.ports.Caller`."""
        mock_call = MockCall(call, deliver, self._clock)
        mock_call.begin()
        return mock_call


class MockCall:
    """One mock call under way; see :class:`~.ports.CallHandle`."""

    __slots__ = (
        "_call",
        "_chunks",
        "_clock",
        "_deliver",
        "_deployment",
        "_opened",
        "_over",
        "_source",
        "_timer",
        "_usage",
    )

    def __init__(
        self,
        call: ProviderCall,
        deliver: Callable[[ProviderOpened | ProviderFinished], None],
        clock: Clock,
    ) -> None:
        self._call = call.call
        self._deployment = call.deployment
        self._deliver = deliver
        self._clock = clock
        self._timer: Timer | None = None
        self._chunks: Iterator[Any] | None = None
        self._source: dict[str, Any] | None = None
        self._usage: Usage | None = None
        self._opened = False
        self._over = False

    def __repr__(self) -> str:
        return f"<MockCall {self._call.call_id} · {'cancelled or over' if self._over else 'open'}>"

    def begin(self) -> None:
        """Set the timer for the answer. One that is to time out has none, unless a delay was given."""
        request, deployment = self._call.request, self._deployment
        delay = deployment.mock_delay if request.mock_delay is None else request.mock_delay
        if self._times_out() and not delay:
            return
        self._timer = self._clock.call_later(delay, self._answer)

    def cancel(self) -> None:
        """Abort it; nothing is delivered any more."""
        self._over = True
        self._chunks = None
        if self._timer is not None:
            self._timer.cancel()

    def _times_out(self) -> bool:
        asked = self._call.request.mock_timeout
        return self._deployment.mock_timeout if asked is None else asked

    def _finish(self, outcome: CallOutcome) -> None:
        self._over = True
        self._deliver(ProviderFinished(self._call.call_id, outcome))

    def _fail(self, error: RequestError) -> None:
        self._finish(CallOutcome("failed", error=error, usage=self._usage))

    # -- the answer

    def _answer(self) -> None:
        if self._over:
            return
        try:
            response = self._response()
        except RequestError as error:
            self._fail(error.with_traceback(None))
            return
        except Exception as error:  # noqa: BLE001  (a user's exception class may do anything when it is made)
            self._fail(unexpected(self._deployment, error))
            return
        usage = self._usage
        if usage is None and getattr(response, "usage", None) is not None:
            usage = usage_of(response.usage)
        if not self._call.stream:
            self._finish(CallOutcome("succeeded", response, usage=usage, source=self._source))
            return
        self._usage = usage
        chunks_of = CHUNKERS.get(self._call.request.KIND, _chunks_of)
        self._chunks = chunks_of(response, show_usage=self._usage_asked())
        self._go_on()

    def _response(self) -> Answer:
        """The whole answer.

        Raises:
            RequestError: the mock is an error, or no answer to this kind of request.
        """
        call, deployment = self._call, self._deployment
        if self._times_out():
            raise foreign_error(Timeout("the mock timed out"), deployment)
        mock = call.request.mock_response
        if mock is None:
            mock = deployment.mock_response
        tool_calls = call.request.mock_tool_calls
        if tool_calls is None:
            tool_calls = deployment.mock_tool_calls
        if type(mock) is str and not mock.startswith(_ERROR_HOMES):
            return self._said(mock, tool_calls)
        if mock is None:
            return self._said(None, tool_calls)
        return self._from(mock, tool_calls)

    def _said(self, text: str | None, tool_calls: list[Any] | None) -> Answer:
        """The answer for a plain text, or for tool calls alone."""
        if self._call.request.KIND == "completion":
            return self._made(text, tool_calls)
        return self._of_kind(text)

    def _from(self, mock: Any, tool_calls: list[Any] | None) -> Answer:
        """The answer for what is no plain text."""
        deployment = self._deployment
        if isinstance(mock, BaseException):
            raise foreign_error(mock, deployment)
        if isinstance(mock, type) and issubclass(mock, BaseException):
            raise _error_of_class(mock, deployment)
        if isinstance(mock, str):
            kind = error_named(mock.rpartition(".")[2])
            if kind is None:
                return self._said(mock, tool_calls)
            raise foreign_error(kind(f"mock {kind.__name__}"), deployment)
        if self._call.request.KIND != "completion":
            return self._of_kind(mock)
        if isinstance(mock, ModelResponse):
            return mock.model_copy(deep=True)
        if isinstance(mock, dict):
            return self._parsed(mock)
        raise self._answers_not(mock)

    def _of_kind(self, mock: Any) -> Answer:
        """The answer to what is no chat completion."""
        call = self._call
        request = call.request
        now = int(self._clock.now())
        asked = Asked(request, call.demand.input_tokens, call.call_id, self._model(), now)
        try:
            made = MAKERS[request.KIND](asked, mock)
        except ValueError as error:
            why = "" if isinstance(error, ValidationError) else f": {error}"
            msg = f"mock_response has not the shape of an answer to {request.KIND}{why}"
            raise foreign_error(BadRequestError(msg), self._deployment) from None
        if made is None:
            raise self._answers_not(mock)
        self._usage = made.usage
        return made.answer

    def _answers_not(self, mock: Any) -> RequestError:
        msg = f"mock_response is a {type(mock).__name__}, which answers no {self._call.request.KIND}"
        return foreign_error(BadRequestError(msg), self._deployment)

    def _parsed(self, mock: dict[str, Any]) -> ModelResponse:
        call = self._call
        named = {"id": f"chatcmpl-{call.call_id}", "created": int(self._clock.now()), "model": self._model()}
        try:
            return _parse_response({**named, **mock})
        except ValueError:
            msg = "mock_response is a dict without OpenAI's shape: choices, each with a message"
            raise foreign_error(BadRequestError(msg), self._deployment) from None

    def _model(self) -> str:
        model, wildcard = self._deployment.model, self._call.wildcard
        return model if wildcard is None else model.replace("*", wildcard, 1)

    def _made(self, text: str | None, tool_calls: list[Any] | None) -> ModelResponse:
        call = self._call
        prompt = call.demand.input_tokens
        completion = 0 if text is None else _tokens(text)
        self._usage = Usage(prompt, completion)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if tool_calls is not None:
            message["tool_calls"] = tool_calls
        self._source = {
            "id": "chatcmpl-" + call.call_id,
            "created": int(self._clock.now()),
            "model": self._model(),
            "choices": [
                {"index": 0, "message": message, "finish_reason": "tool_calls" if tool_calls else "stop"}
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }
        return _parse_response(self._source)

    # -- as a stream

    def _usage_asked(self) -> bool:
        options = getattr(self._call.request, "stream_options", None)
        return bool(options and options.get("include_usage"))

    def _go_on(self) -> None:
        """Put chunks until there are no more, the channel is full or the call is cancelled."""
        channel = self._call.channel
        while self._chunks is not None:
            if channel.full:
                channel.when_space(self._go_on)
                return
            chunk = next(self._chunks, None)
            if chunk is None:
                self._chunks = None
                self._finish(CallOutcome("succeeded", usage=self._usage))
                return
            channel.put(chunk)
            if not self._opened:
                self._opened = True
                self._deliver(ProviderOpened(self._call.call_id))


def _chunks_of(response: ModelResponse, *, show_usage: bool) -> Iterator[ModelResponseStream]:
    """The chunks of an answer: word by word, the role with the first."""
    head = {"id": response.id, "created": response.created, "model": response.model}

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> ModelResponseStream:
        return _parse_chunk({**head, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})

    for choice in response.choices:
        message = choice.message
        role = {"role": message.role}
        for word in words_of(message.content or ""):
            yield chunk(choice.index, {**role, "content": word})
            role = {}
        if message.tool_calls:
            calls = [_numbered(position, call) for position, call in enumerate(message.tool_calls)]
            yield chunk(choice.index, {**role, "tool_calls": calls})
            role = {}
        yield chunk(choice.index, role, choice.finish_reason or "stop")
    if show_usage and response.usage is not None:
        yield _parse_chunk({**head, "choices": [], "usage": response.usage.model_dump()})


def _numbered(position: int, call: Any) -> Any:
    """A tool call as a stream has it, with its index."""
    return {"index": position, **call} if isinstance(call, dict) else call


def _error_of_class(kind: type[BaseException], deployment: Deployment) -> RequestError:
    ours = class_named(kind)
    if ours is not None:
        return foreign_error(ours(f"mock {kind.__name__}"), deployment)
    return foreign_error(kind(), deployment)


def _tokens(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return -(-size // BYTES_PER_TOKEN)
