"""A scenario answers what an outage does to latency, errors and the bill."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from turnout import ConfigurationError
from turnout.cli.main import _parser, main
from turnout.cli.simulate import OF_WORLDS
from turnout.history.drawing import SHADE, WIDTH
from turnout.supervisor.face.metrics_table import cells
from turnout.testing import FakeClock
from turnout.testing.drawing import CHAR_WIDTH, EDGE, Axis, Panels
from turnout.testing.scenarios import Scenario, chart, load_scenario, located, play, table
from turnout.testing.scenarios.model import ALIKE
from turnout.testing.scenarios.play import _behaviour, _schedule
from turnout.testing.scenarios.upstream import Upstream

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
    assert figures.cost == pytest.approx(figures.answered * (100e-6 + 50 * 2e-6))
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


def test_no_label_of_the_time_is_cut_off_at_the_edge_of_the_picture():
    parts = Panels(Axis(60, [(0, "14:00:00"), (30, "14:02:30"), (60, "14:04:59")])).lines(0, "p95", [])
    labels = [part for part in map(ET.fromstring, parts) if (part.text or "").startswith("14:")]
    ends = [float(label.get("x")) + CHAR_WIDTH * len(label.text) / 2 for label in labels]
    assert [label.get("text-anchor") for label in labels] == ["middle"] * 3
    assert ends[-1] == WIDTH - EDGE
    assert float(labels[1].get("x")) == Axis(60, []).x(30)


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


FILE = """\
lasts: 5m
requests_per_second: 2
deployments:
  - {id: eu, model_name: gpt-4, provider: azure, latency: {p50: 1, p95: 3}}
  - {id: us, model_name: gpt-4, provider: azure, latency: 1.5, error: 503}
