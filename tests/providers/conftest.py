"""A hand-written server, and one call from start to outcome."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from turnout.actors.providers.http_caller import HttpCaller
from turnout.actors.providers.ports import ProviderCall
from turnout.actors.providers.transport import AiohttpTransport
from turnout.actors.runtime.channel import Channel, ChannelClosed
from turnout.actors.runtime.dispatcher import EventLoopDispatcher
from turnout.messages.commands import Call, ProviderFinished, ProviderOpened
from turnout.messages.deployment import Deployment
from turnout.messages.outcomes import Demand
from turnout.messages.requests import CompletionRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

GUARD_SECONDS = 20.0
"""A test that is not over by then hangs."""

SECRET = "sk-live-abcdef0123456789"
PROMPT = "Tell me the secret story of the clockmaker's daughter"


@define(eq=False)
class Server:
    """What a server saw. `requests` are whole, `hung_up` says that a client has left."""

    port: int = 0
    requests: list[bytes] = field(factory=list)
    connections: int = 0
    hung_up: asyncio.Event = field(factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def read(self, reader: asyncio.StreamReader) -> bytes | None:
        """One whole request; None when the client has left."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        request = head + await reader.readexactly(length)
        self.requests.append(request)
        return request

    async def until_hung_up(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(1000):
                pass
        except ConnectionError:
            pass
        self.hung_up.set()


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[Server]:
    served = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(served, reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            yield served
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@define(eq=False)
class Heard:
    """What came of one call: its deliveries in order, and its stream's chunks."""

    call: Call
    messages: list[Any] = field(factory=list)
    over: asyncio.Event = field(factory=asyncio.Event)
    handle: Any = None

    def deliver(self, message: ProviderOpened | ProviderFinished) -> None:
        self.messages.append(message)
        if type(message) is ProviderFinished:
            self.over.set()
            if self.call.channel is not None:
                self.call.channel.close()

    @property
    def kinds(self) -> list[str]:
        return [type(message).__name__ for message in self.messages]

    @property
    def outcome(self) -> Any:
        (finished,) = [m for m in self.messages if type(m) is ProviderFinished]
        return finished.outcome

    @property
    def error(self) -> Any:
        assert self.outcome.status == "failed", self.outcome
        return self.outcome.error

    def chunks(self) -> list[Any]:
        found = []
        try:
            while (chunk := self.call.channel.get_nowait()) is not None:
                found.append(chunk)
        except ChannelClosed:
            pass
        return found

    def text(self) -> str:
        return "".join(c.choices[0].delta.content or "" for c in self.chunks() if c.choices)


def make_deployment(**fields: Any) -> Deployment:
    given = {"id": "dep-1", "model_name": "group", "provider": "openai", "model": "gpt-4", "api_key": SECRET}
    return Deployment(**{**given, **fields})


def make_call(
    dispatcher: Any = None, *, stream: bool = False, wildcard: str | None = None, **params: Any
) -> Call:
    params.setdefault("messages", [{"role": "user", "content": PROMPT}])
    if stream:
        params["stream"] = True
    request = CompletionRequest(model="group", **params)
    channel = Channel(dispatcher) if stream and dispatcher is not None else None
    return Call("call-1", "req-1", 1, request, Demand(10), 1e12, stream, wildcard, channel)


@asynccontextmanager
async def calling(transport: Any = None, **settings: Any) -> AsyncIterator[Callable[..., Heard]]:
    """Gives `start(deployment, **request)`; tasks and the transport are gone afterwards."""
    dispatcher = EventLoopDispatcher()
    dispatcher.bind(asyncio.get_running_loop())
    transport = transport or AiohttpTransport(dispatcher.clock)
    caller = HttpCaller(transport, dispatcher, **settings)

    def start(deployment: Deployment, **params: Any) -> Heard:
        heard = Heard(make_call(dispatcher, **params))
        heard.handle = caller.start(ProviderCall(heard.call, deployment), heard.deliver)
        return heard

    try:
        yield start
    finally:
        await dispatcher.finish_tasks()
        await transport.aclose()


def ask(handler: Any, *, provider: str = "openai", deployment: Any = None, **params: Any) -> Heard:
    """One call to a server with this handler, to its end."""

    async def run() -> Heard:
        async with serving(handler) as server, calling() as start:
            heard = start(
                make_deployment(provider=provider, api_base=server.url, **(deployment or {})), **params
            )
            await heard.over.wait()
            return heard

    return asyncio.run(run())


def http(body: bytes, *, status: int = 200, kind: str = "application/json", headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def answering(answer: bytes) -> Any:
    """A handler that answers every request with these bytes."""

    async def handler(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await server.read(reader) is not None:
            writer.write(answer)
            await writer.drain()

    return handler


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until something has come about; the guard of `serving` ends a hang."""
    while not condition():  # noqa: ASYNC110  (what is waited for belongs to the code under test)
        await asyncio.sleep(0)


class Kit:
    """The helpers, as one fixture."""

    SECRET = SECRET
    PROMPT = PROMPT
    ask = staticmethod(ask)
    answering = staticmethod(answering)
    calling = staticmethod(calling)
    call = staticmethod(make_call)
    deployment = staticmethod(make_deployment)
    http = staticmethod(http)
    serving = staticmethod(serving)
    until = staticmethod(until)
    Heard = Heard
    Server = Server


@pytest.fixture(name="kit")
def kit_() -> type[Kit]:
    return Kit
