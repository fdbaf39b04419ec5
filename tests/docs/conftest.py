"""The documents, taken apart: sections with their code, tables by name."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from turnout.testing.upstream import run_upstream

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "docs" / "guide.md",
    ROOT / "docs" / "semantics.md",
    ROOT / "docs" / "design.md",
    ROOT / "docs" / "migrate.md",
    ROOT / "docs" / "simulation.md",
    ROOT / "docs" / "explain.md",
    ROOT / "docs" / "replay.md",
    ROOT / "docs" / "backtest.md",
]

_SHOWN = re.compile(r"^\s*print\(.*\)\s+# -> (?P<text>.*)$")
_DIRECTIVE = re.compile(r"^<!-- (?P<kind>sh|table): (?P<name>[\w-]+) -->$")


@frozen
class Block:
    """One fenced block of code; `how` is what the comment before it says, `line` where its code begins."""

    document: str
    language: str
    how: str | None
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


@frozen
class Section:
    """What stands under one heading: its blocks share their names, as a reader would expect."""

    document: str
    title: str
    blocks: list[Block] = field(factory=list)

    def __str__(self) -> str:
        return f"{self.document} · {self.title}"


def sections(path: Path) -> list[Section]:
    """The sections of a document (headings of the second level), with their blocks."""
    found = [Section(path.name, "top")]
    directive = None
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in lines:
        if line.startswith("## "):
            found.append(Section(path.name, line[3:]))
        elif match := _DIRECTIVE.match(line):
            directive = match["name"]
        elif line.startswith("```"):
            code = []
            for _, inside in lines:
                if inside == "```":
                    break
                code.append(inside)
            block = Block(path.name, line[3:], directive, number + 1, "\n".join(code) + "\n")
            found[-1].blocks.append(block)
            directive = None
    return found


def with_output(section: Section) -> list[tuple[Block, Block | None]]:
    """Each block of a section, and the text that stands behind it: what it prints."""
    behind: list[Block | None] = [*section.blocks, None]
    return [
        (block, after if after is not None and after.language == "text" else None)
        for block, after in pairwise(behind)
        if block is not None
    ]


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a block; what its `print(...)  # -> text` lines print must be what they say they print.

    `...` stands for anything. A line that prints more than once is held to its text each time, and one
    that never prints is a mistake in the document.
    """
    expected = {
        number: match["text"]
        for number, line in enumerate(block.code.splitlines(), start=1)
        if (match := _SHOWN.match(line))
    }
    assert block.code.count("# -> ") == len(expected), f"{block}: '# ->' only stands behind a print(...)"
    printed = set()

    def checked_print(*values: Any, **_: Any) -> None:
        number = sys._getframe(1).f_lineno
        text = " ".join(str(value) for value in values)
        where = f"{block.document}:{block.line + number - 1}"
        assert number in expected, f"{where} prints {text!r} and does not show it"
        pattern = ".*".join(re.escape(part) for part in expected[number].split("..."))
        assert re.fullmatch(pattern, text), f"{where} shows {expected[number]!r} and prints {text!r}"
        printed.add(number)

    names["print"] = checked_print
    exec(compile(block.code, str(block), "exec"), names)
    assert printed == set(expected), f"{block}: lines {sorted(set(expected) - printed)} were never reached"


def table(path: Path, name: str) -> list[list[str]]:
    """The rows of the table behind `<!-- table: name -->`; the text of each cell, its code marks kept."""
    after = path.read_text(encoding="utf-8").split(f"<!-- table: {name} -->\n", 1)[1]
    rows = []
    for line in after.splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.fixture
def readme_table():
    """Rows of a table of the README."""
    return lambda name: table(ROOT / "README.md", name)


@pytest.fixture
def design_table():
    """Rows of a table of docs/design.md."""
    return lambda name: table(ROOT / "docs" / "design.md", name)


@pytest.fixture
def semantics_table():
    """Rows of a table of docs/semantics.md."""
    return lambda name: table(ROOT / "docs" / "semantics.md", name)


@pytest.fixture
def migrate_table():
    """Rows of a table of docs/migrate.md."""
    return lambda name: table(ROOT / "docs" / "migrate.md", name)


@pytest.fixture
def python_block():
    """Runs one block of Python."""
    return run_python


@pytest.fixture(scope="session")
def provider():
    """A real upstream on loopback."""
    with run_upstream(seed=1) as upstream:
        yield upstream


@pytest.fixture
def at_a_desk(tmp_path, monkeypatch, provider):
    """An empty folder, and keys in the environment: where a reader would try things out."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "OPENAI_API_KEY": "sk-none",
        "OPENAI_API_BASE": provider.api_base,
        "AZURE_API_KEY": "none",
        "AZURE_API_BASE": provider.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")


def pytest_generate_tests(metafunc):
    """`section` is each section with Python in it, `shell` each block for a shell; `shown` has a journal."""
    everything = [section for path in DOCUMENTS for section in sections(path)]
    if "section" in metafunc.fixturenames:
        chosen = [s for s in everything if any(block.language == "python" for block in s.blocks)]
        metafunc.parametrize("section", chosen, ids=str)
    if "shell" in metafunc.fixturenames:
        blocks = [b for s in everything for b in s.blocks if b.language == "sh"]
        metafunc.parametrize("shell", blocks, ids=str)
    if "shown" in metafunc.fixturenames:
        pairs = [pair for s in everything for pair in with_output(s) if pair[0].how == "journal"]
        metafunc.parametrize("shown", pairs, ids=lambda pair: str(pair[0]))
    if "block" in metafunc.fixturenames:
        metafunc.parametrize("block", [b for s in everything for b in s.blocks], ids=str)
