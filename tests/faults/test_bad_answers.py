"""A provider that answers nonsense, too much, too little or never: one typed error, and nothing is left.

Each behaviour is put before a whole router over a real socket. Whatever came, the error names the
deployment and shows neither key nor prompt, no slot is taken, the socket is closed, and the very
next request to the same deployment is answered.
"""

import asyncio
import gzip
import json

import pytest

from turnout import APIConnectionError, APIError, MidStreamError, RequestError, Router, Timeout

PATIENCE = 0.3
"""Seconds that a deployment may take where waiting is all there is to do."""

MEGABYTE = bytes(1_000_000).replace(b"\0", b"a")
KEY = "hush-31415926535"
SECRETS = f"you sent Bearer {KEY} and asked: Where did the clockmaker's daughter hide the map?"


def says(data):
    async def behave(connection):
        await connection.send(data)
        return True

    return behave


def says_and_closes(data):
    async def behave(connection):
        await connection.send(data)

    return behave


def says_and_stalls(data):
    async def behave(connection):
        await connection.send(data)
        await connection.until_left()

    return behave


def says_over_and_over(head, data, times=None):
    async def behave(connection):
        await connection.send(head)
        rounds = 0
        while times is None or rounds < times:
            await connection.send(data)
            await asyncio.sleep(0)
            rounds += 1

    return behave


def document(body, **how):
    return http(json.dumps(body).encode(), **how)


def http(body, *, status=200, kind="application/json", headers=""):
    head = (
        f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def chunked(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


HTML = f"<html><body>{SECRETS}</body></html>".encode()
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = "Content-Encoding: gzip\r\n"
HUNDRED_MEGABYTES = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SECRETS}}
WHOLE = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}

