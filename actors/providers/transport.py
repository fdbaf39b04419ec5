"""Our own httpx transport, on aiohttp's connection pool.

It keeps three classes of failure apart, since retrying depends on it (:func:`sent` reads them):

* *not sent*: refused, no such host, TLS, connect timeout: `httpx.ConnectError`, `httpx.ConnectTimeout`;
* *maybe sent*: hung up, or answered in garbage: `httpx.ReadError`, `httpx.RemoteProtocolError`;
* *answered*: an `httpx.Response`; when its body is cut, reading it raises `httpx.ReadError`.

A pooled connection that the server closed while it was idle is noticed by the event loop and not
used again. One that is closed in the very moment we write looks the same as a server that read the
request and died, so it is *maybe sent* and nothing is repeated behind the caller's back.

No timeout but the one for connecting: a Deployment's timers say how long a call may take.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import httpx
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.http import HttpProcessingError
from yarl import URL

from .pouring import pour
from .wire import Pieces, head_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage

    from ..runtime.clock import Clock
__all__ = ["AiohttpTransport", "Answer", "sent"]

CONNECT_SECONDS = 10.0
"""For one address to accept the connection, TLS included."""

KEEPALIVE_SECONDS = 30.0
"""A connection idle for longer is closed."""

MAX_CONNECTIONS = 1000
"""Open at once, over all hosts; further calls wait for one."""

DNS_CACHE_SECONDS = 30
MAX_HEADERS = 128
MAX_HEADER_BYTES = 16 * 1024
"""Of one header, name and value; an answer with more or larger ones is no HTTP to us."""

READ_BUFFER_BYTES = 64 * 1024
"""Twice as much may wait to be read before the socket is paused."""

MAX_CACHED_URLS = 4096
CLIENT_TTL_SECONDS = 3600.0

_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=CONNECT_SECONDS, sock_read=None)
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_BREAKS = (aiohttp.ClientError, OSError)
_SWITCHING = 101
_RESPONSE: dict[str, Any] = {
    "read_until_eof": True,
    "auto_decompress": False,  # httpx decodes, as it would for any transport
    "read_bufsize": READ_BUFFER_BYTES,
    "max_line_size": MAX_HEADER_BYTES,
    "max_field_size": MAX_HEADER_BYTES,
    "max_headers": MAX_HEADERS,
}


def sent(error: BaseException) -> Literal["no", "maybe"]:
    """Whether the provider may have seen the request that failed with `error`."""
    return "no" if isinstance(error, _NOT_SENT) else "maybe"


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends `httpx.Request`s over a pool of aiohttp's connections.

    Made anywhere; its session is opened on the loop of the first request.

    Args:
        clock: to know the age of the session.
        client_ttl: seconds after which the session (pool, DNS, TLS state) is made anew. Calls that
            are open then end undisturbed on the old one.
    """

    def __init__(self, clock: Clock, client_ttl: float = CLIENT_TTL_SECONDS) -> None:
        self._clock = clock
        self._client_ttl = client_ttl
        self._current: _Client | None = None
        self._retired: set[_Client] = set()
        self._closed = False

    def __repr__(self) -> str:
        clients = [client for client in (self._current, *self._retired) if client is not None]
        state = "closed" if self._closed else f"{sum(client.calls for client in clients)} calls"
        return f"<AiohttpTransport {state} · {len(clients)} sessions>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and wait for the head of the answer; redirects are answers.

        Raises:
            httpx.TransportError: there is none; `sent` tells which kind.
            RuntimeError: the transport was closed.
        """
        content = await _content(request)
        try:
            head = head_of(request.method, request.url, request.headers.raw) + b"\r\n"
            answer = await self.exchange(str(request.url), head, content, bodiless=request.method == "HEAD")
        except ValueError:
            msg = "the request cannot be put into HTTP"
            raise httpx.UnsupportedProtocol(msg, request=request) from None
        except httpx.TransportError as error:
            error.request = request
            raise
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=answer, request=request)

    async def exchange(
        self, url: str, head: bytes, body: bytes | Pieces, *, bodiless: bool = False
    ) -> Answer:
        """The same for who has the bytes ready: none of httpx's objects is made.

        It goes past aiohttp's session, straight to its pool and its parser: half of what a session does
        (cookies, redirects, a task that writes the body) is for others than an API's client.

        Args:
            url: where to connect to; its path is not looked at.
            head: the request line and all headers, with the empty line after them; see `wire.head_of`.
            body: as long as the head says; or the pieces that make it up, sent as the connection takes them.
            bodiless: the answer has no body, whatever its head says.
        """
        client = self._current
        if client is None or self._clock.now() - client.born >= self._client_ttl:
            client = await self._client()
        client.calls += 1
        connection = None
        answer = None
        try:
            connection = await client.connector.connect(self._target(client, url), [], _NO_TIMEOUTS)
            protocol = connection.protocol
            transport = connection.transport
            if protocol is None or transport is None or transport.is_closing():
                raise ClientConnectionResetError
            protocol.set_response_params(skip_payload=bodiless, **_RESPONSE)
            if isinstance(body, bytes):
                transport.write(head + body)
                message, content = await _final_head(protocol)
                whole = True
            else:
                transport.write(head)
                message, content, whole = await pour(protocol, body, _final_head(protocol))
            answer = Answer(message, content, connection, client, self, whole=whole)
        except (*_BREAKS, HttpProcessingError, ValueError) as error:
            raise _translated(error) from _quotable(error)
        finally:
            if answer is None:
                if connection is not None:
                    connection.close()
                await self._released(client)
        return answer

    def _target(self, client: _Client, url: str) -> _Target:
        target = client.targets.get(url)
        if target is None:
            if len(client.targets) >= MAX_CACHED_URLS:
                client.targets.clear()
            target = client.targets[url] = _target(url)
        return target

    async def _client(self) -> _Client:
        if self._closed:
            msg = "the transport was closed"
            raise RuntimeError(msg)
        now = self._clock.now()
        client = self._current
        if client is not None and now - client.born < self._client_ttl:
            return client
        self._current = fresh = _Client(_open_connector(), now)
        if client is not None:
            self._retired.add(client)
            await self._close_if_idle(client)
        return fresh

    async def _released(self, client: _Client) -> None:
        client.calls -= 1
        if client is not self._current:
            await self._close_if_idle(client)

    async def _close_if_idle(self, client: _Client) -> None:
        if client.calls == 0:
            self._retired.discard(client)
            await client.connector.close()

    async def aclose(self) -> None:
        """Close every connection, also those in use. Idempotent."""
        self._closed = True
        clients = [client for client in (self._current, *self._retired) if client is not None]
        self._current = None
        self._retired.clear()
        for client in clients:
            await client.connector.close()


class _Client:
    """A pool of connections, and how many calls are on it."""

    __slots__ = ("born", "calls", "connector", "targets")

    def __init__(self, connector: aiohttp.TCPConnector, born: float) -> None:
        self.connector = connector
        self.targets: dict[str, _Target] = {}
        self.born = born
        self.calls = 0


class Answer(httpx.AsyncByteStream):
    """An answer whose head has come. Read to its end, its connection goes back to the pool.

    Attributes:
        status: the HTTP status.
        headers: by name, whatever its case; of those that repeat, the first.
    """

    __slots__ = (
        "_client",
        "_closed",
        "_connection",
        "_content",
        "_transport",
        "_whole",
        "headers",
        "raw_headers",
        "status",
    )

    def __init__(
        self,
        message: RawResponseMessage,
        content: aiohttp.StreamReader,
        connection: Connection,
        client: _Client,
        transport: AiohttpTransport,
        *,
        whole: bool = True,
    ) -> None:
        self._whole = whole
        self.status = message.code
        self.headers: Mapping[str, str] = message.headers
        self.raw_headers = message.raw_headers
        self._content = content
        self._connection = connection
        self._client: _Client | None = client
        self._transport = transport
        self._closed = None if content.is_eof() else self._watch()

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end."""
        return self._content.at_eof()

    async def read(self) -> bytes:
        """What has come of the body; empty at its end."""
        try:
            return await self._content.readany()
        except _BREAKS as error:
            msg = f"the body was cut off ({type(error).__name__})"
            raise httpx.ReadError(msg) from error

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """End it; a body that was not read to its end takes the connection with it."""
        client, self._client = self._client, None
        if client is None:
            return
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        connection = self._connection
        writing = connection.transport
        # a request that is not wholly written, and bytes that nobody read, would stand before the next call
        if self.ended and self._whole and writing is not None and not writing.get_write_buffer_size():
            connection.release()
        else:
            if not self.ended:
                self._content.set_exception(aiohttp.ClientConnectionError("Connection closed"))
            connection.close()
        client.calls -= 1
        if client is not self._transport._current:
            await self._transport._close_if_idle(client)

    def _watch(self) -> asyncio.Future[None] | None:
        """Have the reader told when the connection ends before the body does.

        aiohttp closes a connection whose chunked body turns into garbage, and leaves its reader waiting.
        """
        protocol = self._connection.protocol
        closed = None if protocol is None else protocol.closed
        if closed is None:
            self._lost()
            return None
        closed.remove_done_callback(_look_at)  # one is enough for all the answers of a connection
        closed.add_done_callback(_look_at)
        closed.add_done_callback(self._lost)
        return closed

    def _lost(self, _closed: asyncio.Future[None] | None = None) -> None:
        content = self._content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was lost"))


