"""A scenario answers what an outage does to latency, errors and the bill."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from turnout import ConfigurationError
from turnout.cli.main import main
from turnout.testing.scenarios import Scenario, chart, load_scenario, play, table

EXAMPLE = Path(__file__).parents[2] / "examples" / "outage.yaml"

PRICE = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


def scenario(**changes):
    fields = {
        "lasts": "5m",
        "requests_per_second": 2,
        "deployments": [
            {"id": "eu", "model_name": "gpt-4", "provider": "azure", "latency": 1.0, **PRICE},
            {"id": "us", "model_name": "gpt-4", "latency": {"p50": 2.0, "p95": 6.0}, **PRICE},
        ],
        "router": {"num_retries": 1, "cooldown_time": 10},
        "happens": [{"at": "1m", "lasts": "2m", "target": "eu", "how": "503"}],
    }
    return Scenario(**{**fields, **changes})


def test_an_outage_moves_the_traffic_and_lengthens_the_tail():
    made = scenario()
    usual, real = play(made, calm=True), play(made)
    assert usual.requests == real.requests
    assert real.failed_attempts > usual.failed_attempts == 0
    assert real.served["us"] > usual.served["us"]
    assert real.quantile(0.5) > usual.quantile(0.5)
    during = [minute.served["eu"] for minute in real.minutes]
    assert during[1] < during[0]
    assert during[2] == 0
    assert during[4] > 0


def test_every_request_is_answered_or_failed_and_the_bill_is_what_tokens_cost():
    figures = play(scenario(traffic=[{"model": "gpt-4", "prompt_tokens": 100, "max_tokens": 50}]))
    assert figures.answered + figures.errors.total() == figures.requests
    assert figures.cost == pytest.approx(figures.answered * (104e-6 + 50 * 2e-6))
    assert figures.unpriced == 0


def test_the_same_seed_gives_the_same_figures_and_another_seed_others():
    made = scenario()
    assert play(made, seed=4) == play(made, seed=4)
    assert play(made, seed=4).cost != play(made, seed=5).cost


@pytest.mark.parametrize("how", ["refused", "hang", "slow", "401", "429", "500"])
def test_things_go_wrong_in_every_way(how):
    made = scenario(
        router={"timeout": 20, "num_retries": 1},
        happens=[{"at": 0, "lasts": "5m", "target": "azure", "how": how}],
    )
    real = play(made)
    assert real.answered + real.errors.total() == real.requests
    assert real.served["us"] > real.served["eu"]


def test_a_table_has_a_row_for_what_users_ask_and_a_column_for_each_play():
    made = scenario()
    text = table(["without", "with"], [[play(made, seed, calm=True) for seed in (1, 2)], [play(made)]])
    for row in ("p95", "errors", "bill", "share of eu"):
        assert row in text
    assert "±" in text


def test_a_chart_is_well_formed_and_shades_the_incident():
    made = scenario(name="eu & <us>")
    root = ET.fromstring(chart(made, play(made, calm=True), play(made)))
    kinds = [element.tag.rpartition("}")[2] for element in root]
    assert kinds.count("polyline") == 4
    assert kinds.count("polygon") == 2
    assert "eu & <us>" in [element.text for element in root]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "happens: [{at: 1m, lasts: 1m, target: azure-ue}]\ndeployments: [{id: azure-eu, model_name: m}]",
            "azure-eu",
        ),
        ("deployments: []", "deployments"),
        ("- a list", "mapping"),
        ("deployments: [", "not YAML"),
        ("lasts: soon\ndeployments: [{id: a, model_name: m}]", "10m"),
        ("deploymints: [{id: a, model_name: m}]", "deploymints"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path, text, said):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        load_scenario(path)


def test_the_command_plays_a_file_and_draws_it(tmp_path, capsys):
    path, svg = tmp_path / "short.yaml", tmp_path / "short.svg"
    path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("lasts: 1h", "lasts: 2m"), encoding="utf-8")
    assert main(["simulate", str(path), "--seeds", "1", "--svg", str(svg)]) == 0
    out = capsys.readouterr().out
    assert "p95" in out
    assert "bill" in out
    assert svg.read_text(encoding="utf-8").startswith("<svg")
