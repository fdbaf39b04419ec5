"""Callbacks run off the way of requests: in order, bounded, harmless, waited for at the end."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

import turnout
from turnout import Router
from turnout.actors.callbacks import lanes, observer
from turnout.integrations.custom_logger import CustomLogger
from turnout.testing import FakeClock

MESSAGES = [{"role": "user", "content": "Hello"}]
PATIENCE = 30.0
"""A test that is not over by then hangs."""


def ask(router, **fields):
    return router.completion("gpt-4", MESSAGES, **fields)


def in_order(told):
    """Whether each request's events came as they should."""
    stories = {}
    for event, request_id in told:
        stories.setdefault(request_id, []).append(event)
    return {tuple(dict.fromkeys(story)) for story in stories.values()}


class Slow(CustomLogger):
    """Does not come back before it is let go."""

    def __init__(self):
        self.entered, self.gate, self.told = threading.Event(), threading.Event(), 0

    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        self.told += 1


class Mixed(CustomLogger):
    """Blocking and awaited methods side by side."""

    def __init__(self):
        self.told = []

    def log_pre_api_call(self, model, messages, kwargs):
        self.told.append(("pre", kwargs["request_id"]))

    async def async_log_post_api_call(self, kwargs, response_obj, start_time, end_time):
        await asyncio.sleep(0.001)
        self.told.append(("post", kwargs["request_id"]))

    def log_stream_event(self, kwargs, response_obj, start_time, end_time):
        self.told.append(("stream", kwargs["request_id"]))

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.told.append(("success", kwargs["request_id"]))


def test_a_request_does_not_wait_for_a_slow_callback(kit, make_router):
    slow = Slow()
    router = make_router(callbacks=[slow])
    answers = [ask(router) for _ in range(3)]
    assert slow.entered.wait(PATIENCE)
    answers.append(ask(router))  # with the callback still inside
    assert len(answers) == 4
    assert slow.told == 0
    slow.gate.set()
    router.close()
    assert slow.told == 4


def test_blocking_methods_run_in_one_thread_that_is_not_the_routers(kit, make_router):
    threads = set()
    router = make_router(callbacks=[lambda *args: threads.add(threading.current_thread())])
    for _ in range(5):
        ask(router)
    router.close()
    assert [thread.name for thread in threads] == ["turnout-callbacks"]
    assert not threads.pop().is_alive()


def test_no_thread_is_started_before_there_is_something_to_tell(kit, make_router):
    router = make_router(callbacks=[kit.Both()])
    assert "turnout-callbacks" not in {thread.name for thread in threading.enumerate()}
    ask(router)
    router.close()
    assert "turnout-callbacks" not in {thread.name for thread in threading.enumerate()}


def test_an_awaited_method_runs_on_the_routers_loop(kit):
    loops = []

    async def note(kwargs, response, start, end):
        loops.append(asyncio.get_running_loop())

    async def main():
        async with Router([kit.entry()], callbacks=[note]) as router:
            await router.acompletion("gpt-4", MESSAGES)
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(main())


def test_of_two_twins_the_one_that_fits_the_request_is_told_and_no_other(kit, make_router):
    both = kit.Both()
    router = make_router(callbacks=[both])
    ask(router)
    asyncio.run(router.acompletion("gpt-4", MESSAGES))
    router.close()
    assert both.seen == ["sync", "async"]


