"""Every block of code in the documents does what it says."""

import json
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from turnout.cli.main import _parser

ROOT = Path(__file__).parents[2]
NOT_RUN = {"mermaid", "text"}


def test_the_code_of_a_section_runs_and_prints_what_it_shows(section, at_a_desk, python_block):
    names = {"__name__": "__main__"}
    for block in section.blocks:
        if block.language == "python":
            python_block(block, names)


def test_every_block_is_of_a_kind_that_is_checked(block):
    assert block.language in {"python", "sh", *NOT_RUN}
    if block.language == "sh":
        assert block.how in HOW, f"{block}: say how it is checked, such as <!-- sh: run -->"


def test_a_shell_block_works(shell, at_a_desk):
    for line in shell.code.splitlines():
        if not line.startswith("#"):
            HOW[shell.how](line)


def made(line):
    """`make X`: there is such a target. (The tests of the wheel run without the Makefile.)"""
    makefile = ROOT / "Makefile"
    if not makefile.exists():
        pytest.skip("needs the checkout")
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:.*## ", makefile.read_text(encoding="utf-8"), re.MULTILINE)


def installed(line):
    """`pip install ".[extra]"`: there is such an extra."""
    words = shlex.split(line, comments=True)
    assert words[:2] == ["pip", "install"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in re.findall(r"\[(\w+)\]", words[2]):
        assert name in extras["optional-dependencies"]


def run(line):
    """It runs, and ends well."""
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("This is gpt-4o")


def served(line):
    """It starts, says where it listens, and ends when it is told to."""
    command = [sys.executable, *shlex.split(line)[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["api_base"].startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def parsed(line):
    """Its arguments are understood; running it would take too long here."""
    words = shlex.split(line, comments=True)
    assert words[:3] == ["python", "-m", "turnout"]
    assert callable(_parser().parse_args(words[3:]).run)


# Those of "journal" are run by test_journal_pages.py.
HOW = {"make": made, "pip": installed, "run": run, "serve": served, "parse": parsed, "journal": parsed}


def test_the_documents_point_at_what_is_there():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name}: {link}"
        anchors = {
            re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in headings(text)
        }
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors, path.name


def headings(text):
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)
