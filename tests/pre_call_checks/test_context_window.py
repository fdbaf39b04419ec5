"""Pre-call checks: a prompt goes only where it fits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import ContextWindowExceededError, NoDeploymentsAvailable, Router
from turnout.messages.settings import STRATEGIES

WORD = "four"
"""A token by the estimate."""


def prompt(tokens):
    return [{"role": "user", "content": WORD * tokens}]


def test_a_5k_prompt_goes_to_the_16k_deployment_and_not_to_the_4k_one(open_group):
    town = open_group({"small": {"max_input_tokens": 4096}, "large": {"max_input_tokens": 16_385}})
    assert {town.ask(messages=prompt(5000)).route.deployment_id for _ in range(20)} == {"large"}
    assert {town.ask(messages=prompt(50)).route.deployment_id for _ in range(20)} == {"small", "large"}


def test_the_window_is_looked_up_by_base_model_and_model():
    text = "What is the meaning of 42?" * 700
    model_list = [
        {
            "model_name": "gpt-3.5-turbo",
            "litellm_params": {"model": "azure/chatgpt-v-2", "mock_response": "4k", "api_base": "https://h"},
            "model_info": {"id": "azure", "base_model": "azure/gpt-4"},
        },
        {
            "model_name": "gpt-3.5-turbo",
            "litellm_params": {"model": "gpt-3.5-turbo-1106", "mock_response": "16k"},
            "model_info": {"id": "openai"},
        },
    ]
    messages = [{"role": "system", "content": text * 2}, {"role": "user", "content": "Who was Alexander?"}]
    with Router(model_list=model_list, enable_pre_call_checks=True) as router:
        answers = {router.completion("gpt-3.5-turbo", messages).choices[0].message.content for _ in range(20)}
        assert answers == {"16k"}


def test_nothing_is_checked_unless_it_is_asked_for(open_group):
    town = open_group({"small": {"max_input_tokens": 10}}, enable_pre_call_checks=False)
    assert town.ask(messages=prompt(5000)).route.deployment_id == "small"


def test_an_unknown_window_is_no_obstacle(open_group):
    town = open_group({"small": {"max_input_tokens": 10}, "unknown": {"model": "openai/of-our-own"}})
    assert {town.ask(messages=prompt(5000)).route.deployment_id for _ in range(9)} == {"unknown"}


def test_too_long_for_all_is_a_context_window_error_that_says_by_how_much(open_group):
    town = open_group({"a": {"max_input_tokens": 100}, "b": {"max_input_tokens": 4000}})
    error = town.error(messages=prompt(5000), num_retries=3)
    assert type(error) is ContextWindowExceededError
    assert str(error) == (
        'the prompt has about 5004 tokens; the largest context window in "gpt-4" that would do has 4000'
    )
    assert [(item.reason, item.need, item.has) for item in error.left_out] == [
        ("context_window", 5004, 100),
        ("context_window", 5004, 4000),
    ]
    assert town.calls == {}
    assert error.status_code == 400


def test_then_the_context_window_fallbacks_apply(town):
    town = town(
        {
            "small": {"group": "gpt-4", "max_input_tokens": 100},
            "large": {"group": "long", "max_input_tokens": 100_000},
            "other": "other",
        },
        enable_pre_call_checks=True,
        fallbacks=[{"gpt-4": ["other"]}],
        context_window_fallbacks=[{"gpt-4": ["long"]}],
    )
    route = town.ask(messages=prompt(5000)).route
    assert (route.deployment_id, route.fallbacks) == ("large", 1)


def test_one_that_fits_but_is_out_makes_it_a_matter_of_time(open_group):
    town = open_group({"small": {"max_input_tokens": 100}, "large": {"max_input_tokens": 9000, "rpm": 1}})
    town.ask(messages=prompt(5000))
    error = town.error(messages=prompt(5000))
    assert type(error) is NoDeploymentsAvailable
    assert error.retry_after == 60
    assert {item.deployment_id: item.reason for item in error.left_out} == {
        "large": "rpm",
        "small": "context_window",
    }
    assert town.ask(messages=prompt(5000), priority=0).route.waited == 60


def test_a_prompt_that_fits_nowhere_does_not_wait(open_group):
    town = open_group({"small": {"max_input_tokens": 100}}, on_exhausted="wait")
    assert type(town.error(messages=prompt(5000))) is ContextWindowExceededError
    assert town.passed == 0


def test_a_deployment_asked_by_its_id_is_checked_too(open_group):
    town = open_group({"small": {"max_input_tokens": 100}, "large": {"max_input_tokens": 9000}})
    error = town.error("small", messages=prompt(5000))
    assert type(error) is ContextWindowExceededError
    assert town.ask("large", messages=prompt(5000)).route.deployment_id == "large"


def test_the_decision_says_what_was_needed_and_what_was_there(open_group):
    town = open_group({"small": {"max_input_tokens": 100}, "large": {"max_input_tokens": 9000}})
    town.ask(messages=prompt(5000))
    picked = next(e.event for e in town.router.events() if e.event.TYPE == "deployment_picked")
    (item,) = picked.decision.left_out
    assert (item.deployment_id, item.reason, item.need, item.has) == ("small", "context_window", 5004, 100)


def test_prompts_that_fit_the_same_deployments_share_a_view(crew):
    crew = crew(enable_pre_call_checks=True)
    crew.join("small", max_input_tokens=100).join("large", max_input_tokens=1000)
    for tokens in range(0, 1000, 10):
        crew.pick(tokens=tokens)
    assert len(crew.roster._views) == 2


windows = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.sampled_from([None, 10, 100, 1000]), st.booleans())
)


@settings(deadline=None, max_examples=100)
@given(st.lists(windows, min_size=1, max_size=4), st.integers(0, 1100), st.sampled_from(STRATEGIES))
def test_who_fits_is_what_a_scan_finds(crew, steps, tokens, strategy):
    crew = crew(strategy, enable_pre_call_checks=True)
    for group in steps:
        for candidate in tuple(crew.roster):
            crew.leave(candidate.id)
        for name, (window, up) in group.items():
            crew.join(name, max_input_tokens=window)
            (crew.back if up else crew.out)(name)
        fits = {name for name, (window, _) in group.items() if window is None or window >= tokens}
        able = {name for name in fits if group[name][1]}
        result = crew.ask(tokens=tokens)
        told = result.decision if able else result
        assert {i.deployment_id for i in told.left_out if i.reason == "context_window"} == set(group) - fits
        assert all(i.need == tokens > i.has for i in told.left_out if i.reason == "context_window")
        if able:
            assert result.candidate.id in able
        else:
            assert result.hopeless is (bool(group) and not fits)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_check_holds_under_every_strategy(open_group, strategy):
    town = open_group(
        {"small": {"max_input_tokens": 100}, "large": {"max_input_tokens": 9000}}, routing_strategy=strategy
    )
    assert {town.ask(messages=prompt(5000)).route.deployment_id for _ in range(9)} == {"large"}
