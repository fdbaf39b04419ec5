"""Who answers: a mock, or a provider; and what is opened for it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from turnout.actors.providers.caller import RoutingCaller
from turnout.actors.providers.ports import ProviderCall
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher
from turnout.messages.errors import ConfigurationError


def test_a_mock_opens_nothing(kit):
    dispatcher = ManualDispatcher(ManualClock(0.0))
    caller = RoutingCaller(dispatcher)
    heard = []
    caller.start(ProviderCall(kit.call(), kit.deployment(mock_response="hi")), heard.append)
    dispatcher.clock.advance(0.0)
    assert heard[0].outcome.status == "succeeded"
    assert repr(caller) == "<RoutingCaller mocks only>"
    asyncio.run(caller.aclose())


def test_any_provider_can_be_mocked(kit):
    caller = RoutingCaller(ManualDispatcher(ManualClock(0.0)))
    caller.check(kit.deployment(provider="anthropic", mock_response="hi"))
    caller.check(kit.deployment(provider="openai"))
    with pytest.raises(ConfigurationError, match="anthropic"):
        caller.check(kit.deployment(provider="anthropic"))


def test_a_transport_of_the_users_own_is_used_and_stays_open(kit):
    class Watched(httpx.MockTransport):
        closed = False

        async def aclose(self):
            self.closed = True

    transport = Watched(lambda request: httpx.Response(503))
    dispatcher = ManualDispatcher(ManualClock(0.0))
    caller = RoutingCaller(dispatcher, transport)
    heard = []
    caller.start(ProviderCall(kit.call(), kit.deployment()), heard.append)
    dispatcher.run_now()
    assert heard[0].outcome.error.status_code == 503
    asyncio.run(caller.aclose())
    assert not transport.closed


def test_our_own_transport_is_made_for_the_first_real_call_and_closed_with_us(kit):
    async def run():
        dispatcher = EventLoopDispatcher()
        dispatcher.bind(asyncio.get_running_loop())
        caller = RoutingCaller(dispatcher, client_ttl=5.0)
        over = asyncio.Event()
        async with kit.serving(kit.answering(kit.http(b"{}"))) as server:
            deployment = kit.deployment(api_base=server.url)
            caller.start(ProviderCall(kit.call(), deployment), lambda message: over.set())
            await over.wait()
            await dispatcher.finish_tasks()
            await caller.aclose()
        assert "AiohttpTransport closed" in repr(caller)

    asyncio.run(run())


def test_a_fake_clock_opens_no_connection_and_says_what_to_do(kit):
    dispatcher = ManualDispatcher(ManualClock(0.0))
    heard = []
    caller = RoutingCaller(dispatcher)
    caller.start(ProviderCall(kit.call(), kit.deployment()), heard.append)
    dispatcher.run_now()
    error = heard[0].outcome.error
    assert error.sent == "no"
    assert "MockTransport" in error.message
