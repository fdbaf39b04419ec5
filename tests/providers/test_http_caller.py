"""One call over HTTP, from `start` to its single outcome: real sockets, and none at all."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from itertools import pairwise

import httpx
import pytest

from turnout.actors.providers import http_caller as module
from turnout.actors.providers import openai
from turnout.actors.providers.http_caller import HttpCaller
from turnout.actors.providers.ports import ProviderCall
from turnout.actors.providers.sse import SseReader
from turnout.actors.providers.wire import MAX_BODY_BYTES
from turnout.actors.runtime.channel import CAPACITY
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.messages import errors as e
from turnout.messages.outcomes import ProviderLimits, Usage

ANSWER = json.dumps(
    {
        "id": "1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
).encode()


def chunk(delta, finish=None, **fields):
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **fields}


ROLE = chunk({"role": "assistant", "content": ""})
END = chunk({}, "stop")
USAGE = {"id": "c", "choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}}


def sse(*events) -> bytes:
    texts = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return b"".join(b"data: " + text + b"\n\n" for text in texts)


WORDS = [chunk({"content": "Hello"}), chunk({"content": " world"})]
WHOLE = sse(ROLE, *WORDS, END, USAGE, b"[DONE]")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def streaming(*pieces: bytes, end: bytes = b"0\r\n\r\n"):
    async def handler(server, reader, writer):
        while await server.read(reader) is not None:
            writer.write(HEAD)
            for data in pieces:
                writer.write(piece(data))
                await writer.drain()
            writer.write(end)
            if not end:
                return

    return handler


# -- whole answers


def test_an_answer_is_delivered_once_with_usage_and_limits(kit):
    limits = "x-ratelimit-remaining-tokens: 90\r\nx-ratelimit-reset-tokens: 1s\r\n"
    heard = kit.ask(kit.answering(kit.http(ANSWER, headers=limits)))
    assert heard.kinds == ["ProviderFinished"]
    assert heard.outcome.status == "succeeded"
    assert heard.outcome.response.choices[0].message.content == "hello"
    assert heard.outcome.usage == Usage(1, 2)
    assert heard.outcome.limits == ProviderLimits(remaining_tokens=90, reset_tokens=1.0)


def test_a_failure_says_what_the_provider_has_left_too(kit):
    body = json.dumps({"error": {"message": "slow", "code": "rate_limit_exceeded"}}).encode()
    headers = "retry-after: 3\r\nx-ratelimit-remaining-requests: 0\r\n"
    heard = kit.ask(kit.answering(kit.http(body, status=429, headers=headers)))
    assert type(heard.error) is e.RateLimitError
    assert heard.error.retry_after == 3.0
    assert heard.outcome.limits.remaining_requests == 0


def test_a_compressed_answer_is_decoded(kit):
    heard = kit.ask(kit.answering(kit.http(gzip.compress(ANSWER), headers="Content-Encoding: gzip\r\n")))
    assert heard.outcome.response.choices[0].message.content == "hello"


def test_a_compressed_answer_that_is_none_is_a_clear_error(kit):
    heard = kit.ask(kit.answering(kit.http(b"no gzip", headers="Content-Encoding: gzip\r\n")))
    assert "Content-Encoding" in heard.error.message


async def refuse(server, reader, writer):
    writer.transport.abort()


async def read_and_leave(server, reader, writer):
    await server.read(reader)


async def cut_body(server, reader, writer):
    await server.read(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()


async def garbage(server, reader, writer):
    await server.read(reader)
    writer.write(b"\x00\x01\x02\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("handler", [refuse, read_and_leave, cut_body, garbage])
@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_connection_is_a_connection_error_that_names_the_deployment(kit, handler, stream):
    heard = kit.ask(handler, stream=stream)
    assert type(heard.error) is e.APIConnectionError
    assert (heard.error.sent, heard.error.deployment_id) == ("maybe", "dep-1")


def test_nobody_there_is_a_connection_error_that_was_not_sent(kit):
    async def run():
        async with kit.calling() as start:
            heard = start(kit.deployment(api_base="http://no-such-host.invalid/v1"))
            await heard.over.wait()
            return heard

    heard = asyncio.run(run())
    assert (type(heard.error), heard.error.sent) == (e.APIConnectionError, "no")


@pytest.mark.parametrize(
    "answer", [b"<html>what?</html>", ANSWER[:-9], b'{"id": "1"}', b'{"id": "1", "choices": []}']
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_useless_answer_is_a_clear_error(kit, answer, stream):
    heard = kit.ask(kit.answering(kit.http(answer)), stream=stream)
    assert type(heard.error) is e.APIError
    assert "[dep-1]" in str(heard.error)


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_100_mb_is_an_error_and_its_connection_is_closed(kit, announced, stream):
    seen = []

    async def endless(server, reader, writer):
        await server.read(reader)
        seen.append(server)
        size = 100 * 1024 * 1024
        length = b"Content-Length: %d\r\n" % size if announced else b"Connection: close\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + length + b"\r\n")
        block = b" " * (1024 * 1024)
        try:
            for _ in range(100):
                writer.write(block)
                await writer.drain()
        except ConnectionError:
            server.hung_up.set()

    async def run():
        async with kit.serving(endless) as server, kit.calling() as start:
            heard = start(kit.deployment(api_base=server.url), stream=stream)
            await heard.over.wait()
            await server.hung_up.wait()
            return heard

    heard = asyncio.run(run())
    assert f"more than {MAX_BODY_BYTES} bytes" in heard.error.message


def test_an_error_that_is_endless_is_read_no_further_than_needed(kit):
    async def endless(server, reader, writer):
        await server.read(reader)
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            server.hung_up.set()

    async def run():
        async with kit.serving(endless) as server, kit.calling() as start:
            heard = start(kit.deployment(api_base=server.url))
            await heard.over.wait()
            await server.hung_up.wait()
            return heard

    assert type(asyncio.run(run()).error) is e.ServiceUnavailableError


def test_no_secret_and_no_prompt_reaches_an_error(kit):
    body = json.dumps({"error": {"message": f"{kit.SECRET} said {kit.PROMPT}"}}).encode()
    heard = kit.ask(kit.answering(kit.http(body, status=400)))
    assert kit.SECRET not in str(heard.error)
    assert "clockmaker" not in str(heard.error)
    assert kit.SECRET not in repr(heard.handle)


def test_a_provider_that_cannot_be_spoken_to_is_an_outcome_and_not_an_exception(kit):
    heard = kit.ask(kit.answering(b""), provider="anthropic")
    assert type(heard.error) is e.NotFoundError
    assert "not built" in heard.error.message


def test_a_request_that_cannot_be_written_is_an_outcome(kit):
    assert type(kit.ask(kit.answering(b""), odd=object()).error) is e.BadRequestError


# -- streams


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_arrives_whole_however_it_is_cut(kit, seed):
    rng = random.Random(seed)
    edges = sorted({0, len(WHOLE), *(rng.randrange(len(WHOLE)) for _ in range(40))})
    pieces = [WHOLE[start:end] for start, end in pairwise(edges)]
    heard = kit.ask(streaming(*pieces), stream=True)
    assert heard.kinds == ["ProviderOpened", "ProviderFinished"]
    assert heard.outcome.usage == Usage(4, 2)
    assert heard.outcome.response is None
    assert heard.text() == "Hello world"


def test_a_stream_opens_with_its_first_content_and_not_before(kit):
    opened_with = []
    go_on = asyncio.Event()

    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(HEAD + piece(sse(ROLE, ROLE)))
        await go_on.wait()
        writer.write(piece(sse(WORDS[0], END, b"[DONE]")) + b"0\r\n\r\n")
        await server.until_hung_up(reader)

    async def run():
        async with kit.serving(handler) as server, kit.calling() as start:
            heard = start(kit.deployment(api_base=server.url), stream=True)
            await kit.until(lambda: server.requests)
            assert heard.messages == []
            assert len(heard.call.channel._items) == 0
            deliver = heard.deliver
            heard.handle._deliver = lambda m: (opened_with.append(len(heard.call.channel._items)), deliver(m))
            go_on.set()
            await heard.over.wait()
            return heard

    heard = asyncio.run(run())
    assert opened_with[0] == 3  # both roles and the first word, at once
    assert len(heard.chunks()) == 4


@pytest.mark.parametrize(
    "delta",
    [{"content": "x"}, {"tool_calls": [{"index": 0}]}, {"refusal": "no"}, {"reasoning_content": "hm"}],
)
def test_content_of_any_kind_opens_a_stream(kit, delta):
    heard = kit.ask(streaming(sse(ROLE, chunk(delta)), end=b""), stream=True)
    assert heard.kinds == ["ProviderOpened", "ProviderFinished"]


@pytest.mark.parametrize("broken", [b"", sse(b"{half"), sse({"error": {"message": "overloaded"}})])
def test_a_failure_before_the_first_content_leaves_no_chunk(kit, broken):
    heard = kit.ask(
        streaming(sse(ROLE, ROLE), broken) if broken else streaming(sse(ROLE), end=b""), stream=True
    )
    assert heard.kinds == ["ProviderFinished"]
    assert heard.outcome.status == "failed"
    assert heard.chunks() == []


@pytest.mark.parametrize(
    ("rest", "end", "kind"),
    [
        ([], b"0\r\n\r\n", e.APIError),
        ([b"[DONE]"], b"0\r\n\r\n", e.APIError),
        ([], b"", e.APIConnectionError),
        ([b"{half"], b"0\r\n\r\n", e.APIError),
        (
            [{"error": {"message": "x", "code": "content_filter"}}],
            b"0\r\n\r\n",
            e.ContentPolicyViolationError,
        ),
    ],
)
def test_a_stream_that_breaks_in_the_middle_never_ends_silently(kit, rest, end, kind):
    events = [ROLE, *WORDS, {**USAGE}, *rest]
    heard = kit.ask(streaming(sse(*events), end=end), stream=True)
    assert heard.kinds == ["ProviderOpened", "ProviderFinished"]
    assert type(heard.error) is kind
    assert heard.outcome.usage == Usage(4, 2)
    assert heard.text() == "Hello world"


def test_chunks_without_content_are_bounded(kit, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNOPENED", 10)
    heard = kit.ask(streaming(sse(*[ROLE] * 20, *WORDS, END)), stream=True)
    assert "chunks without content" in heard.error.message


def test_an_event_without_end_is_a_clear_error(kit, monkeypatch):
    monkeypatch.setattr(openai, "SseReader", lambda: SseReader(100))
    heard = kit.ask(streaming(b"data: " + b"x" * 200), stream=True)
    assert "an event of more than 100 bytes" in heard.error.message


def test_an_error_object_instead_of_a_stream_is_that_error(kit):
    body = json.dumps({"error": {"message": "slow", "code": "rate_limit_exceeded"}}).encode()
    assert type(kit.ask(kit.answering(kit.http(body)), stream=True).error) is e.RateLimitError


def test_a_whole_answer_instead_of_a_stream_is_a_clear_error(kit):
    assert "whole answer" in kit.ask(kit.answering(kit.http(ANSWER)), stream=True).error.message


def test_a_reader_that_is_slow_holds_the_provider_back(kit):
    count = CAPACITY * 3

    async def run():
        handler = streaming(*(sse(chunk({"content": "x"})) for _ in range(count)), sse(END, b"[DONE]"))
        async with kit.serving(handler) as server, kit.calling() as start:
            heard = start(kit.deployment(api_base=server.url), stream=True)
            channel = heard.call.channel
            await kit.until(lambda: channel.full)
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(channel._items) == CAPACITY
            assert not heard.over.is_set()
            got = 0
            while got < count + 1:
                await channel.get_async()
                got += 1
            await heard.over.wait()
            return heard

    assert asyncio.run(run()).outcome.status == "succeeded"


def test_the_connection_of_a_finished_stream_is_used_again_though_its_last_byte_comes_later(kit):
    async def run():
        told = asyncio.Event()

        async def handler(server, reader, writer):
            while await server.read(reader) is not None:
                writer.write(HEAD + piece(WHOLE))
                await told.wait()
                writer.write(b"0\r\n\r\n")

        async with kit.serving(handler) as server, kit.calling() as start:
            for _ in range(3):
                told.clear()
                heard = start(kit.deployment(api_base=server.url), stream=True)
                await heard.over.wait()
                told.set()
                await heard.handle.task
            return server.connections

    assert asyncio.run(run()) == 1


def test_a_server_that_keeps_a_finished_stream_open_does_not_hold_the_answer(kit, monkeypatch):
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.001)

    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(HEAD + piece(WHOLE))
        await server.until_hung_up(reader)

    async def run():
        async with kit.serving(handler) as server, kit.calling() as start:
            heard = start(kit.deployment(api_base=server.url), stream=True)
            await heard.over.wait()
            await server.hung_up.wait()
            return heard

    assert asyncio.run(run()).kinds == ["ProviderOpened", "ProviderFinished"]


# -- leaving


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + piece(sse(ROLE, *WORDS, USAGE)), HEAD + piece(b"data: {")]
)
def test_a_cancelled_call_closes_its_socket_and_delivers_nothing_more(kit, sent):
    async def handler(server, reader, writer):
        await server.read(reader)
        writer.write(sent)
        await server.until_hung_up(reader)

    async def run():
        async with kit.serving(handler) as server, kit.calling() as start:
            heard = start(kit.deployment(api_base=server.url), stream=True)
            opens = b"world" in sent
            await kit.until(lambda: server.requests and (heard.handle._usage() or not opens))
            before = list(heard.messages)
            usage = heard.handle.cancel()
            assert heard.handle.cancel() == usage == (Usage(4, 2) if opens else None)
            await server.hung_up.wait()
            await asyncio.gather(heard.handle.task, return_exceptions=True)
            assert heard.messages == before

    asyncio.run(run())


def test_a_call_cancelled_before_it_began_reaches_nobody(kit):
    async def run():
        async with kit.serving(kit.answering(kit.http(ANSWER))) as server, kit.calling() as start:
            heard = start(kit.deployment(api_base=server.url))
            heard.handle.cancel()
            await asyncio.gather(heard.handle.task, return_exceptions=True)
            assert (server.connections, heard.messages) == (0, [])

    asyncio.run(run())


def test_a_shutdown_delivers_nothing(kit):
    async def handler(server, reader, writer):
        await server.read(reader)
        await server.until_hung_up(reader)

    async def run():
        async with kit.serving(handler) as server:
            async with kit.calling() as start:
                heard = start(kit.deployment(api_base=server.url))
                await kit.until(lambda: server.requests)
            assert heard.messages == []

    asyncio.run(run())


# -- without a socket and without a loop


class Manual:
    """A router's surroundings under a fake clock."""

    def __init__(self, kit, handler):
        self.kit = kit
        self.dispatcher = ManualDispatcher(ManualClock(1000.0))
        self.caller = HttpCaller(httpx.MockTransport(handler), self.dispatcher)

    def call(self, deployment=None, **params):
        heard = self.kit.Heard(self.kit.call(self.dispatcher, **params))
        heard.over = type("Over", (), {"set": lambda self: None})()
        provider_call = ProviderCall(heard.call, deployment or self.kit.deployment())
        heard.handle = self.caller.start(provider_call, heard.deliver)
        assert heard.messages == []
        return heard

    def ask(self, **params):
        heard = self.call(**params)
        self.dispatcher.run_now()
        return heard


