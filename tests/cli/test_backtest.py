"""`backtest`: recorded requests under other settings, as a table, as data and as a picture."""

import json
import signal
import xml.etree.ElementTree as ET

import pytest

from turnout import CompletionRequest, Router
from turnout.actors.journal.sqlite_reader import SqliteReader
from turnout.backtest.providers import DrawnProviders
from turnout.cli.main import main
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders, uniform

START = 1_767_225_600
MESSAGES = [{"role": "user", "content": "a prompt that nobody may see"}]
ASKED = CompletionRequest(model="gpt-4", messages=MESSAGES)


def entry(name, **params):
    return {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-secret-key", **params},
        "model_info": {"id": name, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    }


def record(file, requests=120, start=START, **settings):
    clock = FakeClock(start=start)
    providers = SimulatedProviders(
        {"eu": SimulatedProvider(latency=uniform(0.2, 0.4))},
        default=SimulatedProvider(latency=uniform(1.0, 2.0), error_rate=0.1),
        seed=3,
    )
    with Router(
        [entry("eu"), entry("us")],
        journal=f"sqlite:///{file}",
        clock=clock,
        caller=providers,
        seed=3,
        **{"num_retries": 1, **settings},
    ) as router:
        for _ in range(requests):
            router.ask(ASKED, block=False)
            clock.advance(1)
        clock.advance(30)
    return str(file)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return record(tmp_path_factory.mktemp("backtest") / "turnout.db")


def failure(capsys, *words):
    assert main(["backtest", *words]) == 1
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint.startswith("turnout: ")
    assert complaint.count("\n") == 1
    return complaint


def test_candidates_stand_beside_the_record(file, capsys):
    words = [
        "--set",
        "routing_strategy=latency-based-routing",
        "--vs",
        "--set",
        "num_retries=0",
        "--seeds",
        "4",
    ]
    assert main(["backtest", file, *words]) == 0
    printed, complaint = capsys.readouterr()
    assert complaint == ""
    head = next(line for line in printed.splitlines() if "recorded" in line)
    assert head.split() == ["recorded", "unchanged", "latency-based-routing", "num_retries=0"]
    for row in ("p50", "p95", "p99", "errors", "retries", "waits", "bill", "share of eu"):
        assert f"\n{row}" in printed
    assert "\nlatency-based-routing: " in printed
    assert "What the record cannot say:\n· whether eu can take" in printed
    assert "secret" not in printed


def test_a_candidate_may_stand_behind_vs_at_once(file, capsys):
    words = ["--set", "num_retries=2", "--vs", "num_retries=0", "cooldown_time=9", "--set", "timeout=20"]
    assert main(["backtest", file, *words, "--seeds", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = [column["name"] for column in told["columns"]]
    assert names == ["unchanged", "num_retries=2", "num_retries=0, cooldown_time=9, timeout=20"]


def test_one_seed_has_no_brackets_and_says_so(file, capsys):
    assert main(["backtest", file, "--seeds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "one seed (which does not tell how sure a figure is)" in printed
    assert "–" not in printed.split("\n\n")[1]


def test_a_small_bill_is_not_nothing(tmp_path, capsys):
    small = record(tmp_path / "small.db", requests=3)
    assert main(["backtest", small, "--seeds", "2"]) == 0
    (bill,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bill")]
    assert "0.0001 $" in bill


def test_as_data(file, capsys):
    assert main(["backtest", file, "--set", "cooldown_time=30", "--seeds", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requests"] == 120
    assert [column["name"] for column in told["columns"]] == ["unchanged", "cooldown_time=30"]
    p95 = told["columns"][1]["figures"]["p95"]
    assert 0 < p95["low"] <= p95["mean"] <= p95["high"]
    assert set(told["columns"][1]["differences"]) == set(told["columns"][1]["figures"])
    assert told["columns"][0]["differences"] == {}


def test_without_a_candidate_the_record_is_held_against_itself(file, capsys):
    assert main(["backtest", file, "--seeds", "5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [column["name"] for column in told["columns"]] == ["unchanged"]
    assert told["not_reproduced"] == []


def test_the_same_seeds_give_the_same_words(file, capsys):
    words = ["backtest", file, "--set", "num_retries=2", "--seeds", "2"]
    printed = []
    for _ in range(2):
        assert main(words) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


@pytest.mark.parametrize("option", ["--svg", "--chart"])
def test_a_picture(file, tmp_path, capsys, option):
    picture = tmp_path / "picture.svg"
    words = [
        "--set",
        "num_retries=2",
        "--vs",
        "--set",
        "cooldown_time=9",
        "--seeds",
        "1",
        option,
        str(picture),
    ]
    assert main(["backtest", file, *words]) == 0
    root = ET.fromstring(picture.read_text(encoding="utf-8"))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "recorded" in texts
    assert "cooldown_time=9" in texts
    assert sum(element.tag.endswith("polyline") for element in root.iter()) >= 6


def test_a_stretch_is_counted_and_what_was_before_it_only_played(file, capsys):
    words = ["--from", f"@{START + 60}", "--to", f"@{START + 89.5}", "--seeds", "1", "--json"]
    assert main(["backtest", file, *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requests"] == 30
    assert told["began"] == START + 60
    assert told["unknown"] == []


def test_a_whole_other_configuration(file, tmp_path, capsys):
    config = tmp_path / "tomorrow.yaml"
    config.write_text(
        "model_list:\n"
        "- model_name: gpt-4\n"
        "  litellm_params: {model: openai/gpt-4o, api_key: os.environ/NOBODY_SET_THIS}\n"
        "  model_info: {id: eu}\n"
        "router_settings: {num_retries: 3}\n"
    )
    assert (
        main(["backtest", file, "--config", str(config), "--set", "timeout=9", "--seeds", "1", "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["columns"][1]["name"] == "tomorrow, timeout=9"
    assert told["columns"][1]["figures"]["share of eu"]["mean"] == 1.0
    config.write_text("model_list:\n- model_name: other\n  litellm_params: {model: openai/gpt-4o}\n")
    assert "no model 'gpt-4'" in failure(capsys, file, "--config", str(config), "--seeds", "1")
    config.write_text("model_lists: []\n")
    assert "turnout check" in failure(capsys, file, "--config", str(config), "--seeds", "1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "routing_strat=adaptive"], "did you mean 'routing_strategy'"),
        (["--set", "routing_strategy=adaptiv"], "did you mean 'adaptive'"),
        (["--set", "cooldown_time"], "NAME=VALUE"),
        (["--set", "cooldown_time=[1"], "not YAML"),
        (["--set", "cache_responses=true"], "cannot be backtested"),
        (["--set", "num_retries=1", "--vs"], "changes nothing"),
        (["--set", "num_retries=1", "--vs", "cooldown_time"], "--vs cooldown_time: write NAME=VALUE"),
        (["--from", f"@{START + 60}", "--to", f"@{START + 30}"], f"from @{START + 60} to @{START + 30}"),
        (["--svg", "no/such/place.svg"], "there is no directory no/such"),
        (["--svg", "."], "it is a directory"),
        (["--from", "2030-01-01"], "no request"),
        (["--from", "soon"], "no moment"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(file, capsys, words, says):
    assert says in failure(capsys, file, *words, "--seeds", "1")


@pytest.mark.parametrize("seeds", ["0", "1001", "many"])
def test_so_many_seeds_are_wrong_usage(file, capsys, seeds):
    with pytest.raises(SystemExit) as end:
        main(["backtest", file, "--seeds", seeds])
    assert end.value.code == 2


def test_no_journal_and_an_empty_one(tmp_path, capsys):
    assert "there is no such file" in failure(capsys, str(tmp_path / "none.db"))
    empty = record(tmp_path / "empty.db", requests=0)
    assert "no request in it can be played again" in failure(capsys, empty)


def test_a_record_of_images_says_why_there_is_nothing_to_play(tmp_path, capsys):
    clock = FakeClock(start=START)
    file = tmp_path / "images.db"
    with Router(
        [entry("eu")], journal=f"sqlite:///{file}", clock=clock, caller=SimulatedProviders(), seed=1
    ) as router:
        router.image_generation("a text", "gpt-4")
    assert "1 of kind image_generation" in failure(capsys, str(file))


def test_ctrl_c_ends_it(file, monkeypatch, capsys):
    def interrupted(*_args, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr("turnout.backtest.backtest.play", interrupted)
    assert main(["backtest", file, "--seeds", "1"]) == 130
    assert capsys.readouterr().out == ""


def test_ctrl_c_in_the_midst_of_a_play_is_no_crash_of_an_actor(file, monkeypatch, capsys):
    reply, calls = DrawnProviders.reply, []

    def pressed(self, asked):
        calls.append(asked)
        if len(calls) == 50:
            signal.raise_signal(signal.SIGINT)
        return reply(self, asked)

    monkeypatch.setattr(DrawnProviders, "reply", pressed)
    before = signal.getsignal(signal.SIGINT)
    assert main(["backtest", file, "--seeds", "9"]) == 130
    assert capsys.readouterr() == ("", "")
    assert 50 < len(calls) < 200  # to the end of what it was at, and no farther
    assert signal.getsignal(signal.SIGINT) is before


def test_the_journal_is_only_read(tmp_path, capsys):
    file = tmp_path / "mine.db"
    record(file)
    before = file.read_bytes()
    assert main(["backtest", str(file), "--seeds", "1"]) == 0
    assert file.read_bytes() == before


def test_a_journal_whose_beginning_retention_removed_says_since_when(tmp_path, capsys):
    for life in range(4):
        file = record(tmp_path / "trimmed.db", 100, START + 200 * life, journal_max_age=60)
    with SqliteReader.open(file) as reader:
        assert reader.trimmed().events > 1_000
    assert main(["backtest", file, "--seeds", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 20 < told["requests"] < 200
    assert {name for name in told["recorded"] if name.startswith("share")} == {"share of eu", "share of us"}
    (said,) = [each for each in told["unknown"] if "retention" in each]
    assert said.startswith("what was before 2026-01-01 00:")
    for since, says in ((START + 1, True), (told["began"] + 20, False)):
        assert main(["backtest", file, "--from", f"@{since}", "--seeds", "1"]) == 0
        assert ("retention" in capsys.readouterr().out) is says


@pytest.mark.parametrize("name", ["journal", "model_list", "seed", "clock"])
def test_what_the_play_has_of_its_own_is_no_setting_to_change(file, capsys, name):
    assert f"'{name}' is the play's own" in failure(capsys, file, "--set", f"{name}=3")


@pytest.mark.parametrize("value", ["2026-13-40", "[" * 5000], ids=["no day", "deep"])
def test_a_value_that_no_yaml_is_is_one_line(file, capsys, value):
    assert "the value is not YAML" in failure(capsys, file, "--set", f"cooldown_time={value}")
