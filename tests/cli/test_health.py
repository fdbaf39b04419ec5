"""`health`: who answers, as a table."""

import json

import pytest

from turnout import Router
from turnout.cli import health as command
from turnout.cli.main import main
from turnout.testing.upstream import Behaviour, run_upstream


@pytest.fixture(scope="module")
def upstream():
    broken = Behaviour(error_rate=1.0, error_status=500)
    with run_upstream(Behaviour(), {"broken": broken}, seed=5) as running:
        yield running


@pytest.fixture
def health(tmp_path, capsys, upstream):
    """Runs `health` on deployments (model, group); gives exit code, output, complaint."""

    def run(models, *options, settings=""):
        lines = ["model_list:"]
        for model, group in models:
            params = f"{{model: openai/{model}, api_base: '{upstream.api_base}', api_key: none}}"
            lines.append(
                f"  - {{model_name: {group}, litellm_params: {params}, model_info: {{id: {model}}}}}"
            )
        file = tmp_path / "config.yaml"
        file.write_text("\n".join([*lines, settings]))
        code = main(["health", str(file), *options])
        return code, *capsys.readouterr()

    return run


def test_all_that_answer_are_well_and_the_exit_code_says_so(health):
    code, out, complaint = health([("one", "gpt-4"), ("two", "gpt-4")])
    assert (code, complaint) == (0, "")
    assert "2 well, 0 not" in out
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()[2:]}
    assert rows == {"gpt-4/one": "well", "gpt-4/two": "well"}


def test_one_that_fails_is_told_with_its_error(health):
    code, out, _ = health([("one", "gpt-4"), ("broken", "gpt-4")])
    assert code == 1
    assert "1 well, 1 not" in out
    assert "InternalServerError" in next(line for line in out.splitlines() if "gpt-4/broken" in line)


def test_it_can_be_asked_of_one_group(health):
    code, out, _ = health([("one", "gpt-4"), ("broken", "small")], "--model", "gpt-4")
    assert code == 0
    assert "broken" not in out


def test_a_group_there_is_none_of_is_one_clear_line(health):
    code, out, complaint = health([("one", "gpt-4")], "--model", "gpt-5")
    assert (code, out) == (1, "")
    assert "gpt-5" in complaint
    assert complaint.count("\n") == 1


def test_as_json_it_is_the_report_of_the_router(health):
    code, out, _ = health([("one", "gpt-4"), ("broken", "gpt-4")], "--json")
    report = json.loads(out)
    assert code == 1
    assert (report["healthy_count"], report["unhealthy_count"]) == (1, 1)
    assert report["unhealthy_endpoints"][0]["deployment_id"] == "broken"


def test_it_alerts_nobody_and_keeps_nothing(health, monkeypatch):
    made = []

    class Watched(Router):
        def __init__(self, entries, **settings):
            made.append(settings)
            super().__init__(entries, **settings)

    monkeypatch.setattr(command, "Router", Watched)
    alerting = "alerting_config: {webhook_url: 'http://localhost:1'}"
    settings = f"{{{alerting}, cache_responses: true, redis_url: 'redis://localhost:1', num_retries: 2}}"
    assert health([("one", "gpt-4")], settings=f"router_settings: {settings}")[0] == 0
    assert made == [{"num_retries": 2}]


def test_a_wrong_configuration_is_not_asked(health):
    code, out, complaint = health([("one", "gpt-4")], settings="router_settings: {timeot: 1, retries: 2}")
    assert (code, out) == (1, "")
    assert "unknown setting 'timeot'" in complaint
    assert "1 more" in complaint


def test_interrupted_it_ends_quietly(health, monkeypatch):
    def interrupted(self, model=None):
        raise KeyboardInterrupt

    monkeypatch.setattr("turnout.supervisor.face.router.Router.health_check", interrupted)
    assert health([("one", "gpt-4")])[0] == 130
