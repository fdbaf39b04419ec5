"""`get_usage_stats()`: everything that was used, up to this moment, from wherever it is asked."""

import asyncio
import json
import threading

import pytest

from turnout import CompletionRequest, RequestError, Router, RouterClosedError
from turnout.actors.journal.memory import MemoryStore
from turnout.actors.usage.state import UsageState

MESSAGES = [{"role": "user", "content": "Hello"}]


def real(deployment, **settings):
    return Router([deployment("eu", mock_response="Hello!")], **settings)


def test_requests_successes_and_failures_are_counted_by_class(make_router, ask, deployment):
    router = make_router([deployment("eu")], {"eu": {"script": [None, 500, 429, 500, None]}})
    for _ in range(5):
        try:
            ask(router)
        except RequestError:
            continue
    stats = router.get_usage_stats()
    for entry in (stats["total"], stats["groups"]["gpt-4"], stats["deployments"]["eu"]):
        assert (entry["requests"], entry["successes"], entry["failures"]) == (5, 2, 3)
        assert entry["failures_by_class"] == {"InternalServerError": 2, "RateLimitError": 1}
        assert entry["success_rate"] == 0.4


def test_retries_and_fallbacks_are_those_of_the_routes(make_router, ask, deployment):
    router = make_router(
        [deployment("eu"), deployment("us"), deployment("mini", "small")],
        {"eu": {"error_rate": 1.0}, "us": {"error_rate": 1.0}},
        num_retries=1,
        fallbacks=[{"gpt-4": ["small"]}],
    )
    routes = [ask(router).route for _ in range(3)]
    total = router.get_usage_stats()["total"]
    assert total["retries"] == sum(route.retries for route in routes) > 0
    assert total["fallbacks"] == sum(route.fallbacks for route in routes) == 3
    assert total["failures"] == 0


def test_tokens_and_costs_are_those_of_the_answers(make_router, ask, deployment):
    router = make_router([deployment("eu"), deployment("us")])
    answers = [ask(router) for _ in range(6)]
    total = router.get_usage_stats()["total"]
    assert total["tokens"]["total"] == sum(answer.usage.total_tokens for answer in answers)
    assert total["cost"] == pytest.approx(sum(answer.route.cost for answer in answers))
    assert total["calls_without_cost"] == 0


def test_latencies_have_quantiles_and_those_of_requests_hold_the_retries(make_router, ask, deployment):
    router = make_router(
        [deployment("eu")], {"eu": {"latency": 2.0, "script": [500]}}, num_retries=1, cooldown_time=0
    )
    ask(router)
    stats = router.get_usage_stats()
    assert stats["deployments"]["eu"]["latency"]["p50"] == pytest.approx(2.0, rel=0.01)
    assert stats["groups"]["gpt-4"]["latency"]["p99"] == pytest.approx(4.0, rel=0.01)
    assert stats["total"]["latency"]["longest"] == 4.0


def test_the_time_to_the_first_token_is_that_of_streams(make_router, ask, deployment):
    router = make_router([deployment("eu")], {"eu": {"latency": 3.0}})
    ask(router)
    assert router.get_usage_stats()["total"]["time_to_first_token"]["p50"] is None
    list(ask(router, stream=True))
    stats = router.get_usage_stats()
    for entry in (stats["total"], stats["groups"]["gpt-4"], stats["deployments"]["eu"]):
        assert entry["time_to_first_token"]["p50"] == pytest.approx(3.0, rel=0.01)


def test_one_that_is_being_answered_is_open(make_router, deployment):
    router = make_router([deployment("eu")])
    future = router.ask(_request(), block=False)
    assert router.get_usage_stats()["total"]["open"] == 1
    future.get()
    assert router.get_usage_stats()["total"]["open"] == 0


def _request():
    return CompletionRequest(model="gpt-4", messages=MESSAGES)


