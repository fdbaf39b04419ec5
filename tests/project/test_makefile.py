"""The commands a newcomer types."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments, path=None):
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    environment.pop("MAKEFLAGS", None)
    environment.pop("MAKELEVEL", None)
    command = [shutil.which("make"), "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def only(tmp_path):
    """A PATH on which a shell and nothing of Python is found."""
    for name in ("sh", "sed", "awk"):
        (tmp_path / name).symlink_to(shutil.which(name))
    return tmp_path


def test_make_alone_lists_what_can_be_made():
    listed = make().stdout
    for target in ("demo", "test", "check", "bench", "bench-peers", "help", "clean"):
        assert re.search(rf"^  make {target} ", listed, re.MULTILINE), target


def test_an_interpreter_that_only_pretends_is_passed_over(only):
    script(only / "python3.11", "echo not installed >&2; exit 127")
    script(only / "python3.12", "exit 0")
    (only / "python3.13").symlink_to(sys.executable)
    made = make("--dry-run", "--always-make", ".venv/.installed", path=str(only))
    assert f'"{only}/python3.13" -m venv' in made.stdout or f'"{sys.executable}" -m venv' in made.stdout


def test_without_a_python_it_says_what_is_needed(only):
    made = make("--always-make", ".venv/.installed", path=str(only))
    assert made.returncode
    assert "needs Python 3.11" in made.stderr


def test_the_gate_checks_tests_and_tests_the_wheel():
    run = ROOT / ".ci" / "run"
    text = run.read_text(encoding="utf-8")
    assert os.access(run, os.X_OK)
    assert "set -euo pipefail" in text
    assert [line for line in text.splitlines() if line.startswith("make ")] == [
        "make check",
        "make test",
        "make wheel",
    ]
