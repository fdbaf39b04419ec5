"""Fallbacks that a deployment or the defaults bring along: `fallbacks`, `context_window_fallback_dict`."""

import pytest

from turnout import BadRequestError, ConfigurationError, ContextWindowExceededError, RequestError, Router
from turnout.testing import FakeClock

MESSAGES = [{"role": "user", "content": "Hello"}]
TOO_LONG = ContextWindowExceededError("too long")
LARGER = {"gpt-3.5-turbo": "gpt-3.5-turbo-16k"}


def entry(name, group, answer="Hello", **params):
    params = {"model": "openai/gpt-4o", "mock_response": answer, **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": name}}


def ask(entries, group, *, request=None, **settings):
    with Router(entries, clock=FakeClock(), seed=1, **settings) as router:
        return router.completion(group, MESSAGES, **(request or {})).route


def served(*arguments, **named):
    return ask(*arguments, **named).model_group


def test_the_fallback_dict_of_the_defaults_acts_as_context_window_fallbacks():
    entries = [entry("a", "gpt-3.5-turbo", TOO_LONG), entry("b", "gpt-3.5-turbo-16k")]
    settings = {"default_litellm_params": {"context_window_fallback_dict": LARGER}}
    assert served(entries, "gpt-3.5-turbo", **settings) == "gpt-3.5-turbo-16k"


def test_it_is_for_prompts_that_are_too_long_and_for_nothing_else():
    entries = [entry("a", "gpt-3.5-turbo", "litellm.InternalServerError"), entry("b", "gpt-3.5-turbo-16k")]
    with pytest.raises(RequestError):
        served(entries, "gpt-3.5-turbo", default_litellm_params={"context_window_fallback_dict": LARGER})


def test_a_request_may_bring_its_own_dict():
    entries = [entry("a", "gpt-3.5-turbo", TOO_LONG), entry("b", "gpt-3.5-turbo-16k")]
    request = {"context_window_fallback_dict": LARGER}
    assert served(entries, "gpt-3.5-turbo", request=request) == "gpt-3.5-turbo-16k"
    with pytest.raises(BadRequestError, match=r"context_window_fallback_dict: no model group 'x'"):
        served(entries, "gpt-3.5-turbo", request={"context_window_fallback_dict": {"gpt-3.5-turbo": "x"}})


def test_a_dict_of_models_is_read_under_the_deployments_model_too():
    entries = [entry("a", "chat", TOO_LONG, model="openai/gpt-3.5-turbo"), entry("b", "gpt-3.5-turbo-16k")]
    settings = {"default_litellm_params": {"context_window_fallback_dict": LARGER}}
    assert served(entries, "chat", **settings) == "gpt-3.5-turbo-16k"


def test_a_prompt_that_no_deployment_takes_goes_where_the_dict_says():
    entries = [
        {**entry("a", "gpt-3.5-turbo"), "model_info": {"id": "a", "max_input_tokens": 2}},
        entry("b", "gpt-3.5-turbo-16k", max_input_tokens=10_000),
    ]
    settings = {
        "default_litellm_params": {"context_window_fallback_dict": LARGER},
        "enable_pre_call_checks": True,
    }
    assert served(entries, "gpt-3.5-turbo", **settings) == "gpt-3.5-turbo-16k"


def test_a_deployments_own_list_goes_before_that_of_its_group():
    fails = "litellm.InternalServerError"
    entries = [entry("a", "gpt-4", fails, fallbacks=["mine"]), entry("b", "mine"), entry("c", "groups")]
    settings = {"fallbacks": [{"gpt-4": ["groups"]}]}
    assert served(entries, "gpt-4", **settings) == "mine"
    assert served([entry("a", "gpt-4", fails), *entries[1:]], "gpt-4", **settings) == "groups"


def test_it_is_followed_in_its_order_and_then_no_other():
    fails = "litellm.InternalServerError"
    entries = [
        entry("a", "gpt-4", fails, fallbacks=["one", "two"]),
        entry("b", "one", fails),
        entry("c", "two", fails),
        entry("d", "groups"),
    ]
    with pytest.raises(RequestError) as caught:
        served(entries, "gpt-4", fallbacks=[{"gpt-4": ["groups"]}])
    assert [row.group for row in caught.value.attempts] == ["gpt-4", "one", "two"]


def test_a_request_that_says_where_it_wants_to_go_goes_there():
    fails = "litellm.InternalServerError"
    entries = [entry("a", "gpt-4", fails, fallbacks=["mine"]), entry("b", "mine"), entry("c", "asked")]
    assert served(entries, "gpt-4", request={"fallbacks": ["asked"]}) == "asked"
    with pytest.raises(RequestError):
        served(entries, "gpt-4", request={"disable_fallbacks": True})


def test_a_target_may_replace_parameters():
    fails = "litellm.InternalServerError"
    target = {"model": "mine", "messages": [{"role": "user", "content": "shorter"}]}
    entries = [entry("a", "gpt-4", fails, fallbacks=[target]), entry("b", "mine")]
    assert served(entries, "gpt-4") == "mine"


def test_the_defaults_may_give_every_deployment_a_fallback():
    entries = [entry("a", "gpt-4", "litellm.InternalServerError"), entry("b", "small")]
    assert served(entries, "gpt-4", default_litellm_params={"fallbacks": ["small"]}) == "small"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"fallbacks": "small"}, "must be a list"),
        ({"fallbacks": [7]}, "must be the name of a group"),
        ({"context_window_fallback_dict": ["small"]}, "must be a dict"),
        ({"context_window_fallback_dict": {"gpt-4": "gpt-4"}}, "cannot be its own fallback"),
    ],
)
def test_a_wrong_list_is_one_clear_error_with_its_path(params, text):
    with pytest.raises(ConfigurationError, match=text) as caught:
        Router([entry("a", "gpt-4", **params)])
    assert "model_list[0].litellm_params" in str(caught.value)


def test_a_fallback_to_nowhere_is_said_once(caplog):
    entries = [entry(str(number), "gpt-4", fallbacks=["nowhere"]) for number in range(3)]
    with Router(entries):
        pass
    assert caplog.text.count("no model group 'nowhere'") == 1


def test_what_is_shown_of_a_deployment_has_its_fallbacks():
    own = {"fallbacks": ["b"], "context_window_fallback_dict": {"gpt-4": "b"}}
    with Router([entry("a", "gpt-4", **own), entry("b", "b")]) as router:
        params = router._wiring.deployments["a"].public_config()["litellm_params"]
    assert params["fallbacks"] == ["b"]
    assert params["context_window_fallback_dict"] == {"gpt-4": ["b"]}
