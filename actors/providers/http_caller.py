"""Calls over HTTP: encode, send, read, decode, tell.

One call is one task. It ends by telling its outcome, once; a cancelled one tells nothing. Its time
is watched from outside, by the Deployment.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from ...messages.commands import ProviderFinished, ProviderOpened
from ...messages.errors import ConfigurationError, NotFoundError, RequestError
from ...messages.outcomes import CallOutcome
from ..runtime.dispatcher import ManualDispatcher
from .codecs import codec_for
from .failures import broken_connection, prompt_texts, refusal, unexpected, unusable
from .parted import PartedCall
from .reply_headers import MAX_RETRY_AFTER, provider_limits
from .sse import EventTooLargeError
from .transport import AiohttpTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ...messages.commands import Call
    from ...messages.deployment import Deployment
    from ...messages.outcomes import ProviderLimits, Usage
    from ..runtime.dispatcher import Dispatcher, Task
    from .ports import CallHandle, ProviderCall
    from .transport import Answer
    from .wire import Codec, StreamDecoder

__all__ = ["HttpCaller"]

MAX_ERROR_BYTES = 64 * 1024
"""Of an error's body that are read; its beginning says all that we pass on."""

MAX_UNOPENED = 256
"""Chunks without content that a stream may begin with."""

MAX_CODECS = 100_000
"""Codecs kept, one per deployment and kind of request; beyond that the oldest is built again when needed."""

DRAIN_SECONDS = 1.0
"""How long the end of a finished stream is waited for, so that its connection can be used again."""


class HttpCaller:
    """Starts calls over an httpx transport; see :class:`~.ports.Caller`.

    Args:
        transport: any; it is not closed here.
        dispatcher: runs the tasks, and has the clock.
        max_retry_after: seconds; a provider that asks for more is not believed.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        dispatcher: Dispatcher,
        *,
        max_retry_after: float = MAX_RETRY_AFTER,
    ) -> None:
        self.transport = transport
        self.dispatcher = dispatcher
        self.max_retry_after = max_retry_after
        # a stepped coroutine cannot wait for a reader; but then the whole stream is in memory anyway
        self.can_wait = not isinstance(dispatcher, ManualDispatcher)
        self._codecs: dict[tuple[str, str], tuple[Deployment, Codec]] = {}
        self.send: Callable[[Codec, Call], Awaitable[Answer | HttpxAnswer]] = self._through_httpx
        if isinstance(transport, AiohttpTransport):
            self._own = transport
            self.send = self._exchanged

    def __repr__(self) -> str:
        return f"<HttpCaller {self.transport!r} · {len(self._codecs)} codecs>"

    def start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> CallHandle:
        """Begin a call."""
        inputs = call.call.demand.inputs
        if inputs > 1 and inputs > call.deployment.batch:
            return PartedCall(self._start, call, deliver)
        return self._start(call, deliver)

    def _start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> HttpCall:
        http_call = HttpCall(self, call, deliver)
        http_call.task = self.dispatcher.spawn(http_call.run())
        return http_call

    async def _exchanged(self, codec: Codec, call: Call) -> Answer | HttpxAnswer:
        answer = await self._own.exchange(*codec.post(call))
        if answer.headers.get("content-encoding", "identity") == "identity":
            return answer
        response = httpx.Response(answer.status, headers=answer.raw_headers, stream=answer)
        return HttpxAnswer(response)

    async def _through_httpx(self, codec: Codec, call: Call) -> Answer | HttpxAnswer:
        return HttpxAnswer(await self.transport.handle_async_request(codec.encode(call)))

    def codec(self, deployment: Deployment, kind: str) -> Codec:
        """The deployment's codec, built on its first call of a kind and again when the deployment changed."""
        known = self._codecs.get((deployment.id, kind))
        if known is not None and known[0] is deployment:
            return known[1]
        codec = codec_for(deployment, kind)
        if len(self._codecs) >= MAX_CODECS:
            del self._codecs[next(iter(self._codecs))]
        self._codecs[deployment.id, kind] = (deployment, codec)
        return codec