"""
HAPPENS = "happens: [{at: 1m, lasts: 1m, target: azure, how: 503}]\n"


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("lasts: 5m", "latsts: 5m", "line 1: unknown key 'latsts'; did you mean 'lasts'?"),
        ("error: 503", "eror: 503", "line 5: deployments[1]: unknown key 'eror'; did you mean 'error'?"),
        ("lasts: 5m", "lasts: 5 minutes", "line 1: lasts = '5 minutes': must be a time such as 10m"),
        ("lasts: 5m", "lasts: 0", "line 1: lasts = 0: must be greater than 0"),
        ("lasts: 5m", "lasts: .inf", "line 1: lasts = inf: must be a finite number"),
        ("lasts: 5m", "lasts: true", "line 1: lasts = True: must be a time"),
        ("lasts: 5m", "lasts: 90000h", "line 1: lasts: 648,000,000 requests would come; 10,000,000 are"),
        ("p50: 1,", "p50: 0,", "line 4: deployments[0].latency.p50 = 0: must be greater than 0"),
        ("p95: 3", "p95: 0.5", "line 4: deployments[0].latency: p95 = 0.5 is below p50 = 1"),
        ("1.5", "1500ms", "line 5: deployments[1].latency = '1500ms': must be a number of seconds"),
        ("error: 503", "error: 200", "line 5: deployments[1].error = 200: must be greater than"),
        (
            "error: 503",
            "params: {rpm: 5, wieght: 2}",
            "line 5: deployments[1].params: unknown key 'wieght'; did you mean 'weight'?",
        ),
        (
            "error: 503",
            "params: {temperature: 2}",
            "line 5: deployments[1].params: unknown key 'temperature' (known: rpm, tpm, ",
        ),
        ("error: 503", "error: 503, error: 500", "line 5: 'error' is given twice, or is no text"),
        ("lasts: 5m", "5: m", "line 1: '5' is given twice, or is no text"),
        ("lasts: 5m", "router: {seed: 5}", "line 1: router.seed: a scenario is played with one of its own"),
        ("at: 1m", "at: 5m", "line 6: happens[0].at: it would begin when all is over (300 s)"),
        ("target: azure", "target: azur", "line 6: happens[0].target: no deployment or provider 'azur'"),
        ("lasts: 1m", "lasts: 0", "line 6: happens[0].lasts = 0: must be greater than 0"),
        ("how: 503", "how: 504", "line 6: happens[0].how = '504': must be 'refused'"),
        ("how: 503", "how: hang, error_rate: 0.5", "line 6: happens[0]: error_rate is for errors"),
        ("how: 503", "how: 503, slower: 2", "line 6: happens[0]: slower is for how: slow"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_its_key(tmp_path, was, becomes, said):
    path = tmp_path / "what-if.yaml"
    assert load_scenario(_written(path, FILE + HAPPENS)).happens[0].how == "503"
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(_written(path, (FILE + HAPPENS).replace(was, becomes, 1)))
    assert str(caught.value).startswith(f"what-if.yaml, {said}")


def _written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "traffic: [{model: gpt-5}]",
            r"traffic\[0\].model: no deployment serves 'gpt-5'; did you mean 'gpt-4'",
        ),
        ("router: {num_retries: -1}", "num_retries = -1"),
    ],
)
def test_what_no_router_takes_is_told_in_the_words_of_the_file(tmp_path, more, said):
    made = load_scenario(_written(tmp_path / "what-if.yaml", FILE + more))
    with pytest.raises(ConfigurationError, match=said):
        play(made)


def test_a_wrong_parameter_is_told_under_the_name_it_has_in_the_file(tmp_path):
    text = FILE.replace("error: 503", "params: {rpm: -5}")
    made = load_scenario(_written(tmp_path / "what-if.yaml", text))
    with pytest.raises(ConfigurationError, match=r"^deployments\[1\].params.rpm = -5"):
        play(made)


@pytest.mark.parametrize(
    "given",
    ["model: openai/x", "base_url: 'http://h'", "output_cost_per_token_batches: 1.0e-6", "cache: false"],
)
def test_what_a_router_takes_a_scenario_takes(tmp_path, given):
    text = FILE.replace("error: 503", f"params: {{{given}}}").replace("lasts: 5m", "lasts: 5s")
    made = load_scenario(_written(tmp_path / "what-if.yaml", text))
    assert play(made).requests > 0


def test_of_two_incidents_at_a_time_the_later_one_counts_and_the_first_goes_on_when_it_is_over():
    first = {"at": 60, "lasts": 180, "target": "azure", "how": "hang"}
    second = {"at": 120, "lasts": 60, "target": "eu", "how": "503"}
    made = scenario(happens=[first, second])
    clock = FakeClock()
    usual = {d.id: _behaviour(d) for d in made.deployments}
    upstream = Upstream(dict(usual), None)
    for deployment in made.deployments:
        _schedule(clock, upstream, made, deployment)
    seen = []
    for _ in range(5):
        eu = upstream.by_deployment["eu"]
        seen.append("hangs" if eu.hangs else "usual" if eu == usual["eu"] else eu.status)
        clock.advance(60)
    assert seen == ["usual", "hangs", 503, "hangs", "usual"]


def test_an_incident_that_outlasts_what_is_played_is_shaded_within_the_picture():
    made = scenario(lasts=300, happens=[{"at": 240, "lasts": 6000, "target": "eu"}])
    root = ET.fromstring(chart(made, play(made, calm=True), play(made)))
    shades = [element for element in root if element.get("fill") == SHADE]
    assert shades
    assert all(float(each.get("x")) + float(each.get("width")) <= WIDTH for each in shades)


def test_where_nobody_is_answered_there_is_no_p95_and_where_no_price_is_known_no_bill():
    bare = [{"id": "größe-模型", "model_name": "gpt-4"}]
    made = scenario(deployments=bare, happens=[{"at": 60, "lasts": 60, "target": "größe-模型", "how": "401"}])
    real = play(made)
    assert not real.minutes[1].seconds
    root = ET.fromstring(chart(made, play(made, calm=True), real))
    lines = [each for each in root if each.tag.endswith("polyline")]
    assert len(lines) == 5  # the p95 with the incident is in two pieces
    text = table(["as it is"], [[real]])
    rows = dict(line.rsplit(maxsplit=1) for line in text.splitlines()[1:])
    assert rows["bill"] == "–"
    assert {cells(line) for line in text.splitlines()} == {cells(text.splitlines()[0])}


def test_the_command_plays_a_file_and_draws_it(tmp_path, capsys):
    path, svg = tmp_path / "short.yaml", tmp_path / "short.svg"
    path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("lasts: 1h", "lasts: 21m"), encoding="utf-8")
    assert main(["simulate", str(path), "--seeds", "1", "--svg", str(svg)]) == 0
    out = capsys.readouterr().out
    assert "p95" in out
    assert "bill" in out
    assert svg.read_text(encoding="utf-8").startswith("<svg")


def test_a_short_prompt_costs_the_tokens_that_the_file_says_and_not_what_the_router_guesses():
    figures = play(scenario(traffic=[{"model": "gpt-4", "prompt_tokens": 1, "max_tokens": 1}]))
    assert figures.cost == pytest.approx(figures.answered * 3e-6)


def test_the_bill_holds_what_was_paid_for_attempts_that_lost():
    two = [
        {
            "id": name,
            "model_name": "gpt-4",
            "latency": 1,
            "input_cost_per_token": 1e-3,
            "output_cost_per_token": 0,
        }
        for name in ("eu", "us")
    ]
    router = {"hedge_after": 0.5, "hedge_budget": 1.0}
    made = scenario(deployments=two, router=router, happens=[], traffic=[{"model": "gpt-4"}])
    figures = play(made)
    assert figures.cost > figures.answered * 1.9 * 500e-3  # each request made two calls


@pytest.mark.parametrize(
    ("latency", "happens", "errors"),
    [
        (300, [], {}),  # answers that come long after the last request
        (1, [{"at": 0, "lasts": "5m", "target": "eu", "how": "hang"}], {"Timeout"}),
    ],
)
def test_what_is_still_open_when_all_have_come_is_played_to_its_end(latency, happens, errors):
    one = [{"id": "eu", "model_name": "gpt-4", "latency": latency}]
    figures = play(scenario(deployments=one, router={}, happens=happens))
    assert set(figures.errors) == set(errors)
    assert figures.answered + figures.errors.total() == figures.requests > 0
    assert figures.open == 0


def test_where_no_request_came_nothing_is_said_of_shares_and_times():
    made = scenario(requests_per_second=1e-9, happens=[])
    text = table(["as it is"], [[play(made), play(made)]])
    rows = dict(line.rsplit(maxsplit=1) for line in text.splitlines()[1:])
    assert rows["requests"] == "0"
    assert {rows[name] for name in ("answered", "errors", "p50", "p95", "p99", "bill")} == {"–"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a {b: *a}", "wrong.yaml: something in it holds itself"),
        ("a: &a [1, [*a]]", "wrong.yaml: something in it holds itself"),
        ("a: " + "[" * 3000 + "]" * 3000, "wrong.yaml is nested too deep"),
        (b"name: \xff", "wrong.yaml is no text in UTF-8"),
    ],
    ids=["a mapping", "a list", "deep", "bytes"],
)
def test_a_file_that_no_parser_could_make_sense_of_is_one_clear_error(tmp_path, text, said):
    path = tmp_path / "wrong.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path)
    assert str(caught.value) == said


def test_anchors_of_anchors_are_looked_at_once_and_not_as_often_as_they_are_used(tmp_path):
    lines = ["name: &a0 many"] + [f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]" for n in range(1, 40)]
    path = _written(tmp_path / "laugh.yaml", "\n".join([*lines, FILE]))  # would be 9 ** 39 of them
    with pytest.raises(ConfigurationError, match="line 2: unknown key 'a1'"):
        load_scenario(path)


def test_the_same_mapping_used_twice_is_no_circle(tmp_path):
    text = FILE.replace("latency: {p50: 1, p95: 3}", "latency: &usual {p50: 1, p95: 3}").replace(
        "1.5", "*usual"
    )
    made = load_scenario(_written(tmp_path / "what-if.yaml", text))
    assert made.deployments[0].latency == made.deployments[1].latency


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("traffic: [{model: gpt-5}]\n", "line 6: traffic[0].model: no deployment serves 'gpt-5'"),
        (
            "router:\n  num_retrys: 2\n",
            "line 7: router: unknown key 'num_retrys'; did you mean 'num_retries'?",
        ),
        ("router:\n\n  num_retries: -1\n", "line 8: router.num_retries = -1: must be greater"),
        (
            "router: {routing_strategy: fastest}\n",
            "line 6: router.routing_strategy = 'fastest': must be one of",
        ),
        ("  - {id: eu, model_name: x}\n", "line 6: deployments[2].id = 'eu': deployments[0] has this id"),
        (
            "  - id: x\n    model_name: x\n    params:\n      rpm: -5\n",
            "line 9: deployments[2].params.rpm = -5",
        ),
    ],
)
def test_the_command_tells_where_in_the_file_stands_what_no_router_takes(tmp_path, capsys, more, said):
    assert main(["simulate", str(_written(tmp_path / "what-if.yaml", FILE + more)), "--seeds", "1"]) == 1
    assert capsys.readouterr().err.startswith(f"turnout: what-if.yaml, {said}")


def test_a_file_that_cannot_be_read_is_told_in_words(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "none.yaml")]) == 1
    assert capsys.readouterr().err.endswith("none.yaml cannot be read: No such file or directory\n")


def test_a_picture_without_a_place_is_refused_before_anything_is_played(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("turnout.cli.play.play", None)
    path = _written(tmp_path / "what-if.yaml", FILE)
    assert main(["simulate", str(path), "--svg", str(tmp_path / "nowhere" / "x.svg")]) == 1
    assert "there is no directory" in capsys.readouterr().err


@pytest.mark.parametrize("option", sorted(option for option, _ in OF_WORLDS.values()))
def test_what_would_have_no_effect_on_a_scenario_is_refused(tmp_path, capsys, option):
    path = _written(tmp_path / "what-if.yaml", FILE)
    value = [] if option in ("--stop-at-first", "--no-shrink") else ["7"]
    assert main(["simulate", str(path), option, *value]) == 1
    assert capsys.readouterr().err.startswith(f"turnout: {option} is for worlds that are drawn")


def test_the_usual_values_of_what_is_refused_are_those_of_the_command():
    parsed = _parser(["simulate"]).parse_args(["simulate"])
    assert {name: getattr(parsed, name) for name in OF_WORLDS} == {
        name: usual for name, (_, usual) in OF_WORLDS.items()
    }


def test_one_seed_has_no_mean(tmp_path, capsys):
    path = _written(tmp_path / "what-if.yaml", FILE)
    assert main(["simulate", str(path), "--seeds", "1"]) == 0
    assert capsys.readouterr().out.startswith("scenario: 5 min, 1 seed\n")


@pytest.mark.parametrize("name", sorted(ALIKE))
def test_what_depends_on_how_alike_requests_are_is_refused(tmp_path, name):
    path = tmp_path / "what-if.yaml"
    load_scenario(_written(path, FILE + f"router: {{{name}: false}}\n"))
    with pytest.raises(ConfigurationError, match=rf"line 6: router\.{name}: a scenario does not say"):
        load_scenario(_written(path, FILE + f"router: {{{name}: true}}\n"))


def test_what_a_router_says_in_a_sentence_is_no_key(tmp_path):
    path = _written(tmp_path / "what-if.yaml", FILE + "router: {num_retries: 1}\n")
    assert located(path, "a router needs a roof: build one") == (
        "what-if.yaml, line 6: router: a router needs a roof: build one"
    )


def test_a_warning_is_told_once_and_not_with_each_play(tmp_path):
    path = _written(tmp_path / "what-if.yaml", FILE + HAPPENS + "router: {fallbacks: [{gpt-4: [nope]}]}\n")
    words = [sys.executable, "-m", "turnout", "simulate", str(path), "--seeds", "2"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert ended.stderr.count("no model group 'nope'") == 1
