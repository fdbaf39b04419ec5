"""`check`: every reason why a configuration is not right, and what it means when it is."""

import json
import re
import sys

import pytest

from turnout import ConfigurationError, RetryPolicy, Router
from turnout.cli import config as cli_config
from turnout.cli.config import TAKEN_OVER
from turnout.cli.main import main
from turnout.messages.settings import RouterSettings

GOOD = """
model_list:
  - model_name: gpt-4
    litellm_params:
      model: azure/chatgpt-v-2
      api_base: os.environ/AZURE_API_BASE
      api_key: os.environ/AZURE_API_KEY
      api_version: 2023-07-01-preview
      rpm: 900
    model_info: {id: azure-eu}
  - model_name: small
    litellm_params: {model: gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY, weight: 2}
    model_info: {id: mini}
router_settings:
  routing_strategy: least-busy
  num_retries: 2
  fallbacks: [{"gpt-4": ["small"]}]
"""
SET = {"AZURE_API_BASE": "https://my.openai.azure.com", "AZURE_API_KEY": "hush-1", "OPENAI_API_KEY": "hush-2"}


@pytest.fixture
def check(tmp_path, capsys, monkeypatch):
    """Runs `check` on a text; gives exit code, output, complaint."""

    def run(text, *options, env=SET):
        for name in SET:
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "config.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        code = main(["check", str(file), *options])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def errors(check):
    """What is wrong with a text."""
    return lambda text, env=SET: json.loads(check(text, "--json", env=env)[1])["errors"]


def test_a_right_configuration_is_told_with_what_it_means(check):
    code, out, complaint = check(GOOD)
    assert (code, complaint) == (0, "")
    assert "2 deployments in 2 groups" in out
    assert re.search(r"gpt-4/azure-eu +900 .* yes +azure/chatgpt-v-2 at https://my.openai.azure.com", out)
    assert 'routing_strategy = "least-busy"' in out
    assert 'fallbacks = [{"gpt-4": ["small"]}]' in out
    assert out.endswith("config.yaml: right\n")


def test_a_router_can_be_made_of_what_is_right(check, tmp_path):
    assert check(GOOD)[0] == 0
    config = cli_config.read_config(str(tmp_path / "config.yaml")).resolved()
    with Router(config.entries, **config.settings) as router:
        assert router.settings.num_retries == 2
        assert len(router.get_deployments()) == 2


def test_no_key_is_shown_in_either_form(check):
    for options in ([], ["--json"]):
        _, out, complaint = check(GOOD, *options)
        assert "hush" not in out + complaint


def test_a_variable_that_is_not_set_is_named_with_where_it_is_used(check):
    code, out, _ = check(GOOD, env={"AZURE_API_BASE": "https://x", "AZURE_API_KEY": "k"})
    assert code == 1
    assert "OPENAI_API_KEY: model_list[1].litellm_params.api_key" in out
    assert out.endswith("config.yaml: not right\n")


def test_variables_may_be_left_for_later(check):
    code, out, _ = check(GOOD, "--ignore-environment", env={})
    assert code == 0
    assert out.count("AZURE_API_KEY") == 1
    assert "2 deployments" in out


def test_without_its_variables_a_deployment_is_examined_all_the_same(errors):
    found = errors(GOOD.replace("rpm: 900", "rpm: -1"), env={})
    assert len(found) == 1
    assert "rpm = -1" in found[0]


def test_the_file_may_set_variables_itself(check):
    variables = (
        "environment_variables: {OPENAI_API_KEY: hush-3, AZURE_API_KEY: hush-4, AZURE_API_BASE: 'http://h'}\n"
    )
    code, out, _ = check(variables + GOOD, env={})
    assert code == 0
    assert "hush" not in out


