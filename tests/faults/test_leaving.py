"""A caller who leaves, by whatever door, takes the call upstream along: the provider sees its socket close.

The provider of these tests never ends a connection by itself, and answers nothing: when it sees one
end, the client has ended it.
"""

import asyncio
import gc
import os
import signal
import sys

import pytest

from turnout import (
    CompletionRequest,
    MidStreamError,
    RequestError,
    Router,
    RouterClosedError,
    Timeout,
)


def silence():
    async def behave(connection):
        await connection.until_left()

    return behave


def words_then_silence(kit):
    async def behave(connection):
        await connection.send(kit.STREAM_HEAD + kit.event("once ") + kit.event("upon "))
        await connection.until_left()

    return behave


def words_without_end(kit):
    """More than any buffer on the way holds, so that the provider is held up in the middle of a write."""

    async def behave(connection):
        await connection.send(kit.STREAM_HEAD)
        while True:
            await connection.send(kit.event("and on " * 500))

    return behave


async def with_one_call(kit, leave, behave=None, *, stream=False, fields=None, **settings):
    """Start one call that will not be answered, leave it with `leave`, and see what is left."""
    async with kit.provider(behave or silence()) as host:
        entry = kit.entry("dep-1", api_base=host.api_base, **(fields or {}))
        async with Router(model_list=[entry], **settings) as router:
            task = asyncio.create_task(leave(router, host, stream))
            await host.arrived.wait()
            await task
            await kit.soon(host.left.wait())
            kit.assert_nothing_is_open(router)
            answer = await router.acompletion("gpt-4", kit.MESSAGES)
            assert answer.choices[0].message.content == "well"
            return [r.event for r in router.events("deployment/dep-1")][:3]


def ended(events):
    return [event.TYPE for event in events[:3] if event.TYPE != "call_opened"][1]


def test_cancelling_the_task_closes_the_connection_upstream(kit):
    async def leave(router, host, stream):
        task = asyncio.create_task(router.acompletion("gpt-4", kit.MESSAGES, stream=stream))
        await host.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for stream in (False, True):
        assert ended(asyncio.run(with_one_call(kit, leave, stream=stream))) == "call_cancelled"


def test_cancelling_the_future_closes_the_connection_upstream(kit):
    async def leave(router, host, stream):
        future = router.ask(
            CompletionRequest(model="gpt-4", messages=kit.MESSAGES, stream=stream), block=False
        )
        await host.arrived.wait()
        assert future.cancel()
        with pytest.raises(RequestError, match="was cancelled"):
            await future

    for stream in (False, True):
        assert ended(asyncio.run(with_one_call(kit, leave, stream=stream))) == "call_cancelled"


def test_the_requests_deadline_closes_the_connection_upstream(kit):
    async def leave(router, host, stream):
        with pytest.raises(Timeout) as caught:
            await router.acompletion("gpt-4", kit.MESSAGES, stream=stream, timeout=0.2)
        assert caught.value.deployment_id == "dep-1"

    for stream in (False, True):
        assert ended(asyncio.run(with_one_call(kit, leave, stream=stream))) == "call_failed"


def test_the_deployments_timeout_closes_the_connection_upstream(kit):
    async def leave(router, host, stream):
        with pytest.raises(Timeout) as caught:
            await router.acompletion("gpt-4", kit.MESSAGES)
        assert caught.value.deployment_id == "dep-1"

    assert ended(asyncio.run(with_one_call(kit, leave, fields={"timeout": 0.2}))) == "call_failed"


def test_the_deadline_of_a_stream_under_way_closes_the_connection_upstream(kit):
    async def leave(router, host, _stream):
        stream = await router.acompletion("gpt-4", kit.MESSAGES, stream=True, timeout=0.3)
        with pytest.raises(MidStreamError) as caught:
            async for _chunk in stream:
                pass
        assert (caught.value.text, type(caught.value.cause)) == ("once upon ", Timeout)

    asyncio.run(with_one_call(kit, leave, words_then_silence(kit)))


async def by_break(stream):
    async for _chunk in stream:
        break


