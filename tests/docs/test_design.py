"""docs/design.md against the code it describes."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import turnout
from turnout.actors.deployment import state as deployment_state
from turnout.actors.journal.sqlite import SqliteStore
from turnout.messages.events import EVENT_TYPES, BudgetReserved, BudgetSettled, Event
from turnout.supervisor import request_state

ROOT = Path(__file__).parents[2]
PACKAGE = Path(turnout.__file__).parent
ROOMS = ("messages", "actors", "supervisor", "history", "backtest", "cli")
TEXT = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_every_event_is_in_the_table_under_its_stream(design_table):
    ours = {name for name, kind in EVENT_TYPES.items() if kind.__module__ == Event.__module__}
    streams = dict.fromkeys(ours, "router")  # other tests make events of their own
    streams |= {kind.TYPE: "deployment/<id>" for kind in deployment_state._APPLY}
    streams |= {kind.TYPE: "request/<id>" for kind in request_state._APPLY}
    streams |= {kind.TYPE: "budgets" for kind in (BudgetReserved, BudgetSettled)}
    assert {row[0].strip("`"): row[1].strip("`") for row in design_table("events")} == streams


def test_every_bound_of_the_code_is_in_the_table(design_table):
    listed = {row[0].strip("`") for row in design_table("limits")}
    found = set()
    for room in ROOMS:
        for module in (PACKAGE / room).rglob("*.py"):
            home = ".".join(module.relative_to(PACKAGE).with_suffix("").parts)
            constants = re.findall(r"^(MAX_\w+) *[:=]", module.read_text(encoding="utf-8"), re.MULTILINE)
            found |= {f"{home}.{name}" for name in constants}
    assert found - listed == set()


def test_every_table_of_the_file_is_in_the_table(design_table, tmp_path):
    SqliteStore(tmp_path / "j.db").close()
    with closing(sqlite3.connect(tmp_path / "j.db")) as database:
        found = database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
        assert {name for (name,) in found} == {row[0].strip("`") for row in design_table("tables")}


def test_every_invariant_is_proved_by_tests_that_are_there(design_table):
    rows = design_table("invariants")
    assert [row[0] for row in rows] == [f"I{number}" for number in range(1, 13)]
    for name, _, proofs in rows:
        cited = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proofs)
        assert cited, f"{name} is proved by nothing"
        for path, test in cited:
            assert re.search(rf"^ *def {test}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), (
                test
            )


def test_the_files_it_speaks_of_are_there():
    for path in set(
        re.findall(r"`((?:tests|docs|messages|actors|supervisor|testing|history)/[\w/.]+\.\w+)`", TEXT)
    ):
        home = ROOT if path.startswith(("tests", "docs")) else PACKAGE
        assert (home / path).exists(), path


def test_it_stands_alone():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"DESIGN\.md|SEMANTICS|STYLE\.md|\.\./shared|\bspec/", text), path.name
