"""What is recorded is told to whoever listens: in order, in batches, behind the requests."""

import asyncio

import pytest

from turnout import Router
from turnout.actors.journal.audience import BATCH, Audience
from turnout.actors.journal.store import Journal
from turnout.actors.runtime.clock import LoopClock, ManualClock
from turnout.actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher
from turnout.messages.events import CooldownEnded
from turnout.testing import FakeClock, SimulatedProviders
from turnout.testing.faulty_journal import FaultyStore

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "eu"}}
MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def dispatcher():
    return ManualDispatcher(ManualClock(0.0))


def test_a_listener_hears_of_everything_once_and_in_order():
    heard = []
    with Router([ENTRY], clock=FakeClock(), caller=SimulatedProviders()) as router:
        before = router.events()
        router._journal.subscribe(heard.extend)
        router.completion("gpt-4", MESSAGES)
        assert heard == router.events(after=len(before))
    assert [recorded.event.TYPE for recorded in heard][-1] == "router_stopped"
    assert [recorded.position for recorded in heard] == sorted({recorded.position for recorded in heard})


def test_who_left_hears_nothing_more(dispatcher):
    heard, other = [], []
    audience = Audience(dispatcher)
    audience.join(heard.extend)
    audience.join(other.extend)
    audience.hear("one")
    dispatcher.run_now()
    audience.leave(heard.extend)
    audience.leave(heard.extend)
    audience.hear("two")
    dispatcher.run_now()
    assert (heard, other) == (["one"], ["one", "two"])


def test_on_a_fake_clock_they_hear_once_when_nobody_has_mail_any_more(dispatcher):
    batches = []
    audience = Audience(dispatcher)
    audience.join(lambda batch: batches.append(list(batch)))
    dispatcher.call_soon(lambda: (audience.hear("one"), dispatcher.call_soon(lambda: audience.hear("two"))))
    dispatcher.run_now()
    assert batches == [["one", "two"]]


def test_what_a_listener_does_is_done_and_told_in_the_same_go(dispatcher):
    heard = []
    audience = Audience(dispatcher)
    audience.join(heard.extend)
    audience.join(lambda batch: "one" in batch and dispatcher.call_soon(lambda: audience.hear("two")))
    audience.hear("one")
    dispatcher.run_now()
    assert heard == ["one", "two"]


def test_a_listener_that_raises_is_logged_and_hurts_nobody(dispatcher, caplog):
    heard = []

    def broken(_batch):
        raise KeyError("sk-secret")

    audience = Audience(dispatcher)
    audience.join(broken)
    audience.join(heard.extend)
    audience.hear("one")
    dispatcher.run_now()
    assert heard == ["one"]
    assert "KeyError" in caplog.text
    assert "sk-secret" not in caplog.text


def test_on_a_loop_no_more_than_a_batch_waits_to_be_told():
    async def main():
        dispatcher = EventLoopDispatcher(LoopClock())
        batches = []
        audience = Audience(dispatcher)
        audience.join(lambda batch: batches.append(len(batch)))
        audience.hear("before there is a loop")
        dispatcher.bind(asyncio.get_running_loop())
        for number in range(2 * BATCH):
            audience.hear(number)
        assert batches == [BATCH, BATCH]
        audience.tell()
        assert batches == [BATCH, BATCH, 1]

    asyncio.run(main())


def test_on_a_loop_the_wait_is_ended_by_a_timer():
    async def main():
        dispatcher = EventLoopDispatcher(LoopClock())
        dispatcher.bind(asyncio.get_running_loop())
        told = asyncio.get_running_loop().create_future()
        audience = Audience(dispatcher)
        audience.join(told.set_result)
        audience.hear("one")
        assert not told.done()
        assert await told == ["one"]

    asyncio.run(main())


def test_the_record_of_a_loss_is_heard_after_the_event_that_found_room_again(dispatcher):
    """I10"""
    store = FaultyStore("failing")
    journal = Journal(store, dispatcher, max_queued=2)
    heard = []
    journal.subscribe(heard.extend)
    for version in range(1, 5):
        journal.append("deployment/eu", version, 0.0, CooldownEnded())
    store.fault = "none"
    journal.confirm()
    journal._writer._hurry()
    journal.append("deployment/eu", 5, 0.0, CooldownEnded())
    dispatcher.run_now()
    assert [recorded.position for recorded in heard] == [1, 2, 3, 4, 5, 6]
    assert heard[-1].event.TYPE == "events_lost"