async def by_aclose(stream):
    await anext(stream)
    await stream.aclose()


async def by_with(stream):
    async with stream:
        await anext(stream)


async def by_an_error(stream):
    async def read():
        async for _chunk in stream:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read()


async def by_cancellation(stream):
    async def read():
        async for chunk in stream:
            if "upon" in (chunk.choices[0].delta.content or ""):
                waiting.set()

    waiting = asyncio.Event()
    task = asyncio.create_task(read())
    await waiting.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def without_reading(stream):
    stream.close()


DOORS = [by_break, by_aclose, by_with, by_an_error, by_cancellation, without_reading]


@pytest.mark.parametrize("door", DOORS)
def test_leaving_a_stream_closes_the_connection_upstream(kit, door):
    async def leave(router, host, _stream):
        await door(await router.acompletion("gpt-4", kit.MESSAGES, stream=True))

    assert ended(asyncio.run(with_one_call(kit, leave, words_then_silence(kit)))) == "call_cancelled"


def test_a_stream_that_is_dropped_closes_the_connection_upstream(kit):
    async def leave(router, host, _stream):
        await router.acompletion("gpt-4", kit.MESSAGES, stream=True)
        gc.collect()

    assert ended(asyncio.run(with_one_call(kit, leave, words_then_silence(kit)))) == "call_cancelled"


@pytest.mark.parametrize("door", [by_break, by_aclose, without_reading])
def test_leaving_a_stream_whose_provider_is_held_up_closes_the_connection_upstream(kit, door):
    async def leave(router, host, _stream):
        await door(await router.acompletion("gpt-4", kit.MESSAGES, stream=True))

    assert ended(asyncio.run(with_one_call(kit, leave, words_without_end(kit)))) == "call_cancelled"


def in_a_thread_by_break(stream):
    for _chunk in stream:
        break


def in_a_thread_by_with(stream):
    with stream:
        next(stream)


def in_a_thread_by_an_error(stream):
    with pytest.raises(ZeroDivisionError):
        [1 / 0 for _chunk in stream]


def in_a_thread_by_dropping_it(stream):
    next(stream)


@pytest.mark.parametrize(
    "door", [in_a_thread_by_break, in_a_thread_by_with, in_a_thread_by_an_error, in_a_thread_by_dropping_it]
)
def test_leaving_a_stream_in_another_thread_closes_the_connection_upstream(kit, door):
    async def run():
        async with kit.provider(words_then_silence(kit)) as host:
            entry = kit.entry("dep-1", api_base=host.api_base)
            with Router(model_list=[entry]) as router:
                await asyncio.to_thread(lambda: door(router.completion("gpt-4", kit.MESSAGES, stream=True)))
                await kit.soon(host.left.wait())
                answer = await asyncio.to_thread(router.completion, "gpt-4", kit.MESSAGES)
                assert answer.choices[0].message.content == "well"
                kit.assert_nothing_is_open(router)
            types = [recorded.event.TYPE for recorded in router.events("deployment/dep-1")]
            assert types[:3] == ["call_started", "call_opened", "call_cancelled"]

    asyncio.run(run())


def test_leaving_while_a_retry_is_waited_for_leaves_nothing(kit):
    """Nothing is called at that moment; the provider asked to wait for an hour."""
    told = kit.http(b'{"error": {"message": "slow down"}}', status=429, headers="Retry-After: 3000\r\n")

    async def refuse(connection):
        await connection.send(told)
        return True

    async def run():
        async with kit.provider(refuse) as host:
            entry = kit.entry("dep-1", api_base=host.api_base)
            async with Router(model_list=[entry], num_retries=2, disable_cooldowns=True) as router:
                task = asyncio.create_task(router.acompletion("gpt-4", kit.MESSAGES))
                await host.arrived.wait()
                await kit.until(lambda: router.events()[-1].event.TYPE == "retry_scheduled")
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                kit.assert_nothing_is_open(router)
                assert router.events()[-1].event.TYPE == "request_cancelled"

    asyncio.run(run())