def test_every_error_is_told_and_not_only_the_first(errors):
    text = """
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-4o, rpm: -3}
  - model_name: b
    litellm_params: {model: nobody/knows-this}
  - litellm_params: {model: gpt-4o}
router_settings:
  routing_strategy: least-buzy
  timeot: 3
  cooldown_time: -1
extra: 1
"""
    found = errors(text)
    for part in (
        "unknown section 'extra'",
        "did you mean 'least-busy'?",
        "unknown setting 'timeot'; did you mean 'timeout'?",
        "cooldown_time = -1",
        "model_list[0].litellm_params.rpm = -3",
        "model_list[1]",
        "model_list[2].model_name: required",
    ):
        assert any(part in error for error in found), part
    assert len(found) == 7


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("router_settings: {}", "model_list: required"),
        ("model_list: {}", "model_list = (dict): must be a list"),
        ("model_list: []\nrouter_settings: [1]", "router_settings = (list): must be a mapping"),
        ("model_list: []\nmodel_lists: []", "unknown section 'model_lists'; did you mean 'model_list'?"),
        (GOOD + "  model_group_alias: {x: gpt-5}", "model_group_alias.x: no model group 'gpt-5'"),
        (GOOD + "  routing_strategy_args: {ttl: -1}", "routing_strategy_args.ttl = -1"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(errors, text, error):
    assert any(error in found for found in errors(text)), errors(text)


def test_two_deployments_with_one_id_are_an_error(errors):
    twice = GOOD.replace("id: mini", "id: azure-eu")
    assert any("has this id already" in found for found in errors(twice))


def test_everything_that_is_wrong_with_one_entry_is_told(errors):
    told = errors("""
model_list:
  - model_name: gpt-4
    color: red
    rpm: -1
    litellm_params: {model: nowhere/x, timeout: soon, tpm: many, input_cost_per_image: free, mock_answer: hi}
    model_info: {id: "", health_check: never}
""")
    expected = [
        "model_list[0]: unknown field 'color'",
        "model_list[0].litellm_params: unknown parameter 'mock_answer'",
        "model_list[0].litellm_params.input_cost_per_image = 'free'",
        "model_list[0].litellm_params.model = 'nowhere/x': unknown provider 'nowhere'",
        "model_list[0].rpm = -1",
        "model_list[0].litellm_params.tpm = 'many'",
        "model_list[0].litellm_params.timeout = 'soon'",
        "model_list[0].model_info.health_check = 'never'",
        "model_list[0].model_info.id = ''",
    ]
    assert len(told) == len(expected)
    for problem, beginning in zip(told, expected, strict=True):
        assert problem.startswith(beginning)


def test_an_entry_that_cannot_be_taken_apart_tells_what_it_can(errors):
    told = errors("model_list:\n  - {color: red, litellm_params: 5}\n  - 7\n")
    assert [problem.split(":")[0] for problem in told] == [
        "model_list[0]",
        "model_list[0].model_name",
        "model_list[0].litellm_params = 5",
        "model_list[1] = 7",
    ]


def test_a_router_tells_the_first_and_how_many_more(errors):
    with pytest.raises(ConfigurationError) as caught:
        Router(
            [{"model_name": "m", "color": "red", "litellm_params": {"model": "gpt-4o", "rpm": 0, "tpm": 0}}]
        )
    assert str(caught.value) == "model_list[0]: unknown field 'color' (and 2 more)"
    assert len(caught.value.problems) == 3


def test_a_fallback_to_nowhere_is_a_note(check):
    code, out, _ = check(GOOD.replace('["small"]', '["large"]'))
    assert code == 0
    assert "fallbacks: no model group 'large'" in out


def test_images_that_background_checks_would_buy_are_noted(check):
    painter = "  - {model_name: painter, litellm_params: {model: dall-e-3, api_key: k}, model_info: {%s}}\n"
    head, settings = GOOD.split("router_settings:")
    text = f"{head}{painter}router_settings:\n  health_check_interval: 300{settings}"
    noted = json.loads(check(text % "id: d", "--json")[1])["notes"]
    assert noted == [
        (
            "painter/d: health_check_interval buys an image every 300 s without an answer of it; "
            "model_info.health_check: on_demand leaves that to health_check()"
        )
    ]
    assert json.loads(check(text % "id: d, health_check: on_demand", "--json")[1])["notes"] == []


def test_what_belongs_to_a_proxy_is_noted(check):
    text = GOOD + "general_settings: {master_key: sk-hush}\nlitellm_settings: {drop_params: true}\n"
    code, out, _ = check(text)
    assert code == 0
    assert "general_settings belongs to a proxy: ignored" in out
    assert "litellm_settings.drop_params is no setting of a router: ignored" in out
    assert "hush" not in out


def test_of_litellm_settings_what_means_the_same_is_taken_over(check):
    text = GOOD + "litellm_settings: {request_timeout: 600, num_retries: 9}\n"
    found = json.loads(check(text, "--json")[1])
    assert found["settings"]["timeout"] == 600
    assert found["settings"]["num_retries"] == 2
    assert "litellm_settings.num_retries: router_settings.num_retries goes before it" in found["notes"]


def test_what_is_taken_over_are_settings_of_a_router():
    assert set(TAKEN_OVER.values()) <= set(RouterSettings.model_fields)


def test_policies_can_be_written_in_yaml(check):
    text = GOOD + "  retry_policy: {TimeoutErrorRetries: 4}\n"
    assert json.loads(check(text, "--json")[1])["settings"]["retry_policy"] == {"TimeoutErrorRetries": 4}
    assert RetryPolicy(TimeoutErrorRetries=4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "holds no sections"),
        ("a: [1\nb", "line 2, column 2: expected ',' or ']'"),
        ("model_list: []\nmodel_list: []", "line 2, column 1: 'model_list' is given twice"),
        ("a: &x [*x]", "nested too deep, or holds itself"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
        ("a: " + "[" * 2000, "nested too deep|is no YAML"),
    ],
)
def test_garbage_is_one_clear_line(check, text, line):
    code, out, complaint = check(text)
    assert (code, out) == (1, "")
    assert re.search(line.replace("[", r"\[").replace("]", r"\]") if "|" not in line else line, complaint)
    assert complaint.count("\n") == 1


