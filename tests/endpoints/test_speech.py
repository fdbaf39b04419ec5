"""Speech: bytes, whole or as they are made, in memory or straight to a file."""

import asyncio
import json
from contextlib import nullcontext

import httpx
import pytest

from turnout import (
    APIError,
    BadRequestError,
    MidStreamError,
    RateLimitError,
    RequestError,
    Router,
    RouterClosedError,
    SpeechRequest,
    SpeechResponse,
    SpeechStream,
)
from turnout.actors.runtime.channel import CAPACITY
from turnout.testing import FakeClock, SimulatedProvider
from turnout.testing.upstream import Behaviour, run_upstream

TEXT = "Hello there, this is a text"


def test_a_text_becomes_bytes(routed, sdk, tmp_path):
    sound = routed("tts-1").speech("tts-1", TEXT, "alloy")
    theirs = sdk.audio.speech.create(model="tts-1", input=TEXT, voice="alloy")
    assert isinstance(sound, bytes)
    assert sound == theirs.content
    assert (sound.content, sound.read(), b"".join(sound.iter_bytes(1000))) == (sound, sound, sound)
    assert sound.content_type == "audio/mpeg"
    assert sound.route.deployment_id == "one"
    assert sound._hidden_params["model_id"] == "one"
    for name in ("write_to_file", "stream_to_file"):
        getattr(sound, name)(tmp_path / name)
        assert (tmp_path / name).read_bytes() == sound


def test_what_was_said_is_not_shown():
    sound = SpeechResponse(b"secret sound", "audio/mpeg")
    assert repr(sound) == str(sound) == f"{sound}" == "<SpeechResponse 12 bytes · audio/mpeg>"


def test_it_is_asked_as_openais_own_client_asks(kit):
    asked = {
        "input": TEXT,
        "voice": "alloy",
        "response_format": "wav",
        "speed": 1.5,
        "instructions": "slowly",
    }
    with kit.recording(b"RIFF", "audio/wav") as recorder:
        with recorder.sdk() as client:
            client.audio.speech.create(model="tts-1", **asked)
        with recorder.router("m", "openai/tts-1") as router:
            router.speech("m", **asked)
            assert list(router.speech("m", stream=True, **asked)) == [b"RIFF"]
    theirs, ours, streamed = recorder.seen
    assert ours[:2] == streamed[:2] == theirs[:2] == ("POST", "/v1/audio/speech")
    assert json.loads(ours[3]) == json.loads(streamed[3]) == json.loads(theirs[3])


def test_azure_is_asked_at_its_own_address(kit):
    with kit.recording(b"RIFF", "audio/wav") as recorder:
        base = recorder.base.removesuffix("/v1")
        with recorder.router("m", "azure/mine", api_base=base, api_version="2024-02-01") as router:
            router.speech("m", TEXT, "alloy")
    assert recorder.seen[0][1] == "/openai/deployments/mine/audio/speech?api-version=2024-02-01"


def test_every_way_to_ask_gives_the_same(mocked, kit):
    router = mocked(mock_response=b"sound")
    assert router.speech(model="m", input=TEXT, voice="alloy") == b"sound"
    assert router.ask(SpeechRequest(model="m", input=TEXT, voice="alloy")) == b"sound"

    async def awaited():
        async with Router([kit.entry("one", "m", mock_response=b"sound")]) as on_loop:
            return await on_loop.aspeech("m", TEXT, "alloy")

    assert asyncio.run(awaited()) == b"sound"


@pytest.mark.parametrize("wrong", [{"input": ""}, {"voice": ""}, {"voice": 5}, {"input": ["a"]}])
def test_what_cannot_be_spoken_is_refused_at_once(wrong):
    with pytest.raises(BadRequestError, match="SpeechRequest"):
        SpeechRequest(**{"model": "m", "input": TEXT, "voice": "alloy", **wrong})


# -- as it comes


def test_a_stream_gives_the_same_bytes_in_pieces(routed):
    router = routed("tts-1")
    stream = router.speech("tts-1", TEXT, "alloy", stream=True)
    assert isinstance(stream, SpeechStream)
    assert b"".join(stream) == router.speech("tts-1", TEXT, "alloy")
    assert stream.route.attempts[-1].error is None


def test_a_stream_writes_itself_to_a_file(routed, tmp_path, kit, upstream):
    router = routed("tts-1")
    wanted = router.speech("tts-1", TEXT, "alloy")
    with router.speech("tts-1", TEXT, "alloy", stream=True) as stream:
        stream.stream_to_file(tmp_path / "sound.mp3")
    assert (tmp_path / "sound.mp3").read_bytes() == wanted

    async def awaited():
        entries = [kit.entry("one", "m", "openai/tts-1", api_base=upstream.api_base)]
        async with Router(entries) as on_loop:
            stream = await on_loop.aspeech("m", TEXT, "alloy", stream=True)
            await stream.astream_to_file(tmp_path / "awaited.mp3")

    asyncio.run(awaited())
    assert (tmp_path / "awaited.mp3").read_bytes() == wanted


