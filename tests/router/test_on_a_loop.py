"""On real event loops and threads: nothing is left behind (I12), and nobody waits for ever."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pykka
import pytest

from turnout import CompletionRequest, Router, RouterClosedError, Timeout
from turnout.messages.events import CallCancelled, RequestCancelled, RequestSucceeded


def deployment(name="a", group="gpt-4", **params):
    return {
        "model_name": group,
        "litellm_params": {"model": "openai/gpt-4o", "mock_response": "one two three", **params},
        "model_info": {"id": name},
    }


SLOW = deployment(mock_delay=60.0)


def threads():
    return {thread.name for thread in threading.enumerate()}


def kinds(router):
    return [type(item.event) for item in router.events()]


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """I12"""
    actors, before = len(pykka.ActorRegistry.get_all()), threads()
    yield
    gc.collect()
    assert len(pykka.ActorRegistry.get_all()) == actors
    assert {name for name in threads() - before if not name.startswith("asyncio_")} == set()


async def settled(condition):
    """Wait, without a clock, until what was set in motion is done."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come true")


# -- on the caller's loop


def test_with_async_with_the_router_lives_on_the_callers_loop_and_starts_no_thread(hello):
    """I12"""

    async def main():
        before = threads()
        async with Router(model_list=[deployment()]) as router:
            answer = await router.ask(hello(), block=False)
            assert threads() == before
            tasks = asyncio.all_tasks()
        assert tasks == asyncio.all_tasks() == {asyncio.current_task()}
        return answer

    assert asyncio.run(main()).choices[0].message.content == "one two three"


def test_a_blocking_ask_on_the_routers_loop_is_refused_at_once(hello):
    async def main():
        async with Router(model_list=[deployment()]) as router:
            with pytest.raises(RuntimeError, match="deadlock"):
                router.ask(hello())

    asyncio.run(main())


def test_many_requests_at_once(hello):
    async def main():
        async with Router(model_list=[deployment(name) for name in "abc"]) as router:
            answers = await asyncio.gather(
                *(router.acompletion("gpt-4", hello().messages) for _ in range(300))
            )
            assert len({answer.route.request_id for answer in answers}) == 300
            assert router.health()["open_requests"] == 0

    asyncio.run(main())


def test_cancelling_the_task_that_awaits_aborts_the_call(hello):
    """I4"""

    async def main():
        async with Router(model_list=[SLOW]) as router:
            task = asyncio.create_task(router.acompletion("gpt-4", hello().messages))
            await settled(lambda: router.health()["open_requests"] == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await settled(lambda: router.health()["open_requests"] == 0)
            assert {CallCancelled, RequestCancelled} <= set(kinds(router))

    asyncio.run(main())


def test_wait_for_aborts_the_call_too(hello):
    """I4"""

    async def main():
        async with Router(model_list=[SLOW]) as router:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(router.acompletion("gpt-4", hello().messages), 0.01)
            await settled(lambda: router.health()["open_requests"] == 0)
            assert RequestCancelled in kinds(router)

    asyncio.run(main())


def test_cancelling_the_task_that_reads_a_stream_aborts_the_call(hello):
    """I4"""
    endless = deployment(mock_response="word " * 500)

    async def read(router):
        stream = await router.acompletion("gpt-4", hello().messages, stream=True)
        async for _ in stream:
            await asyncio.sleep(30)

    async def main():
        async with Router(model_list=[endless]) as router:
            task = asyncio.create_task(read(router))
            await settled(lambda: router.health()["deployments"]["a"]["state"]["open"])
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await settled(lambda: not router.health()["deployments"]["a"]["state"]["open"])
            assert RequestCancelled in kinds(router)

    asyncio.run(main())


def test_leaving_the_router_ends_what_is_open_and_every_caller_hears_of_it(hello):
    """I1, I12"""

    async def main():
        async with Router(model_list=[SLOW]) as router:
            tasks = [asyncio.create_task(router.acompletion("gpt-4", hello().messages)) for _ in range(3)]
            await settled(lambda: router.health()["open_requests"] == 3)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RouterClosedError] * 3
        with pytest.raises(RouterClosedError):
            await router.acompletion("gpt-4", hello().messages)

    asyncio.run(main())


