"""A hand-written provider that does anything but answer, and the look at what it left behind."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from turnout import Router
from turnout.actors.journal.codec import encode_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

GUARD_SECONDS = 30.0
"""A test that is not over by then hangs."""

SOON_SECONDS = 5.0
"""For what the router promises within a second; the rest is a slow machine's."""

KEY = "hush-31415926535"
"""Not shaped like a key: only who knows that it is one can keep it out of a text."""

PROMPT = "Where did the clockmaker's daughter hide the map?"
MESSAGES = [{"role": "user", "content": PROMPT}]


def http(body: bytes, *, status: int = 200, kind: str = "application/json", headers: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


ANSWER = http(
    json.dumps(
        {
            "id": "a",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "well"}}
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
        }
    ).encode()
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(text: str | None = None, **delta: Any) -> bytes:
    """One chunk of a stream, framed for the wire."""
    document = {
        "id": "a",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta or {"content": text}, "finish_reason": None}],
    }
    return chunked(b"data: %s\n\n" % json.dumps(document).encode())


class Connection:
    """One client's connection, on the provider's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes | None:
        """One whole request; None when the client has left."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        return head + await self.reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_left(self) -> None:
        """Say nothing more and wait for the client to go."""
        while await self.reader.read(4096):
            pass


async def well(connection: Connection) -> bool:
    """Answer as one should, and stay for the next request."""
    await connection.send(ANSWER)
    return True


class Provider:
    """Takes requests, treats the first ones as `script` says and answers the others well.

    A behaviour is given the connection; the connection is closed after it unless it returns True.

    Attributes:
        arrived: set once a request has come.
        left: set once a connection has ended; of one on which nothing is answered: by the client.
        connections: how many are open.
    """

    def __init__(self, script: list[Any]) -> None:
        self.script = deque(script)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        try:
            await self._serve(Connection(reader, writer))
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.connections -= 1
            self.left.set()

    async def _serve(self, connection: Connection) -> None:
        if self.script and self.script[0] is slam:
            self.script.popleft()
            self.arrived.set()
            return
        while (request := await connection.request()) is not None:
            self.requests.append(request)
            self.arrived.set()
            behaviour = self.script.popleft() if self.script else well
            if not await behaviour(connection):
                return


async def slam(_connection: Connection) -> None:
    """Close the connection right after accepting it."""


@asynccontextmanager
async def provider(*script: Any) -> AsyncIterator[Provider]:
    host = Provider(list(script))
    server = await asyncio.start_server(host.connected, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            yield host
    finally:
        server.close()
        for task in host.tasks:
            task.cancel()
        await asyncio.gather(*host.tasks, return_exceptions=True)
        await server.wait_closed()


def entry(deployment_id: str, group: str = "gpt-4", **params: Any) -> dict[str, Any]:
    """A `model_list` entry."""
    params = {"model": "openai/gpt-4o", "api_key": KEY, **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": deployment_id}}


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until something has come about; the guard of `provider` ends a hang."""
    while not condition():  # noqa: ASYNC110  (what is waited for belongs to the code under test)
        await asyncio.sleep(0)


async def soon(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(SOON_SECONDS):
        return await awaitable


def assert_nothing_is_open(router: Router) -> None:
    """I4: no slot, no request."""
    health = router.health()
    assert health["open_requests"] == 0
    assert [item["line"] for item in health["deployments"].values() if item["state"]["open"]] == []


def assert_nothing_secret(error: BaseException, router: Router, log: str) -> None:
    """I11: neither key nor prompt in anything that may be shown or kept."""
    texts = [
        str(error),
        repr(error),
        repr(vars(error)),
        "".join(traceback.format_exception(error)),
        repr(router),
        repr(router.settings),
        repr(router.health()),
        repr([encode_event(recorded.event) for recorded in router.events()]),
        log,
    ]
    for text in texts:
        assert KEY not in text, text
        assert PROMPT not in text, text


class Kit:
    """The helpers, as one fixture."""

    GUARD_SECONDS = GUARD_SECONDS
    KEY = KEY
    MESSAGES = MESSAGES
    PROMPT = PROMPT
    STREAM_HEAD = STREAM_HEAD
    assert_nothing_is_open = staticmethod(assert_nothing_is_open)
    assert_nothing_secret = staticmethod(assert_nothing_secret)
    chunked = staticmethod(chunked)
    entry = staticmethod(entry)
    event = staticmethod(event)
    http = staticmethod(http)
    provider = staticmethod(provider)
    slam = staticmethod(slam)
    soon = staticmethod(soon)
    until = staticmethod(until)
    well = staticmethod(well)


@pytest.fixture(name="kit")
def kit_() -> type[Kit]:
    return Kit