class HttpCall:
    """One call under way; see :class:`~.ports.CallHandle`."""

    __slots__ = (
        "_body",
        "_call",
        "_caller",
        "_decoder",
        "_deliver",
        "_deployment",
        "_limits",
        "_silent",
        "task",
    )

    def __init__(
        self,
        caller: HttpCaller,
        provider_call: ProviderCall,
        deliver: Callable[[ProviderOpened | ProviderFinished], None],
    ) -> None:
        self._caller = caller
        self._call = provider_call.call
        self._deployment = provider_call.deployment
        self._deliver = deliver
        self._body: Any = None
        self._decoder: StreamDecoder | None = None
        self._limits: ProviderLimits | None = None
        self._silent = False
        self.task: Task | None = None

    def __repr__(self) -> str:
        state = "cancelled or over" if self._silent else "open"
        return f"<HttpCall {self._call.call_id} · {state}>"

    def cancel(self) -> Usage | None:
        """Abort it; nothing is delivered any more. Gives the usage told so far."""
        if not self._silent:
            self._silent = True
            if self.task is not None:
                self.task.cancel()
        return self._usage()

    def _usage(self) -> Usage | None:
        return None if self._decoder is None else self._decoder.usage

    # -- the task

    async def run(self) -> None:
        """Do it all. Ends with one delivery, unless it was cancelled."""
        answer: Answer | HttpxAnswer | None = None
        try:
            codec = self._codec()
            answer = self._body = await self._caller.send(codec, self._call)
            self._finish(await self._answer(codec, answer))
            if self._call.stream and not answer.ended:
                await self._drain()
        except RequestError as error:
            self._fail(error)
        except (httpx.TransportError, httpx.DecodingError) as error:
            self._fail(broken_connection(self._deployment, error))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # nobody cancelled us: a transport says it was
                self._fail(unexpected(self._deployment, error))
            raise
        except Exception as error:  # noqa: BLE001  (a bug in a transport must not hang the call)
            self._fail(unexpected(self._deployment, error))
        finally:
            if answer is not None:
                await answer.aclose()

    def _codec(self) -> Codec:
        try:
            return self._caller.codec(self._deployment, self._call.request.KIND)
        except ConfigurationError as error:
            # like a model that is not there: another deployment may well do
            deployment = self._deployment
            raise NotFoundError(
                str(error), deployment.provider, deployment.model, deployment_id=deployment.id
            ) from error

    def _finish(self, outcome: CallOutcome) -> None:
        if not self._silent:
            self._silent = True
            self._deliver(ProviderFinished(self._call.call_id, outcome))

    def _fail(self, error: RequestError) -> None:
        self._finish(CallOutcome("failed", error=error, usage=self._usage(), limits=self._limits))

    async def _answer(self, codec: Codec, answer: Answer | HttpxAnswer) -> CallOutcome:
        self._limits = provider_limits(answer.headers)
        if answer.status != 200:
            raise await self._refusal(answer)
        if self._call.stream:
            return await self._streamed(codec, answer)
        kind = answer.headers.get("content-type", "")
        decoded = codec.decode(await self._whole(codec), self._call, kind)
        return CallOutcome("succeeded", decoded.response, None, decoded.usage, self._limits, decoded.source)

    # -- whole answers

    async def _refusal(self, answer: Answer | HttpxAnswer) -> RequestError:
        return refusal(
            self._deployment,
            answer.status,
            httpx.Headers(answer.raw_headers),
            await _beginning(self._body, MAX_ERROR_BYTES),
            self._caller.dispatcher.clock.now(),
            prompt=prompt_texts(self._call.request),
            max_retry_after=self._caller.max_retry_after,
        )

    async def _whole(self, codec: Codec) -> bytes:
        most = codec.max_body
        body = await _beginning(self._body, most + 1)
        if len(body) > most:
            raise unusable(self._deployment, f"with more than {most} bytes")
        return body

    # -- streams

    async def _streamed(self, codec: Codec, answer: Answer | HttpxAnswer) -> CallOutcome:
        kind = answer.headers.get("content-type", "")
        if kind.startswith(codec.no_streams):
            # an error object says more than "no stream" does
            codec.decode(await self._whole(codec), self._call, kind)
            raise unusable(self._deployment, "a stream request with a whole answer")
        decoder = self._decoder = codec.stream(self._call)
        await self._pump(decoder)
        decoder.finish()
        return CallOutcome("succeeded", usage=decoder.usage, limits=self._limits)

    async def _pump(self, decoder: StreamDecoder) -> None:
        """Events from the socket into the channel, until the stream is done or its bytes end.

        Until the first content nothing is put: a failed attempt must leave no chunk in front of the
        one that follows it.
        """
        feed, decode = decoder.feed, decoder.decode
        channel = self._call.channel
        can_wait = self._caller.can_wait
        held: list[Any] | None = []
        read = self._body.read
        while data := await read():
            for event in self._events(feed, data):
                chunk = decode(event)
                if chunk is None:
                    if decoder.done:
                        return
                elif held is None:
                    channel.put(chunk)
                    if channel.full and can_wait:
                        await channel.space()
                else:
                    held.append(chunk)
                    if decoder.has_content(chunk):
                        self._open(held)
                        held = None
                        decode = decoder.pass_on
                        if self._silent:
                            return  # cancelled by who heard of it: not one chunk more
                    elif len(held) > MAX_UNOPENED:
                        raise unusable(self._deployment, f"{MAX_UNOPENED} chunks without content")

    def _events(self, feed: Callable[[bytes], list[Any]], data: bytes) -> list[Any]:
        try:
            return feed(data)
        except EventTooLargeError as error:
            raise unusable(self._deployment, f"a stream with {error}") from None

    def _open(self, held: list[Any]) -> None:
        if self._silent:
            return
        for chunk in held:
            self._call.channel.put(chunk)
        self._deliver(ProviderOpened(self._call.call_id))

    async def _drain(self) -> None:
        """Read what is left of a finished stream, if it comes soon: a connection read to its end is kept."""
        task = self.task
        if task is None:
            return
        timer = self._caller.dispatcher.clock.call_later(DRAIN_SECONDS, task.cancel)
        try:
            await _beginning(self._body, MAX_ERROR_BYTES)
        except httpx.TransportError:
            return  # the answer is complete; only the connection is lost
        finally:
            timer.cancel()


