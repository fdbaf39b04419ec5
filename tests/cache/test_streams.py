"""Streams are cached, and played back as streams."""

import pytest

from turnout import MidStreamError
from turnout.actors.cache import tape
from turnout.actors.runtime.channel import Sealed
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.messages.responses import ModelResponseStream
from turnout.testing import SimulatedProvider


def read(stream):
    return [chunk.model_dump() for chunk in stream]


def test_a_stream_is_played_back_as_a_stream(house):
    home = house()
    first, second = home.ask(stream=True), None
    chunks = read(first)
    second = home.ask(stream=True)
    assert read(second) == chunks
    assert second.text == first.text
    assert second.route.cache_hit
    assert second.route.cost == 0.0
    assert home.calls == 1


def test_a_stream_and_a_whole_answer_are_not_the_same_answer(house):
    home = house()
    read(home.ask(stream=True))
    assert not home.ask().route.cache_hit
    assert home.calls == 2


def test_identical_streams_in_flight_share_one_call(house):
    home = house()
    streams = [home.send(stream=True) for _ in range(10)]
    texts = {"".join(c["choices"][0]["delta"]["content"] or "" for c in read(f.get())) for f in streams}
    assert len(texts) == 1
    assert home.calls == 1


def test_a_chunk_that_its_reader_changed_is_played_back_as_it_came(house):
    home = house()
    for chunk in home.ask(stream=True):
        chunk.choices[0].delta.content = "changed"
    assert "changed" not in "".join(c.choices[0].delta.content or "" for c in home.ask(stream=True))


def test_a_stream_that_was_cut_is_not_cached(house):
    home = house({"eu": SimulatedProvider(cut_after=2)}, allowed_fails=100)
    for _ in range(2):
        with pytest.raises(MidStreamError):
            read(home.ask(stream=True))
    assert home.calls == 2
    assert home.health()["entries"] == 0


def test_a_stream_whose_reader_left_is_not_cached(house):
    home = house()
    for _ in home.ask(stream=True):
        break
    assert not read_route(home.ask(stream=True)).cache_hit
    assert home.calls == 2


def read_route(stream):
    read(stream)
    return stream.route


def test_when_the_reader_of_the_shared_stream_leaves_a_follower_takes_over(house):
    home = house({"eu": SimulatedProvider(chunk_seconds=1)})
    leader, follower = home.send(stream=True), home.send(stream=True)
    for _ in leader.get():
        break
    assert not read_route(follower.get()).cache_hit
    assert home.calls == 2


def test_a_reader_who_does_not_read_holds_up_none_of_those_who_wait(house):
    text = " ".join(["word"] * 300)  # far more chunks than a channel holds
    home = house({"eu": SimulatedProvider(text=text)})
    unread, follower = home.send(stream=True), home.send(stream=True)
    unread.get()
    assert len(read(follower.get())) == 301
    assert home.calls == 1


def test_a_stream_too_long_to_record_is_not_cached_and_obeys_its_reader(house, monkeypatch):
    monkeypatch.setattr(tape, "MAX_TAPE_BYTES", 5000)
    home = house({"eu": SimulatedProvider(text=" ".join(["word"] * 300))})
    assert len(read(home.ask(stream=True))) == 301
    assert not read_route(home.ask(stream=True)).cache_hit
    slow = home.ask(stream=True)
    home.clock.advance(100)
    assert slow._channel.full
    slow.close()


def test_leaving_a_stream_that_is_played_back_is_no_cancellation(house):
    home = house()
    read(home.ask(stream=True))
    for _ in home.ask(stream=True):
        break
    types = {recorded.event.TYPE for recorded in home.router.events()}
    assert "request_cancelled" not in types


def test_streams_with_usage_are_others_than_those_without(house):
    home = house()
    read(home.ask(stream=True))
    assert not read_route(home.ask(stream=True, stream_options={"include_usage": True})).cache_hit


@pytest.mark.parametrize("reader", ["next", "for"])
def test_a_played_back_stream_can_be_read_either_way(house, reader):
    home = house()
    read(home.ask(stream=True))
    stream = home.ask(stream=True)
    if reader == "next":
        assert next(stream).object == "chat.completion.chunk"
        stream.close()
    else:
        assert [chunk.object for chunk in stream][-1] == "chat.completion.chunk"


def test_a_sealed_chunk_is_recorded_as_it_came():
    channel = tape.TapedChannel(ManualDispatcher(ManualClock(0.0)))
    data = b'{"id":"c","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}'
    channel.put(Sealed(data, ModelResponseStream.model_validate_json))
    assert channel.tape == [data]
    assert channel.kept
    assert channel.get_nowait().choices[0].delta.content == "hi"