def test_closing_the_router_ends_its_calls_and_its_callers_hear_of_it(kit):
    async def run():
        async with kit.provider(silence(), words_then_silence(kit)) as host:
            entry = kit.entry("dep-1", api_base=host.api_base)
            router = Router(model_list=[entry])
            async with router:
                whole = asyncio.create_task(router.acompletion("gpt-4", kit.MESSAGES))
                await host.arrived.wait()
                stream = await router.acompletion("gpt-4", kit.MESSAGES, stream=True)
                await anext(stream)
            with pytest.raises(RouterClosedError):
                await whole
            with pytest.raises(RouterClosedError):
                async for _chunk in stream:
                    pass
            while host.connections:
                await kit.soon(host.left.wait())
                host.left.clear()
            for ask in (
                lambda: router.acompletion("gpt-4", kit.MESSAGES),
                lambda: asyncio.to_thread(router.completion, "gpt-4", kit.MESSAGES),
                lambda: asyncio.to_thread(router.health),
            ):
                with pytest.raises(RouterClosedError, match="closed"):
                    await ask()

    asyncio.run(run())


# -- Ctrl-C

CHILD = """
import sys
from turnout import CompletionRequest, Router

router = Router(model_list=[{"model_name": "gpt-4", "litellm_params":
    {"model": "openai/gpt-4o", "api_key": "k", "api_base": sys.argv[1]}}], journal=f"sqlite:///{sys.argv[2]}")
messages = [{"role": "user", "content": "hello"}]
try:
    if sys.argv[3] == "stream":
        for chunk in router.completion("gpt-4", messages, stream=True):
            print("chunk", flush=True)
    elif sys.argv[3] == "future":
        router.ask(CompletionRequest(model="gpt-4", messages=messages), block=False).get()
    else:
        router.completion("gpt-4", messages)
except KeyboardInterrupt:
    if sys.argv[4] == "die":
        raise
    (state,) = (item["state"] for item in router.health()["deployments"].values())
    while state["open"]:  # the other thread is at it
        (state,) = (item["state"] for item in router.health()["deployments"].values())
    print("interrupted", state["totals"]["cancelled"], flush=True)
    sys.stdin.read()
    router.close()
    print("closed", flush=True)
"""


async def interrupted(kit, path, how, then):
    """A program in a blocking call gets SIGINT: how it ends, and what it says."""
    async with kit.provider(words_then_silence(kit) if how == "stream" else silence()) as host:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, host.api_base, str(path), how, then, stdin=-1, stdout=-1, stderr=-1
        )
        try:
            await host.arrived.wait()
            if how == "stream":
                assert await program.stdout.readline() == b"chunk\n"
                assert await program.stdout.readline() == b"chunk\n"
            os.kill(program.pid, signal.SIGINT)
            if then == "live":
                assert await kit.soon(program.stdout.readline()) == b"interrupted 1\n"
            await kit.soon(host.left.wait())
            assert then == "die" or program.returncode is None  # it was not its death that closed the socket
            program.stdin.close()
            said, errors = await kit.soon(program.communicate())
            return program.returncode, said, errors
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()


@pytest.mark.parametrize("how", ["whole", "future", "stream"])
def test_ctrl_c_in_a_blocking_call_cancels_it_upstream(kit, tmp_path, how):
    code, said, errors = asyncio.run(interrupted(kit, tmp_path / "j.db", how, "live"))
    assert (code, said, errors) == (0, b"closed\n", b"")


@pytest.mark.parametrize("how", ["whole", "stream"])
def test_a_program_that_does_not_catch_ctrl_c_ends_by_it(kit, tmp_path, how):
    code, _, errors = asyncio.run(interrupted(kit, tmp_path / "j.db", how, "die"))
    assert code == -signal.SIGINT
    assert errors.rstrip().endswith(b"KeyboardInterrupt")
    with Router(journal=f"sqlite:///{tmp_path / 'j.db'}") as router:  # and its journal is told the end
        types = [recorded.event.TYPE for recorded in router.events()]
    assert types[-2:] == ["router_stopped", "router_started"]
    assert "call_cancelled" in types
