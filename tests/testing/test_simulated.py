"""Simulated providers: latencies, scripts, error rates and streams on the clock."""

from __future__ import annotations

import random
import statistics

import pytest

from turnout import (
    APIConnectionError,
    CompletionRequest,
    InternalServerError,
    RateLimitError,
    Router,
    TextCompletionRequest,
    Timeout,
)
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders, exponential, lognormal, uniform


class Stage:
    """A router with one deployment, `a`, that behaves as `provider` says."""

    def __init__(self, provider, seed=0):
        self.clock = FakeClock(start=0)
        self.providers = SimulatedProviders({"a": provider}, seed=seed)
        entry = {"model_name": "g", "litellm_params": {"model": "openai/x"}, "model_info": {"id": "a"}}
        self.router = Router(
            model_list=[entry], clock=self.clock, caller=self.providers, disable_cooldowns=True, seed=1
        )

    def ask(self, **fields):
        request = CompletionRequest(model="g", messages=[{"role": "user", "content": "Hi"}], **fields)
        try:
            return self.router.ask(request)
        except Exception as error:  # noqa: BLE001  (looked at by the test)
            return error


@pytest.fixture
def stage():
    stages = []

    def make(*args, **kwargs):
        stages.append(Stage(*args, **kwargs))
        return stages[-1]

    yield make
    for made in stages:
        made.router.close()


def test_an_answer_comes_after_its_latency(stage):
    place = stage(SimulatedProvider(latency=1.5, text="one two"))
    answer = place.ask()
    assert place.clock.now() == 1.5
    assert answer.choices[0].message.content == "one two"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 2)


def test_a_script_says_what_each_call_does_and_then_all_is_well(stage):
    place = stage(
        SimulatedProvider(script=[503, RateLimitError("slow", retry_after=2.0), Timeout, None, 500])
    )
    outcomes = [place.ask() for _ in range(7)]
    names = [type(outcome).__name__ for outcome in outcomes]
    assert names == [
        "ServiceUnavailableError",
        "RateLimitError",
        "Timeout",
        "ModelResponse",
        "InternalServerError",
        "ModelResponse",
        "ModelResponse",
    ]
    assert outcomes[1].retry_after == 2.0


def test_an_error_of_a_script_is_copied_for_each_call(stage):
    error = APIConnectionError("gone", sent="no")
    place = stage(SimulatedProvider(script=[error, error]))
    first, second = place.ask(), place.ask()
    assert first is not second
    assert first is not error
    assert (first.sent, first.message) == ("no", "gone")
    assert error.attempts == ()


def test_an_error_rate_is_about_that_often(stage):
    place = stage(SimulatedProvider(error_rate=0.25, error=429))
    failed = sum(isinstance(place.ask(), RateLimitError) for _ in range(400))
    assert 70 <= failed <= 130


def test_the_same_seed_gives_the_same_run(stage):
    def run(seed):
        place = stage(SimulatedProvider(latency=exponential(1.0), error_rate=0.5), seed=seed)
        return [type(place.ask()).__name__ for _ in range(20)], place.clock.now()

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_one_that_hangs_never_answers(stage):
    place = stage(SimulatedProvider(hang=True))
    assert isinstance(place.ask(timeout=50), Timeout)


def test_a_stream_comes_word_by_word(stage):
    place = stage(SimulatedProvider(latency=2.0, chunk_seconds=0.5, text="one two three"))
    chunks = [(place.clock.now(), chunk.choices[0].delta.content) for chunk in place.ask(stream=True)]
    assert chunks == [(2.0, "one"), (2.5, " two"), (3.0, " three"), (3.5, None)]


def test_a_stream_is_cut_where_it_is_told_to(stage):
    stream = stage(SimulatedProvider(text="one two three", cut_after=2)).ask(stream=True)
    read = []
    with pytest.raises(Exception, match="cut"):
        read.extend(stream)
    assert len(read) == 2


def test_a_script_holds_for_streams_too(stage):
    assert isinstance(stage(SimulatedProvider(script=[500])).ask(stream=True), InternalServerError)


def test_calls_are_counted_by_deployment(stage):
    place = stage(SimulatedProvider())
    for _ in range(3):
        place.ask()
    assert place.providers.calls == {"a": 3}


def test_behaviour_may_change_while_the_test_runs(stage):
    place = stage(SimulatedProvider())
    place.ask()
    place.providers.by_deployment["a"] = SimulatedProvider(error_rate=1.0)
    assert isinstance(place.ask(), InternalServerError)


@pytest.mark.parametrize(
    ("draw", "median", "low"),
    [(uniform(1.0, 3.0), 2.0, 1.0), (exponential(2.0), 1.386, 0.0), (lognormal(0.8, 0.4), 0.8, 0.0)],
)
def test_the_distributions_are_what_they_say(draw, median, low):
    rng = random.Random(1)
    drawn = [draw(rng) for _ in range(4000)]
    assert statistics.median(drawn) == pytest.approx(median, rel=0.08)
    assert min(drawn) >= low


@pytest.mark.parametrize("kind", [CompletionRequest, TextCompletionRequest])
def test_a_stream_ends_with_the_usage_when_it_was_asked_for(kind):
    asked = {"messages": [{"role": "user", "content": "x"}]} if kind is CompletionRequest else {"prompt": "x"}
    with Router([ENTRY], clock=FakeClock(), caller=SimulatedProviders()) as router:
        plain = list(router.ask(kind(model="gpt-4", stream=True, **asked)))
        full = list(
            router.ask(kind(model="gpt-4", stream=True, stream_options={"include_usage": True}, **asked))
        )
    assert [chunk.usage for chunk in plain] == [None] * len(plain)
    assert (len(full), full[-1].choices, full[-1].usage.prompt_tokens) == (len(plain) + 1, [], 10)


def test_an_answer_names_the_model_that_a_wildcard_led_to():
    entry = {"model_name": "openai/*", "litellm_params": {"model": "openai/*"}}
    with Router([entry], clock=FakeClock(), caller=SimulatedProviders()) as router:
        assert router.completion("openai/gpt-4o", [{"role": "user", "content": "x"}]).model == "gpt-4o"


ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}}