def test_an_answer_can_be_awaited_on_another_loop(hello):
    with Router(model_list=[deployment()]) as router:
        router.ask(hello())  # its own thread runs

        async def main():
            return await router.ask(hello(), block=False)

        assert asyncio.run(main()).route.deployment_id == "a"


def test_a_loop_that_is_gone_leaves_a_router_that_can_still_be_closed(hello):
    """I12"""
    router = Router(model_list=[deployment()])

    async def main():
        await router.__aenter__()
        await router.acompletion("gpt-4", hello().messages)

    asyncio.run(main())
    router.close()
    assert RequestSucceeded in kinds(router)


# -- from threads


def test_a_synchronous_caller_gets_a_thread_of_the_routers_own(hello):
    """I12"""
    with Router(model_list=[deployment()]) as router:
        assert "turnout" not in threads()
        router.ask(hello())
        assert "turnout" in threads()
    assert "turnout" not in threads()


def test_many_threads_share_one_router(hello):
    """I1, I4"""
    done = []
    with Router(model_list=[deployment(name, max_parallel_requests=100) for name in "abc"]) as router:

        def work():
            for _ in range(50):
                done.append(router.ask(hello()).route.request_id)
                done.append("".join(c.choices[0].delta.content or "" for c in router.ask(hello(stream=True))))

        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        health = router.health()
    assert len(done) == 800
    assert done.count("one two three") == 400
    assert health["open_requests"] == 0
    assert all(entry["state"]["open"] == {} for entry in health["deployments"].values())


def test_closing_in_one_thread_wakes_those_that_wait_in_others(hello):
    """I1, I12"""
    router = Router(model_list=[SLOW])
    outcomes = []

    def work():
        try:
            router.ask(hello())
        except RouterClosedError as error:
            outcomes.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    while router.health()["open_requests"] < 4:
        pass
    router.close()
    for worker in workers:
        worker.join()
    assert len(outcomes) == 4


def test_a_get_that_times_out_leaves_the_answer_to_be_had_later(hello):
    with Router(model_list=[deployment(mock_delay=0.05)]) as router:
        future = router.ask(hello(), block=False)
        with pytest.raises(pykka.Timeout):
            future.get(timeout=0.001)
        assert future.get().route.deployment_id == "a"


def test_a_deadline_in_real_time(hello):
    """I1"""
    with Router(model_list=[SLOW]) as router, pytest.raises(Timeout):
        router.ask(hello(timeout=0.01))


def test_a_stream_dropped_in_any_thread_frees_its_slot(hello):
    """I4"""
    endless = deployment(mock_response="word " * 500, max_parallel_requests=1)
    with Router(model_list=[endless], on_exhausted="wait", timeout=30) as router:
        for _ in range(5):
            stream = router.ask(hello(stream=True))
            next(stream)
            del stream  # the next one can only start when this one was aborted
            gc.collect()
        router.ask(hello(stream=True)).close()


def test_a_router_that_is_dropped_closes_itself(hello):
    """I12"""
    router = Router(model_list=[deployment()])
    router.ask(hello())
    del router
    gc.collect()
    assert "turnout" not in threads()


def test_a_router_whose_last_holder_was_its_own_thread_leaves_no_thread(hello):
    """I12: as after `asyncio.run` over a router that nobody entered or closed."""
    router = Router(model_list=[deployment()])
    router.ask(hello())
    lifecycle, thread = router._lifecycle, router._lifecycle.dispatcher._thread
    router._finalizer.detach()
    lifecycle.dispatcher.loop.call_soon_threadsafe(lifecycle.dropped)
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert "turnout" not in threads()


def test_a_router_on_a_file_leaves_no_thread_and_no_file_open(hello, tmp_path):
    """I12"""
    path = tmp_path / "turnout.db"
    with Router(model_list=[deployment()], journal=f"sqlite:///{path}") as router:
        router.ask(hello())
    descriptors = Path("/proc/self/fd")
    if descriptors.is_dir():
        assert not [fd for fd in descriptors.iterdir() if str(fd.resolve()).startswith(str(path))]


