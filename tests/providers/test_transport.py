"""The transport against real sockets: which failure is of which class, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import warnings

import httpx
import pytest

from turnout.actors.providers import transport as module
from turnout.actors.providers.transport import AiohttpTransport, sent
from turnout.actors.runtime.clock import ManualClock


def post(url: str, body: bytes = b"{}") -> httpx.Request:
    return httpx.Request("POST", f"{url}/chat/completions", content=body)


async def read(response: httpx.Response) -> bytes:
    try:
        return b"".join([data async for data in response.stream])
    finally:
        await response.aclose()


def failure(kit, handler, *, reading: bool = False) -> httpx.TransportError:
    async def run():
        async with kit.serving(handler) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            try:
                response = await transport.handle_async_request(post(server.url))
                assert reading, "an answer where none was expected"
                await read(response)
            except httpx.TransportError as error:
                return error
            finally:
                await transport.aclose()

    error = asyncio.run(run())
    assert error is not None
    return error


def failure_at(url: str) -> httpx.TransportError:
    async def run():
        transport = AiohttpTransport(ManualClock(0.0))
        try:
            with pytest.raises(httpx.TransportError) as caught:
                await transport.handle_async_request(post(url))
            return caught.value
        finally:
            await transport.aclose()

    return asyncio.run(run())


# -- not sent


def test_a_refused_connection_is_not_sent():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        error = failure_at(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert isinstance(error, httpx.ConnectError)
    assert sent(error) == "no"


def test_a_host_without_an_address_is_not_sent():
    error = failure_at("http://no-such-host.invalid")
    assert isinstance(error, httpx.ConnectError)
    assert sent(error) == "no"


def test_a_server_that_speaks_no_tls_is_not_sent(kit):
    async def handler(server, reader, writer):
        writer.write(b"I speak plainly\r\n\r\n")
        await writer.drain()
        await server.until_hung_up(reader)

    async def run():
        async with kit.serving(handler) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            try:
                with pytest.raises(httpx.ConnectError) as caught:
                    await transport.handle_async_request(post(f"https://127.0.0.1:{server.port}"))
            finally:
                await transport.aclose()
            return caught.value

    error = asyncio.run(run())
    assert sent(error) == "no"
    assert isinstance(error.__cause__.__cause__, ssl.SSLError)


def test_a_connection_that_is_not_accepted_in_time_is_not_sent(kit, monkeypatch):
    async def silent(server, reader, writer):  # accepts TCP, and never answers the TLS handshake
        await server.until_hung_up(reader)

    async def run():
        async with kit.serving(silent) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            try:
                with pytest.raises(httpx.ConnectTimeout) as caught:
                    await transport.handle_async_request(post(f"https://127.0.0.1:{server.port}"))
            finally:
                await transport.aclose()
            return caught.value

    quick = module.aiohttp.ClientTimeout(total=None, sock_connect=0.01)
    monkeypatch.setattr(module, "_NO_TIMEOUTS", quick)
    assert sent(asyncio.run(run())) == "no"


# -- maybe sent


def test_a_server_that_hangs_up_before_reading_is_maybe_sent(kit):
    async def handler(server, reader, writer):
        writer.close()

    error = failure(kit, handler)
    assert isinstance(error, httpx.ReadError)
    assert sent(error) == "maybe"


def test_a_server_that_resets_before_reading_is_maybe_sent(kit):
    async def handler(server, reader, writer):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )
        writer.transport.abort()

    assert sent(failure(kit, handler)) == "maybe"


def test_a_server_that_hangs_up_after_reading_is_maybe_sent(kit):
    async def handler(server, reader, writer):
        assert await server.read(reader)

    error = failure(kit, handler)
    assert isinstance(error, httpx.ReadError)
    assert sent(error) == "maybe"


def test_headers_that_are_cut_are_maybe_sent(kit):
    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
        await writer.drain()

    assert sent(failure(kit, handler)) == "maybe"


def test_garbage_is_a_protocol_error_that_quotes_nothing(kit):
    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(b"\x00\x01 s3cret garbage\r\n\r\n")
        await writer.drain()

    error = failure(kit, handler)
    assert isinstance(error, httpx.RemoteProtocolError)
    assert sent(error) == "maybe"
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("line", [b"x-more: and more\r\n", b"x-long: " + b"l" * 1000])
def test_headers_without_an_end_are_an_error_and_the_connection_is_closed(kit, line):
    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                writer.write(line if line.endswith(b"\n") else line[8:] if server.requests[1:] else line)
                server.requests.append(b"")
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            server.hung_up.set()

    async def run():
        async with kit.serving(handler) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            try:
                with pytest.raises(httpx.RemoteProtocolError):
                    await transport.handle_async_request(post(server.url))
                await server.hung_up.wait()
            finally:
                await transport.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    "head", [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n64\r\nhalf"]
)
def test_a_body_that_is_cut_is_a_read_error(kit, head):
    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n" + head)
        await writer.drain()

    error = failure(kit, handler, reading=True)
    assert isinstance(error, httpx.ReadError)
    assert sent(error) == "maybe"


def test_a_header_that_would_break_out_of_its_line_is_not_sent(kit):
    async def run():
        async with kit.serving(kit.answering(b"")) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            request = post(server.url)
            request.headers = httpx.Headers([(b"x-evil", b"a\r\nx-injected: b")])
            try:
                with pytest.raises(httpx.UnsupportedProtocol) as caught:
                    await transport.handle_async_request(request)
            finally:
                await transport.aclose()
            assert server.requests == []
            return caught.value

    assert sent(asyncio.run(run())) == "no"


# -- stalls and leaving


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_leaving_a_server_that_stalls_closes_the_socket(kit, start):
    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(start)
        await writer.drain()
        await server.until_hung_up(reader)

    async def exchange(transport, url):
        response = await transport.handle_async_request(post(url))
        await read(response)

    async def run():
        async with kit.serving(handler) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            task = asyncio.create_task(exchange(transport, server.url))
            await kit.until(lambda: server.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.hung_up.wait()
            assert repr(transport) == "<AiohttpTransport 0 calls · 1 sessions>"
            await transport.aclose()

    asyncio.run(run())


def test_a_body_that_was_not_read_to_its_end_takes_its_connection_with_it(kit):
    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await server.until_hung_up(reader)

    async def run():
        async with kit.serving(handler) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            response = await transport.handle_async_request(post(server.url))
            await response.aclose()
            await server.hung_up.wait()
            await transport.aclose()

    asyncio.run(run())


# -- what is sent, and what comes back


def test_a_request_travels_as_it_is_and_gets_no_header_of_ours(kit):
    async def run():
        async with kit.serving(kit.answering(kit.http(b"{}"))) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            request = httpx.Request(
                "POST",
                f"{server.url}/a%2Fb?api-version=1",
                headers=[("X-One", "1"), ("content-type", "a/b")],
                content=b"\xff",
            )
            await read(await transport.handle_async_request(request))
            await transport.aclose()
            return server

    server = asyncio.run(run())
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/a%2Fb?api-version=1 HTTP/1.1"
    assert sorted(line.lower() for line in lines[1:]) == [
        b"content-length: 1",
        b"content-type: a/b",
        f"host: 127.0.0.1:{server.port}".encode(),
        b"x-one: 1",
    ]
    assert body == b"\xff"


def test_status_headers_and_body_come_back_and_a_redirect_is_an_answer(kit):
    answer = kit.http(
        b"elsewhere", status=307, headers="Location: http://elsewhere.invalid/\r\nX-A: 1\r\nX-A: 2\r\n"
    )

    async def run():
        async with kit.serving(kit.answering(answer)) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            response = await transport.handle_async_request(post(server.url))
            body = await read(response)
            await transport.aclose()
            return response, body

    response, body = asyncio.run(run())
    assert (response.status_code, body) == (307, b"elsewhere")
    assert response.headers.get_list("x-a") == ["1", "2"]


def test_connections_are_used_again(kit):
    async def run():
        async with kit.serving(kit.answering(kit.http(b"{}"))) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            for _ in range(3):
                await read(await transport.handle_async_request(post(server.url)))
            await transport.aclose()
            return server.connections

    assert asyncio.run(run()) == 1


def test_a_pooled_connection_that_the_server_closed_is_not_used_again(kit):
    async def once(server, reader, writer):
        await server.read(reader)
        writer.write(kit.http(b"{}"))
        await writer.drain()

    async def run():
        async with kit.serving(once) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            for _ in range(2):
                await read(await transport.handle_async_request(post(server.url)))
                pools = transport._current.connector._conns.values()
                idle = [protocol for pool in pools for protocol, _ in pool]
                await kit.until(lambda idle=idle: not any(p.is_connected() for p in idle))
            await transport.aclose()
            return server.connections

    assert asyncio.run(run()) == 2


def test_interim_answers_are_passed_over(kit):
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kit.http(b"final")

    async def run():
        async with kit.serving(kit.answering(answer)) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            response = await transport.handle_async_request(post(server.url))
            body = await read(response)
            await transport.aclose()
            return response.status_code, body

    assert asyncio.run(run()) == (200, b"final")


def test_a_connection_is_not_used_again_while_the_last_request_is_still_being_written(kit):
    """A server may answer before it has read everything; the rest would stand before the next request."""

    async def handler(server, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(kit.http(b"too large", status=413))
        await writer.drain()
        await server.hung_up.wait()

    async def run():
        async with kit.serving(handler) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            for number in (1, 2):
                response = await transport.handle_async_request(post(server.url, b"x" * 50_000_000))
                assert response.status_code == 413
                assert await read(response) == b"too large"
                assert server.connections == number
            server.hung_up.set()
            await transport.aclose()

    asyncio.run(run())


# -- sessions


def test_a_session_that_is_too_old_is_replaced_and_closed_when_its_last_call_ends(kit):
    go_on = asyncio.Event()

    async def handler(server, reader, writer):
        while await server.read(reader) is not None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
            await go_on.wait()
            writer.write(b"}")

    async def run():
        clock = ManualClock(0.0)
        async with kit.serving(handler) as server:
            transport = AiohttpTransport(clock, client_ttl=60.0)
            old = await transport.handle_async_request(post(server.url))
            old_pool = transport._current.connector
            clock.advance(61.0)
            new = await transport.handle_async_request(post(server.url))
            assert repr(transport) == "<AiohttpTransport 2 calls · 2 sessions>"
            assert not old_pool.closed
            go_on.set()
            assert await read(old) == b"{}"
            assert old_pool.closed
            assert await read(new) == b"{}"
            assert repr(transport) == "<AiohttpTransport 0 calls · 1 sessions>"
            await transport.aclose()

    asyncio.run(run())


def test_an_idle_session_that_is_too_old_is_closed_at_once(kit):
    async def run():
        clock = ManualClock(0.0)
        async with kit.serving(kit.answering(kit.http(b"{}"))) as server:
            transport = AiohttpTransport(clock, client_ttl=60.0)
            await read(await transport.handle_async_request(post(server.url)))
            old_pool = transport._current.connector
            clock.advance(60.0)
            await read(await transport.handle_async_request(post(server.url)))
            assert old_pool.closed
            assert server.connections == 2
            await transport.aclose()

    asyncio.run(run())


def test_closing_leaves_no_socket_and_further_use_is_an_error(kit):
    async def run():
        async with kit.serving(kit.answering(kit.http(b"{}"))) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            await read(await transport.handle_async_request(post(server.url)))
            connector = transport._current.connector
            await transport.aclose()
            await transport.aclose()
            assert connector.closed
            assert not connector._conns
            with pytest.raises(RuntimeError, match="closed"):
                await transport.handle_async_request(post(server.url))
            assert repr(transport) == "<AiohttpTransport closed · 0 sessions>"

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        asyncio.run(run())
        gc.collect()


def test_the_targets_kept_are_bounded(kit, monkeypatch):
    monkeypatch.setattr(module, "MAX_CACHED_URLS", 3)

    async def run():
        async with kit.serving(kit.answering(kit.http(b"{}"))) as server:
            transport = AiohttpTransport(ManualClock(0.0))
            for number in range(10):
                await read(await transport.handle_async_request(post(f"{server.url}/{number}")))
            assert len(transport._current.targets) <= 3
            assert server.connections == 1
            await transport.aclose()

    asyncio.run(run())
