"""Transcriptions: a file is sent as it is read, again from its start when it must be, and never held."""

import asyncio
import io
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import httpx
import pytest
from openai.types.audio import Transcription, TranscriptionVerbose

from turnout import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    RateLimitError,
    Router,
    TranscriptionRequest,
    TranscriptionResponse,
)
from turnout.actors.providers.multipart import FileReader, form_fields
from turnout.actors.providers.transport import AiohttpTransport
from turnout.actors.runtime.clock import LoopClock
from turnout.messages.uploads import parse_upload
from turnout.testing import FakeClock, SimulatedProvider

SOUND = bytes(range(256)) * 1000
ANSWER = b'{"text": "hello"}'


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "talk.mp3"
    file.write_bytes(SOUND)
    return file


def parts(headers, body):
    """A form's parts: the head of each, its boundary taken out, and its content."""
    boundary = re.search("boundary=([^;]+)", headers["content-type"])[1].strip('"').encode()
    pieces = body.split(b"--" + boundary)[1:-1]
    assert body.endswith(b"--" + boundary + b"--\r\n")
    found = []
    for piece in pieces:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        found.append((head, content.removesuffix(b"\r\n")))
    return sorted(found)


# -- what may be sent


def given(how, path):
    return {
        "str": str(path),
        "path": path,
        "open file": io.BytesIO(SOUND),
        "named": ("talk.mp3", SOUND),
        "typed": ("talk.mp3", io.BytesIO(SOUND), "audio/mpeg"),
        "bytes": SOUND,
    }[how]


@pytest.mark.parametrize("how", ["str", "path", "open file", "named", "typed", "bytes"])
def test_a_path_bytes_and_an_open_file_are_sent_whole(routed, path, how):
    answer = routed("whisper-1").transcription("whisper-1", given(how, path))
    name = "audio.mp3" if how in ("bytes", "open file") else "talk.mp3"
    assert answer.text == f"This is whisper-1. I heard {len(SOUND)} bytes of {name}."
    assert answer.route.deployment_id == "one"
    assert answer._hidden_params["model_id"] == "one"


def test_a_file_on_the_disk_is_sent_from_where_it_stands(kit, path):
    with (
        kit.recording(ANSWER) as recorder,
        recorder.router("m", "openai/w") as router,
        path.open("rb") as file,
    ):
        file.seek(1000)
        router.transcription("m", file)
        router.transcription("m", file)
        assert not file.closed
    for _, _, headers, body in recorder.seen:
        (content,) = (content for head, content in parts(headers, body) if b"filename" in head)
        assert content == SOUND[1000:]


@pytest.mark.parametrize(
    ("first", "ending"),
    [
        (b"RIFF", "wav"),
        (b"ID3", "mp3"),
        (b"OggS", "ogg"),
        (b"fLaC", "flac"),
        (b"\0\0\0\x20ftypM4A", "m4a"),
        (b"?", "mp3"),
    ],
)
def test_bytes_are_named_after_what_they_begin_with(first, ending):
    assert parse_upload(first + b"...").name == f"audio.{ending}"


