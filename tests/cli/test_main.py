"""The commands as a person at a terminal meets them."""

import os
import shutil
import signal
import subprocess
import sys
from io import StringIO

import pytest

import turnout
import turnout.__main__
from turnout.cli.main import COMMANDS, main
from turnout.testing.upstream import Behaviour, Span, run_upstream

ASKED_AT_MOST = 10_000
"""So often the upstream is asked whether something has happened."""

MODELS = {
    "broken": Behaviour(error_rate=1.0, error_status=500),
    "locked": Behaviour(error_rate=1.0, error_status=401),
    "cuts": Behaviour(cut_streams=1.0),
    "slow": Behaviour(latency=Span(3600.0)),
}

MOCKED = {"model": "openai/m", "api_key": "none", "mock_response": "Hello yourself"}


@pytest.fixture(scope="module")
def upstream():
    with run_upstream(Behaviour(words=9), MODELS, seed=5) as running:
        yield running


@pytest.fixture
def ask(upstream, capsys):
    def ask(*arguments, model="m"):
        code = main(["ask", model, *arguments, "--api-base", upstream.api_base])
        return code, *capsys.readouterr()

    return ask


ANSWER = 'This is m. You said: "Hello", and so the\n'


@pytest.mark.parametrize("how", [[], ["--no-stream"]])
def test_an_answer_is_printed(ask, how):
    assert ask("Hello", *how) == (0, ANSWER, "")


def test_a_dash_reads_the_question_from_stdin(ask, monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO("Hello"))
    assert ask("-") == (0, ANSWER, "")


def test_a_failure_is_one_line_and_exit_code_1(ask):
    code, out, complaint = ask("Hello", model="broken")
    assert (code, out) == (1, "")
    assert complaint.startswith("turnout: InternalServerError: ")
    assert complaint.count("\n") == 1


