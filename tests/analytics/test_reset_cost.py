"""`reset_cost()`: money is counted from nothing again, everything else goes on, and a restart keeps it."""

import asyncio

from turnout import Router


def test_money_is_counted_from_nothing_again_and_nothing_else(make_router, ask, deployment):
    router = make_router([deployment("eu")])
    ask(router)
    ask(router)
    before = router.get_usage_stats()["total"]
    router.reset_cost()
    after = router.get_usage_stats()
    for entry in (after["total"], after["groups"]["gpt-4"], after["deployments"]["eu"]):
        assert (entry["cost"], entry["calls_without_cost"]) == (0.0, 0)
    assert after["total"]["tokens"] == before["tokens"]
    assert sum(after["timeline"]["cost"]) == 0.0
    assert after["cost_since"] > after["since"]
    assert ask(router).route.cost == router.get_usage_stats()["total"]["cost"]


def test_it_is_an_event_and_a_restart_keeps_it(make_router, ask, deployment, tmp_path):
    journal = f"sqlite:///{tmp_path}/usage.db"
    first = make_router([deployment("eu")], journal=journal)
    ask(first)
    first.reset_cost()
    cost = ask(first).route.cost
    assert [r.event.TYPE for r in first.events("router")].count("cost_reset") == 1
    first.close()
    second = make_router([deployment("eu")], journal=journal)
    assert second.get_usage_stats()["total"]["cost"] == cost


def test_calls_without_a_known_cost_are_forgotten_with_it(make_router, ask, deployment):
    unknown = deployment("odd", model="openai/nobody-knows-this", input_cost_per_token=None)
    del unknown["litellm_params"]["output_cost_per_token"]
    router = make_router([unknown])
    ask(router)
    total = router.get_usage_stats()["total"]
    assert (total["cost"], total["calls_without_cost"]) == (None, 1)
    router.reset_cost()
    total = router.get_usage_stats()["total"]
    assert (total["cost"], total["calls_without_cost"]) == (0.0, 0)


def test_it_may_be_called_on_the_routers_own_loop(deployment):
    async def use():
        async with Router([deployment("eu", mock_response="Hello!")]) as router:
            await router.acompletion(model="gpt-4", messages=[{"role": "user", "content": "Hello"}])
            assert router.get_usage_stats()["total"]["cost"] > 0
            router.reset_cost()
            assert router.get_usage_stats()["total"]["cost"] == 0.0

    asyncio.run(use())
