"""The pages about journals: each command does what the page shows, on the journal it is shown on."""

import re
import shlex
import shutil

import pytest

pytest.importorskip("docs.sample", reason="the sample is part of the checkout, not of the package")

from docs import pictures, sample
from turnout.cli.main import main


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    file = tmp_path_factory.mktemp("sample") / pictures.JOURNAL
    assert sample.write(file) == pictures.REQUEST
    return file


def test_the_sample_is_the_same_each_time(journal, tmp_path, capsys):
    sample.write(tmp_path / "again.db")
    told = []
    for file in (journal, tmp_path / "again.db"):
        assert main(["events", str(file), "--json"]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert told[0].count("\n") > 3000


def test_a_command_prints_what_the_page_shows(shown, journal, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(journal, pictures.JOURNAL)
    block, output = shown
    for line in block.code.splitlines():
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "turnout"]
        assert main(words[3:]) == 0, line
    printed, complaint = capsys.readouterr()
    assert complaint == ""
    assert printed
    if output is not None:
        assert re.fullmatch(".*".join(map(re.escape, output.code.split("..."))), printed), printed


@pytest.mark.parametrize("name", pictures.COMMANDS)
def test_a_picture_is_what_its_command_draws(name):
    file = pictures.DOCS / name
    assert pictures.draw(name) == file.read_text(encoding="utf-8"), f"docs/{name} is old: run `make pictures`"


def test_every_picture_of_the_pages_is_one_of_these():
    shown = {
        link
        for page in pictures.DOCS.glob("*.md")
        for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    assert shown >= set(pictures.COMMANDS)
    assert all((pictures.DOCS / link).exists() for link in shown)