def test_a_caller_that_left_is_neither_a_success_nor_a_failure(make_router, deployment):
    router = make_router([deployment("eu")])
    router.ask(_request(), block=False).cancel()
    stats = router.get_usage_stats()
    for entry in (stats["total"], stats["deployments"]["eu"]):
        assert (entry["cancelled"], entry["successes"], entry["failures"]) == (1, 0, 0)
        assert entry["success_rate"] is None


def test_it_is_plain_json(make_router, ask, deployment):
    router = make_router([deployment("eu")])
    ask(router)
    stats = router.get_usage_stats()
    assert json.loads(json.dumps(stats)) == stats


def test_the_timeline_tells_what_happened_when(make_router, ask, deployment):
    router = make_router([deployment("eu")])
    for _ in range(4):
        ask(router)
        router._dispatcher.clock.advance(10)
    timeline = router.get_usage_stats()["timeline"]
    assert sum(timeline["requests"]) == 4
    assert timeline["start"] + timeline["step"] * len(timeline["requests"]) >= 1_000_030


def test_on_the_routers_own_loop_it_neither_blocks_nor_misses_the_last_answer(deployment):
    async def use():
        async with real(deployment) as router:
            for number in range(1, 4):
                await router.acompletion(model="gpt-4", messages=MESSAGES)
                assert router.get_usage_stats()["total"]["successes"] == number

    asyncio.run(use())


def test_from_any_thread_it_counts_every_answer_given_so_far(deployment):
    with real(deployment) as router:
        seen = []

        def work():
            for _ in range(5):
                router.completion("gpt-4", MESSAGES)
                seen.append(router.get_usage_stats()["total"]["successes"])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert router.get_usage_stats()["total"]["successes"] == 20
        assert max(seen) == 20
        assert min(seen) >= 1


def test_another_thread_may_ask_while_the_router_lives_on_a_loop(deployment):
    async def use():
        async with real(deployment) as router:
            await router.acompletion(model="gpt-4", messages=MESSAGES)
            stats = await asyncio.to_thread(router.get_usage_stats)
            assert stats["total"]["successes"] == 1

    asyncio.run(use())


def test_a_router_that_has_not_begun_has_used_nothing(deployment):
    with real(deployment) as router:
        total = router.get_usage_stats()["total"]
        assert (total["requests"], total["cost"], total["latency"]["p50"]) == (0, 0.0, None)


def test_a_closed_router_says_so(deployment):
    router = real(deployment)
    router.close()
    with pytest.raises(RouterClosedError):
        router.get_usage_stats()


def test_a_memory_journal_that_drops_old_events_loses_no_totals(make_router, ask, deployment):
    router = make_router([deployment("eu")], journal=MemoryStore(kept=20))
    for _ in range(50):
        ask(router)
    assert len(router.events()) == 20
    stats = router.get_usage_stats()
    assert (stats["total"]["successes"], stats["complete"]) == (50, True)


@pytest.fixture
def broken_counting(monkeypatch):
    """Counting crashes on what is told; what is read from the journal it can count."""
    fold = UsageState.fold

    def breaks(self, batch):
        if isinstance(batch, list):
            raise ZeroDivisionError
        fold(self, batch)

    monkeypatch.setattr(UsageState, "fold", breaks)
    return lambda: monkeypatch.setattr(UsageState, "fold", fold)


def test_requests_go_on_and_are_counted_when_the_counting_crashes(
    make_router, ask, deployment, broken_counting
):
    router = make_router([deployment("eu")])
    first = router._switchboard.services["usage"]
    assert ask(router).route.deployment_id == "eu"
    broken_counting()
    router._dispatcher.clock.advance(5)
    ask(router)
    assert router._switchboard.services["usage"] is not first
    assert router.get_usage_stats()["total"]["successes"] == 2
    assert router.health()["ok"]


