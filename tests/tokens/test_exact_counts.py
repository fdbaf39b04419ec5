"""Exact counts, with the extra `tokens`: only near a context window, and off the loop."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import CompletionRequest, ContextWindowExceededError, Router
from turnout.actors.model_group import counting
from turnout.actors.model_group.actor import ModelGroup
from turnout.actors.model_group.counting import MAX_COUNTING, TokenCounter, Vocabularies
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.messages.commands import Withdraw
from turnout.messages.deployment import Deployment
from turnout.messages.encodings import ENCODINGS, MAX_TOKEN_BYTES, encoding_of
from turnout.messages.settings import RouterSettings
from turnout.messages.values import replace

splintr = pytest.importorskip("splintr")

ONES = "1 " * 3000
"""6,000 bytes, 1,504 tokens by the estimate; 6,000 by cl100k_base."""


def message(text):
    return [{"role": "user", "content": text}]


def tokens(text, encoding="cl100k_base"):
    return len(splintr.Tokenizer.from_pretrained(encoding).encode_ordinary(text))


@pytest.fixture(scope="module")
def vocabularies():
    return {name: splintr.Tokenizer.from_pretrained(name) for name in ENCODINGS}


TEXTS = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from(" \n\t0aé漢😀<|>"), max_size=300),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=5), st.integers(0, 400)),
)


@settings(deadline=None, max_examples=150)
@given(TEXTS)
def test_a_text_of_n_bytes_is_at_most_n_tokens_and_at_least_n_by_the_longest(vocabularies, text):
    size = len(text.encode("utf-8", "replace"))
    for vocabulary in vocabularies.values():
        count = len(vocabulary.encode_ordinary(text))
        assert -(-size // MAX_TOKEN_BYTES) <= count <= size


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_token_is_longer_than_the_bound_says(vocabularies, encoding):
    vocabulary = vocabularies[encoding]
    longest = 0
    for number in range(vocabulary.vocab_size):
        try:
            longest = max(longest, len(vocabulary.decode_token_bytes(number)))
        except ValueError:  # a number without a token
            continue
    assert longest <= MAX_TOKEN_BYTES


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini", "o200k_base"), ("gpt-4.1", "o200k_base"), ("o3-mini", "o200k_base"),
        ("gpt-4", "cl100k_base"), ("gpt-4-turbo", "cl100k_base"), ("gpt-35-turbo", "cl100k_base"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3"), ("deepseek-chat", "deepseek_v3"),
        ("qwen2.5-72b", "qwen3"), ("my-gpt-4", None), ("claude-3-opus", None), ("gpt-4x", None),
    ],
)  # fmt: skip
def test_a_models_vocabulary_is_known_by_its_name_or_not_at_all(model, encoding):
    assert encoding_of(Deployment("d", "g", "p", model)) == encoding
    assert encoding_of(Deployment("d", "g", "p", "mine", base_model=f"azure/{model}")) == encoding


def places(windows, model="openai/gpt-4"):
    return [
        {
            "model_name": "gpt-4",
            "litellm_params": {"model": model, "mock_response": "x"},
            "model_info": {"id": name, "max_input_tokens": window},
        }
        for name, window in windows.items()
    ]


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


def served(router, text, times=9, **fields):
    return {router.completion("gpt-4", message(text), **fields).route.deployment_id for _ in range(times)}


def test_the_exact_count_decides_where_the_estimate_would_be_wrong(counted):
    exact = tokens(ONES) + 4
    with Router(places({"small": exact - 1, "large": exact}), enable_pre_call_checks=True) as router:
        assert served(router, ONES) == {"large"}
        assert served(router, "x" * (exact - 5)) == {"small", "large"}, "sure to fit: its bytes would"
    assert {encodings for _, encodings in counted} == {("cl100k_base",)}
    assert len(counted) == 9


def test_far_from_every_limit_nothing_is_counted(counted):
    with Router(places({"small": 10_000, "large": 100_000}), enable_pre_call_checks=True) as router:
        assert served(router, "word " * 1000) == {"small", "large"}
    tiny = Router(places({"small": 10}), enable_pre_call_checks=True)
    with tiny as router, pytest.raises(ContextWindowExceededError):
        served(router, "word " * 1000)
    assert counted == []


def test_a_model_nobody_knows_goes_by_the_estimate(counted):
    with Router(places({"small": 1504}, "openai/of-our-own"), enable_pre_call_checks=True) as router:
        assert served(router, ONES) == {"small"}
    assert counted == []


def test_the_error_tells_the_exact_count(counted):
    exact = tokens(ONES) + 4
    with Router(places({"small": 5000}), enable_pre_call_checks=True) as router:
        with pytest.raises(ContextWindowExceededError) as caught:
            served(router, ONES)
        (item,) = caught.value.left_out
        assert (item.need, item.has, item.detail) == (exact, 5000, "cl100k_base")


def test_tools_are_counted_along(counted):
    tool = {"type": "function", "function": {"name": "f", "description": ONES}}
    small = Router(places({"small": 5000}), enable_pre_call_checks=True)
    with small as router, pytest.raises(ContextWindowExceededError):
        served(router, "hi", tools=[tool])
    assert len(counted) == 1


def test_it_is_counted_off_the_loop_and_the_thread_ends_with_the_router(counted):
    async def main():
        here = threading.current_thread()
        async with Router(places({"small": 5000, "large": 9000}), enable_pre_call_checks=True) as router:
            answers = await asyncio.gather(*(router.acompletion("gpt-4", message(ONES)) for _ in range(5)))
            assert {answer.route.deployment_id for answer in answers} == {"large"}
        assert here not in {thread for thread, _ in counted}

    asyncio.run(main())
    assert len(counted) == 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("turnout-tokens")]


def test_on_a_fake_clock_it_is_counted_at_once(town, counted):
    town = town(
        {
            "small": {"group": "gpt-4", "max_input_tokens": 5000},
            "large": {"group": "gpt-4", "max_input_tokens": 9000},
        },
        enable_pre_call_checks=True,
    )
    assert {town.ask(messages=message(ONES)).route.deployment_id for _ in range(5)} == {"large"}
    assert {thread for thread, _ in counted} == {threading.current_thread()}


def test_a_library_that_breaks_keeps_no_request(monkeypatch, caplog):
    class Panic(BaseException):
        pass

    def broken(self, request, encodings):
        raise Panic

    monkeypatch.setattr(Vocabularies, "count", broken)
    with Router(places({"small": 5000}), enable_pre_call_checks=True) as router:
        assert served(router, ONES, 1) == {"small"}
    assert "Panic" in caplog.text


def test_without_the_library_the_estimate_has_to_do(monkeypatch, counted):
    monkeypatch.setattr(counting, "find_spec", lambda name: None)
    with Router(places({"small": 5000}), enable_pre_call_checks=True) as router:
        assert served(router, ONES) == {"small"}
    assert counted == []


class Patient:
    """A counter that counts when the test says so."""

    def start(self, request, encodings, tell):
        self.tell = tell
        return True


def test_a_call_that_is_withdrawn_while_it_is_counted_is_not_placed(house, make):
    counter, settings = Patient(), RouterSettings(enable_pre_call_checks=True)
    group = ("gpt-4", house.switchboard, settings, random.Random(7), counter)
    house.group = house._start(ModelGroup, house.dispatcher, *group)
    house.join("a", {"max_input_tokens": 100})
    house.dispatcher.run_now()
    for name, withdrawn in (("r.1", True), ("r.2", False)):
        assign = make.assign(name)
        demand = replace(assign.call.demand, text_bytes=200)
        house.tell(replace(assign, call=replace(assign.call, demand=demand)))
        if withdrawn:
            house.tell(Withdraw(name))
        counter.tell((("cl100k_base", 50),))
        house.dispatcher.run_now()
    assert house.calls("a") == ["r.2"]


def hello(text):
    return CompletionRequest(model="gpt-4", messages=message(text))


def test_only_so_many_wait_to_be_counted():
    counter = TokenCounter(ManualDispatcher(ManualClock(0.0)))
    told = []
    request = hello("hi")
    started = [counter.start(request, ("cl100k_base",), told.append) for _ in range(MAX_COUNTING + 1)]
    assert started == [True] * MAX_COUNTING + [False]
    counter._dispatcher.run_now()
    assert told == [(("cl100k_base", 1),)] * MAX_COUNTING
    assert counter.start(request, ("cl100k_base",), told.append)
    counter._dispatcher.run_now()