async def _beginning(answer: Answer | HttpxAnswer, limit: int) -> bytes:
    """What is left of the body, or as much of it as came until there was `limit` of it."""
    data = await answer.read()
    if answer.ended:  # as small answers are: in one piece
        return data
    parts = []
    size = 0
    while data:
        parts.append(data)
        size += len(data)
        if size >= limit:
            break
        data = await answer.read()
    return b"".join(parts)


class HttpxAnswer:
    """An httpx response in the shape of our own transport's `Answer`."""

    __slots__ = ("_body", "_response", "ended", "headers", "raw_headers", "status")

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = response.headers
        self.raw_headers = response.headers.raw
        self.ended = False
        self._body: Any
        if response.headers.get("content-encoding", "identity") == "identity":
            self._body = aiter(response.stream)  # type: ignore[arg-type]  # a transport's stream is an async one
        else:  # only a compressed one takes the way through httpx's decoders
            self._body = response.aiter_bytes()

    async def read(self) -> bytes:
        """What has come of the body; empty at its end."""
        async for data in self._body:
            if data:
                piece: bytes = data
                return piece
        self.ended = True
        return b""

    async def aclose(self) -> None:
        """End it, whether it was read to its end or not."""
        close = getattr(self._body, "aclose", None)
        if close is not None:  # most bodies are generators, which must not be left half-read
            await close()
        await self._response.aclose()