def test_a_stream_that_breaks_says_so_and_what_came_is_in_the_file(kit, tmp_path):
    with run_upstream(Behaviour(cut_streams=1.0, words=50, chunk_delay=0.01), seed=3) as upstream:
        entries = [kit.entry("one", "m", "openai/tts-1", api_base=upstream.api_base)]
        with Router(entries) as router:
            stream = router.speech("m", TEXT, "alloy", stream=True)
            with pytest.raises(MidStreamError):
                stream.stream_to_file(tmp_path / "sound.mp3")
    assert (tmp_path / "sound.mp3").stat().st_size > 0


def test_a_stream_that_never_begins_is_retried(on_a_fake_clock, kit):
    provider = {"a": SimulatedProvider(script=[503], sound=b"ab", text="one two")}
    stream = on_a_fake_clock([kit.entry("a", "m")], provider, num_retries=1).speech(
        "m", TEXT, "alloy", stream=True
    )
    assert b"".join(stream).startswith(b"ab")
    assert stream.route.retries == 1


# -- the same way as any request


def test_it_is_retried_and_recorded(on_a_fake_clock, kit):
    provider = {"a": SimulatedProvider(script=[RateLimitError], sound=b"la la")}
    router = on_a_fake_clock([kit.entry("a", "m")], provider, num_retries=1)
    sound = router.speech("m", TEXT, "alloy")
    assert sound == b"la la"
    events = [item.event for item in router.events(f"request/{sound.route.request_id}")]
    assert (events[0].kind, events[-1].TYPE) == ("speech", "request_succeeded")


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_charged_by_the_character(routed, stream):
    router = routed("tts-1", info={"input_cost_per_character": 0.5})
    sound = router.speech("tts-1", "12345", "alloy", stream=stream)
    for _ in sound:
        pass
    assert sound.route.cost == 2.5


def test_a_price_by_the_token_says_nothing_where_no_token_is_told(routed):
    router = routed("tts-1", info={"input_cost_per_token": 0.5, "output_cost_per_token": 0.5})
    assert router.speech("tts-1", "12345", "alloy").route.cost is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b"", "audio/mpeg", "empty body"),
        (b"<p>", "text/html", "text/html"),
        (b"sorry, busy", "text/plain; charset=utf-8", "text/plain"),
        (b'{"error": {"message": "busy"}}', "application/json", "busy"),
        (b'{"a": 1}', "application/json", "application/json"),
    ],
)
def test_an_answer_that_is_none_is_an_error(kit, body, kind, error, stream):
    def reply(request):
        return httpx.Response(200, headers={"content-type": kind}, content=body)

    with (
        Router([kit.entry("a", "m")], clock=FakeClock(), transport=httpx.MockTransport(reply)) as router,
        pytest.raises(APIError, match=error),
    ):
        router.speech("m", TEXT, "alloy", stream=stream)


class Pieces(httpx.AsyncByteStream):
    """A body that is sent in `count` pieces."""

    def __init__(self, count):
        self.count = count

    async def __aiter__(self):
        for _ in range(self.count):
            yield b"la"


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("clock", [FakeClock, None])
def test_a_router_closes_over_a_sound_that_nobody_reads(kit, clock, held):
    """Also when it is longer than its channel, whether its stream is gone or still held."""

    def reply(request):
        return httpx.Response(200, headers={"content-type": "audio/mpeg"}, stream=Pieces(CAPACITY * 3))

    settings = {} if clock is None else {"clock": clock()}
    router = Router([kit.entry("a", "m")], transport=httpx.MockTransport(reply), **settings)
    kept = [router.speech("m", TEXT, "alloy", stream=True)]
    if not held:
        kept.clear()
    router.close()
    told = [item.event.TYPE for item in router.events()]
    assert told[-1] == "router_stopped"
    assert sum(name.startswith("call_") for name in told) == 3, "it began, opened and ended"
    for stream in kept:
        with nullcontext() if clock else pytest.raises(RouterClosedError):
            assert b"".join(stream) == b"la" * CAPACITY * 3


def test_nothing_of_the_text_stands_in_an_error(kit):
    body = json.dumps({"error": {"message": f"cannot say: {TEXT}"}}).encode()
    with (
        kit.recording(body, status=400) as recorder,
        recorder.router("m", "openai/d") as router,
        pytest.raises(RequestError) as caught,
    ):
        router.speech("m", TEXT, "alloy")
    assert TEXT not in str(caught.value)


def test_a_mock_is_bytes(mocked):
    sound = b"0123456789" * 1000
    assert mocked(mock_response=sound).speech("m", TEXT, "alloy") == sound
    pieces = list(mocked(mock_response=sound).speech("m", TEXT, "alloy", stream=True))
    assert (len(pieces), b"".join(pieces)) == (3, sound)
    with pytest.raises(BadRequestError, match="answers no speech"):
        mocked(mock_response="a text").speech("m", TEXT, "alloy")


def test_a_deployment_is_checked_with_a_little_text(routed):
    report = routed("tts-1").health_check()
    assert (report["healthy_count"], report["unchecked_endpoints"]) == (1, [])
