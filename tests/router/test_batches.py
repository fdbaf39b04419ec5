"""One question for several models, several questions at once, and the fastest of many."""

from __future__ import annotations

import asyncio

import pytest

from turnout import BadRequestError, InternalServerError, RateLimitError, Router, RouterClosedError
from turnout.messages.events import CallCancelled, CallStarted
from turnout.supervisor.face import batches
from turnout.testing import SimulatedProvider
from turnout.testing.upstream import run_upstream
from turnout.testing.upstream.behaviour import Behaviour, Span

HELLO = [{"role": "user", "content": "Hello"}]
HOWDY = [{"role": "user", "content": "Howdy"}]
SAYS = {name: SimulatedProvider(text=name, latency=seconds) for name, seconds in {"a": 3.0, "b": 1.0}.items()}
TOWN = {"a": "slow", "b": "quick"}


def words(answers):
    return [answer.choices[0].message.content for answer in answers]


def test_one_question_is_asked_of_every_model_at_the_same_time(town):
    place = town(TOWN, SAYS)
    answers = asyncio.run(place.router.abatch_completion(["slow", "quick", "slow"], HELLO))
    assert words(answers) == ["a", "b", "a"]
    assert place.passed == 3.0


def test_several_questions_give_a_row_of_answers_each(town):
    place = town(TOWN, SAYS)
    rows = asyncio.run(place.router.abatch_completion(["slow", "quick"], [HELLO, HOWDY, HELLO]))
    assert [words(row) for row in rows] == [["a", "b"]] * 3
    assert place.passed == 3.0


def test_an_error_stands_in_the_place_of_its_answer(town):
    place = town(TOWN, {**SAYS, "a": [500]})
    failed, answered = asyncio.run(place.router.abatch_completion(["slow", "quick"], HELLO))
    assert isinstance(failed, InternalServerError)
    assert answered.choices[0].message.content == "b"


def test_one_model_is_asked_several_questions(town):
    place = town(TOWN, SAYS)
    answers = asyncio.run(
        place.router.abatch_completion_one_model_multiple_requests("quick", [HELLO, HOWDY], temperature=0)
    )
    assert words(answers) == ["b", "b"]


def test_of_a_large_batch_only_so_many_are_open_at_once(town, monkeypatch):
    monkeypatch.setattr(batches, "MAX_AT_ONCE", 4)
    place = town(TOWN, SAYS)
    answers = asyncio.run(place.router.abatch_completion(["quick"], [HELLO] * 10))
    assert len(answers) == 10
    assert place.passed == 3.0  # 4, 4 and 2 of them, a second each


def test_a_caller_who_leaves_a_batch_ends_all_of_it(town):
    place = town(TOWN, {"a": SimulatedProvider(hang=True)}, default=SimulatedProvider(hang=True))

    async def main():
        batch = asyncio.ensure_future(place.router.abatch_completion(["slow", "quick"], HELLO, timeout=60))
        while place.open_calls() < 2:  # noqa: ASYNC110  (nothing would set an event)
            await asyncio.sleep(0)
        batch.cancel()
        await asyncio.wait([batch])
        assert batch.cancelled()

    asyncio.run(main())
    assert place.open_calls() == 0


@pytest.mark.parametrize("models", [["slow", "quick"], "slow, quick"])
def test_the_fastest_good_answer_wins_and_the_others_are_cancelled_and_charged(town, models):
    place = town(TOWN, SAYS)
    answer = asyncio.run(place.router.abatch_completion_fastest_response(models, HELLO))
    assert answer.choices[0].message.content == "b"
    assert place.passed == 1.0
    (cancelled,) = place.found(CallCancelled)
    assert cancelled.prompt_tokens > 0
    assert place.open_calls() == 0


def test_a_fast_failure_is_no_answer(town):
    place = town(TOWN, {**SAYS, "b": [500]})
    answer = asyncio.run(place.router.abatch_completion_fastest_response(["slow", "quick"], HELLO))
    assert answer.choices[0].message.content == "a"


def test_when_all_fail_the_first_models_error_tells_of_the_others(town):
    place = town(TOWN, {"a": [429], "b": [500]})
    with pytest.raises(RateLimitError) as caught:
        asyncio.run(place.router.abatch_completion_fastest_response(["slow", "quick"], HELLO))
    assert caught.value.__notes__ == ["quick: InternalServerError"]


def test_the_fastest_stream_is_the_first_that_begins_and_the_other_is_closed(town):
    place = town(TOWN, {n: SimulatedProvider(text=f"{n} {n}", latency=1.0) for n in "ab"})

    async def main():
        stream = await place.router.abatch_completion_fastest_response(["slow", "quick"], HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(main()) == "a a"
    assert place.open_calls() == 0
    assert len(place.found(CallStarted)) == 2


def test_the_loser_is_aborted_upstream():
    with run_upstream(models={"slow": Behaviour(latency=Span(30.0))}, seed=1) as upstream:
        model_list = [
            {
                "model_name": name,
                "litellm_params": {"model": f"openai/{name}", "api_base": upstream.api_base, "api_key": "k"},
            }
            for name in ("slow", "quick")
        ]

        async def main():
            async with Router(model_list) as router:
                await router.abatch_completion_fastest_response(["slow", "quick"], HELLO)

        asyncio.run(main())
        left = (upstream.stats()["slow"]["left"] for _ in range(1000))
        assert next(filter(None, left), 0) == 1  # it may take the upstream a moment to notice


def test_in_a_closed_router_each_place_holds_the_reason(town):
    place = town(TOWN)
    place.router.close()
    assert [type(e) for e in asyncio.run(place.router.abatch_completion(["slow"], HELLO))] == [
        RouterClosedError
    ]


@pytest.mark.parametrize("models", [[], "", " , ", [""], ["slow", 3], 7, None])
def test_no_models_are_one_clear_error(town, models):
    place = town(TOWN)
    with pytest.raises(BadRequestError, match="models must be a list"):
        asyncio.run(place.router.abatch_completion_fastest_response(models, HELLO))


@pytest.mark.parametrize("messages", [[], "Hello", None])
def test_no_messages_are_one_clear_error(town, messages):
    place = town(TOWN)
    with pytest.raises(BadRequestError, match="messages must be a"):
        asyncio.run(place.router.abatch_completion(["slow"], messages))
