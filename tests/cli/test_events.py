"""`events`: what a journal holds, as lines or as JSON, beside the router that writes it."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from turnout import Router
from turnout.cli import events
from turnout.cli.main import main
from turnout.messages.events import EVENT_TYPES
from turnout.testing import FakeClock, SimulatedProviders

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "eu"}}
MESSAGES = [{"role": "user", "content": "a prompt that nobody may see"}]
START = 1_700_000_000


def router_on(file):
    clock = FakeClock(start=START)
    return Router([ENTRY], journal=f"sqlite:///{file}", clock=clock, caller=SimulatedProviders(), seed=1)


@pytest.fixture
def file(tmp_path):
    with router_on(tmp_path / "j.db") as router:
        router.completion("gpt-4", MESSAGES)
        router._dispatcher.clock.advance(60)
        router.completion("gpt-4", MESSAGES)
    return tmp_path / "j.db"


@pytest.fixture
def shown(capsys):
    def run(*arguments):
        code = main(["events", *map(str, arguments)])
        out, complaint = capsys.readouterr()
        return code, out.splitlines(), complaint

    return run


def test_each_event_is_a_line_with_its_time_its_place_and_what_happened(file, shown):
    code, lines, complaint = shown(file)
    assert (code, complaint) == (0, "")
    assert lines[0].startswith("2023-11-14 22:13:20.000  #1  router  ")
    assert "  deployment eu joins group 'gpt-4'" in lines[1]
    assert any("  deployment/eu  call " in line for line in lines)
    assert not any("nobody may see" in line for line in lines)


def test_as_json_each_line_is_the_event_with_all_its_fields(file, shown):
    _, lines, _ = shown(file, "--json")
    found = [json.loads(line) for line in lines]
    assert [one["position"] for one in found] == list(range(1, len(found) + 1))
    accepted = next(one for one in found if one["type"] == "request_accepted")
    assert accepted["stream"] == f"request/{accepted['event']['request_id']}"
    assert (accepted["version"], accepted["event"]["group"]) == (1, "gpt-4")


@pytest.mark.parametrize("stream", ["router", "deployment/eu", "deployment", "request"])
def test_a_stream_or_a_kind_of_stream_is_chosen(file, shown, stream):
    _, lines, _ = shown(file, "--stream", stream, "--json")
    streams = {json.loads(line)["stream"] for line in lines}
    assert streams
    assert all(name == stream or name.startswith(f"{stream}/") for name in streams)


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        ("deployments", "no stream is called 'deployments'; did you mean 'deployment'?"),
        ("router/eu", "no stream is called 'router/eu'"),
        ("", "no stream is called ''"),
    ],
)
def test_a_stream_that_cannot_be_is_told(file, shown, stream, told):
    code, lines, complaint = shown(file, "--stream", stream)
    assert (code, lines) == (1, [])
    assert told in complaint


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        ("deployment/ue", "nothing of 'deployment/ue'; did you mean 'deployment/eu'?"),
        ("request/nobody", "nothing of 'request/nobody'"),
    ],
)
def test_of_whom_there_is_nothing_is_told_where_a_person_sees_it(file, shown, stream, told):
    code, lines, complaint = shown(file, "--stream", stream)
    assert (code, lines) == (0, [])
    assert told in complaint


def test_types_are_chosen_and_a_wrong_one_is_told_with_a_hint(file, shown):
    _, lines, _ = shown(file, "--type", "call_started", "--type", "request_succeeded", "--json")
    assert {json.loads(line)["type"] for line in lines} == {"call_started", "request_succeeded"}
    code, _, complaint = shown(file, "--type", "call_startet")
    assert code == 1
    assert "call_started" in complaint


def test_only_what_happened_since_a_moment_is_shown(file, shown):
    everything = shown(file, "--json")[1]
    for moment in ("2023-11-14T22:14:00Z", f"@{START + 30}"):
        later = [json.loads(line) for line in shown(file, "--since", moment, "--json")[1]]
        assert later
        assert all(one["at"] > START + 30 for one in later)
    assert shown(file, "--since", "#3", "--json")[1] == everything[3:]
    assert shown(file, "--since", "10m")[1] == []
    assert shown(file, "--since", "soon")[0] == 1


def test_every_event_has_words(file, shown):
    _, lines, _ = shown(file)
    assert all(len(line.split("  ", 3)[3]) > 3 for line in lines)
    assert EVENT_TYPES


def test_following_shows_what_is_written_meanwhile_and_ends_on_ctrl_c(tmp_path, shown, monkeypatch):
    file = tmp_path / "j.db"
    with router_on(file) as router:
        router._journal.confirm().get()
        looks = iter(("a request", "nothing", "the end"))

        def instead_of_waiting(seconds):
            assert 0 < seconds <= 1
            now = next(looks)
            if now == "a request":
                router.completion("gpt-4", MESSAGES)
                router._journal.confirm().get()
            elif now == "the end":
                raise KeyboardInterrupt

        monkeypatch.setattr(events, "_wait", instead_of_waiting)
        code, lines, _ = shown(file, "--follow", "--json")
        recorded = [r.position for r in router.events()]
    assert code == 130
    assert [json.loads(line)["position"] for line in lines] == recorded


def test_following_goes_on_when_the_router_is_closed_and_another_begins(tmp_path, shown, monkeypatch):
    file = tmp_path / "j.db"
    router_on(file).close()
    lives = iter(range(2))

    def another_life(seconds):
        if next(lives, None) is None:
            raise KeyboardInterrupt
        router_on(file).close()

    monkeypatch.setattr(events, "_wait", another_life)
    _, lines, _ = shown(file, "--follow", "--type", "router_started", "--json")
    assert len(lines) == 3


def test_a_real_ctrl_c_ends_it_with_130(file):
    program = subprocess.Popen(
        [sys.executable, "-m", "turnout", "events", str(file), "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(60, program.kill)
    killer.start()
    try:
        assert program.stdout.readline().startswith("2023-11-14")
        program.send_signal(signal.SIGINT)
        _, complaint = program.communicate()
    finally:
        killer.cancel()
    assert (program.returncode, complaint) == (130, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_one_line(file):
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "turnout", "events", str(file)]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"turnout: it could not go on: [Errno 28]")
    assert ended.stderr.count(b"\n") == 1


def test_what_is_no_journal_is_one_line(tmp_path, shown):
    (tmp_path / "x.db").write_bytes(b"nothing of the kind" * 1000)
    for name in ("x.db", "none.db"):
        code, lines, complaint = shown(tmp_path / name)
        assert (code, lines, complaint.count("\n")) == (1, [], 1)


@pytest.mark.parametrize(
    "words", [("explain", "FILE", "\udcff" * 4), ("events", "FILE", "--stream", "request/\udcff")]
)
def test_bytes_that_are_no_text_name_nothing(capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert caught.value.code == 2
    assert "is no text in UTF-8" in capsys.readouterr().err