def test_no_socket_is_left_after_close():
    """I12: a real server, whose connections are all gone when the router has closed."""
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(-1)  # never answers; ends when the other side closes
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        entry = {
            "model_name": "gpt-4",
            "litellm_params": {
                "model": "openai/gpt-4o",
                "api_key": "x",
                "api_base": f"http://127.0.0.1:{port}/v1",
            },
        }
        async with Router(model_list=[entry]) as router:
            tasks = [
                asyncio.ensure_future(router.acompletion("gpt-4", [{"role": "user", "content": "Hi"}]))
                for _ in range(3)
            ]
            await settled_later(lambda: len(connections) == 3)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {RouterClosedError}
        await settled_later(lambda: all(writer.is_closing() for writer in connections))
        server.close()
        await server.wait_closed()

    asyncio.run(main())


async def settled_later(condition):
    """The same where the other side is a socket."""
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come true")


# -- the process


def run(code, *, interrupt_at=None):
    """Run a program; (exit status, stdout, stderr)."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if interrupt_at is not None:
        for line in process.stdout:
            if line.strip() == interrupt_at:
                process.send_signal(signal.SIGINT)
                break
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


SETUP = """
from turnout import *
params = {"model": "openai/x", "mock_response": "hi there you", "mock_delay": DELAY}
entry = {"model_name": "g", "litellm_params": params}
request = CompletionRequest(model="g", messages=[{"role": "user", "content": "Hi"}])
"""


def test_ctrl_c_in_ask_cancels_the_call():
    """I4, I12"""
    code = (
        SETUP.replace("DELAY", "600")
        + """
import signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in children of a background job
router = Router(model_list=[entry])
def tell():
    while not (router._dispatcher.bound and router.health()["open_requests"]):
        time.sleep(0.01)
    print("waiting", flush=True)
threading.Thread(target=tell).start()
try:
    router.ask(request)
except KeyboardInterrupt:
    while router.health()["open_requests"]:
        time.sleep(0.01)
    router.close()
    print([item.event.TYPE for item in router.events()][-3:], flush=True)
"""
    )
    status, out, err = run(code, interrupt_at="waiting")
    assert (status, err) == (0, "")
    assert "['call_cancelled', 'router_stopped']" in out.replace("'request_cancelled', ", "")
    assert "request_cancelled" in out


@pytest.mark.parametrize(
    "use",
    [
        "router = Router(model_list=[entry])",
        "router = Router(model_list=[entry]); router.ask(request)",
        (
            "import tempfile; path = tempfile.mkdtemp() + '/j.db';"
            "router = Router(model_list=[entry], journal='sqlite:///' + path); router.ask(request)"
        ),
        (
            "router = Router(model_list=[entry]); "
            "stream = router.completion('g', request.messages, stream=True); next(stream)"
        ),
        "router = Router(model_list=[entry]); future = router.ask(request, block=False)",
    ],
)
def test_a_router_that_is_never_closed_prints_nothing_at_the_end(use):
    """I12"""
    status, out, err = run(SETUP.replace("DELAY", "0") + use)
    assert (status, out, err) == (0, "", "")


def test_a_router_never_closed_on_a_loop_that_ended_prints_nothing():
    """I12"""
    code = SETUP.replace("DELAY", "0") + (
        "import asyncio\n"
        "async def main():\n"
        "    global router\n"
        "    router = await Router(model_list=[entry]).__aenter__()\n"
        "    return await router.acompletion('g', request.messages)\n"
        "asyncio.run(main())\n"
    )
    status, out, err = run(code)
    assert (status, out, err) == (0, "", "")


def test_a_process_that_ends_while_a_call_is_open_does_not_hang():
    """I12"""
    code = (
        SETUP.replace("DELAY", "600")
        + "router = Router(model_list=[entry]); f = router.ask(request, block=False)"
    )
    status, out, err = run(code)
    assert (status, out, err) == (0, "", "")


def test_a_request_model_is_all_a_caller_needs(hello):
    with Router(model_list=[deployment()]) as router:
        assert (
            router.ask(CompletionRequest(model="gpt-4", messages=hello().messages)).route.model_group
            == "gpt-4"
        )