async def _content(request: httpx.Request) -> bytes | Pieces:
    """The body: one that is made as it is sent may be of any size, and stays as it is; any other is read."""
    stream = request.stream
    if isinstance(stream, Pieces):
        return stream
    return request.read() if isinstance(stream, httpx.SyncByteStream) else await request.aread()


async def _final_head(protocol: ResponseHandler) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """The head of the answer, those that only say that one will come passed over."""
    message, content = await protocol.read()
    while 100 <= message.code < 200 and message.code != _SWITCHING:
        message, content = await protocol.read()
    return message, content


def _look_at(closed: asyncio.Future[None]) -> None:
    """An exception that nobody looks at is logged."""
    if not closed.cancelled():
        closed.exception()


class _Target(aiohttp.ClientRequest):
    """Where to connect to, in the shape in which aiohttp's pool wants to be told; never sent."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        """What connections are pooled by, computed once."""
        return super().connection_key


def _target(text: str) -> _Target:
    url = URL(text, encoded=True)
    if url.scheme not in ("http", "https"):
        raise aiohttp.InvalidURL(url)
    return _Target("POST", url, loop=asyncio.get_running_loop())


def _open_connector() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(
        limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS
    )


def _quotable(error: BaseException) -> BaseException | None:
    """The cause that a traceback may show: aiohttp's own errors quote what the provider sent."""
    return error if isinstance(error, OSError) else None