def test_a_refused_key_is_told_with_where_it_should_have_been(ask, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-0123456789abcdef")
    code, _, complaint = ask("Hello", "--key-env", "MY_KEY", model="locked")
    assert code == 1
    assert "MY_KEY" in complaint
    assert "0123456789" not in complaint


def test_a_stream_that_breaks_off_shows_what_came_and_fails(ask):
    code, out, complaint = ask("Hello", model="cuts")
    assert code == 1
    assert out.startswith("This")
    assert out.endswith("\n")
    assert complaint.startswith("turnout: the answer broke off")


def test_a_timeout_is_a_failure(ask):
    code, _, complaint = ask("Hello", "--timeout", "0.05", model="slow")
    assert code == 1
    assert "Timeout" in complaint


def test_a_model_of_no_known_provider_is_a_failure_before_anything_is_sent(capsys):
    assert main(["ask", "nosuch/model", "Hello"]) == 1
    assert "nosuch" in capsys.readouterr().err


def test_a_variable_that_is_not_set_is_named(ask):
    code, _, complaint = ask("Hello", "--key-env", "TURNOUT_NO_SUCH_KEY")
    assert code == 1
    assert "TURNOUT_NO_SUCH_KEY" in complaint


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["ask", "m"],
        ["demo", "--requests", "0"],
        ["demo", "--rate", "fast"],
        ["upstream", "--error-rate", "2"],
        ["upstream", "--model", "m:speed=1"],
        ["upstream", "--model", ":words=1"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: turnout" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ask", "demo", "upstream"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"python -m turnout {command}" in capsys.readouterr().out


def test_ctrl_c_in_ask_cancels_the_call_upstream_and_is_exit_code_130(upstream):
    def seen(what, times):
        return any(upstream.stats()["slow"].get(what, 0) >= times for _ in range(ASKED_AT_MOST))

    before = upstream.stats()["slow"]
    command = [sys.executable, "-m", "turnout", "ask", "slow", "Hi", "--api-base", upstream.api_base]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert seen("requests", before.get("requests", 0) + 1)
            process.send_signal(signal.SIGINT)
            out, complaints = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, complaints) == (130, b"", b"")
    assert seen("left", before.get("left", 0) + 1)


@pytest.mark.parametrize("how", [[], ["--no-stream"]])
def test_a_reader_that_leaves_is_no_crash(upstream, how):
    command = [sys.executable, "-m", "turnout", "ask", "m", "Hi", "--api-base", upstream.api_base, *how]
    read, write = os.pipe()
    os.close(read)
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    ended = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, env=buffered, timeout=20, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_without_a_command_it_shows_what_there_is(capsys):
    with pytest.raises(SystemExit):
        main([])
    said = capsys.readouterr().err
    assert "examples:" in said
    assert "check" in said


def test_it_tells_its_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"turnout {turnout.__version__}\n"


def test_ctrl_c_is_no_traceback_while_a_command_is_still_being_imported(monkeypatch, capsys):
    def interrupted(name, package=None):
        raise KeyboardInterrupt

    monkeypatch.setattr("turnout.cli.main.import_module", interrupted)
    assert main(["replay", "turnout.db"]) == 130
    assert capsys.readouterr() == ("", "")


PRESSED_AT = """
import os, runpy, signal, sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            {press}

sys.meta_path.insert(0, CtrlC())
sys.argv = ["turnout", "events", "turnout.db"]
try:
    runpy.run_module("turnout", run_name="__main__")
except KeyboardInterrupt:
    raise RuntimeError("which some modules make of it") from None
"""


@pytest.mark.parametrize("press", ["raise KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGINT)"])
@pytest.mark.parametrize(
    "module", ["turnout.cli", "turnout.cli.main", "argparse", "turnout.cli.events", "turnout.messages.errors"]
)
def test_ctrl_c_is_no_traceback_from_the_first_import_on(module, press):
    program = PRESSED_AT.format(module=module, press=press)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


def test_from_python_ctrl_c_is_an_exception_again_when_the_command_begins(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("turnout.cli.stats.run", lambda _: seen.append(signal.getsignal(signal.SIGINT)) or 0)
    assert turnout.__main__.main(["stats", str(tmp_path)]) == 0
    assert seen == [signal.default_int_handler]


@pytest.mark.parametrize("words", ["J ID --json", "J --json ID", "--json J ID"])
def test_options_may_stand_between_what_else_is_said(words, tmp_path, capsys):
    words = words.replace("J ", f"{tmp_path / 'none.db'} ").split()
    assert main(["explain", *words]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_a_word_too_many_is_told_with_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["explain", "turnout.db", "an-id", "another"])
    assert caught.value.code == 2
    assert "usage: turnout explain" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["events", "explain", "stats", "trim"])
def test_who_looks_into_a_journal_does_not_wait_for_what_a_router_needs(command):
    program = f"import sys, turnout.cli.{command}; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"aiohttp", "asyncio", "httpx", "pydantic", "pykka", "yaml"} & {*imported.stdout.split()}


def test_a_story_is_told_without_what_only_some_commands_need(tmp_path):
    """Once, in a process that did not import it for its own start, as an editable install imports pathlib."""
    file = tmp_path / "turnout.db"
    with turnout.Router(
        model_list=[{"model_name": "m", "litellm_params": MOCKED}], journal=f"sqlite:///{file}"
    ) as router:
        router.ask(turnout.CompletionRequest(model="m", messages=[{"role": "user", "content": "Hello"}]))
    program = f"""
import sys
before = {{*sys.modules}}
from turnout.cli.main import main
assert main(["explain", {str(file)!r}]) == 0
print(*{{*sys.modules}} - before, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'for "m": answered' in done.stdout
    imported = {*done.stderr.split()}
    assert "msgspec" in imported
    assert not {"difflib", "json", "lzma", "pathlib", "shutil", "urllib.parse"} & imported


@pytest.mark.parametrize("said", ["60", "120", " 70 ", "", "0", "-1", "wide", None])
def test_help_is_as_wide_as_the_terminal_or_a_page(said, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    if said is not None:
        monkeypatch.setenv("COLUMNS", said)
    width = shutil.get_terminal_size((80, 24)).columns
    with pytest.raises(SystemExit):
        main(["ask", "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert width - 40 < max(map(len, usage)) <= width - 2


def test_help_knows_every_command_and_a_misspelt_one_is_told_with_all_of_them(capsys):
    for words, code in ((["--help"], 0), (["replai"], 2)):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == code
        told = "".join(capsys.readouterr())
        assert all(name in told for name in COMMANDS)


def test_a_setting_of_a_backtest_without_the_extra_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["backtest", str(tmp_path / "turnout.db"), "--set", "cooldown_time=30"]) == 1
    complaint = capsys.readouterr().err
    assert "pip install PyYAML" in complaint
    assert complaint.count("\n") == 1
