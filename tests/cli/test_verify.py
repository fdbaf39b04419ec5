"""`verify`: a whole journal is exit code 0, anything else is not, and never a traceback."""

import json
import random
import sqlite3

import pytest

from turnout import Router
from turnout.cli.main import main
from turnout.testing import FakeClock, SimulatedProviders

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "eu"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    file = tmp_path_factory.mktemp("verify") / "j.db"
    with Router(
        [ENTRY], journal=f"sqlite:///{file}", clock=FakeClock(), caller=SimulatedProviders(), seed=1
    ) as router:
        for _ in range(300):
            router.completion("gpt-4", [{"role": "user", "content": "Hello"}])
    return file


@pytest.fixture
def verify(capsys):
    def run(*arguments):
        code = main(["verify", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_a_whole_journal_is_said_to_be_whole(whole, verify):
    code, out, complaint = verify(whole)
    assert (code, complaint) == (0, "")
    assert out.endswith(f"{whole}: whole\n")
    assert "snapshots compared" in out


def test_as_json_it_is_data(whole, verify):
    code, out, _ = verify(whole, "--json")
    report = json.loads(out)
    assert (code, report["whole"], report["findings"]) == (0, True, [])
    assert report["events"] == report["last_position"] > 1000


def test_it_may_be_checked_while_a_router_has_it(tmp_path, verify):
    file = tmp_path / "j.db"
    with Router(
        [ENTRY], journal=f"sqlite:///{file}", clock=FakeClock(), caller=SimulatedProviders(), seed=1
    ) as router:
        router.completion("gpt-4", [{"role": "user", "content": "Hello"}])
        router._journal.confirm().get()
        assert verify(file)[0] == 0


@pytest.mark.parametrize("kept", [0, 1, 50, 99, 4096, 16_384, 40_000, 100_000])
def test_a_torn_file_is_told_in_words(whole, tmp_path, verify, kept):
    torn = tmp_path / "torn.db"
    torn.write_bytes(whole.read_bytes()[:kept])
    code, out, complaint = verify(torn)
    assert code == 1
    assert out or complaint
    assert "Traceback" not in out + complaint


def test_whatever_is_overwritten_there_is_no_traceback(whole, tmp_path, verify):
    content = whole.read_bytes()
    rng = random.Random(7)
    found = 0
    for _ in range(40):
        spoilt = bytearray(content)
        start = rng.randrange(len(spoilt))
        length = rng.choice([1, 16, 400, 20_000])
        spoilt[start : start + length] = rng.randbytes(min(length, len(spoilt) - start))
        (tmp_path / "spoilt.db").write_bytes(spoilt)
        code, out, complaint = verify(tmp_path / "spoilt.db")
        assert code in (0, 1)
        assert "Traceback" not in out + complaint
        found += code
    assert found > 10


def test_a_foreign_or_missing_file_is_one_line(tmp_path, verify):
    (tmp_path / "text.db").write_text("not a database, whatever its name\n" * 500)
    for name, why in [("text.db", "not a database"), ("none.db", "no such file")]:
        code, out, complaint = verify(tmp_path / name)
        assert (code, out) == (1, "")
        assert why in complaint
        assert complaint.count("\n") == 1


def spoil(whole, tmp_path, *statements):
    copy = tmp_path / "copy.db"
    copy.write_bytes(whole.read_bytes())
    database = sqlite3.connect(copy, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()
    return copy


def test_a_journal_that_lost_its_end_is_not_whole(whole, tmp_path, verify):
    last = "SELECT max(last) FROM runs"
    code, out, _ = verify(spoil(whole, tmp_path, f"DELETE FROM runs WHERE last = ({last})"))
    assert code == 1
    assert "missing" in out


@pytest.mark.parametrize("command", ["events", "verify", "replay", "explain", "stats"])
def test_each_command_says_in_one_line_what_is_wrong_with_a_file(whole, tmp_path, capsys, command):
    (tmp_path / "empty.db").touch()
    (tmp_path / "short.db").write_bytes(whole.read_bytes()[:50_000])
    newer = spoil(whole, tmp_path, "PRAGMA user_version = 7")
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE runs (x)")
    database.close()
    for file, why in [
        ("empty.db", "is empty: no router was started on it"),
        ("short.db", f"it is cut short: 50,000 of its {whole.stat().st_size:,} bytes are there"),
        (newer.name, "has schema version 7; this Turnout knows 1: use the newer one that wrote it"),
        (foreign.name, "is a SQLite database of something else"),
    ]:
        assert main([command, str(tmp_path / file)]) == 1
        out, complaint = capsys.readouterr()
        assert why in complaint
        assert (out, complaint.count("\n")) == ("", 1)


@pytest.mark.parametrize("command", ["events", "verify", "replay", "explain", "stats"])
def test_the_address_that_a_router_was_given_is_understood(whole, capsys, command):
    assert main([command, f"sqlite:///{whole}"]) == 0
    assert capsys.readouterr().out


LOOSE = (
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')",
    "PRAGMA writable_schema = RESET",
)
"""As after a bit that flipped: what the tables forbid is there all the same."""


@pytest.mark.parametrize("column", ["stream", "version", "batch", "events"])
@pytest.mark.parametrize("command", ["events", "verify"])
def test_a_row_that_lacks_something_is_told_in_words(whole, tmp_path, capsys, command, column):
    file = spoil(whole, tmp_path, *LOOSE, f"UPDATE runs SET {column} = NULL WHERE last > 700")
    assert main([command, str(file)]) == 1
    out, complaint = capsys.readouterr()
    assert "lacks what every row has" in out + complaint


def test_a_snapshot_of_no_position_is_told_in_words(whole, tmp_path, verify):
    code, out, _ = verify(spoil(whole, tmp_path, *LOOSE, "UPDATE snapshots SET position = NULL"))
    assert code == 1
    assert "a snapshot is nobody's, or of no position" in out


@pytest.mark.parametrize("state", ["'{\"a'", "'[1'", "NULL"])
def test_an_account_that_cannot_be_read_is_one_line_of_stats(whole, tmp_path, capsys, state):
    assert main(["stats", str(spoil(whole, tmp_path, *LOOSE, f"UPDATE snapshots SET state = {state}"))]) == 1
    out, complaint = capsys.readouterr()
    assert (out, complaint.count("\n")) == ("", 1)
    assert "the snapshot of 'usage'" in complaint
    assert "is damaged" in complaint


@pytest.mark.parametrize("command", ["events", "verify", "replay", "explain", "stats"])
def test_a_file_whose_tables_have_names_that_are_no_text_is_told_in_words(whole, tmp_path, capsys, command):
    broken = "('table', cast(x'C5' AS TEXT), cast(x'C5' AS TEXT), 999, 'CREATE nothing')"
    file = spoil(
        whole,
        tmp_path,
        LOOSE[0],
        f"INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES {broken}",
    )
    assert main([command, str(file)]) == 1
    out, complaint = capsys.readouterr()
    assert (out, complaint.count("\n")) == ("", 1)
    assert "cannot be read" in complaint
