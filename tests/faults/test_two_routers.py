"""Two routers in one process share nothing."""

import asyncio

from turnout import NoDeploymentsAvailable, Router
from turnout.testing import FakeClock


def outcome(router):
    """What becomes of one request, with or without an answer."""
    try:
        return router.completion("gpt-4", [{"role": "user", "content": "x"}]).choices[0].message.content
    except Exception as error:  # noqa: BLE001  (its name is all we want)
        return type(error).__name__


def mocked(kit, answer, **params):
    return [kit.entry("dep-1", mock_response=answer, **params)]


def test_settings_limits_and_cooldowns_are_each_routers_own(kit):
    with (
        Router(model_list=mocked(kit, "litellm.AuthenticationError"), cooldown_time=300.0) as strict,
        Router(model_list=mocked(kit, "litellm.AuthenticationError"), disable_cooldowns=True) as lenient,
        Router(model_list=mocked(kit, "words", rpm=1)) as narrow,
        Router(model_list=mocked(kit, "words")) as wide,
    ):
        assert [outcome(strict), outcome(strict)] == ["AuthenticationError", "NoDeploymentsAvailable"]
        assert [outcome(lenient), outcome(lenient)] == ["AuthenticationError", "AuthenticationError"]
        assert [outcome(narrow), outcome(narrow)] == ["words", "NoDeploymentsAvailable"]
        assert [outcome(wide), outcome(wide)] == ["words", "words"]
        for router, started in ((strict, 1), (lenient, 2), (narrow, 1), (wide, 2)):
            assert router.health()["deployments"]["dep-1"]["state"]["totals"]["started"] == started
            streams = {recorded.stream for recorded in router.events()}
            assert sum(stream.startswith("request/") for stream in streams) == 2


def test_closing_one_router_leaves_the_other_working_with_the_calls_it_has(kit):
    async def run():
        release = asyncio.Event()

        async def slow(connection):
            await release.wait()
            return await kit.well(connection)

        async with kit.provider(slow) as host:
            entries = [kit.entry("dep-1", api_base=host.api_base)]
            async with Router(model_list=entries) as staying:
                open_call = asyncio.create_task(staying.acompletion("gpt-4", kit.MESSAGES))
                await host.arrived.wait()
                async with Router(model_list=entries) as leaving:
                    answer = await leaving.acompletion("gpt-4", kit.MESSAGES)
                    assert answer.choices[0].message.content == "well"
                release.set()
                assert (await open_call).choices[0].message.content == "well"
                assert (await staying.acompletion("gpt-4", kit.MESSAGES)).choices
                kit.assert_nothing_is_open(staying)

    asyncio.run(run())


def test_closing_a_router_on_its_own_thread_leaves_the_one_on_the_callers_loop_working(kit):
    async def run():
        async with kit.provider() as host:
            entries = [kit.entry("dep-1", api_base=host.api_base)]
            async with Router(model_list=entries) as here:
                there = Router(model_list=entries)
                assert (await asyncio.to_thread(there.completion, "gpt-4", kit.MESSAGES)).choices
                assert (await here.acompletion("gpt-4", kit.MESSAGES)).choices
                await there.aclose()
                assert (await here.acompletion("gpt-4", kit.MESSAGES)).choices

    asyncio.run(run())


def test_a_strategy_of_one_router_is_not_asked_by_the_other(kit):
    class Last:
        asked = 0

        def pick(self, candidates, request, rng):
            self.asked += 1
            return candidates[-1]

    strategy = Last()
    with (
        Router(model_list=mocked(kit, "one"), routing_strategy=strategy) as asking,
        Router(model_list=mocked(kit, "two")) as other,
    ):
        assert [outcome(other), outcome(asking), outcome(other)] == ["two", "one", "two"]
    assert strategy.asked == 1


def test_the_same_seed_gives_two_routers_the_same_ids_and_neither_draws_from_the_other(kit):
    def ids(router):
        return [r.event.request_id for r in router.events() if r.event.TYPE == "request_accepted"]

    clock = FakeClock()
    with (
        Router(model_list=mocked(kit, "words"), seed=3, clock=clock) as one,
        Router(model_list=mocked(kit, "words"), seed=3, clock=FakeClock()) as two,
    ):
        for router in (one, two, two, one, one, two):
            outcome(router)
        assert ids(one) == ids(two)
        assert len(set(ids(one))) == 3


def test_two_routers_on_one_fake_clock_close_one_after_the_other(kit):
    clock = FakeClock()
    first = Router(model_list=mocked(kit, "first", rpm=1), clock=clock)
    second = Router(model_list=mocked(kit, "second", rpm=1), clock=clock)
    assert [outcome(first), outcome(second)] == ["first", "second"]
    assert outcome(second) == NoDeploymentsAvailable.__name__
    first.close()
    clock.advance(60)
    assert outcome(second) == "second"
    second.close()