def test_a_file_that_is_not_there_is_one_clear_line(capsys):
    assert main(["check", "nowhere.yaml"]) == 1
    assert capsys.readouterr().err == "turnout: nowhere.yaml cannot be read: No such file or directory\n"


def test_a_small_file_that_stands_for_billions_is_refused(check):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    code, _, complaint = check(bomb)
    assert code == 1
    assert "holds more than 2,000,000 values" in complaint


def test_a_file_that_is_too_large_is_not_read(check, monkeypatch):
    monkeypatch.setattr(cli_config, "MAX_CONFIG_BYTES", 1024 * 1024)
    assert "is larger than 1 MiB" in check("#" * (1024 * 1024 + 1))[2]


def test_without_pyyaml_it_says_what_to_install(check, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    code, _, complaint = check(GOOD)
    assert code == 1
    assert "pip install PyYAML" in complaint


def test_anchors_and_merges_work(check):
    text = """
common: &common {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
model_list:
  - {model_name: a, litellm_params: {<<: *common, rpm: 5}}
"""
    found = json.loads(check(text, "--json")[1])
    assert found["errors"] == ["unknown section 'common'"]
    assert next(iter(found["deployments"].values()))["litellm_params"]["rpm"] == 5


def test_a_group_whose_entry_is_wrong_is_not_said_to_be_missing_as_well(check):
    text = """
model_list:
  - {model_name: gpt-4, litellm_params: {modle: openai/gpt-4o}}
router_settings: {fallbacks: [{gpt-4: [nowhere]}]}
"""
    code, output, _ = check(text)
    assert code == 1
    assert "did you mean it by 'modle'?" in output
    assert "no model group 'gpt-4'" not in output
    assert "no model group 'nowhere'" in output
