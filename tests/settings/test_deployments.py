"""How `model_list` entries become deployments, or one clear error."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from typing import Any

import pytest

from turnout.messages.deployments import NOT_HERE, parse_deployment, parse_model_list
from turnout.messages.errors import ConfigurationError
from turnout.messages.provider_names import KNOWN_PROVIDERS
from turnout.messages.settings import Deployment, RouterSettings


def parse(params: dict[str, Any], env: dict[str, str] | None = None, **entry: Any) -> Deployment:
    defaults = entry.pop("defaults", None)
    raw = {"model_name": "group", "litellm_params": params, **entry}
    return parse_deployment(raw, "model_list[0]", defaults=defaults, env=env or {})


def refusal(params: Any, env: dict[str, str] | None = None, **entry: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(params, env, **entry)
    return str(caught.value)


# -- the provider


@pytest.mark.parametrize(
    ("params", "provider", "model"),
    [
        ({"model": "azure/my-gpt"}, "azure", "my-gpt"),
        ({"model": "openai/my-bad-model"}, "openai", "my-bad-model"),
        ({"model": "gpt-4o"}, "openai", "gpt-4o"),
        ({"model": "ft:gpt-4o:us::1"}, "openai", "ft:gpt-4o:us::1"),
        ({"model": "o3-mini"}, "openai", "o3-mini"),
        ({"model": "whisper-1"}, "openai", "whisper-1"),
        ({"model": "claude-2"}, "anthropic", "claude-2"),
        ({"model": "gemini-pro"}, "gemini", "gemini-pro"),
        ({"model": "command-r"}, "cohere", "command-r"),
        ({"model": "mistral-large"}, "mistral", "mistral-large"),
        ({"model": "openrouter/openai/gpt-4"}, "openrouter", "openai/gpt-4"),
        ({"model": "my-model", "api_base": "http://h/v1"}, "openai_compatible", "my-model"),
        ({"model": "my-org/my-model", "api_base": "http://h/v1"}, "openai_compatible", "my-org/my-model"),
        ({"model": "gpt-4", "api_base": "http://h/v1"}, "openai", "gpt-4"),
        ({"model": "x", "custom_llm_provider": "azure"}, "azure", "x"),
        ({"model": "azure/x", "custom_llm_provider": "azure"}, "azure", "x"),
        ({"model": "azure/x", "custom_llm_provider": "openai"}, "openai", "azure/x"),
    ],
)
def test_the_provider_is_stated_or_a_prefix_or_implied_by_the_name(
    params: dict[str, Any], provider: str, model: str
) -> None:
    deployment = parse(params)
    assert (deployment.provider, deployment.model) == (provider, model)


@pytest.mark.parametrize(
    ("params", "info", "mode"),
    [
        ({"model": "gpt-4o"}, {}, "chat"),
        ({"model": "azure/mine"}, {}, "chat"),
        ({"model": "openai/text-embedding-3-small"}, {}, "embedding"),
        ({"model": "azure/mine"}, {"base_model": "azure/text-embedding-ada-002"}, "embedding"),
        ({"model": "dall-e-3"}, {}, "image_generation"),
        ({"model": "gpt-image-1-mini"}, {}, "image_generation"),
        ({"model": "omni-moderation-latest"}, {}, "moderation"),
        ({"model": "openai/text-moderation-stable"}, {}, "moderation"),
        ({"model": "whisper-1"}, {}, "audio_transcription"),
        ({"model": "gpt-4o-mini-transcribe"}, {}, "audio_transcription"),
        ({"model": "tts-1-hd"}, {}, "audio_speech"),
        ({"model": "gpt-4o-mini-tts"}, {}, "audio_speech"),
        ({"model": "gpt-3.5-turbo-instruct"}, {}, "completion"),
        ({"model": "dall-e-3"}, {"mode": "image_edit"}, "image_edit"),
        ({"model": "dall-e-3"}, {"base_model": "gpt-4o"}, "chat"),
    ],
)
def test_the_mode_is_stated_or_told_by_a_well_known_name(
    params: dict[str, Any], info: dict[str, Any], mode: str
) -> None:
    assert parse(params, model_info=info).mode == mode


def test_an_unknown_prefix_is_named_with_the_nearest_provider_and_the_list() -> None:
    text = refusal({"model": "azzure/gpt-4"})
    assert text.startswith("model_list[0].litellm_params.model = 'azzure/gpt-4': unknown provider 'azzure'")
    assert "did you mean 'azure'?" in text
    assert all(provider in text for provider in KNOWN_PROVIDERS)


def test_a_name_that_implies_no_provider_is_an_error_that_lists_them() -> None:
    text = refusal({"model": "my-model"})
    assert "the provider cannot be told" in text
    assert "anthropic" in text


def test_an_unknown_custom_provider_is_an_error() -> None:
    text = refusal({"model": "x", "custom_llm_provider": "opnai"})
    assert "custom_llm_provider = 'opnai': unknown provider; did you mean 'openai'?" in text


def test_a_provider_without_a_model_is_an_error() -> None:
    assert "a model name must follow the provider" in refusal({"model": "azure/"})


# -- where values are read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rpm", 9),
        ("tpm", 900),
        ("weight", 0.5),
        ("max_parallel_requests", 3),
        ("order", 2),
        ("tags", ("a", "b")),
        ("timeout", 3.5),
        ("stream_timeout", 1.5),
        ("region_name", "eu"),
    ],
)
def test_a_limit_is_read_from_top_level_parameters_or_model_info(name: str, value: Any) -> None:
    written = list(value) if isinstance(value, tuple) else value
    top: dict[str, Any] = {name: written}
    for deployment in (
        parse({"model": "gpt-4"}, **top),
        parse({"model": "gpt-4", name: written}),
        parse({"model": "gpt-4"}, model_info={name: written}),
    ):
        assert getattr(deployment, name) == value
        assert deployment.wire == {}
        assert deployment.model_info == {}


def test_the_first_place_wins() -> None:
    assert parse({"model": "gpt-4", "rpm": 2}, rpm=1, model_info={"rpm": 3}).rpm == 1
    assert parse({"model": "gpt-4", "rpm": 2}, model_info={"rpm": 3}).rpm == 2


def test_params_is_another_name_for_litellm_params() -> None:
    raw = {"model_name": "a", "params": {"model": "gpt-4", "rpm": -1}}
    with pytest.raises(ConfigurationError, match=r"^m\.params\.rpm = -1: "):
        parse_deployment(raw, "m", env={})
    raw["params"] = {"model": "gpt-4"}
    assert parse_deployment(raw, "m", env={}).model == "gpt-4"
    with pytest.raises(ConfigurationError, match="two names of one thing"):
        parse_deployment({**raw, "litellm_params": {"model": "gpt-4"}}, "m", env={})


def test_what_is_not_ours_goes_to_the_wire() -> None:
    headers = {"x-team": "blue"}
    deployment = parse({"model": "gpt-4", "temperature": 0.1, "extra_headers": headers, "organization": "o"})
    assert deployment.wire == {"temperature": 0.1, "extra_headers": headers, "organization": "o"}
    assert deployment.wire["extra_headers"] is headers


def test_what_steers_the_router_does_not_go_to_the_wire() -> None:
    params = {
        "model": "gpt-4",
        "max_retries": 4,
        "cooldown_time": 7,
        "base_url": "https://h/v1",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
        "cache_read_input_token_cost": 3e-7,
        "base_model": "gpt-4-0613",
        "mock_delay": 0.5,
        "drop_params": False,
        "max_budget": None,
    }
    deployment = parse(params)
    assert deployment.wire == {}
    assert (deployment.num_retries, deployment.cooldown_time, deployment.mock_delay) == (4, 7.0, 0.5)
    assert (deployment.api_base, deployment.base_model) == ("https://h/v1", "gpt-4-0613")
    assert (deployment.input_cost_per_token, deployment.output_cost_per_token) == (1e-6, 2e-6)
    assert deployment.model_info == {"cache_read_input_token_cost": 3e-7}
    assert params["max_retries"] == 4  # what the user wrote is not changed


def test_model_info_says_what_the_model_is() -> None:
    info = {"id": "me", "mode": "embedding", "max_input_tokens": 8000, "supports_vision": True}
    deployment = parse({"model": "gpt-4"}, model_info=info)
    assert (deployment.id, deployment.mode, deployment.max_input_tokens) == ("me", "embedding", 8000)
    assert deployment.model_info == {"supports_vision": True}
    assert info["id"] == "me"


def test_mock_values_pass_through_uncopied() -> None:
    for mock in (ValueError("content filtering policy"), RuntimeError, {"a": [1]}, [0.5], object()):
        assert parse({"model": "gpt-4", "mock_response": mock}).mock_response is mock
    assert parse({"model": "gpt-4", "mock_response": "os.environ/NOT_A_REFERENCE"}).mock_response


def test_defaults_lie_under_each_deployments_own_parameters() -> None:
    defaults = {"temperature": 0.9, "api_key": "sk-default1", "base_url": "http://d/v1", "top_p": 1}
    deployment = parse({"model": "gpt-4", "temperature": 0, "api_base": "http://own/v1"}, defaults=defaults)
    assert deployment.wire == {"temperature": 0, "top_p": 1}
    assert deployment.api_base == "http://own/v1"
    assert deployment.api_key is not None
    assert deployment.api_key.get_secret_value() == "sk-default1"


def test_a_wrong_default_is_blamed_on_the_defaults() -> None:
    text = refusal({"model": "gpt-4"}, defaults={"timeout": -1})
    assert text.startswith("default_litellm_params.timeout = -1: ")


# -- the environment


def test_references_are_read_from_the_environment_at_every_depth() -> None:
    env = {"KEY": "sk-from-env", "RPM": "900", "TEAM": "blue", "ID": "eu"}
    deployment = parse(
        {"model": "gpt-4", "api_key": "os.environ/KEY", "extra_headers": {"x": ["os.environ/TEAM", 1]}},
        env,
        rpm="os.environ/RPM",
        model_info={"id": "os.environ/ID"},
    )
    assert deployment.api_key is not None
    assert deployment.api_key.get_secret_value() == "sk-from-env"
    assert (deployment.rpm, deployment.id) == (900, "eu")
    assert deployment.wire == {"extra_headers": {"x": ["blue", 1]}}


def test_a_missing_variable_is_named_with_its_path() -> None:
    params = {"model": "gpt-4", "extra_headers": {"auth": "os.environ/NOPE"}}
    text = refusal(params, {"OTHER": "secret-value"})
    assert text == (
        "model_list[0].litellm_params.extra_headers.auth: the environment variable 'NOPE' is not set"
    )


def test_a_providers_own_variables_serve_when_nothing_is_given() -> None:
    env = {"AZURE_API_KEY": "k1", "AZURE_API_BASE": "https://mine.example", "AZURE_API_VERSION": "v1"}
    deployment = parse({"model": "azure/x", "api_version": "v2"}, env)
    assert deployment.api_key is not None
    assert deployment.api_key.get_secret_value() == "k1"
    assert (deployment.api_base, deployment.api_version) == ("https://mine.example", "v2")


def test_a_providers_own_key_never_goes_to_another_address() -> None:
    deployment = parse({"model": "gpt-4", "api_base": "http://elsewhere/v1"}, {"OPENAI_API_KEY": "k1"})
    assert deployment.api_key is None


# -- identity


def test_the_same_entry_has_the_same_id_after_a_restart_and_a_key_rotation() -> None:
    def entry(key: str) -> dict[str, Any]:
        return {"model": "azure/x", "api_key": key, "extra_headers": {"Authorization": f"Bearer {key}"}}

    assert parse(entry("k1")).id == parse(entry("k2")).id == parse(entry("k1")).id
    assert parse({"model": "azure/x", "temperature": 1, "top_p": 2}).id == (
        parse({"top_p": 2, "temperature": 1, "model": "azure/x"}).id
    )


def test_an_id_made_once_is_the_same_in_every_version() -> None:
    params = {"model": "azure/x", "api_base": "https://h/", "temperature": 0.5, "api_key": "k"}
    assert parse(params).id == "55504af1ba33eda2"


def test_other_groups_and_other_parameters_have_other_ids() -> None:
    ids = {
        parse({"model": "azure/x"}).id,
        parse({"model": "azure/x"}, model_name="other").id,
        parse({"model": "azure/y"}).id,
        parse({"model": "azure/x", "api_base": "https://h/"}).id,
    }
    assert len(ids) == 4


def test_defaults_do_not_change_an_id() -> None:
    assert parse({"model": "azure/x"}, defaults={"temperature": 1}).id == parse({"model": "azure/x"}).id


def test_equal_entries_with_other_keys_are_deployments_of_their_own() -> None:
    entries = [
        {"model_name": "g", "litellm_params": {"model": "gpt-4", "api_key": f"k{n}"}} for n in range(12)
    ]
    ids = [deployment.id for deployment in parse_model_list(entries, env={})]
    assert ids == [ids[0], *(f"{ids[0]}-{n}" for n in range(2, 13))]


def test_two_deployments_with_one_id_are_an_error_that_names_both() -> None:
    entry = {"model_name": "g", "litellm_params": {"model": "gpt-4"}, "model_info": {"id": "me"}}
    with pytest.raises(ConfigurationError) as caught:
        parse_model_list([entry, {"model_name": "h", "litellm_params": {"model": "gpt-4"}}, entry], env={})
    assert str(caught.value).startswith("model_list[2].model_info.id = 'me': model_list[0] has this id")


# -- bad input


@pytest.mark.parametrize("name", ["rpm", "tpm", "max_parallel_requests"])
@pytest.mark.parametrize("value", [-1, 0, 1.5, "many", True, [], float("nan")])
def test_a_limit_must_be_a_whole_number_from_1(name: str, value: Any) -> None:
    assert refusal({"model": "gpt-4"}, **{name: value}).startswith(f"model_list[0].{name} = ")
    assert refusal({"model": "gpt-4", name: value}).startswith(f"model_list[0].litellm_params.{name} = ")
    text = refusal({"model": "gpt-4"}, model_info={name: value})
    assert text.startswith(f"model_list[0].model_info.{name} = ")


def entry(params: Any = None, **others: Any) -> dict[str, Any]:
    return {"model_name": "a", "litellm_params": {"model": "gpt-4", **(params or {})}, **others}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "m.model_name: required"),
        ({"model_name": ""}, "m.model_name = '': must be"),
        ({"model_name": 3}, "m.model_name = 3: must be"),
        ({"model_name": "a*b*"}, "at most one '*'"),
        ({"model_name": "a"}, "m: litellm_params are required"),
        ({"model_name": "a", "litellm_params": []}, "m.litellm_params = (list): must be a dict"),
        ({"model_name": "a", "litellm_params": {}}, "m.litellm_params.model: required"),
        (
            {"model_name": "a", "litellm_params": {"modle": "openai/x"}},
            "m.litellm_params.model: required; did you mean it by 'modle'?",
        ),
        (
            {"model_name": "a", "litellm_params": {"model": "azure/x", "api_base": ""}},
            "m.litellm_params.api_base = '': must begin with http:// or https:// and name a host",
        ),
        ({"model_nmae": "a"}, "m: unknown field 'model_nmae'; did you mean 'model_name'?"),
        (entry({"model": "openai/*"}), "a '*' needs one in model_name"),
        (entry({"mock_respones": "x"}), "did you mean 'mock_response'?"),
        (entry({"api_base": "h.com"}), "m.litellm_params.api_base = 'h.com': "),
        (entry({"timeout": "inf"}), "must be a finite number"),
        (entry({"stop": {(1,): 2}}), "must hold plain data"),
        (entry(model_info={"mode": "chatt"}), "did you mean 'chat'?"),
        (entry(model_info={"id": "a\nb"}), "printable"),
        ("x", "m = 'x': must be a dict"),
    ],
)
def test_a_wrong_entry_is_one_clear_error(raw: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_deployment(raw, "m", env={})
    assert text in str(caught.value)


def test_nesting_without_end_is_an_error() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert "nested deeper than" in refusal({"model": "gpt-4", "extra_body": loop})


def test_a_model_list_must_be_a_list() -> None:
    assert parse_model_list(None, env={}) == ()
    with pytest.raises(ConfigurationError, match=r"^model_list = \(dict\): must be a list"):
        parse_model_list({}, env={})


@pytest.mark.parametrize("name", NOT_HERE)
def test_a_switch_that_this_router_does_not_have_is_refused_with_a_way_out(name: str) -> None:
    wanted = f"litellm_params.{name} is nothing this router has: {NOT_HERE[name]}"
    assert wanted in refusal({"model": "gpt-4", name: True})
    parse({"model": "gpt-4", name: False})
    with pytest.raises(ConfigurationError, match=f"default_litellm_params.{name} is nothing"):
        RouterSettings(default_litellm_params={name: True})


# -- what may be seen

SECRETS = ("sk-Hush1234567", "hush-header", "hush-aws", "hush-user", "hush-query", "hush-content")


def full_of_secrets() -> dict[str, Any]:
    key, header, aws, user, query, content = SECRETS
    return {
        "model": "gpt-4",
        "api_key": key,
        "api_base": f"https://me:{user}@h.example/v1?sig={query}",
        "extra_headers": {"Authorization": f"Basic {header}", "X-Trace": "ok"},
        "aws_secret_access_key": aws,
        "organization": f"wrongly put here: {key}",
        "mock_response": content,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 7,
    }


def test_no_secret_shows_in_repr_or_public_config() -> None:
    deployment = parse(full_of_secrets())
    config = deployment.public_config()
    shown = repr(deployment) + str(deployment) + json.dumps(config) + repr(deployment.api_key)
    assert not [secret for secret in SECRETS if secret in shown]
    params = config["litellm_params"]
    assert params["api_key"] == "***"
    assert params["max_tokens"] == 7
    assert params["extra_headers"] == {"Authorization": "***", "X-Trace": "***"}
    assert params["mock_response"] == "<str>"


@pytest.mark.parametrize(
    "broken",
    [
        {"rpm": -1},
        {"api_key": ["sk-Hush1234567"]},
        {"api_key": "sk-Hush1234567 \n"},
        {"api_base": "ftp://me:hush-user@h/?sig=hush-query"},
        {"rpm": "sk-Hush1234567"},
        {"model": "sk-Hush1234567/x", "api_base": None},
        {"timeout": {"x": "hush-header"}},
        {"custom_llm_provider": "sk-Hush1234567"},
        {"extra_headers": {"Authorization": "os.environ/GONE"}},
    ],
)
def test_no_secret_shows_in_an_error(broken: dict[str, Any]) -> None:
    text = refusal({**full_of_secrets(), **broken}, {"KEY": "hush-env"})
    assert not [secret for secret in (*SECRETS, "hush-env") if secret in text]


def test_the_public_config_is_an_entry_that_gives_the_deployment_back() -> None:
    deployment = parse(
        {"model": "my-org/x", "api_base": "https://h/v1", "temperature": 1, "max_retries": 2, "tags": ["a"]},
        rpm=3,
        model_info={"id": "me", "mode": "completion", "supports_vision": True},
    )
    assert parse_deployment(deployment.public_config(), "m", env={}) == deployment


@pytest.mark.parametrize("mode", ["chat", "image_generation", "embedding"])
def test_so_is_that_of_one_whose_mode_is_not_what_its_name_tells(mode: str) -> None:
    deployment = parse({"model": "dall-e-3"}, model_info={"id": "me", "mode": mode})
    again = parse_deployment(deployment.public_config(), "m", env={})
    assert (again, again.mode) == (deployment, mode)


def test_a_deployment_can_be_pickled_and_not_changed() -> None:
    deployment = parse({"model": "gpt-4", "api_key": "k"})
    assert pickle.loads(pickle.dumps(deployment)) == deployment
    with pytest.raises(AttributeError):
        deployment.rpm = 3  # type: ignore[misc]


def test_a_deployment_is_small() -> None:
    # twice, since the interpreter's table of names may double in one of them
    assert min(bytes_for_deployments(500, "a"), bytes_for_deployments(500, "b")) / 500 < 3000


def bytes_for_deployments(count: int, mark: str) -> int:
    entries = [
        {
            "model_name": "g",
            "litellm_params": {
                "model": f"azure/{mark}{n}",
                "api_key": f"k{n}",
                "rpm": n + 1,
                "temperature": 0.5,
            },
            "model_info": {"id": f"{mark}-{n}", "base_model": "gpt-4"},
        }
        for n in range(count)
    ]
    parse_model_list(entries[:2], env={})
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        deployments = parse_model_list(entries, env={})
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(deployments) == count
    return used