USELESS = {
    "html": says(http(HTML, kind="text/html")),
    "html that claims to be JSON": says(http(HTML)),
    "truncated JSON": says(http(json.dumps(WHOLE).encode()[:-20])),
    "an empty body": says(http(b"")),
    "no content": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "null": says(http(b"null")),
    "a list": says(document([WHOLE])),
    "a number": says(http(b"42")),
    "not UTF-8": says(http(b'{"choices": "\xff\xfe"}')),
    "brackets without end": says(http(b"[" * 1_000_000)),
    "no choices": says(document({"id": "a", "object": "chat.completion", "note": SECRETS})),
    "empty choices": says(document({**WHOLE, "choices": []})),
    "choices of the wrong type": says(document({**WHOLE, "choices": SECRETS})),
    "choices that are null": says(document({**WHOLE, "choices": [None]})),
    "a choice without a message": says(document({**WHOLE, "choices": [{"index": 0, "note": SECRETS}]})),
    "100 MB": says_over_and_over(HUNDRED_MEGABYTES, MEGABYTE, 100),
    "100 MB in chunks": says_over_and_over(CHUNKED, chunked(MEGABYTE), 100),
    "100 MB in 100 KB": says(http(gzip.compress(bytes(100_000_000), 1), headers=GZIP)),
    "gzip that is none": says(http(HTML, headers=GZIP)),
    "a redirect": says(http(HTML, status=302, kind="text/html", headers="Location: /elsewhere\r\n")),
    "a 500 that quotes us": says(document({"error": {"message": SECRETS}}, status=500)),
    "a 500 that quotes our key": says(document({"error": {"message": f"bad key {KEY}"}}, status=500)),
    "a 500 with our key for its code": says(document({"error": {"message": "no", "code": KEY}}, status=500)),
    "a 500 of 100 MB": says_over_and_over(HUNDRED_MEGABYTES.replace(b"200 OK", b"500 Oh"), MEGABYTE, 100),
}
BROKEN = {
    "garbage": says_and_closes(SECRETS.encode() + b"\r\n\r\n" + bytes(range(256)) * 4),
    "another protocol": says_and_closes(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a header that is none": says_and_closes(f"HTTP/1.1 200 OK\r\n{SECRETS}\r\n\r\n".encode()),
    "a negative length": says_and_closes(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    "a body that is cut": says_and_closes(http(json.dumps(WHOLE).encode())[:-20]),
    "a chunk that is cut": says_and_closes(CHUNKED + chunked(HTML)[:-9]),
    "closes after reading": says_and_closes(b""),
    "closes in its headers": says_and_closes(b"HTTP/1.1 200 OK\r\nContent-"),
    "headers without end": says_over_and_over(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
    "a header without end": says_over_and_over(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 4096),
}
SILENT = {
    "no answer": says_and_stalls(b""),
    "headers that stop": says_and_stalls(b"HTTP/1.1 200 OK\r\nContent-Type: appl"),
    "headers and no body": says_and_stalls(HUNDRED_MEGABYTES),
    "a body that stops": says_and_stalls(http(json.dumps(WHOLE).encode())[:-20]),
    "a body in drops": says_over_and_over(CHUNKED, chunked(b" ")),
    "interim answers for ever": says_over_and_over(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
USELESS_STREAMS = {
    "html": says(http(HTML, kind="text/html")),
    "a whole answer": says(document(WHOLE)),
    "an event that is no JSON": says_and_stalls(STREAM + chunked(f"data: {SECRETS}\n\n".encode())),
    "an event that is truncated JSON": says_and_stalls(STREAM + chunked(b'data: {"choices": [{"del\n\n')),
    "an error event": says_and_stalls(
        STREAM + chunked(b"data: %s\n\n" % json.dumps({"error": {"message": SECRETS}}).encode())
    ),
    "an end before the first chunk": says(STREAM + chunked(b"")),
    "a line of 100 MB": says_over_and_over(STREAM + chunked(b"data: "), chunked(MEGABYTE), 100),
    "roles without end": says_over_and_over(
        STREAM,
        chunked(b'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}}], "id": "a"}\n\n'),
    ),
}
BROKEN_STREAMS = {
    "closes before the first chunk": says_and_closes(STREAM),
    "closes in a chunk": says_and_closes(STREAM + chunked(b"data: {")[:-3]),
    "garbage for a chunk": says_and_closes(STREAM + f"{SECRETS}\r\n".encode()),
}
SILENT_STREAMS = {
    "no answer": says_and_stalls(b""),
    "no first chunk": says_and_stalls(STREAM),
    "comments without end": says_over_and_over(STREAM, chunked(b": still here\n\n")),
    "half an event": says_and_stalls(STREAM + chunked(b"data: {")),
}


def table(behaviours, kind, stream, patience=None):
    mark = "stream · " if stream else ""
    return [pytest.param(b, kind, stream, patience, id=mark + name) for name, b in behaviours.items()]


ROWS = [
    *table(USELESS, APIError, False),
    *table(BROKEN, APIConnectionError, False),
    *table(SILENT, Timeout, False, PATIENCE),
    *table(USELESS_STREAMS, APIError, True),
    *table(BROKEN_STREAMS, APIConnectionError, True),
    *table(SILENT_STREAMS, Timeout, True, PATIENCE),
]


async def failing(kit, behaviour, stream, patience, log):
    """The error of one request, after a look at everything it may have left behind."""
    async with kit.provider(behaviour) as host:
        params = {"api_base": host.api_base} | ({"timeout": patience} if patience else {})
        async with Router(model_list=[kit.entry("dep-1", **params)]) as router:
            with pytest.raises(RequestError) as caught:
                await router.acompletion("gpt-4", kit.MESSAGES, stream=stream)
            kit.assert_nothing_is_open(router)
            kit.assert_nothing_secret(caught.value, router, log.text)
            answer = await router.acompletion("gpt-4", kit.MESSAGES)
            assert answer.choices[0].message.content == "well"
        await kit.soon(host.left.wait())
        return caught.value


@pytest.mark.parametrize(("behaviour", "kind", "stream", "patience"), ROWS)
def test_a_bad_answer_is_one_typed_error_that_names_the_deployment(
    kit, behaviour, kind, stream, patience, caplog
):
    error = asyncio.run(failing(kit, behaviour, stream, patience, caplog))
    assert isinstance(error, kind), repr(error)
    assert error.deployment_id == "dep-1"
    assert "dep-1" in str(error)
    assert [(a.deployment_id, a.error) for a in error.attempts] == [("dep-1", type(error).__name__)]


@pytest.mark.parametrize("name", ["100 MB", "100 MB in chunks", "100 MB in 100 KB"])
def test_an_answer_that_is_too_large_is_not_read_to_its_end(kit, name, caplog):
    error = asyncio.run(failing(kit, USELESS[name], False, None, caplog))
    assert "more than 67108864 bytes" in str(error)


def test_a_connection_that_is_closed_on_accept_is_one_typed_error(kit, caplog):
    error = asyncio.run(failing(kit, kit.slam, False, None, caplog))
    assert isinstance(error, APIConnectionError)
    assert error.deployment_id == "dep-1"


def test_a_port_that_nobody_listens_on_was_surely_not_sent_to(kit, caplog):
    async def run():
        async with kit.provider() as host:
            port = host.port
        entry = kit.entry("dep-1", api_base=f"http://127.0.0.1:{port}/v1")
        async with Router(model_list=[entry]) as router:
            with pytest.raises(APIConnectionError) as caught:
                await router.acompletion("gpt-4", kit.MESSAGES)
            kit.assert_nothing_is_open(router)
            kit.assert_nothing_secret(caught.value, router, caplog.text)
            return caught.value

    error = asyncio.run(run())
    assert (error.sent, error.deployment_id) == ("no", "dep-1")


async def exhausted(stream):
    async for _chunk in stream:
        pass


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        pytest.param(says_and_closes(b""), APIConnectionError, id="closes"),
        pytest.param(says_and_closes(f"{SECRETS}\r\n".encode()), APIConnectionError, id="garbage"),
        pytest.param(says_and_stalls(chunked(f"data: {SECRETS}\n\n".encode())), APIError, id="no JSON"),
        pytest.param(says_over_and_over(chunked(b"data: "), chunked(MEGABYTE), 100), APIError, id="100 MB"),
        pytest.param(says_and_stalls(b""), Timeout, id="stalls"),
    ],
)
def test_a_stream_that_breaks_after_its_first_words_says_what_came_and_leaves_nothing(
    kit, end, cause, caplog
):
    async def run():
        heard = asyncio.Event()

        async def behave(connection):
            await connection.send(kit.STREAM_HEAD + kit.event("once ") + kit.event("upon"))
            await heard.wait()
            await end(connection)

        async with kit.provider(behave) as host:
            entry = kit.entry(
                "dep-1", api_base=host.api_base, stream_timeout=PATIENCE if cause is Timeout else 60
            )
            async with Router(model_list=[entry], num_retries=3) as router:
                stream = await router.acompletion("gpt-4", kit.MESSAGES, stream=True)
                await anext(stream)
                heard.set()
                with pytest.raises(MidStreamError) as caught:
                    await exhausted(stream)
                kit.assert_nothing_is_open(router)
                kit.assert_nothing_secret(caught.value, router, caplog.text)
                await kit.soon(host.left.wait())
                assert len(host.requests) == 1
                return caught.value

    error = asyncio.run(run())
    assert error.text == "once upon"
    assert isinstance(error.cause, cause), repr(error.cause)
    assert error.deployment_id == "dep-1"
    assert error.usage is not None


def test_bad_answers_of_one_deployment_are_made_good_by_the_other(kit):
    """Retries go elsewhere: whatever the first deployment does, the caller hears the second."""

    async def run():
        scripts = [*USELESS.values(), *BROKEN.values()]
        async with kit.provider(*scripts) as bad, kit.provider() as good:
            entries = [
                kit.entry("bad", api_base=bad.api_base, weight=1),
                kit.entry("good", api_base=good.api_base, weight=0),
            ]
            async with Router(model_list=entries, num_retries=1, disable_cooldowns=True) as router:
                for _ in scripts:
                    answer = await router.acompletion("gpt-4", kit.MESSAGES)
                    assert answer.route.deployment_id == "good"
                    assert answer.route.attempts[0].deployment_id == "bad"
                kit.assert_nothing_is_open(router)

    asyncio.run(run())
