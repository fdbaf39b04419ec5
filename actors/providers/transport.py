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

from typing import TYPE_CHECKING, Literal

import aiohttp
import httpx
from aiohttp.client_exceptions import ClientConnectionResetError
from yarl import URL

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from ..runtime.clock import Clock

__all__ = ["AiohttpTransport", "sent"]

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
        self._urls: dict[str, URL] = {}
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
        content = (
            request.read() if isinstance(request.stream, httpx.SyncByteStream) else await request.aread()
        )
        client = await self._client()
        client.calls += 1
        answered = False
        try:
            response = await self._send(client.session, request, content)
            answered = True
        finally:
            if not answered:
                await self._released(client)
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response, client, self),
            request=request,
        )

    async def _send(
        self, session: aiohttp.ClientSession, request: httpx.Request, content: bytes
    ) -> aiohttp.ClientResponse:
        headers = [(str(name, "latin-1"), str(value, "latin-1")) for name, value in request.headers.raw]
        try:
            return await session.request(
                request.method,
                self._url(str(request.url)),
                data=content or None,
                headers=headers,
                allow_redirects=False,
            )
        except (*_BREAKS, ValueError) as error:
            raise _translated(error, request) from _quotable(error)

    def _url(self, text: str) -> URL:
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) >= MAX_CACHED_URLS:
                self._urls.clear()
            url = self._urls[text] = URL(text, encoded=True)
        return url

    async def _client(self) -> _Client:
        if self._closed:
            msg = "the transport was closed"
            raise RuntimeError(msg)
        now = self._clock.now()
        client = self._current
        if client is not None and now - client.born < self._client_ttl:
            return client
        self._current = fresh = _Client(_open_session(), now)
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
            await client.session.close()

    async def aclose(self) -> None:
        """Close every connection, also those in use. Idempotent."""
        self._closed = True
        clients = [client for client in (self._current, *self._retired) if client is not None]
        self._current = None
        self._retired.clear()
        for client in clients:
            await client.session.close()


class _Client:
    """A session, and how many calls are on it."""

    __slots__ = ("born", "calls", "session")

    def __init__(self, session: aiohttp.ClientSession, born: float) -> None:
        self.session = session
        self.born = born
        self.calls = 0


class _Body(httpx.AsyncByteStream):
    """The body as it comes in. Read to its end, the connection goes back to the pool."""

    __slots__ = ("_client", "_closed", "_response", "_transport")

    def __init__(
        self, response: aiohttp.ClientResponse, client: _Client, transport: AiohttpTransport
    ) -> None:
        self._response = response
        self._client: _Client | None = client
        self._transport = transport
        self._closed = self._watch()

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._response.content.readany()
        except _BREAKS as error:
            msg = f"the body was cut off ({type(error).__name__})"
            raise httpx.ReadError(msg) from _quotable(error)
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """End it; a body that was not read to its end takes the connection with it."""
        client, self._client = self._client, None
        if client is not None:
            if self._closed is not None:
                self._closed.remove_done_callback(self._lost)
            self._response.close()
            await self._transport._released(client)

    def _watch(self) -> asyncio.Future[None] | None:
        """Have the reader told when the connection ends before the body does.

        aiohttp closes a connection whose chunked body turns into garbage, and leaves its reader waiting.
        """
        connection = self._response.connection
        if connection is None or connection.protocol is None:
            return None  # the body has come already, to its end
        closed = connection.protocol.closed
        if closed is None:
            self._lost()
            return None
        closed.remove_done_callback(_look_at)  # one is enough for all the answers of a connection
        closed.add_done_callback(_look_at)
        closed.add_done_callback(self._lost)
        return closed

    def _lost(self, _closed: asyncio.Future[None] | None = None) -> None:
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was lost"))


def _look_at(closed: asyncio.Future[None]) -> None:
    """An exception that nobody looks at is logged."""
    if not closed.cancelled():
        closed.exception()


class _PlainRequest(aiohttp.ClientRequest):
    """A request that says what it was told to say, without aiohttp's `Accept` and `User-Agent`."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add nothing; `skip_auto_headers=` does the same in twice the time."""


def _open_session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=_PlainRequest,
        auto_decompress=False,  # httpx decodes, as it would for any transport
        timeout=_NO_TIMEOUTS,
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )


def _quotable(error: BaseException) -> BaseException | None:
    """The cause that a traceback may show: aiohttp's own errors quote what the provider sent."""
    return error if isinstance(error, OSError) else None


def _translated(error: BaseException, request: httpx.Request) -> httpx.TransportError:
    """The httpx error for aiohttp's. The texts quote nothing of what was sent or received."""
    kind: type[httpx.TransportError]
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        kind, what = httpx.ConnectTimeout, f"not connected within {CONNECT_SECONDS:g} s"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        kind, what = httpx.ConnectError, "the host name has no address"
    elif isinstance(error, (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError)):
        kind, what = httpx.ConnectError, f"TLS failed ({type(error.__cause__).__name__})"
    elif isinstance(error, aiohttp.ClientConnectorError):
        kind, what = httpx.ConnectError, f"not connected ({type(error.os_error).__name__})"
    elif isinstance(error, ValueError):  # aiohttp.InvalidURL among them: found before connecting
        kind, what = httpx.UnsupportedProtocol, "the request cannot be put into HTTP"
    elif isinstance(error.__cause__, ClientConnectionResetError):
        # the pooled connection was closed before the first byte was written to it
        kind, what = httpx.ConnectError, "the connection was closed before the request was written"
    elif isinstance(error, aiohttp.ClientResponseError):
        kind, what = httpx.RemoteProtocolError, "the answer is not HTTP, or its headers are too large"
    else:
        kind, what = httpx.ReadError, f"the connection broke before the answer ({type(error).__name__})"
    return kind(what, request=request)
