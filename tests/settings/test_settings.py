"""Every setting, its default, its bounds, and how a wrong one is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from turnout.messages.errors import ConfigurationError
from turnout.messages.settings import (
    STRATEGIES,
    AlertingConfig,
    AllowedFailsPolicy,
    GroupAlias,
    RetryPolicy,
    RouterSettings,
)


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        RouterSettings(**settings)
    return str(caught.value)


# -- defaults and shapes


def test_the_defaults_are_those_of_the_documents() -> None:
    settings = RouterSettings()
    assert settings.routing_strategy == "simple-shuffle"
    assert (settings.num_retries, settings.max_fallbacks, settings.retry_after) == (0, 5, 0)
    assert (settings.allowed_fails, settings.cooldown_time, settings.disable_cooldowns) == (3, 1, False)
    assert (settings.timeout, settings.stream_timeout) == (None, None)
    assert (settings.client_ttl, settings.max_retry_after, settings.max_queue) == (3600, 3600, 1000)
    assert (settings.on_exhausted, settings.set_verbose, settings.debug_level) == ("fail", False, "INFO")
    assert settings.changed() == {}


def test_every_parameter_of_the_documents_is_accepted_when_switched_off() -> None:
    RouterSettings(
        redis_url=None, redis_host=None, redis_port=None, redis_password=None, cache_responses=False,
        cache_kwargs={}, caching_groups=None, client_ttl=3600, num_retries=None, max_fallbacks=None,
        timeout=None, stream_timeout=None, default_litellm_params=None, default_max_parallel_requests=None,
        set_verbose=False, debug_level="INFO", default_fallbacks=None, fallbacks=[],
        context_window_fallbacks=[], content_policy_fallbacks=None, routing_strategy="simple-shuffle",
        enable_pre_call_checks=False, allowed_fails=None, cooldown_time=1, retry_policy=None,
        model_group_alias={}, retry_after=0, disable_cooldowns=False, allowed_fails_policy=None,
        alerting_config=None, routing_strategy_args={}, enable_pre_call_check=None,
    )  # fmt: skip


def test_none_is_not_set() -> None:
    assert RouterSettings(num_retries=None, allowed_fails=None, cooldown_time=None) == RouterSettings()


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_its_name(name: str) -> None:
    assert RouterSettings(routing_strategy=name).routing_strategy == name


def test_a_strategy_may_be_any_object_that_picks() -> None:
    class Mine:
        def pick(self, *_: Any) -> None: ...

    mine = Mine()
    settings = RouterSettings(routing_strategy=mine)
    assert settings.routing_strategy is mine
    assert settings.changed()["routing_strategy"] == "<Mine>"
    text = refusal(routing_strategy=mine, routing_strategy_args={"a": 1})
    assert "given its arguments by its maker" in text
    assert "an object with a pick method" in refusal(routing_strategy=object())
    assert "an object with a pick method" in refusal(routing_strategy=Mine)


def test_an_alias_may_be_hidden() -> None:
    settings = RouterSettings(model_group_alias={"x": "y", "z": {"model": "y", "hidden": True}})
    assert settings.model_group_alias == {"x": GroupAlias("y"), "z": GroupAlias("y", hidden=True)}


# -- policies


def test_a_retry_policy_speaks_of_its_classes_only() -> None:
    policy = RetryPolicy(
        BadRequestErrorRetries=1,
        AuthenticationErrorRetries=0,
        TimeoutErrorRetries=2,
        RateLimitErrorRetries=3,
        ContentPolicyViolationErrorRetries=4,
        InternalServerErrorRetries=5,
    )
    settings = RouterSettings(retry_policy=policy)
    asked = {
        "BadRequestError": 1,
        "ContextWindowExceededError": 1,
        "AuthenticationError": 0,
        "Timeout": 2,
        "RateLimitError": 3,
        "ContentPolicyViolationError": 4,
        "InternalServerError": 5,
        "ServiceUnavailableError": None,
        "APIConnectionError": None,
    }
    assert {name: settings.retries_for(name) for name in asked} == asked
    assert RouterSettings().retries_for("Timeout") is None


def test_the_other_shape_of_a_retry_policy_sets_the_retries_and_the_pauses() -> None:
    shape: Any = {"max_retries": 5, "base_delay": 1, "max_delay": 60, "backoff_factor": 3, "jitter": False}
    settings = RouterSettings(num_retries=1, retry_policy=shape)
    assert settings.default_retries == 5
    assert settings.retry_policy == RetryPolicy(**shape)
    assert settings.retries_for("RateLimitError") is None
    assert RouterSettings(num_retries=1, retry_policy={"TimeoutErrorRetries": 2}).default_retries == 1


def test_allowed_fails_are_told_by_error_class() -> None:
    policy = AllowedFailsPolicy(ContentPolicyViolationErrorAllowedFails=1000, TimeoutErrorAllowedFails=0)
    settings = RouterSettings(allowed_fails_policy=policy)
    assert settings.allowed_fails_by_error() == {"ContentPolicyViolationError": 1000, "Timeout": 0}
    assert RouterSettings().allowed_fails_by_error() == {}


def test_a_policy_is_wrong_in_one_clear_way_by_itself_and_inside() -> None:
    with pytest.raises(ConfigurationError, match=r"^RetryPolicy\.TimeoutErrorRetries = -1: "):
        RetryPolicy(TimeoutErrorRetries=-1)
    with pytest.raises(ConfigurationError, match="did you mean 'TimeoutErrorRetries'"):
        RetryPolicy(TimeoutRetries=1)  # type: ignore[call-arg]
    assert refusal(retry_policy={"TimeoutErrorRetries": -1}).startswith("retry_policy")
    assert "did you mean 'max_retries'" in refusal(retry_policy={"max_retry": 1})


# -- wrong settings


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"num_retry": 3}, "unknown setting 'num_retry'; did you mean 'num_retries'?"),
        ({"model_lst": []}, "unknown setting 'model_lst'; did you mean 'model_list'?"),
        ({"zzz": None}, "unknown setting 'zzz'"),
        ({"num_retries": -1}, "num_retries = -1: must be greater than or equal to 0"),
        ({"num_retries": True}, "num_retries = True: must be a number"),
        ({"num_retries": 1.5}, "num_retries = 1.5: must be a valid integer"),
        ({"timeout": 0}, "timeout = 0: must be greater than 0"),
        ({"timeout": float("nan")}, "timeout = nan: must be a finite number"),
        ({"cooldown_time": -1}, "cooldown_time = -1"),
        ({"allowed_fails": 10_001}, "allowed_fails = 10001: must be less than or equal to 10000"),
        ({"max_queue": 0}, "max_queue = 0"),
        ({"default_priority": 256}, "default_priority = 256"),
        ({"default_max_parallel_requests": 0}, "default_max_parallel_requests = 0"),
        ({"debug_level": "DEBG"}, "debug_level = 'DEBG': must be 'DEBUG' or 'INFO'; did you mean 'DEBUG'?"),
        ({"on_exhausted": 3}, "on_exhausted = 3: must be 'fail' or 'wait'"),
        ({"routing_strategy": "least_busy"}, "did you mean 'least-busy'?"),
        ({"routing_strategy_args": {"tll": 3}}, "'tll' of routing_strategy_args; did you mean 'ttl'?"),
        ({"routing_strategy_args": {"ttl": 0}}, "routing_strategy_args.ttl = 0: must be greater than 0"),
        ({"model_group_alias": {"x": 3}}, "alias 'x' must be the name of a group or"),
        ({"model_group_alias": {"x": {"modell": "y"}}}, "alias 'x' must be"),
        ({"redis_port": "six"}, "redis_port = 'six'"),
        ({"redis_port": 0}, "redis_port = 0"),
        ({"cache_responses": "perhaps"}, "cache_responses = 'perhaps'"),
        ({"num_retries": -1, "timeout": -1}, "(and 1 more)"),
        ({"enable_pre_call_check": "perhaps"}, "enable_pre_call_check"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(settings: dict[str, Any], text: str) -> None:
    assert text in refusal(**settings)


# -- what lies deeper


def test_what_a_policy_says_is_validated() -> None:
    assert "webhook_url" in refusal(alerting_config={"webhook_url": "no url"})
    never = {"webhook_url": "https://h", "alerting_threshold": 0}
    assert "alerting_threshold = 0" in refusal(alerting_config=never)


# -- what may be seen


def test_changed_holds_what_differs_as_plain_data() -> None:
    settings = RouterSettings(
        num_retries=2,
        timeout=30,
        cooldown_time=1,
        fallbacks=[{"a": ["b", {"model": "c", "messages": [{"role": "user", "content": "hush"}]}]}],
        default_fallbacks=["d"],
        model_group_alias={"x": {"model": "a", "hidden": True}},
        retry_policy=RetryPolicy(TimeoutErrorRetries=1),
    )
    assert json.loads(json.dumps(settings.changed())) == {
        "num_retries": 2,
        "timeout": 30,
        "fallbacks": [{"a": ["b", {"model": "c", "messages": "<list>"}]}],
        "default_fallbacks": ["d"],
        "model_group_alias": {"x": {"model": "a", "hidden": True}},
        "retry_policy": {"TimeoutErrorRetries": 1},
    }


def test_no_secret_shows_in_repr_dump_or_changed() -> None:
    settings = RouterSettings(
        default_litellm_params={"api_key": "hush", "extra_headers": {"X-Auth-Token": "hush"}, "top_p": 1},
        fallbacks=[{"model": "c", "messages": [{"role": "user", "content": "hush"}]}],
        default_fallbacks=[{"model": "c", "api_key": "hush"}],
    )
    shown = repr(settings) + str(settings) + settings.model_dump_json() + json.dumps(settings.changed())
    assert "hush" not in shown
    assert '"top_p":1' in settings.model_dump_json()
    assert settings.default_litellm_params["api_key"] == "hush"
    alerting = AlertingConfig(webhook_url=SecretStr("https://hooks.example/hush"))
    assert "hush" not in repr(alerting) + str(alerting) + alerting.model_dump_json()


@pytest.mark.parametrize(
    "settings",
    [
        {"redis_password": ["hush"]},
        {"redis_port": "redis://me:hush@h"},
        {"alerting_config": {"webhook_url": "ftp://hush"}},
        {"default_litellm_params": ["hush"]},
        {"cache_kwargs": "password=hush"},
        {"fallbacks": [{"model": 3, "messages": [{"content": "hush"}]}]},
        {"retry_policy": {"api_key": "hush"}},
        {"timeout": "sk-hush12345678"},
        {"sk-hush12345678": 1},
    ],
)
def test_no_secret_shows_in_an_error(settings: dict[str, Any]) -> None:
    assert "hush" not in refusal(**settings)


# -- groups that settings speak of


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"model_group_alias": {"x": "clade"}}, "model_group_alias.x"),
        (
            {"routing_strategy_args": {"substitutes": {"gpt-4": ["clade"]}}},
            "routing_strategy_args.substitutes",
        ),
    ],
)
def test_an_unknown_group_is_an_error_with_the_nearest(settings: dict[str, Any], path: str) -> None:
    known = ["gpt-4", "claude"]
    with pytest.raises(ConfigurationError) as caught:
        RouterSettings(**settings).check_groups(known.__contains__, known)
    expected = f"{path}: no model group 'clade'; did you mean 'claude'? (known: gpt-4, claude)"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"fallbacks": [{"gpt-4": ["clade"]}]}, "fallbacks"),
        ({"fallbacks": [{"clade": ["gpt-4"]}]}, "fallbacks"),
        ({"fallbacks": ["clade"]}, "fallbacks"),
        ({"fallbacks": [{"*": ["clade"]}]}, "fallbacks"),
        ({"context_window_fallbacks": [{"gpt-4": [{"model": "clade"}]}]}, "context_window_fallbacks"),
        ({"content_policy_fallbacks": [{"gpt-4": ["clade"]}]}, "content_policy_fallbacks"),
        ({"default_fallbacks": ["clade"]}, "default_fallbacks"),
    ],
)
def test_a_fallback_to_a_group_that_may_still_come_is_named_and_no_error(settings, path) -> None:
    known = ["gpt-4", "claude"]
    made = RouterSettings(**settings)
    made.check_groups(known.__contains__, known)
    expected = f"{path}: no model group 'clade'; did you mean 'claude'? (known: gpt-4, claude)"
    assert made.unknown_fallbacks(known.__contains__, known) == [expected]


def test_groups_that_exist_pass() -> None:
    settings = RouterSettings(
        fallbacks=["a", {"b": ["a"]}],
        default_fallbacks=["b"],
        model_group_alias={"x": "a"},
        routing_strategy_args={"substitutes": {"a": ["b"]}},
    )
    settings.check_groups(["a", "b"].__contains__, ["a", "b"])
    assert settings.unknown_fallbacks(["a", "b"].__contains__, ["a", "b"]) == []


def test_a_secret_that_is_none_is_said_to_be_none():
    """It is what a variable that is not set gives."""
    with pytest.raises(ConfigurationError, match="webhook_url = None: must be a"):
        AlertingConfig(webhook_url=None)
