"""Corners where two rules meet."""

from __future__ import annotations

import asyncio
import threading

import pytest

from turnout import ConfigurationError, RateLimitError, RequestError, Router, RouterClosedError
from turnout.actors.runtime import actor as mailboxes
from turnout.messages.events import RetryScheduled
from turnout.messages.requests import CompletionRequest
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "Hi"}]


def router(*, behaviour=None, params=None, **settings):
    entry = {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/gpt-4", "api_key": "sk-test-key", **(params or {})},
        "model_info": {"id": "eu"},
    }
    caller = SimulatedProviders({"eu": behaviour or SimulatedProvider()})
    return Router([entry], clock=FakeClock(), caller=caller, **settings)


def scheduled(place):
    return sum(isinstance(row.event, RetryScheduled) for row in place.events())


def test_a_pause_is_served_once_and_then_the_retry_waits_without_polling():
    place = router(
        behaviour=SimulatedProvider(script=[RateLimitError("slow down")], latency=50.0),
        params={"max_parallel_requests": 1},
        num_retries=1,
        retry_after=1,
        on_exhausted="wait",
    )
    first = place.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
    second = place.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
    assert first.get().route.retries == 1
    assert second.get().choices
    assert scheduled(place) <= 2


def test_nobody_waits_for_a_deployment_whose_key_is_wrong():
    place = router(
        behaviour=SimulatedProvider(script=[401] * 9), num_retries=1, retry_after=1, cooldown_time=300
    )
    with pytest.raises(Exception, match="simulated 401"):
        place.completion(model="gpt-4", messages=MESSAGES)
    assert scheduled(place) == 0


def test_reading_a_stream_that_was_closed_finds_its_end():
    place = router()
    stream = place.completion(model="gpt-4", messages=MESSAGES, stream=True)
    next(stream)
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)


def test_one_long_answer_does_not_lock_a_deployment_out_of_its_own_tpm():
    place = router(behaviour=SimulatedProvider(completion_tokens=1200), params={"tpm": 1000})
    for _ in range(3):
        assert place.completion(model="gpt-4", messages=MESSAGES).usage.completion_tokens == 1200
        place._dispatcher.clock.advance(120)


def test_a_router_that_cannot_be_built_lets_go_of_its_journal(tmp_path):
    journal = f"sqlite:///{tmp_path}/turnout.db"
    with pytest.raises(ConfigurationError, match="nope"):
        router(journal=journal, model_group_alias={"best": "nope"})
    router(journal=journal).close()


def test_a_wait_that_cannot_end_in_time_any_more_is_given_up_for_the_fallback():
    entries = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/gpt-4", "api_key": "sk-test-key", **params},
            "model_info": {"id": name},
        }
        for name, params in (("a", {"max_parallel_requests": 1}), ("b", {}))
    ]
    caller = SimulatedProviders(
        {"a": SimulatedProvider(script=[RateLimitError("x", retry_after=500)], latency=5)}
    )
    place = Router(
        entries, clock=FakeClock(), caller=caller, on_exhausted="wait", timeout=100, fallbacks=[{"a": ["b"]}]
    )
    futures = [place.ask(CompletionRequest(model="a", messages=MESSAGES), block=False) for _ in range(2)]
    assert [future.get().route.model_group for future in futures] == ["b", "b"]
    assert futures[1].get().route.seconds == 5.0


def test_a_cooldown_in_the_journal_is_forgotten_when_cooldowns_are_switched_off(tmp_path):
    journal = f"sqlite:///{tmp_path}/turnout.db"
    place = router(behaviour=SimulatedProvider(script=[401]), journal=journal, cooldown_time=300)
    with pytest.raises(Exception, match="simulated 401"):
        place.completion(model="gpt-4", messages=MESSAGES)
    place.close()
    again = router(journal=journal, disable_cooldowns=True)
    assert again.completion(model="gpt-4", messages=MESSAGES).route.deployment_id == "eu"


def test_a_refused_get_on_the_routers_own_loop_leaves_the_request_alone():
    async def main():
        entry = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "mock_response": "Hi!"}}
        async with Router([entry]) as place:
            future = place.ask(CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
            with pytest.raises(RuntimeError, match="deadlock"):
                future.get()
            return (await future).choices[0].message.content

    assert asyncio.run(main()) == "Hi!"


def test_a_router_whose_loop_is_gone_says_so_in_every_thread():
    entry = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "mock_response": "Hi!"}}
    place = Router([entry])
    asyncio.run(place.__aenter__())
    raised = []

    def ask():
        with pytest.raises(RouterClosedError) as caught:
            place.completion(model="gpt-4", messages=MESSAGES)
        raised.append(caught.value)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)
    assert len(raised) == 1
    place.close()


@pytest.mark.parametrize(
    "wrong", [{"seed": "s"}, {"seed": 1.5}, {"transport": 5}, {"caller": 5}, {"clock": 5}]
)
def test_a_wrong_port_is_one_clear_error(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Router([], **wrong)


@pytest.mark.parametrize("leave", ["close", "forget"])
def test_who_leaves_is_heard_also_when_the_mailbox_takes_no_more(monkeypatch, leave):
    """Their calls would run on, and a full mailbox would be none the emptier for it."""
    place = router(behaviour=SimulatedProvider(text="one two", chunk_seconds=90.0))
    request = CompletionRequest(model="gpt-4", messages=MESSAGES)
    stream = place.ask(CompletionRequest(model="gpt-4", messages=MESSAGES, stream=True))
    future = place.ask(request, block=False)
    monkeypatch.setattr(mailboxes, "MAX_MAILBOX", 1)
    monkeypatch.setattr(place._dispatcher, "_draining", True)  # the actors' own thread is busy
    waiting = place.ask(request, block=False)
    with pytest.raises(mailboxes.MailboxFullError):
        place.ask(request, block=False)
    for _ in range(3):
        assert future.cancel()
    if leave == "close":
        stream.close()
    del stream
    assert len(place._switchboard.supervisor.actor_inbox) == 3  # one question, and each of the two left once
    monkeypatch.undo()
    place._dispatcher.run_now()
    with pytest.raises(RequestError, match="was cancelled"):
        future.get(timeout=0)
    assert waiting.get().route.deployment_id == "eu"
    assert place.health()["open_requests"] == 0
    place.close()