def test_a_mock_transport_needs_no_event_loop(kit):
    heard = Manual(kit, lambda request: httpx.Response(200, content=ANSWER)).ask()
    assert heard.outcome.response.choices[0].message.content == "hello"


def test_a_mock_transport_can_stream(kit):
    heard = Manual(kit, lambda request: httpx.Response(200, content=WHOLE)).ask(stream=True)
    assert heard.kinds == ["ProviderOpened", "ProviderFinished"]
    assert heard.text() == "Hello world"


def test_a_long_stream_of_a_mock_transport_needs_no_reader(kit):
    content = sse(*[chunk({"content": "x"})] * 3 * CAPACITY, END, b"[DONE]")
    heard = Manual(kit, lambda request: httpx.Response(200, content=content)).ask(stream=True)
    assert heard.text() == "x" * 3 * CAPACITY


def test_a_mock_transport_sees_the_request(kit):
    seen = []

    def handler(request):
        seen.append(json.loads(request.content))
        return httpx.Response(200, json=json.loads(ANSWER))

    Manual(kit, handler).ask(temperature=0.25)
    assert seen[0]["temperature"] == 0.25


def test_a_call_cancelled_by_hand_delivers_nothing(kit):
    manual = Manual(kit, lambda request: httpx.Response(200, content=ANSWER))
    heard = manual.call()
    assert heard.handle.cancel() is None
    manual.dispatcher.run_now()
    assert heard.messages == []