def _translated(error: BaseException) -> httpx.TransportError:
    """The httpx error for aiohttp's. The texts quote nothing of what was sent or received."""
    kind: type[httpx.TransportError]
    if isinstance(error, (TimeoutError, aiohttp.ConnectionTimeoutError)):
        kind, what = httpx.ConnectTimeout, f"not connected within {CONNECT_SECONDS:g} s"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        kind, what = httpx.ConnectError, "the host name has no address"
    elif isinstance(error, (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError)):
        kind, what = httpx.ConnectError, f"TLS failed ({type(error.__cause__).__name__})"
    elif isinstance(error, aiohttp.ClientConnectorError):
        kind, what = httpx.ConnectError, f"not connected ({type(error.os_error).__name__})"
    elif isinstance(error, ValueError):  # aiohttp.InvalidURL among them: found before connecting
        kind, what = httpx.UnsupportedProtocol, "the request cannot be put into HTTP"
    elif isinstance(error, ClientConnectionResetError):
        # the pooled connection was closed before the first byte was written to it
        kind, what = httpx.ConnectError, "the connection was closed before the request was written"
    elif isinstance(error, HttpProcessingError):
        kind, what = httpx.RemoteProtocolError, "the answer is not HTTP, or its headers are too large"
    else:
        kind, what = httpx.ReadError, f"the connection broke before the answer ({type(error).__name__})"
    return kind(what)
