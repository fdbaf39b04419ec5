"""After close() nothing of a router is left in the process: no thread, task, socket, file, actor (I12)."""

import asyncio
import gc
import sqlite3
import threading
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pykka
import pytest

from turnout import CompletionRequest, ModelStream, RequestError, Router, TurnoutError
from turnout.testing.upstream import Behaviour, Rate, Span, run_upstream

REQUESTS = 500
MODELS = {
    "flaky": Behaviour(error_rate=0.5, cut_streams=0.3, words=5),
    "limited": Behaviour(rate_limit=Rate(20, 1.0), retry_after=0.01),
    "slow": Behaviour(latency=Span(0.02, 0.01), chunk_delay=0.002),
    "dead": Behaviour(stall=1.0),
}


@pytest.fixture(scope="module", name="upstream")
def upstream_():
    with run_upstream(models=MODELS, seed=11) as running:
        yield running


def open_files():
    """What the process holds open, by what it is; a pipe's or a socket's number says nothing."""
    found = Counter()
    for number in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found[str(number.readlink()).partition(":")[0]] += 1
    return found


def leftovers():
    gc.collect()
    return {
        "files": open_files(),
        "threads": {thread.name for thread in threading.enumerate()},
        "actors": len(pykka.ActorRegistry.get_all()),
    }


@pytest.fixture(name="clean")
def clean_():
    """What a test finds is what it leaves, when all its loops are gone as well."""
    before = leftovers()
    yield before
    assert leftovers() == before


def model_list(upstream):
    return [
        {
            "model_name": "gpt-4",
            "litellm_params": {
                "model": f"openai/{model}",
                "api_key": "k",
                "api_base": upstream.api_base,
                "timeout": 0.5 if model == "dead" else 20.0,
            },
            "model_info": {"id": model},
        }
        for model in MODELS
    ]


def settings(tmp_path):
    return {
        "num_retries": 2,
        "allowed_fails": 1000,
        "journal": f"sqlite:///{tmp_path / 'j.db'}",
        "seed": 4,
        "timeout": 25.0,
        "callbacks": [heard, heard_later],
        "alerting_config": {"webhook_url": "http://127.0.0.1:9/nobody-listens-here"},
    }


def heard(kwargs, response, start, end):
    """A callback, so that its thread is among what must not be left."""


async def heard_later(kwargs, response, start, end):
    await asyncio.sleep(0)


def request(number):
    return CompletionRequest(
        model="gpt-4", messages=[{"role": "user", "content": "x"}], stream=number % 3 == 0
    )


async def use(router, number):
    """Read it whole; but every seventh stream is left, and every fiftieth request is cancelled."""
    future = router.ask(request(number), block=False)
    if number % 50 == 49:
        await asyncio.sleep(0)
        future.cancel()
    try:
        answer = await future
        if not isinstance(answer, ModelStream):
            return "answer"
        async for _chunk in answer:
            if number % 7 == 0:
                return "left"
    except RequestError as error:
        return type(error).__name__
    return "stream"


def assert_everything_happened(outcomes):
    assert sum(outcomes.values()) == REQUESTS
    assert {"answer", "stream", "left"} < outcomes.keys(), outcomes  # and some errors among them


def test_after_500_concurrent_requests_a_router_on_the_callers_loop_leaves_nothing(
    clean, upstream, tmp_path, kit
):
    async def run():
        tasks = asyncio.all_tasks()
        sockets = open_files()["socket"]
        async with asyncio.timeout(kit.GUARD_SECONDS):
            async with Router(model_list=model_list(upstream), **settings(tmp_path)) as router:
                outcomes = Counter(await asyncio.gather(*(use(router, n) for n in range(REQUESTS))))
                kit.assert_nothing_is_open(router)
            assert asyncio.all_tasks() == tasks
            assert open_files()["socket"] == sockets
            assert len(pykka.ActorRegistry.get_all()) == clean["actors"]
        return outcomes

    assert_everything_happened(asyncio.run(run()))


def test_closed_in_the_middle_of_500_requests_a_router_answers_each_and_leaves_nothing(
    clean, upstream, tmp_path, kit
):
    async def run():
        tasks = asyncio.all_tasks()
        sockets = open_files()["socket"]
        async with asyncio.timeout(kit.GUARD_SECONDS):
            async with Router(model_list=model_list(upstream), **settings(tmp_path)) as router:
                futures = [router.ask(request(n), block=False) for n in range(REQUESTS)]
                await kit.until(lambda: any(future.done() for future in futures))
            replies = await asyncio.gather(*futures, return_exceptions=True)
            assert len(replies) == REQUESTS
            assert "RouterClosedError" in {type(reply).__name__ for reply in replies}
            assert asyncio.all_tasks() == tasks
            assert open_files()["socket"] == sockets
            assert len(pykka.ActorRegistry.get_all()) == clean["actors"]

    asyncio.run(run())


def test_after_500_concurrent_requests_a_router_with_a_thread_of_its_own_leaves_nothing(
    clean, upstream, tmp_path, kit
):
    with Router(model_list=model_list(upstream), **settings(tmp_path)) as router:
        futures = [router.ask(request(number), block=False) for number in range(REQUESTS)]
        outcomes = Counter(read(future, number) for number, future in enumerate(futures))
        assert "turnout" in {thread.name for thread in threading.enumerate()}
    del futures
    assert_everything_happened(outcomes)
    assert leftovers() == clean


def read(future, number):
    try:
        answer = future.get(timeout=30)
        if not isinstance(answer, ModelStream):
            return "answer"
        for _chunk in answer:
            if number % 7 == 0:
                return "left"
    except RequestError as error:
        return type(error).__name__
    return "stream"


def test_a_router_that_is_dropped_leaves_nothing(clean, upstream, tmp_path):
    router = Router(model_list=model_list(upstream), **settings(tmp_path))
    with suppress(RequestError):
        router.ask(request(1))
    del router
    assert leftovers() == clean


@pytest.mark.parametrize(
    "wrong",
    [
        {"model_group_alias": {"short": "nowhere"}},
        {
            "routing_strategy_args": {"substitutes": {"gpt-4": ["nowhere"]}},
            "routing_strategy": "cost-based-routing",
        },
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_router_that_cannot_be_built_leaves_nothing_and_does_not_keep_its_journal(
    clean, upstream, tmp_path, wrong
):
    with pytest.raises(ValueError, match="nowhere"):
        Router(model_list=model_list(upstream), **settings(tmp_path), **wrong)
    assert leftovers() == clean
    Router(model_list=model_list(upstream), **settings(tmp_path)).close()


def test_a_router_whose_journal_cannot_be_read_leaves_nothing(clean, upstream, tmp_path):
    with Router(model_list=model_list(upstream), **settings(tmp_path)) as router, suppress(RequestError):
        router.ask(request(1))
    with closing(sqlite3.connect(tmp_path / "j.db", isolation_level=None)) as database:
        database.execute("DELETE FROM snapshots")
        database.execute("""UPDATE runs SET events = replace(events, '"call_started"', '"call_dreamt"')""")
    with pytest.raises(TurnoutError, match="call_dreamt"):
        Router(model_list=model_list(upstream), **settings(tmp_path))
