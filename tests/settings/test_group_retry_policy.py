"""`model_group_retry_policy`: a group's own policy goes before the router's."""

import pytest

from turnout import ConfigurationError, RateLimitError, RetryPolicy, Router, TurnoutError
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

MESSAGES = [{"role": "user", "content": "Hello"}]
FAILS = SimulatedProvider(error_rate=1.0)
BUSY = SimulatedProvider(script=[429] * 50)


def entry(name, group):
    return {"model_name": group, "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": name}}


def attempts(group, *, providers=FAILS, request=None, **settings):
    """How many attempts a request to `group` makes."""
    entries = [entry(f"{name}-{number}", name) for name in ("gpt-4", "small") for number in range(9)]
    with Router(
        entries,
        clock=FakeClock(),
        caller=SimulatedProviders(default=providers),
        disable_cooldowns=True,
        **settings,
    ) as router:
        with pytest.raises(TurnoutError) as caught:
            router.completion(group, MESSAGES, **(request or {}))
        return len(caught.value.attempts)


def test_a_group_with_a_policy_goes_by_it_and_others_by_the_routers():
    settings = {
        "model_group_retry_policy": {"gpt-4": {"InternalServerErrorRetries": 4}},
        "retry_policy": RetryPolicy(InternalServerErrorRetries=1),
    }
    assert attempts("gpt-4", **settings) == 5
    assert attempts("small", **settings) == 2


def test_what_the_groups_policy_does_not_speak_of_is_the_routers():
    settings = {
        "model_group_retry_policy": {"gpt-4": RetryPolicy(TimeoutErrorRetries=4)},
        "retry_policy": RetryPolicy(InternalServerErrorRetries=2),
    }
    assert attempts("gpt-4", **settings) == 3


def test_max_retries_of_a_group_stand_in_for_num_retries():
    settings = {"model_group_retry_policy": {"gpt-4": {"max_retries": 3}}, "num_retries": 1}
    assert attempts("gpt-4", **settings) == 4
    assert attempts("small", **settings) == 2


def test_a_request_that_wants_no_retry_gets_none():
    settings = {"model_group_retry_policy": {"gpt-4": {"InternalServerErrorRetries": 4}}}
    assert attempts("gpt-4", request={"num_retries": 0}, **settings) == 1


def test_an_alias_stands_for_its_group():
    settings = {
        "model_group_retry_policy": {"best": {"InternalServerErrorRetries": 2}},
        "model_group_alias": {"best": "gpt-4"},
    }
    assert attempts("gpt-4", **settings) == 3
    assert attempts("best", **settings) == 3


def test_the_pauses_are_the_groups_when_it_says_how_long_they_are():
    def seconds(**policy):
        clock = FakeClock(start=0)
        with Router(
            [entry("eu", "gpt-4")],
            clock=clock,
            caller=SimulatedProviders(default=BUSY),
            disable_cooldowns=True,
            retry_policy=RetryPolicy(max_retries=1, base_delay=2, jitter=False),
            model_group_retry_policy={"gpt-4": policy},
        ) as router:
            with pytest.raises(RateLimitError):
                router.completion("gpt-4", MESSAGES)
            return clock.now()

    assert seconds(RateLimitErrorRetries=1) == 2
    assert seconds(RateLimitErrorRetries=1, base_delay=5, jitter=False) == 5


def test_a_policy_for_a_group_there_is_none_of_is_said(caplog):
    with Router([entry("eu", "gpt-4")], model_group_retry_policy={"gpt-5": {"max_retries": 1}}):
        pass
    assert "model_group_retry_policy: no model group 'gpt-5'" in caplog.text


def test_a_wrong_policy_is_named_with_its_group():
    with pytest.raises(ConfigurationError, match=r"model_group_retry_policy\.gpt-4"):
        Router([], model_group_retry_policy={"gpt-4": {"TimeoutRetries": 1}})