def test_after_the_counting_was_given_up_the_journal_still_knows(
    make_router, ask, deployment, broken_counting
):
    router = make_router([deployment("eu")])
    for _ in range(7):
        assert ask(router).route.deployment_id == "eu"
        router._dispatcher.clock.advance(2)
    assert "usage" not in router._switchboard.services
    assert list(router.health()["failed"]) == ["service/usage"]
    assert router.get_usage_stats()["total"]["successes"] == 7


def test_a_question_that_dies_with_the_actor_is_answered_from_the_journal(
    make_router, ask, deployment, broken_counting
):
    router = make_router([deployment("eu")])
    future = router.ask(_request(), block=False)
    assert router.get_usage_stats()["total"]["requests"] == 1
    future.get()
    assert router.get_usage_stats()["total"]["successes"] == 1


def test_health_checks_are_nobodys_requests_and_what_they_used_counts(make_router, ask, deployment):
    router = make_router([deployment("eu")])
    ask(router)
    before = router.get_usage_stats()
    router.health_check()
    after = router.get_usage_stats()
    entry = after["deployments"]["eu"]
    assert (entry["requests"], entry["health_checks"]) == (1, 1)
    assert (after["total"]["requests"], after["total"]["calls"]) == (1, 1)
    assert entry["tokens"]["total"] > before["deployments"]["eu"]["tokens"]["total"]
    assert entry["latency"] == before["deployments"]["eu"]["latency"]


def test_a_deployments_calls_go_by_the_same_names_as_a_groups(make_router, ask, deployment):
    router = make_router([deployment("eu")], {"eu": {"script": [429, None]}}, num_retries=1)
    ask(router)
    stats = router.get_usage_stats()
    names = ("calls", "failed_calls", "failed_calls_by_class")
    assert [stats["deployments"]["eu"][name] for name in names] == [2, 1, {"RateLimitError": 1}]
    assert [stats["groups"]["gpt-4"][name] for name in names] == [2, 1, {"RateLimitError": 1}]
    assert (stats["deployments"]["eu"]["requests"], stats["groups"]["gpt-4"]["requests"]) == (2, 1)


def test_the_loser_of_a_hedge_costs_what_its_budget_was_charged(make_router, ask, deployment):
    budget = {"max_budget": 1.0, "budget_duration": "1d"}
    router = make_router(
        [deployment("slow", order=1, **budget), deployment("quick", order=2, **budget)],
        {"slow": {"latency": 9.0}},
        hedge_after=0.5,
        hedge_budget=1.0,
    )
    assert ask(router).route.deployment_id == "quick"
    stats = router.get_usage_stats()
    spent = router.health()["budgets"]
    for name in ("slow", "quick"):
        row = stats["deployments"][name]
        assert row["cost"] == spent[f"deployment:{name}"]["spent"] > 0
        assert row["calls_without_cost"] == 0
    assert stats["deployments"]["slow"]["estimated_cost"] == stats["deployments"]["slow"]["cost"]
    assert stats["deployments"]["quick"]["estimated_cost"] == 0.0
    assert sum(stats["timeline"]["cost"]) == pytest.approx(stats["total"]["cost"])


def test_without_a_budget_a_cancelled_call_costs_the_same(make_router, deployment):
    router = make_router([deployment("eu")], {"eu": {"latency": 9.0}})
    request = CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "x" * 400}])
    router.ask(request, block=False).cancel()
    row = router.get_usage_stats()["deployments"]["eu"]
    assert (row["cancelled"], row["cost"], row["estimated_cost"]) == (1, 104e-6, 104e-6)


def test_an_answer_from_the_cache_is_a_hit_and_costs_nothing(make_router, ask, deployment):
    router = make_router([deployment("eu")], cache_responses=True)
    for _ in range(3):
        ask(router)
    total = router.get_usage_stats()["total"]
    assert (total["requests"], total["cache_hits"], total["calls"]) == (3, 2, 1)
    assert total["cost"] == router.get_usage_stats()["deployments"]["eu"]["cost"]