def test_a_call_cancelled_while_its_answer_is_being_read_delivers_nothing(kit):
    heard = None

    def handler(request):
        heard.handle.cancel()
        return httpx.Response(200, content=WHOLE)

    manual = Manual(kit, handler)
    heard = manual.call(stream=True)
    manual.dispatcher.run_now()
    assert heard.messages == []
    assert heard.chunks() == []


@pytest.mark.parametrize("raised", [KeyError("s3cret"), RuntimeError("s3cret"), ZeroDivisionError("s3cret")])
def test_a_bug_in_a_transport_is_a_failed_call_and_never_a_hang(kit, raised):
    def handler(request):
        raise raised

    heard = Manual(kit, handler).ask()
    assert type(heard.error) is e.APIError
    assert type(raised).__name__ in heard.error.message
    assert "s3cret" not in str(heard.error)
    assert heard.error.__cause__ is raised


def test_a_transport_without_a_known_failure_is_maybe_sent(kit):
    def handler(request):
        raise httpx.ReadTimeout("slow", request=request)

    assert Manual(kit, handler).ask().error.sent == "maybe"


def test_a_codec_is_built_once_and_again_for_a_changed_deployment(kit):
    manual = Manual(kit, lambda request: httpx.Response(200, content=ANSWER))
    first, changed = kit.deployment(), kit.deployment(model="gpt-5")
    codec = manual.caller.codec(first, "completion")
    assert manual.caller.codec(first, "completion") is codec
    assert manual.caller.codec(changed, "completion") is not codec
    assert repr(manual.caller).endswith("1 codecs>")


def test_the_codecs_kept_are_bounded(kit, monkeypatch):
    monkeypatch.setattr(module, "MAX_CODECS", 3)
    manual = Manual(kit, lambda request: httpx.Response(200, content=ANSWER))
    for number in range(10):
        manual.caller.codec(kit.deployment(id=f"d{number}"), "completion")
    assert len(manual.caller._codecs) == 3


def test_a_retry_after_beyond_the_routers_maximum_is_ignored(kit):
    manual = Manual(kit, lambda request: httpx.Response(429, headers={"retry-after": "7"}))
    manual.caller.max_retry_after = 5.0
    assert manual.ask().error.retry_after is None
