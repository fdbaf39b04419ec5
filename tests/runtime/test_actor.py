"""pykka's own guarantees, kept by `LoopActor`, and the traps pykka sets for an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading

import pykka
import pytest

from turnout.actors.runtime.actor import LoopActor, ShortMail
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher


class Echo(LoopActor):
    """Answers what it is asked, and does as it is told."""

    def __init__(self, dispatcher, log=None):
        super().__init__(dispatcher)
        self.log = [] if log is None else log

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        self.log.append(message)
        return message

    def on_stop(self):
        self.log.append("stopped")

    def undelivered(self, message):
        self.log.append(("undelivered", message))


@pytest.fixture(params=["thread", "manual"])
def dispatcher(request):
    if request.param == "manual":
        yield ManualDispatcher(ManualClock(0.0))
        return
    loop = EventLoopDispatcher()
    loop.start_thread("test-turnout")
    yield loop
    loop.stop_thread()


@pytest.fixture(autouse=True)
def _no_actor_is_left():
    yield
    for ref in pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.unregister(ref)


def test_ask_gives_the_reply(dispatcher):
    assert Echo.start(dispatcher).ask("ping", timeout=5) == "ping"


def test_ask_without_blocking_gives_a_future(dispatcher):
    future = Echo.start(dispatcher).ask("ping", block=False)
    assert future.get(timeout=5) == "ping"


def test_messages_are_handled_in_the_order_they_were_sent(dispatcher):
    log = []
    ref = Echo.start(dispatcher, log)
    for number in range(500):
        ref.tell(number)
    ref.ask("done", timeout=5)
    assert log == [*range(500), "done"]


def test_stop_lets_earlier_messages_through_and_returns_true(dispatcher):
    log = []
    ref = Echo.start(dispatcher, log)
    ref.tell("before")
    assert ref.stop(timeout=5) is True
    assert log == ["before", "stopped"]
    assert not ref.is_alive()


def test_stopping_a_dead_actor_returns_false(dispatcher):
    ref = Echo.start(dispatcher)
    ref.stop(timeout=5)
    assert ref.stop(timeout=5) is False


def test_a_dead_actor_refuses_tell_and_ask(dispatcher):
    ref = Echo.start(dispatcher)
    ref.stop(timeout=5)
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("late")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("late", timeout=5)


def test_an_actor_is_in_the_registry_while_it_lives(dispatcher):
    ref = Echo.start(dispatcher)
    assert ref in pykka.ActorRegistry.get_all()
    ref.stop(timeout=5)
    assert ref not in pykka.ActorRegistry.get_all()


def test_a_proxy_reads_attributes(dispatcher):
    proxy = Echo.start(dispatcher).proxy()
    assert proxy.log.get(timeout=5) == []


def test_a_reply_may_be_read_many_times(dispatcher):
    future = Echo.start(dispatcher).ask("ping", block=False)
    assert [future.get(timeout=5) for _ in range(3)] == ["ping"] * 3


def test_many_threads_may_ask_at_once():
    dispatcher = EventLoopDispatcher()
    dispatcher.start_thread("test-turnout")
    ref = Echo.start(dispatcher)
    wrong = []

    def ask(name):
        wrong.extend(number for number in range(200) if ref.ask((name, number), timeout=10) != (name, number))

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    dispatcher.stop_thread()
    assert wrong == []


def test_mail_sent_before_there_is_a_loop_waits_for_it():
    async def main():
        dispatcher.bind(asyncio.get_running_loop())
        return await future

    dispatcher = EventLoopDispatcher()
    future = Echo.start(dispatcher).ask("early", block=False)
    assert asyncio.run(main()) == "early"


def test_a_future_can_be_awaited_on_the_dispatchers_own_loop():
    async def main():
        dispatcher = EventLoopDispatcher()
        dispatcher.bind(asyncio.get_running_loop())
        ref = Echo.start(dispatcher)
        return await ref.ask("ping", block=False), await ref.stop(block=False)

    assert asyncio.run(main()) == ("ping", True)


def test_a_future_can_be_awaited_on_another_loop():
    async def main():
        return await ref.ask("ping", block=False)

    dispatcher = EventLoopDispatcher()
    dispatcher.start_thread("test-turnout")
    ref = Echo.start(dispatcher)
    assert asyncio.run(main()) == "ping"
    dispatcher.stop_thread()


def test_a_blocking_get_on_the_loops_own_thread_raises_at_once():
    async def main():
        dispatcher = EventLoopDispatcher()
        dispatcher.bind(asyncio.get_running_loop())
        future = Echo.start(dispatcher).ask("ping", block=False)
        with pytest.raises(RuntimeError, match="deadlock"):
            future.get()
        return await future

    assert asyncio.run(main()) == "ping"


def test_a_blocking_get_inside_a_manual_actor_raises_at_once():
    class Impatient(LoopActor):
        def on_receive(self, message):
            return message.ask("ping")

    dispatcher = ManualDispatcher(ManualClock(0.0))
    echo = Echo.start(dispatcher)
    with pytest.raises(RuntimeError, match="deadlock"):
        Impatient.start(dispatcher).ask(echo)


def test_get_times_out_on_a_thread():
    class Silent(LoopActor):
        def on_receive(self, _message):
            return None

    dispatcher = EventLoopDispatcher()  # no loop: nobody will answer
    future = Silent.start(dispatcher).ask("ping", block=False)
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.01)


def test_get_on_a_fake_clock_times_out_in_fake_time():
    clock = ManualClock(0.0)
    dispatcher = ManualDispatcher(clock)
    future = LoopActor._create_future()
    future.bind(dispatcher)
    clock.call_later(10.0, lambda: future.set("late"))
    with pytest.raises(pykka.Timeout):
        future.get(timeout=3.0)
    assert clock.now() == 3.0
    assert future.get() == "late"


def test_waiting_for_what_nothing_will_ever_settle_is_an_error_not_a_hang():
    future = LoopActor._create_future()
    future.bind(ManualDispatcher(ManualClock(0.0)))
    with pytest.raises(RuntimeError, match="nothing is scheduled"):
        future.get()


def test_a_future_is_settled_once():
    future = LoopActor._create_future()
    future.set(1)
    with pytest.raises(RuntimeError, match="settled"):
        future.set(2)


# -- the traps


def test_a_cancellation_in_a_handler_stops_that_actor_and_no_other(dispatcher, caplog):
    caplog.set_level(logging.CRITICAL, "pykka")
    bystander, victim = Echo.start(dispatcher), Echo.start(dispatcher)
    with pytest.raises(asyncio.CancelledError):
        victim.ask(asyncio.CancelledError(), timeout=5)
    assert not victim.is_alive()
    assert bystander.ask("still here", timeout=5) == "still here"


def test_an_exception_in_an_ask_handler_is_a_crash_and_reaches_the_asker(dispatcher, caplog):
    caplog.set_level(logging.CRITICAL, "pykka")
    ref = Echo.start(dispatcher)
    with pytest.raises(ZeroDivisionError):
        ref.ask(ZeroDivisionError(), timeout=5)
    assert not ref.is_alive()


def test_what_waited_behind_a_crash_is_settled_or_handed_back(caplog):
    caplog.set_level(logging.CRITICAL, "pykka")
    dispatcher = ManualDispatcher(ManualClock(0.0))
    log = []
    ref = Echo.start(dispatcher, log)
    ref.tell(ValueError("boom"))
    ref.tell("told")
    asked = ref.ask("asked", block=False)
    dispatcher.run_now()
    assert ("undelivered", "told") in log
    with pytest.raises(pykka.ActorDeadError):
        asked.get()


def test_an_ask_that_races_stop_is_still_settled():
    for _ in range(200):
        dispatcher = ManualDispatcher(ManualClock(0.0))
        ref = Echo.start(dispatcher)
        stopping = ref.stop(block=False)
        asked = ref.ask("too late", block=False)
        assert stopping.get() is True
        with pytest.raises(pykka.ActorDeadError):
            asked.get()


def test_asks_from_other_threads_that_race_stop_are_all_settled():
    dispatcher = EventLoopDispatcher()
    dispatcher.start_thread("test-turnout")
    ref = Echo.start(dispatcher)
    outcomes = []

    def ask():
        for number in range(300):
            try:
                outcomes.append(ref.ask(number, timeout=10) == number)
            except pykka.ActorDeadError:
                outcomes.append(True)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    ref.stop(timeout=10)
    for thread in threads:
        thread.join(30)
    dispatcher.stop_thread()
    assert outcomes == [True] * 1200


def test_an_endless_round_of_messages_does_not_starve_the_loop():
    class Restless(LoopActor):
        def on_receive(self, message):
            self.actor_ref.tell(message)

    async def main():
        dispatcher = EventLoopDispatcher()
        dispatcher.bind(asyncio.get_running_loop())
        ref = Restless.start(dispatcher)
        ref.tell("round")
        for _ in range(10):
            await asyncio.sleep(0)
        ref.actor_stopped.set()
        return True

    assert asyncio.run(main())


def test_the_manual_dispatcher_draws_the_order_from_its_seed():
    def order(seed):
        import random

        log = []
        dispatcher = ManualDispatcher(ManualClock(0.0), random.Random(seed))
        refs = [Echo.start(dispatcher, log) for _ in range(6)]
        for number, ref in enumerate(refs):
            ref.tell(number)
        dispatcher.run_now()
        return log

    assert order(1) == order(1)
    assert sorted(order(1)) == sorted(order(2)) == list(range(6))
    assert len({tuple(order(seed)) for seed in range(8)}) > 1


def test_pykka_still_has_the_names_we_build_on():
    from pykka._envelope import Envelope

    for name in (
        "_create_actor_inbox",
        "_create_future",
        "_start_actor_loop",
        "_handle_receive",
        "_handle_failure",
        "_actor_loop_setup",
        "_actor_loop_teardown",
        "_stop",
    ):
        assert callable(getattr(pykka.Actor, name))
    assert Envelope("m", reply_to=None).message == "m"


def test_the_actor_and_its_reference_are_stopped_by_the_same_word():
    manual = ManualDispatcher(ManualClock(0.0))
    ref = Echo.start(manual)
    assert ref._actor_weakref().actor_stopped is ref.actor_stopped
    assert ref.is_alive()
    assert ref.actor_stopped.wait(0.0) is False
    ref.stop(block=False)
    manual.run_now()
    assert not ref.is_alive()
    assert ref.actor_stopped.wait(0.0) is True


def test_who_waits_in_another_thread_hears_that_an_actor_is_stopped():
    heard = []
    manual = ManualDispatcher(ManualClock(0.0))
    ref = Echo.start(manual)
    asked = threading.Event()

    def wait():
        asked.set()
        heard.append(ref.actor_stopped.wait(60.0))

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    asked.wait(60.0)
    ref.stop(block=False)
    manual.run_now()
    for thread in threads:
        thread.join(60.0)
    assert heard == [True, True]


def test_short_mail_keeps_the_order_as_a_deque_does():
    mail = ShortMail()
    for number in range(200):
        mail.append(number)
    assert [mail.popleft() for _ in range(200)] == list(range(200))
    assert not mail