class Pipe(io.RawIOBase):
    def readable(self):
        return True


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("/no/such/file.mp3", "no such file"),
        (5, "must be a path, bytes or a file"),
        (None, "must be a path, bytes or a file"),
        (io.StringIO("text"), "opened for bytes"),
        (Pipe(), "seekable"),
        (("a", b"b", "c", {}), "tuple"),
        ((1, b"b"), "tuple"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(wrong, why):
    with pytest.raises(BadRequestError, match=rf"TranscriptionRequest\.file: .*{why}"):
        TranscriptionRequest(model="m", file=wrong)


def test_what_it_holds_is_not_shown():
    assert "secret" not in repr(TranscriptionRequest(model="m", file=b"secret"))
    assert "secret" not in repr(parse_upload(b"secret"))


# -- how it is sent


@pytest.mark.parametrize("kind", ["path", "typed"])
def test_it_is_asked_as_openais_own_client_asks(kit, path, kind):
    asked = {
        "language": "en",
        "temperature": 0.5,
        "response_format": "verbose_json",
        "timestamp_granularities": ["word", "segment"],
    }
    with kit.recording(ANSWER) as recorder:
        with recorder.sdk() as client:
            client.audio.transcriptions.create(model="whisper-1", file=given(kind, path), **asked)
        with recorder.router("m", "openai/whisper-1") as router:
            router.transcription("m", given(kind, path), **asked)
    theirs, ours = recorder.seen
    assert ours[:2] == theirs[:2] == ("POST", "/v1/audio/transcriptions")
    assert parts(*ours[2:]) == parts(*theirs[2:])
    assert ours[2]["content-length"] == str(len(ours[3]))
    assert ours[2]["authorization"] == theirs[2]["authorization"]


def test_azure_is_asked_at_its_own_address(kit):
    with kit.recording(ANSWER) as recorder:
        base = recorder.base.removesuffix("/v1")
        with recorder.router("m", "azure/mine", api_base=base, api_version="2024-02-01") as router:
            router.transcription("m", SOUND)
    assert recorder.seen[0][1] == "/openai/deployments/mine/audio/transcriptions?api-version=2024-02-01"


def test_any_transport_of_httpxs_sends_it_too(kit, path):
    bodies = []

    def reply(request):
        bodies.append((request.headers["content-length"], request.read()))
        return httpx.Response(200, content=ANSWER)

    with Router([kit.entry("a", "m")], clock=FakeClock(), transport=httpx.MockTransport(reply)) as router:
        router.transcription("m", path)
    with Router([kit.entry("a", "m")], transport=httpx.MockTransport(reply)) as router:
        router.transcription("m", path)
    for length, body in bodies:
        assert int(length) == len(body)
        assert SOUND in body


def test_fields_are_named_as_a_form_wants_them():
    params = {"a": 1, "b": [True, 2.5], "c": {"d": "e", "f": [1]}, "g": None, "h": [{"i": 1}]}
    assert form_fields(params) == {
        "a": "1",
        "b[]": ["true", "2.5"],
        "c[d]": "e",
        "c[f][]": ["1"],
        "h[][i]": "1",
    }
    with pytest.raises(BadRequestError, match="'x'"):
        form_fields({"x": object()})


# -- again, from its start


@pytest.mark.parametrize("how", ["path", "open file", "bytes"])
def test_a_retry_on_another_deployment_sends_all_of_it_again(kit, path, how):
    sent = []

    def reply(request):
        sent.append(request.read())
        return httpx.Response(503 if len(sent) < 3 else 200, content=ANSWER)

    entries = [kit.entry(name, "m") for name in "abc"]
    with Router(entries, transport=httpx.MockTransport(reply), num_retries=2) as router:
        answer = router.transcription("m", given(how, path))
    assert (answer.text, answer.route.retries) == ("hello", 2)
    assert [SOUND in body for body in sent] == [True, True, True]


def test_attempts_side_by_side_do_not_disturb_each_other():
    upload = parse_upload(io.BytesIO(SOUND))
    one, other = FileReader(upload), FileReader(upload)
    got = [b"", b""]
    for step in (1000, 7, 4096, 1) * 100:
        got[0] += one.read(step)
        got[1] += other.read(step + 1)
    got = [text + reader.read(10**6) for text, reader in zip(got, (one, other), strict=True)]
    assert got == [SOUND, SOUND]


def test_a_file_that_changed_under_way_is_an_error_and_not_a_hang(path, upstream, kit):
    entries = [kit.entry("a", "m", "openai/w", api_base=upstream.api_base)]
    with Router(entries) as router:
        request = TranscriptionRequest(model="m", file=path)
        path.unlink()
        with pytest.raises(BadRequestError, match="cannot be read"):
            router.ask(request)

    reader = FileReader(parse_upload(io.BytesIO(b"0123456789")))
    reader._upload.source.truncate(4)
    assert reader.read(8) == b"0123"
    with pytest.raises(BadRequestError, match="shorter"):
        reader.read(8)


class Shrinking(io.BytesIO):
    """Tells a size that it has not."""

    def read(self, size=-1):
        return b"" if self.tell() > 150_000 else super().read(size)


def test_a_file_that_ends_too_soon_aborts_the_call(upstream, kit):
    entries = [kit.entry("a", "m", "openai/w", api_base=upstream.api_base)]
    with Router(entries) as router:
        with pytest.raises(BadRequestError, match="shorter"):
            router.transcription("m", Shrinking(SOUND))
        assert router.transcription("m", SOUND).text.startswith("This is w.")


# -- what comes back


def test_the_answer_is_what_openais_own_client_gets(routed, sdk, path):
    router = routed("whisper-1")
    ours = router.transcription("whisper-1", path).model_dump()
    theirs = sdk.audio.transcriptions.create(model="whisper-1", file=path)
    assert Transcription.model_validate(ours).text == theirs.text
    verbose = router.transcription("whisper-1", path, response_format="verbose_json")
    assert TranscriptionVerbose.model_validate(verbose.model_dump(exclude_none=True))
    assert verbose["duration"] == 16.0


@pytest.mark.parametrize("wanted", ["text", "srt", "vtt"])
def test_a_plain_text_is_the_text(routed, sdk, path, wanted):
    answer = routed("whisper-1").transcription("whisper-1", path, response_format=wanted)
    assert answer.text == sdk.audio.transcriptions.create(
        model="whisper-1", file=path, response_format=wanted
    )


def test_every_way_to_ask_gives_the_same(mocked, kit):
    router = mocked(mock_response="hello")
    assert router.transcription(model="m", file=SOUND).text == "hello"
    assert router.ask(TranscriptionRequest(model="m", file=SOUND)).text == "hello"

    async def awaited():
        async with Router([kit.entry("one", "m", mock_response="hello")]) as on_loop:
            return (await on_loop.atranscription("m", SOUND)).text

    assert asyncio.run(awaited()) == "hello"


def test_it_is_charged_by_the_second(routed):
    router = routed("whisper-1", info={"input_cost_per_second": 0.5})
    assert router.transcription("whisper-1", b"0" * 32_000).route.cost == 1.0


def test_a_price_by_the_token_says_nothing_of_seconds(routed):
    router = routed("whisper-1", info={"input_cost_per_token": 0.5, "output_cost_per_token": 0.5})
    assert router.transcription("whisper-1", b"0" * 32_000).route.cost is None


def test_it_is_retried_and_recorded(on_a_fake_clock, kit):
    provider = {"a": SimulatedProvider(script=[RateLimitError])}
    router = on_a_fake_clock([kit.entry("a", "m")], provider, num_retries=1)
    answer = router.transcription("m", SOUND)
    assert (answer.text, answer.route.retries) == ("Hello from a simulated provider", 1)
    assert router.events(f"request/{answer.route.request_id}")[0].event.kind == "transcription"


@pytest.mark.parametrize("wanted", ["json", "text"])
def test_an_answer_that_is_none_is_an_error(kit, wanted):
    with (
        kit.recording(b'{"error": {"message": "busy"}}') as recorder,
        recorder.router("m", "openai/d") as router,
        pytest.raises(APIError, match="busy"),
    ):
        router.transcription("m", SOUND, response_format=wanted)


def test_a_mock_is_a_text_or_a_whole_answer(mocked):
    answer = mocked(mock_response={"text": "hi", "duration": 2}).transcription("m", SOUND)
    assert (answer.text, answer["duration"]) == ("hi", 2)
    whole = mocked(mock_response=TranscriptionResponse.model_validate({"text": "hi"}))
    assert whole.transcription("m", SOUND).text == "hi"
    with pytest.raises(BadRequestError, match="answers no transcription"):
        mocked(mock_response=[0.5]).transcription("m", SOUND)


# -- a server that does not want it


async def early(reader, writer):
    """Answers at the head of a request and reads no more of it."""
    await reader.readuntil(b"\r\n\r\n")
    body = b'{"error": {"message": "who are you"}}'
    head = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    writer.write(head + body)
    await writer.drain()
    await asyncio.Event().wait()


async def rude(reader, writer):
    """Hangs up in the middle of a request."""
    await reader.readexactly(100_000)
    writer.transport.abort()


@pytest.mark.parametrize(("handler", "error"), [(early, AuthenticationError), (rude, APIConnectionError)])
def test_a_server_that_does_not_read_to_the_end_is_heard_all_the_same(kit, tmp_path, handler, error):
    large = tmp_path / "large.mp3"
    with large.open("wb") as file:
        file.truncate(50 * 2**20)

    async def run():
        handlers = []

        async def connected(reader, writer):
            handlers.append(asyncio.current_task())
            try:
                await handler(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with asyncio.timeout(20), Router([kit.entry("a", "m", "openai/w", api_base=base)]) as router:
            with pytest.raises(error):
                await router.atranscription("m", large)
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        server.close()
        await server.wait_closed()

    asyncio.run(run())


class Halting:
    """A body whose second half is not there before the answer is."""

    off_loop = True

    def __init__(self):
        self.answered = threading.Event()
        self.closed = False

    def __iter__(self):
        yield b"half"
        self.answered.wait()

    def close(self):
        self.closed = True


def test_a_connection_with_half_a_body_on_it_is_not_used_again():
    async def run():
        connections = []

        async def connected(reader, writer):
            connections.append(asyncio.current_task())
            await reader.readuntil(b"half")
            writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\n{}")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 8\r\n\r\n"
        transport = AiohttpTransport(LoopClock())
        for count in (1, 2):
            body = Halting()
            try:
                async with asyncio.timeout(20):
                    answer = await transport.exchange(url, head, body)
            finally:
                body.answered.set()
            assert (answer.status, await answer.read(), body.closed) == (413, b"{}", True)
            await answer.aclose()
            assert len(connections) == count
        await transport.aclose()
        await asyncio.gather(*connections)
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def test_a_caller_who_leaves_stops_the_sending(kit, tmp_path):
    large = tmp_path / "large.mp3"
    with large.open("wb") as file:
        file.truncate(50 * 2**20)

    async def run():
        begun, gone = asyncio.Event(), asyncio.Event()

        async def connected(reader, writer):
            await reader.readexactly(1000)
            begun.set()
            try:
                while await reader.read(65536):
                    pass
            except ConnectionError:
                pass
            gone.set()
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with asyncio.timeout(20), Router([kit.entry("a", "m", "openai/w", api_base=base)]) as router:
            task = asyncio.ensure_future(router.atranscription("m", large))
            await begun.wait()
            task.cancel()
            await gone.wait()
            await asyncio.gather(task, return_exceptions=True)
        server.close()
        await server.wait_closed()

    asyncio.run(run())


# -- 200 MB


MEASURED = """
    import sys, httpx
    from turnout import Router
    from turnout.actors.providers.transport import AiohttpTransport
    from turnout.actors.runtime.clock import LoopClock

    class Wrapped(httpx.AsyncBaseTransport):
        def __init__(self):
            self.inner = AiohttpTransport(LoopClock())

        async def handle_async_request(self, request):
            return await self.inner.handle_async_request(request)

        async def aclose(self):
            await self.inner.aclose()

    def peak():  # of this program alone: ru_maxrss begins with what its parent held
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

    how, given, base, small, large = sys.argv[1:]
    over = {"ours": lambda: None, "httpx": httpx.AsyncHTTPTransport, "wrapped": Wrapped}[how]()
    entry = {"model_name": "m", "litellm_params": {"model": "openai/w", "api_key": "k", "api_base": base}}
    with Router([entry], transport=over) as router, open(large, "rb") as file:
        router.transcription("m", small)
        before = peak()
        text = router.transcription("m", file if given == "open file" else large).text
        print(f"{peak() - before} {text}")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("how", "given"),
    [("ours", "path"), ("ours", "open file"), ("httpx", "path"), ("wrapped", "path")],
)
def test_200_mb_raise_memory_by_less_than_8(upstream, tmp_path, how, given):
    small, large = tmp_path / "small.mp3", tmp_path / "large.mp3"
    small.write_bytes(SOUND)
    with large.open("wb") as file:
        file.truncate(200 * 2**20)
    arguments = [how, given, upstream.api_base, str(small), str(large)]
    command = [sys.executable, "-c", textwrap.dedent(MEASURED), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    raised, _, text = done.stdout.partition(" ")
    assert f"I heard {200 * 2**20} bytes of large.mp3" in text
    assert int(raised) < 8 * 1024, f"{raised} KB"


def test_an_open_file_stands_where_it_stood_over_any_transport(kit, path):
    def reply(request):
        request.read()
        return httpx.Response(200, content=ANSWER)

    with (
        Router([kit.entry("a", "m")], transport=httpx.MockTransport(reply)) as router,
        path.open("rb") as file,
    ):
        file.seek(1000)
        router.transcription("m", file)
        assert file.tell() == 1000


def test_a_deployment_is_checked_with_a_little_silence(routed):
    report = routed("whisper-1").health_check()
    assert (report["healthy_count"], report["unchecked_endpoints"]) == (1, [])