def test_a_logger_with_one_of_the_twins_hears_of_every_request(kit, make_router):
    sync_only, told = kit.Sync(), []

    class AsyncOnly(CustomLogger):
        async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
            told.append(kwargs["call_type"])

    router = make_router(callbacks=[sync_only, AsyncOnly()])
    ask(router)
    asyncio.run(router.acompletion("gpt-4", MESSAGES))
    router.close()
    assert [row[1]["call_type"] for row in sync_only.of("success")] == ["completion", "acompletion"]
    assert told == ["completion", "acompletion"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_events_of_a_request_come_in_order_over_both_kinds_of_method(kit, stream):
    mixed = Mixed()

    async def one(router):
        answer = await router.acompletion("gpt-4", MESSAGES, stream=stream)
        if stream:
            [chunk async for chunk in answer]

    async def main():
        async with Router([kit.entry()], callbacks=[mixed]) as router:
            await asyncio.gather(*(one(router) for _ in range(20)))

    asyncio.run(main())
    expected = ("pre", "post", "stream", "success") if stream else ("pre", "post", "success")
    assert in_order(mixed.told) == {expected}
    assert len([event for event, _ in mixed.told if event == "success"]) == 20


def test_one_request_that_is_slow_to_tell_holds_up_no_other(kit):
    async def main():
        gate, told = asyncio.Event(), []

        async def note(kwargs, response, start, end):
            if kwargs["metadata"] == {"slow": True}:
                await gate.wait()
            told.append(kwargs["metadata"])
            if kwargs["metadata"] == {"slow": False}:
                gate.set()

        async with Router([kit.entry()], callbacks=[note]) as router:
            for slow in (True, False):
                await router.acompletion("gpt-4", MESSAGES, metadata={"slow": slow})
        assert told == [{"slow": False}, {"slow": True}]

    asyncio.run(main())


def test_only_so_many_requests_are_told_at_one_time_to_methods_that_await(kit, monkeypatch):
    monkeypatch.setattr(lanes, "MAX_AT_ONCE", 3)
    inside, most = 0, 0

    async def note(kwargs, response, start, end):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1

    async def main():
        async with Router([kit.entry()], callbacks=[note]) as router:
            await asyncio.gather(*(router.acompletion("gpt-4", MESSAGES) for _ in range(10)))

    asyncio.run(main())
    assert (most, inside) == (3, 0)


@pytest.mark.parametrize(
    "error",
    [ValueError("the secret"), SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()],
)
def test_a_callback_that_raises_is_reported_without_its_text_and_hurts_nothing(
    kit, make_router, caplog, error
):
    seen = kit.Sync()

    def broken(*args):
        raise error

    async def broken_too(*args):
        raise error

    router = make_router(callbacks=[broken, broken_too, seen])
    answer = ask(router)
    assert answer.choices[0].message.content == "Hello there"
    router.close()
    assert router._wiring.observer.health() == {"failed": 2, "dropped": 0, "waiting": 0}
    assert seen.story == ["pre", "post", "success"]
    lines = [record.getMessage() for record in caplog.records if record.name == "turnout.callbacks"]
    assert len(lines) == 2
    assert any(
        line.startswith(f"callback broken failed ({type(error).__name__} at test_off") for line in lines
    )
    assert "secret" not in "".join(lines)


def test_a_callback_that_always_raises_does_not_flood_the_log(kit, make_router, caplog):
    router = make_router(clock=FakeClock(), callbacks=[lambda *args: 1 / 0])
    for _ in range(100):
        ask(router)
    assert router.health()["callbacks"]["failed"] == 100
    assert len([r for r in caplog.records if r.name == "turnout.callbacks"]) == 7  # 1, 2, 4, ... 64


def test_reports_that_do_not_fit_are_dropped_and_counted(kit, make_router, monkeypatch, caplog):
    monkeypatch.setattr(observer, "MAX_WAITING", 10)
    slow = Slow()
    router = make_router(callbacks=[slow])
    ask(router)
    assert slow.entered.wait(PATIENCE)
    for _ in range(25):
        ask(router)
    health = router.health()["callbacks"]
    assert (health["waiting"], health["dropped"]) == (10, 15)
    slow.gate.set()
    router.close()
    assert slow.told == 11
    assert any("callbacks do not keep up" in record.getMessage() for record in caplog.records)


def test_what_awaits_is_bounded_by_the_same_number(kit, monkeypatch):
    monkeypatch.setattr(observer, "MAX_WAITING", 10)

    async def main():
        gate, told = asyncio.Event(), []

        async def note(kwargs, response, start, end):
            await gate.wait()
            told.append(1)

        async with Router([kit.entry()], callbacks=[note]) as router:
            for _ in range(25):
                await router.acompletion("gpt-4", MESSAGES)
            assert router.health()["callbacks"] == {"failed": 0, "dropped": 15, "waiting": 10}
            gate.set()
        assert len(told) == 10

    asyncio.run(main())


def test_close_waits_for_callbacks_and_no_longer_than_it_says(kit, monkeypatch, caplog):
    monkeypatch.setattr(observer, "CLOSE_SECONDS", 0.05)
    slow = Slow()
    router = Router([kit.entry()], callbacks=[slow])
    for _ in range(3):
        ask(router)
    assert slow.entered.wait(PATIENCE)
    router.close()
    assert slow.told == 0
    assert any("2 reports were not told" in record.getMessage() for record in caplog.records)
    slow.gate.set()
    for thread in threading.enumerate():
        if thread.name == "turnout-callbacks":
            thread.join(PATIENCE)
    assert slow.told == 1  # the one that was inside; the others are not told after the end


def test_close_gives_up_a_callback_that_never_stops_awaiting(kit, monkeypatch):
    monkeypatch.setattr(observer, "CLOSE_SECONDS", 0.05)

    async def main():
        async def note(kwargs, response, start, end):
            await asyncio.Event().wait()

        async with Router([kit.entry()], callbacks=[note]) as router:
            await router.acompletion("gpt-4", MESSAGES)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_a_router_whose_loop_is_gone_still_tells_what_needs_no_loop(kit):
    seen = kit.Sync()

    async def main():
        router = await Router([kit.entry()], callbacks=[seen]).__aenter__()
        await router.acompletion("gpt-4", MESSAGES)
        return router

    asyncio.run(main()).close()
    assert seen.story == ["pre", "post", "success"]


def test_a_callback_may_ask_the_router(kit, make_router):
    answers, asked = [], threading.Event()

    def ask_again(kwargs, response, start, end):
        if kwargs["metadata"] is None:
            answers.append(ask(router, metadata={"again": True}))
            asked.set()

    router = make_router(callbacks=[ask_again])
    ask(router)
    assert asked.wait(PATIENCE)
    assert len(answers) == 1


def test_on_a_fake_clock_callbacks_have_run_when_the_answer_is_there(kit, make_router):
    told = []

    async def note(kwargs, response, start, end):
        told.append(kwargs["call_type"])

    router = make_router(clock=FakeClock(), callbacks=[note])
    ask(router)
    assert told == ["completion"]
    assert {thread.name for thread in threading.enumerate()}.isdisjoint({"turnout", "turnout-callbacks"})


def test_on_a_fake_clock_a_method_that_must_wait_has_failed(kit, make_router, caplog):
    async def note(kwargs, response, start, end):
        await asyncio.sleep(1)

    router = make_router(clock=FakeClock(), callbacks=[note])
    ask(router)
    assert router.health()["callbacks"]["failed"] == 1
    assert caplog.records[0].levelno == logging.ERROR


def test_a_function_that_should_have_been_async_is_reported(kit, make_router):
    async def later():
        pass

    router = make_router(clock=FakeClock(), callbacks=[lambda *args: later()])
    ask(router)
    assert router.health()["callbacks"]["failed"] == 1


def test_with_callbacks_the_same_seed_gives_the_same_events(kit):
    def events(callbacks):
        with Router([kit.entry()], clock=FakeClock(), seed=5, callbacks=callbacks) as router:
            for _ in range(3):
                ask(router)
        return [(item.stream, item.event) for item in router.events()][1:]

    assert events([kit.Sync(), Mixed()]) == events([])


def test_the_settings_event_names_callbacks_by_class_only(kit, make_router):
    router = make_router(clock=FakeClock(), callbacks=[kit.Sync()])
    assert router.events("router")[0].event.settings == {"callbacks": ["<Sync>"]}


def test_a_crashed_deployment_still_ends_what_it_began(kit, make_router):
    seen = kit.Sync()
    clock = FakeClock()
    router = make_router(kit.entry(mock_delay=5), clock=clock, callbacks=[seen])
    future = router.ask(turnout.CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
    clock.advance(1)
    router._switchboard.deployments["eu"].tell(turnout.messages.commands.AttemptTimedOut([]))  # no call_id
    clock.advance(0)
    assert seen.story == ["pre", "post", "failure"]
    with pytest.raises(turnout.APIError):
        future.get(timeout=60)
