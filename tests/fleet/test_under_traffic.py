"""Deployments come, change and go under real traffic: nothing is lost, and no rule is broken."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from turnout import ConfigurationError, RequestError, Router
from turnout.messages.errors import TurnoutError
from turnout.messages.events import CallStarted
from turnout.testing import FakeClock, SimulatedProviders
from turnout.testing.faulty_journal import FaultyStore
from turnout.testing.upstream import Behaviour, Span, run_upstream

HERE = Path(__file__).parent
MESSAGES = [{"role": "user", "content": "Hello"}]
MODELS = {
    "quick": Behaviour(latency=Span(0.002), words=3),
    "slow": Behaviour(latency=Span(0.02, 0.01), words=5),
}
ENDS = ("call_succeeded", "call_failed", "call_cancelled", "call_abandoned")


@pytest.fixture(scope="module", name="upstream")
def upstream_():
    with run_upstream(models=MODELS, seed=3) as running:
        yield running


def real(upstream, deployment_id, group="gpt-4", model="slow", **params):
    params = {"model": f"openai/{model}", "api_base": upstream.api_base, "api_key": "k", **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": deployment_id}}


def check_books(router):
    """I1, I3, I4, I10"""
    recorded = router.events()
    finals = Counter(item.stream for item in recorded if item.event.TYPE.startswith("request_"))
    assert set(finals.values()) == {2}, "accepted, and one end"
    by_stream = {}
    for item in recorded:
        by_stream.setdefault(item.stream, []).append(item)
    for name, items in by_stream.items():
        assert [item.version for item in items] == list(range(1, len(items) + 1)), name
        if not name.startswith("deployment/"):
            continue
        started = sum(isinstance(item.event, CallStarted) for item in items)
        assert started == sum(item.event.TYPE in ENDS for item in items), name


class Tally(Counter):
    """Answers by deployment; `more` waits for further ones."""

    def __init__(self):
        super().__init__()
        self._came = asyncio.Event()

    def note(self, deployment_id):
        self[deployment_id] += 1
        self._came.set()

    async def more(self, count):
        goal = self.total() + count
        while self.total() < goal:
            self._came.clear()
            await self._came.wait()


async def traffic(router, stop, answers, errors, *, stream):
    while not stop.is_set():
        try:
            answer = await router.acompletion("gpt-4", MESSAGES, stream=stream)
            if stream:
                async for _ in answer:
                    pass
            answers.note(answer.route.deployment_id)
        except RequestError as error:
            errors.append(error)


def test_no_request_is_lost_while_deployments_come_change_and_go(upstream):
    """I1, I4, I12"""

    async def main():
        answers, errors, stop = Tally(), [], asyncio.Event()
        async with Router([real(upstream, "keeper")], num_retries=1) as router:
            crowd = [
                asyncio.create_task(traffic(router, stop, answers, errors, stream=number % 3 == 0))
                for number in range(24)
            ]
            for turn in range(12):
                name = f"d{turn % 3}"
                await router.aupsert_deployment(real(upstream, name, weight=turn))
                await answers.more(20)
                await router.aupdate_deployment(name, weight=1, max_parallel_requests=2 + turn)
                await answers.more(20)
                await router.adelete_deployment(name)
                if turn % 4 == 3:
                    await router.aset_model_list([real(upstream, "keeper"), real(upstream, f"list{turn}")])
            await answers.more(40)
            stop.set()
            await asyncio.gather(*crowd)
            check_books(router)
            assert router.health()["ok"]
            assert set(router.health()["deployments"]) == {"keeper", "list11"}
        return answers, errors

    answers, errors = asyncio.run(main())
    assert errors == []
    assert {"keeper", "d0", "d1", "d2"} <= set(answers)


def test_every_thread_may_change_deployments_while_others_ask(upstream):
    answers, problems = Counter(), []
    with Router([real(upstream, "keeper", model="quick")], num_retries=1) as router:

        def ask():
            for _ in range(25):
                try:
                    answers[router.completion("gpt-4", MESSAGES).route.deployment_id] += 1
                except Exception as error:  # noqa: BLE001  (told at the end)
                    problems.append(error)

        def change(number):
            for _ in range(10):
                router.add_deployment(real(upstream, f"t{number}", model="quick"))
                router.update_deployment(f"t{number}", weight=number + 1)
                router.delete_deployment(f"t{number}")

        threads = [threading.Thread(target=ask) for _ in range(4)]
        threads += [threading.Thread(target=change, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        check_books(router)
        assert [item["model_info"]["id"] for item in router.get_deployments()] == ["keeper"]
    assert problems == []
    assert answers.total() == 100


# -- in which thread, and what is waited for


def plain(deployment_id, **params):
    return {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/gpt-4o", "mock_response": "hi", **params},
        "model_info": {"id": deployment_id},
    }


def test_on_the_routers_own_loop_a_blocking_change_is_made_at_once_and_waits_for_nothing(tmp_path):
    async def main():
        async with Router([plain("a")], journal=f"sqlite:///{tmp_path}/j.db") as router:
            assert router.add_deployment(plain("b")) == "b"
            assert (await router.acompletion("b", MESSAGES)).route.deployment_id == "b"
            router.delete_deployment("a")
            await router.aupdate_deployment("b", rpm=5)
            assert router.health()["deployments_durable"]

    asyncio.run(main())


def test_a_change_on_another_loop_than_the_routers_works_too():
    with Router([plain("a")]) as router:

        async def main():
            await router.aadd_deployment(plain("b"))
            with pytest.raises(ConfigurationError):
                await router.aadd_deployment(plain("b"))
            return (await router.acompletion("b", MESSAGES)).route.deployment_id

        assert asyncio.run(main()) == "b"


def test_a_change_from_inside_the_routers_own_turn_is_refused_before_it_is_made():
    seen = []

    class Meddler:
        router = None

        def pick(self, candidates, request, rng):
            try:
                self.router.delete_deployment("b")
            except RuntimeError as error:
                seen.append(str(error))
            return candidates[0]

    meddler = Meddler()
    with Router([plain("a"), plain("b")], clock=FakeClock(), routing_strategy=meddler) as router:
        meddler.router = router
        router.completion("gpt-4", MESSAGES)
        assert "cannot be waited for" in seen[0]
        assert len(router.get_deployments()) == 2


def test_a_change_that_the_journal_cannot_keep_is_made_and_said_not_to_be_durable():
    store = FaultyStore()
    with Router([plain("a")], journal=store) as router:
        router.completion("gpt-4", MESSAGES)
        store.fault = "failing"
        with pytest.raises(TurnoutError, match="disk is full"):
            router.add_deployment(plain("b"))
        assert router.completion("b", MESSAGES).route.deployment_id == "b"
        health = router.health()
        assert not health["deployments_durable"]
        assert not health["ok"]
        store.fault = "none"
        router.update_deployment("b", rpm=3)
        assert router.health()["deployments_durable"]


def test_the_settings_and_the_first_deployments_become_durable_without_anybody_waiting(tmp_path):
    journal = f"sqlite:///{tmp_path}/j.db"
    with Router([plain("a")], journal=journal) as router:
        router._wiring.fleet.confirmation.get(timeout=30)
        assert router.health()["deployments_durable"]
        assert [item.event.TYPE for item in router._journal._store.read("router")] == [
            "router_started",
            "deployment_added",
        ]


def test_a_deployment_whose_addition_was_confirmed_is_there_after_kill_9(tmp_path):
    path = tmp_path / "j.db"
    child = subprocess.run(
        [sys.executable, str(HERE / "add_and_die.py"), str(path)], capture_output=True, text=True, check=False
    )
    assert child.returncode == -9, child.stderr
    assert json.loads(child.stdout) == ["a", "b", "c"]
    with Router(
        [plain("a")], journal=f"sqlite:///{path}", clock=FakeClock(), caller=SimulatedProviders()
    ) as router:
        assert [item["model_info"]["id"] for item in router.get_deployments()] == ["a", "b", "c"]
        assert router.get_deployments()[1]["litellm_params"]["rpm"] == 3
        assert router.completion("c", MESSAGES).route.deployment_id == "c"
