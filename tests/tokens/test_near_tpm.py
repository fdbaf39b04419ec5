"""Exact counts near a tpm: only where the bounds of a prompt leave open whether it fits, and off the loop."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import NoDeploymentsAvailable, Router
from turnout.actors.journal.codec import encode_event
from turnout.actors.model_group import counting
from turnout.actors.model_group.actor import ModelGroup
from turnout.actors.model_group.counting import Vocabularies
from turnout.actors.model_group.mirror import Mirror
from turnout.actors.model_group.near_limit import could_fit, count_decides
from turnout.actors.model_group.strategies.base import Candidate
from turnout.messages.commands import DeploymentStatus, Withdraw
from turnout.messages.deployment import Deployment
from turnout.messages.encodings import MAX_TOKEN_BYTES
from turnout.messages.events import CallStarted
from turnout.messages.outcomes import Demand, LeftOut
from turnout.messages.settings import RouterSettings
from turnout.messages.values import replace
from turnout.testing import SimulatedProvider

splintr = pytest.importorskip("splintr")

ENCODING = "o200k_base"
DENSE = "1 " * 1000
"""2,000 bytes, 500 tokens by the estimate; 2,000 by o200k_base."""
SPARSE = " " * 4000
"""1,000 tokens by the estimate; a few dozen by o200k_base."""
FRAME = 4
SLOW = SimulatedProvider(latency=5.0)


def exact(text):
    return len(splintr.Tokenizer.from_pretrained(ENCODING).encode_ordinary(text)) + FRAME


def message(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def counted(monkeypatch):
    """The threads in which prompts were counted, and by which vocabularies."""
    calls = []
    count = Vocabularies.count

    def noting(self, request, encodings):
        calls.append((threading.current_thread(), encodings))
        return count(self, request, encodings)

    monkeypatch.setattr(Vocabularies, "count", noting)
    return calls


def reserved(place):
    return [event.reserved for event in place.found(CallStarted)]


# -- it decides


def test_a_prompt_that_is_longer_than_it_was_estimated_is_not_let_past_the_limit(town, counted):
    """I3"""
    place = town({"a": {"group": "gpt-4", "tpm": exact(DENSE)}})
    error = place.error(messages=message(DENSE), max_tokens=1)
    (item,) = error.left_out
    assert (item.reason, item.need, item.has, item.until) == ("tpm", exact(DENSE) + 1, exact(DENSE), None)
    assert place.calls == {}
    assert [encodings for _, encodings in counted] == [(ENCODING,)]


def test_a_prompt_that_is_shorter_than_it_was_estimated_is_not_kept_out(town, counted):
    place = town({"a": {"group": "gpt-4", "tpm": exact(SPARSE) + 1}})
    place.ask(messages=message(SPARSE), max_tokens=1)
    assert reserved(place) == [exact(SPARSE) + 1]
    assert len(counted) == 1


def test_what_is_left_counts_and_not_only_the_limit(town, counted):
    """I3"""
    place = town({"a": {"group": "gpt-4", "tpm": 10_000}}, {"a": SLOW})
    place.send(max_tokens=9_000)
    assert counted == [], "a short prompt, and much was left"
    error = place.error(messages=message(DENSE), max_tokens=1)
    assert (error.left_out[0].need, error.retry_after) == (exact(DENSE) + 1, 60.0)
    place.send(messages=message(SPARSE), max_tokens=500)
    assert reserved(place)[1:] == [exact(SPARSE) + 500]
    assert len(counted) == 2


def test_another_deployment_with_more_room_serves_without_a_refusal(town, counted):
    place = town({"small": {"group": "gpt-4", "tpm": 1500}, "large": {"group": "gpt-4", "tpm": 100_000}})
    served = {place.ask(messages=message(DENSE), max_tokens=1).route.deployment_id for _ in range(9)}
    assert served == {"large"}
    assert "call_refused" not in {event.TYPE for event in (item.event for item in place.router.events())}


def test_by_its_id_too(town, counted):
    place = town({"a": {"group": "gpt-4", "tpm": exact(SPARSE) + 1}})
    place.ask("a", messages=message(SPARSE), max_tokens=1)
    assert reserved(place) == [exact(SPARSE) + 1]


def test_who_waits_is_counted_once_and_waits_by_the_count(town, counted):
    """I3"""
    as_counted = SimulatedProvider(latency=5.0, prompt_tokens=exact(DENSE), completion_tokens=1)
    place = town({"a": {"group": "gpt-4", "tpm": 2500}}, {"a": as_counted}, on_exhausted="wait")
    place.send(max_tokens=600)
    futures = [place.send(messages=message(DENSE), max_tokens=1, timeout=200) for _ in range(2)]
    place.clock.advance(59.9)
    assert [future.done() for future in futures] == [False, False]
    place.clock.advance(6.0)
    assert [future.done() for future in futures] == [True, False], "in their order"
    assert futures[1].get().route.waited == pytest.approx(120.0, abs=0.1)
    assert len(counted) == 2, "once each"


def test_who_waited_for_another_reason_has_its_place_again_when_it_was_counted(town, counted):
    place = town(
        {"a": {"group": "gpt-4", "tpm": 3000, "max_parallel_requests": 1}},
        {"a": SimulatedProvider(latency=5.0, prompt_tokens=5, completion_tokens=5)},
        on_exhausted="wait",
    )
    place.send(max_tokens=10)
    first = place.send(messages=message(DENSE), max_tokens=1)
    second = place.send(messages=message(DENSE), max_tokens=1)
    assert counted == []
    place.clock.advance(10.5)
    assert (first.done(), second.done()) == (True, False)
    assert second.get().route.waited == pytest.approx(10.0, abs=0.01)


# -- and only where it can


@pytest.mark.parametrize(
    ("tpm", "served"), [(len(DENSE) + FRAME + 1, True), (len(DENSE) // MAX_TOKEN_BYTES, False)]
)
def test_where_the_bounds_settle_it_nothing_is_counted(town, counted, tpm, served):
    place = town({"a": {"group": "gpt-4", "tpm": tpm}})
    if served:
        place.ask(messages=message(DENSE), max_tokens=1)
        assert reserved(place) == [500 + FRAME + 1], "as by the estimate"
    else:
        assert isinstance(place.error(messages=message(DENSE), max_tokens=1), NoDeploymentsAvailable)
    assert counted == []


def test_without_a_tpm_nothing_is_counted(town, counted):
    town({"a": "gpt-4"}).ask(messages=message(DENSE))
    assert counted == []


def test_a_model_nobody_knows_goes_by_the_estimate(town, counted):
    place = town({"a": {"group": "gpt-4", "tpm": 600, "model": "openai/of-our-own"}})
    place.ask(messages=message(DENSE), max_tokens=1)
    assert (reserved(place), counted) == ([500 + FRAME + 1], [])


def test_without_the_library_the_estimate_has_to_do(town, counted, monkeypatch):
    monkeypatch.setattr(counting, "find_spec", lambda name: None)
    place = town({"a": {"group": "gpt-4", "tpm": 600}})
    place.ask(messages=message(DENSE), max_tokens=1)
    assert (reserved(place), counted) == ([500 + FRAME + 1], [])


def test_a_library_that_breaks_keeps_no_request(town, monkeypatch, caplog):
    def broken(self, request, encodings):
        raise OSError

    monkeypatch.setattr(Vocabularies, "count", broken)
    place = town({"a": {"group": "gpt-4", "tpm": 600}})
    place.ask(messages=message(DENSE), max_tokens=1)
    assert reserved(place) == [500 + FRAME + 1]
    assert "OSError" in caplog.text


def test_a_group_of_two_vocabularies_is_counted_by_both_at_once(town, counted):
    place = town(
        {
            "new": {"group": "gpt-4", "tpm": 1000},
            "old": {"group": "gpt-4", "tpm": 1000, "model": "openai/gpt-4"},
        }
    )
    assert isinstance(place.error(messages=message(DENSE), max_tokens=1), NoDeploymentsAvailable)
    assert [set(encodings) for _, encodings in counted] == [{ENCODING, "cl100k_base"}]


def test_it_is_counted_off_the_loop(counted):
    entry = {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/gpt-4o", "mock_response": "x", "tpm": 12_000},
    }

    async def main():
        here = threading.current_thread()
        async with Router([entry]) as router:
            ask = (router.acompletion("gpt-4", message(DENSE * 5), max_tokens=1) for _ in range(2))
            answers = await asyncio.gather(*ask, return_exceptions=True)
        assert [type(answer).__name__ for answer in answers].count("NoDeploymentsAvailable") == 1
        assert here not in {thread for thread, _ in counted}

    asyncio.run(main())
    assert counted


def test_the_same_seed_gives_the_same_events(town, counted):
    """I9"""

    def story():
        place = town(
            {name: {"group": "gpt-4", "tpm": 4500} for name in ("a", "b")}, default=SLOW, on_exhausted="wait"
        )
        futures = [
            place.send(messages=message(text), max_tokens=20, timeout=300)
            for text in (DENSE, SPARSE, DENSE, DENSE, SPARSE, DENSE)
        ]
        for future in futures:
            future.get()
        return [encode_event(item.event) for item in place.router.events()]

    assert story() == story()
    assert counted


# -- the group alone


class Patient:
    """A counter that counts when the test says so."""

    def __init__(self):
        self.tell = []

    def start(self, request, encodings, tell):
        self.tell.append(tell)
        return True


@pytest.fixture
def near(house, make):
    """A house whose group counts; and how to make a call whose prompt has 200 bytes."""
    counter = Patient()
    group = ("gpt-4", house.switchboard, RouterSettings(on_exhausted="wait"), random.Random(7), counter)
    house.group = house._start(ModelGroup, house.dispatcher, *group)

    def call(name="r.1", **how):
        assign = make.assign(name, tokens=50, **how)
        demand = replace(assign.call.demand, text_bytes=200)
        return replace(assign, call=replace(assign.call, demand=demand))

    return house, counter, call


def test_one_that_was_refused_for_its_tokens_is_counted_before_it_is_given_up(near):
    house, counter, call = near
    house.join("a", {"tpm": 1000}, {"tokens_left": 1000})
    house.dispatcher.run_now()
    left = {"tokens_left": 40, "tokens_until": house.clock.now() + 30}
    house.actor("a").refusals.append((LeftOut("a", "tpm", house.clock.now() + 30, 50, 40), left))
    house.tell(call())
    assert (house.calls("a"), len(counter.tell)) == ([], 1)
    counter.tell[0]((("cl100k_base", 40),))
    house.dispatcher.run_now()
    assert house.calls("a") == ["r.1"]


@pytest.mark.parametrize("from_the_room", [False, True])
def test_one_that_is_withdrawn_while_it_is_counted_is_not_placed(near, from_the_room):
    house, counter, call = near
    room = {"tokens_left": 100, "tokens_until": house.clock.now() + 50}
    house.join("a", {"tpm": 1000}, room | ({"capacity": 0} if from_the_room else {}))
    house.dispatcher.run_now()
    house.tell(call(wait=True))
    if from_the_room:
        assert counter.tell == []
        house.say("a", capacity=5)
    house.tell(Withdraw("r.1"))
    counter.tell[0]((("cl100k_base", 10),))
    house.dispatcher.run_now()
    assert house.calls("a") == []


def test_one_that_was_counted_while_it_waited_has_its_place_again(near, make):
    house, counter, call = near
    house.join(
        "a", {"tpm": 1000}, {"tokens_left": 100, "tokens_until": house.clock.now() + 50, "capacity": 0}
    )
    house.dispatcher.run_now()
    house.tell(call(wait=True))
    house.say("a", capacity=1)
    house.say("a", capacity=0)
    house.tell(make.assign("r.2", wait=True))
    counter.tell[0]((("cl100k_base", 10),))
    house.dispatcher.run_now()
    house.say("a", capacity=1)
    assert house.calls("a") == ["r.1"]
    house.say("a", capacity=1)
    assert house.calls("a") == ["r.1", "r.2"]


# -- the rule, against one who knows the count


@given(
    st.integers(1, 5000),
    st.integers(0, 50),
    st.integers(0, 6000),
    st.one_of(st.none(), st.integers(0, 3000)),
    st.one_of(st.none(), st.floats(1 / 32, 2.0)),
    st.data(),
)
def test_where_nothing_is_counted_a_count_would_have_changed_nothing(size, fixed, left, output, ratio, data):
    tpm = max(left, data.draw(st.integers(1, 6000)))
    demand = Demand(fixed - (-size // 4), output, size, fixed)
    status = DeploymentStatus("a", tokens_left=left, tokens_per_byte=ratio)
    mirror = Mirror(None, 0, yardstick=ENCODING)
    candidate = Candidate(Deployment("a", "g", "openai", "gpt-4o", tpm=tpm), status, mirror=mirror)
    tokens = data.draw(st.integers(-(-size // MAX_TOKEN_BYTES), size))

    def need(demand):
        return demand.reservation(status.mean_output, tpm, ratio, ENCODING)

    truth = need(replace(demand, counted=((ENCODING, tokens),))) <= left
    guess = need(demand) <= left
    asked = count_decides(candidate, demand) if guess else could_fit(candidate, demand)
    assert asked or guess == truth
