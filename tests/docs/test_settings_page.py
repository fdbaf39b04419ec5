"""docs/settings.md is what its generator writes, and says what the code does."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

pytest.importorskip("docs.settings_page", reason="the generator is part of the checkout, not of the package")

from docs import settings_page
from turnout import Router
from turnout.messages.deployment import Deployment
from turnout.messages.settings import RouterSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
TEXT = PAGE.read_text(encoding="utf-8")


def rows(prefix):
    """{name: the other cells} of the tables whose name begins with `prefix`."""
    found = {}
    for block in TEXT.split("<!-- table: ")[1:]:
        if block.startswith(prefix):
            lines = [line for line in block.splitlines() if line.startswith("| `")]
            cells = [re.split(r" \| ", line.strip("| ")) for line in lines]
            found |= {cell[0].strip("`"): cell[1:] for cell in cells}
    return found


def test_the_page_is_what_the_models_say():
    assert settings_page.page() == TEXT, "docs/settings.md is old: run `make settings`"


def test_every_setting_parameter_and_argument_is_on_the_page():
    assert set(rows("settings")) == set(RouterSettings.model_fields)
    assert set(rows("deployment -->")) == {field.name for field in attrs.fields(Deployment)}
    assert {*rows("arguments"), "settings"} == set(inspect.signature(Router).parameters)


def test_every_default_is_shown_as_it_would_be_written():
    for name, cells in rows("settings").items():
        default = RouterSettings.model_fields[name].get_default()
        assert ast.literal_eval(cells[0].strip("`")) == settings_page.shown(default), name


def test_a_field_that_says_nothing_of_itself_is_named():
    class Silent:
        speaks: int
        """What it means."""
        silent: int

    with pytest.raises(SystemExit, match=r"Silent\.silent says nothing of itself"):
        list(settings_page.described(Silent))


def test_the_command_tells_an_old_page_from_a_new_one():
    done = subprocess.run(
        [sys.executable, "-m", "docs.settings_page", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "docs/settings.md is up to date\n")
