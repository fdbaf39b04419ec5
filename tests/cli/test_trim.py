"""`trim`: what is old goes, what is needed stays, and a router that has the file keeps it."""

import json
import re
import sqlite3

import pytest

from turnout import Router
from turnout.actors.journal.sqlite import SqliteStore
from turnout.cli.main import main
from turnout.testing import FakeClock, SimulatedProviders

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "eu"}}
MESSAGES = [{"role": "user", "content": "Hello"}]
START = 1_700_000_000


def router_on(file, clock=None):
    router = Router(
        [ENTRY],
        journal=f"sqlite:///{file}",
        clock=clock or FakeClock(start=START),
        caller=SimulatedProviders(),
        seed=1,
    )
    router._journal._store._database.execute("PRAGMA synchronous = OFF")
    return router


@pytest.fixture
def file(tmp_path):
    """Three lives, of two years ago, each of a few hundred requests."""
    clock = FakeClock(start=START)
    for _ in range(3):
        with router_on(tmp_path / "j.db", clock) as router:
            for _ in range(1_000):
                router.completion("gpt-4", MESSAGES)
        clock.advance(86_400)
    return tmp_path / "j.db"


@pytest.fixture
def run(capsys):
    def shown(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return shown


def accepted(run, file):
    return run("events", file, "--type", "request_accepted", "--json")[1].count("\n")


def test_what_is_too_old_goes_and_the_file_gets_smaller(file, run):
    totals = json.loads(run("stats", file, "--json")[1])
    before = file.stat().st_size
    code, out, complaint = run("trim", file, "--max-age", "1w")
    assert (code, complaint) == (0, "")
    assert re.fullmatch(r"15,\d\d\d events removed; \d\.\d MB in use before, 0\.\d MB now\n", out)
    assert accepted(run, file) == 0
    assert file.stat().st_size < before / 2
    assert json.loads(run("stats", file, "--json")[1]) == totals
    assert run("verify", file)[0] == 0
    assert "(turnout trim)" in run("events", file)[2]
    with router_on(file, FakeClock(start=START + 10**6)) as router:
        assert router.get_usage_stats()["total"]["requests"] == 3_000


def test_of_what_is_too_large_the_newest_stays(file, run):
    code, out, _ = run("trim", file, "--max-bytes", "3M")
    assert code == 0
    assert 0 < accepted(run, file) < 3_000
    assert sum(float(size) for size in re.findall(r"([\d.]+) MB now", out)) <= 3.0
    last = json.loads(run("events", file, "--type", "request_accepted", "--json")[1].splitlines()[-1])
    assert last["at"] >= START + 2 * 86_400
    assert run("verify", file)[0] == 0


def test_what_cannot_be_reached_is_said_and_is_no_success(file, run):
    code, out, _ = run("trim", file, "--max-bytes", "1K")
    assert code == 1
    assert "that is still too much" in out
    assert run("verify", file)[0] == 0


def test_a_dry_run_removes_nothing(file, run):
    code, out, _ = run("trim", file, "--max-age", "1w", "--dry-run")
    assert code == 0
    assert re.fullmatch(r"events up to about position 15,\d{3} of 15,\d{3} would be removed, .*\n", out)
    assert accepted(run, file) == 3_000
    assert "nothing to remove" in run("trim", file, "--max-bytes", "1T", "--dry-run")[1]


def test_nothing_to_do_is_a_success(file, run):
    code, out, _ = run("trim", file, "--max-bytes", "1G")
    assert (code, out[:16]) == (0, "0 events removed")


def test_a_journal_that_a_router_has_is_left_alone(tmp_path, run):
    with router_on(tmp_path / "j.db"):
        code, _, complaint = run("trim", tmp_path / "j.db", "--max-age", "1d")
    assert code == 1
    assert "in use by another router" in complaint


def test_a_file_of_before_learns_to_shrink(file, run):
    database = sqlite3.connect(file, isolation_level=None)
    database.executescript("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;")
    database.close()
    before = file.stat().st_size
    assert run("trim", file, "--max-age", "1w")[0] == 0
    assert file.stat().st_size < before / 2
    store = SqliteStore(file)
    assert store._database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    store.close()
    assert run("verify", file)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ([], 1, "say how much to keep"),
        (["--max-age", "soon"], 2, "'soon' is no age: write it like 30s, 15m, 1h, 1d, 1w or 1mo"),
        (["--max-bytes", "much"], 2, "'much' is no number of bytes: write it like 500K, 200M, 1G or 1GiB"),
    ],
)
def test_wrong_words_are_told_in_a_line(file, capsys, arguments, code, why):
    try:
        ended = main(["trim", str(file), *arguments])
    except SystemExit as end:
        ended = end.code
    assert (ended, why in capsys.readouterr().err) == (code, True)


def test_a_file_that_is_not_there_is_not_made(tmp_path, run):
    code, _, complaint = run("trim", tmp_path / "none.db", "--max-age", "1d")
    assert code == 1
    assert "no such file" in complaint
    assert list(tmp_path.iterdir()) == []
