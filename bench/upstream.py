"""The fastest upstream that asyncio can be: fixed bytes over HTTP/1.1 with keep-alive.

It looks at a request only as far as it must: where the head ends, how long the body is, whether a
stream is asked for. Run it as `python -m bench.upstream`: it prints the port it listens on, and ends
when its stdin does, so it never outlives whoever started it.

Paths (anything before them is ignored, so a base URL may end in `/v1`):

    .../chat/completions          one chat completion, or all chunks at once with `"stream": true`
    /paced/.../chat/completions   the stream goes out one chunk in a write, `PACE_SECONDS` apart
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys

STREAM_CHUNKS = 500
"""Content chunks in one streamed answer."""

PACE_SECONDS = 0.001
"""Between two chunks of a paced stream; long enough that each arrives alone."""

MAX_REQUEST_BYTES = 1_000_000
"""A connection that buffers more than this without completing a request is closed."""

USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def answer() -> bytes:
    """The whole response, head and body, of a call that is not streamed."""
    message = {"role": "assistant", "content": "Hello! How can I help you today?"}
    body = json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": USAGE,
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, object]:
    """One chunk of a stream, as the provider would say it."""
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def framed(data: str) -> bytes:
    """One server-sent event in one HTTP chunk."""
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


def stream_parts() -> list[bytes]:
    """The parts of a streamed response: its head, `STREAM_CHUNKS` content chunks, its end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    content = [framed(json.dumps(chunk({"content": f" word{n}"}))) for n in range(STREAM_CHUNKS)]
    last = framed(json.dumps(chunk({}, "stop")))
    usage = framed(json.dumps({**chunk({}), "choices": [], "usage": USAGE}))
    return [head, *content, last + usage + framed("[DONE]") + b"0\r\n\r\n"]


ANSWER = answer()
PARTS = stream_parts()
STREAM = b"".join(PARTS)


class Upstream(asyncio.Protocol):
    """One connection; requests on it are answered in order."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while (size := request_size(self._buffer)) is not None:
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._respond(request)
        if len(self._buffer) > MAX_REQUEST_BYTES and self._transport is not None:
            self._transport.close()

    def _respond(self, request: bytes) -> None:
        if self._transport is None:
            return
        if not wants_stream(request):
            self._transport.write(ANSWER)
        elif b" /paced/" in request[:16]:
            self._write_part(0)
        else:
            self._transport.write(STREAM)

    def _write_part(self, index: int) -> None:
        if self._transport is None:
            return
        self._transport.write(PARTS[index])
        if index + 1 < len(PARTS):
            asyncio.get_running_loop().call_later(PACE_SECONDS, self._write_part, index + 1)


def request_size(buffer: bytes) -> int | None:
    """How many bytes the first request in `buffer` has; None while it is incomplete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = buffer[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    size = end + 4 + length
    return size if len(buffer) >= size else None


def wants_stream(request: bytes) -> bool:
    """Whether the body asks for a stream, with either of the usual JSON spacings."""
    return b'"stream":true' in request or b'"stream": true' in request


def notice_the_end_of_stdin(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        ended.set()


async def serve() -> None:
    """Listen on a free port of loopback, print it, and serve until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, notice_the_end_of_stdin, ended)
    await ended.wait()
    server.close()


def main() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
