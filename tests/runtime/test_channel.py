"""The way of chunks to their reader: when each side waits, and when it is woken."""

from __future__ import annotations

import asyncio
import gc

from turnout.actors.runtime.channel import Channel, Sealed
from turnout.actors.runtime.dispatcher import EventLoopDispatcher


def on_a_loop(scenario):
    async def run():
        dispatcher = EventLoopDispatcher()
        dispatcher.bind(asyncio.get_running_loop())
        await scenario(Channel(dispatcher, capacity=4))

    asyncio.run(run())


async def turn():
    """Let everything that is ready run."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_producer_that_waits_is_woken_once_half_is_taken():
    async def scenario(channel):
        for item in range(4):
            channel.put(item)
        woken = []
        channel.when_space(lambda: woken.append(len(channel._items)))
        channel.get_nowait()
        await turn()
        assert woken == []
        assert channel.full, "who watches for stalls must see that the reader is the slow one"
        channel.get_nowait()
        await turn()
        assert woken == [2]
        assert not channel.full

    on_a_loop(scenario)


def test_a_producer_that_waits_goes_on_when_the_reader_leaves():
    async def scenario(channel):
        for item in range(4):
            channel.put(item)
        waiting = asyncio.ensure_future(channel.space())
        await turn()
        channel.abandon()
        await waiting
        assert not channel.full

    on_a_loop(scenario)


def test_a_reader_that_waits_gets_what_is_put():
    async def scenario(channel):
        reading = asyncio.ensure_future(channel.get_async())
        await turn()
        channel.put("a")
        channel.put("b")
        assert await reading == "a"
        assert channel.get_nowait() == "b"

    on_a_loop(scenario)


def test_a_reader_that_was_cancelled_takes_nothing_from_the_next_one():
    async def scenario(channel):
        reading = asyncio.ensure_future(channel.get_async())
        await turn()
        reading.cancel()
        await turn()
        channel.put("a")
        assert await channel.get_async() == "a"

    on_a_loop(scenario)


def test_a_reader_on_another_loop_is_woken():
    async def scenario(channel):
        async def read():
            return await channel.get_async()

        reading = asyncio.ensure_future(asyncio.to_thread(asyncio.run, read()))
        while channel._reader is None:  # noqa: ASYNC110  (the other thread's look is what is waited for)
            await asyncio.sleep(0)
        channel.put("a")
        assert await reading == "a"

    on_a_loop(scenario)


def test_a_sealed_chunk_is_made_when_it_is_taken_and_not_before():
    async def scenario(channel):
        made = []
        channel.put(Sealed(b"a", lambda data: made.append(data) or data.decode()))
        assert channel.count == 1
        assert made == []
        assert channel.get_nowait() == "a"
        assert made == [b"a"]

    on_a_loop(scenario)


def test_who_taps_a_channel_hears_the_very_chunk_that_its_reader_gets():
    async def scenario(channel):
        heard = []
        channel.tap = lambda chunk, _now: heard.append(chunk)
        channel.put(Sealed(b"a", lambda data: [data]))
        channel.put(["b"])
        assert heard == [[b"a"], ["b"]]
        assert [channel.get_nowait() is chunk for chunk in heard] == [True, True]

    on_a_loop(scenario)


def test_a_sealed_chunk_is_nothing_to_the_garbage_collector():
    assert not gc.is_tracked(Sealed(b"a", bytes))
