"""The ways in which the core is broken on purpose: each must still be a way to break it."""

from __future__ import annotations

import pytest

pytest.importorskip("bench", reason="the mutations are part of the checkout, not of the package")

from bench.mutations import MUTATIONS, ROOMS, ROOT, main, misfits


def test_every_mutation_finds_its_text_once_in_the_core_as_it_is() -> None:
    assert misfits(MUTATIONS) == []


def test_a_mutation_whose_text_is_gone_is_told_and_nothing_is_tried(capsys, monkeypatch) -> None:
    gone = MUTATIONS[0]._replace(old="a line that nobody wrote")
    monkeypatch.setattr("bench.mutations.MUTATIONS", (gone,))
    assert main([]) == 2
    assert "found 0 times" in capsys.readouterr().err


def test_words_that_no_mutation_has_are_told(capsys) -> None:
    assert main(["no such words"]) == 2
    assert "no such words" in capsys.readouterr().err


def test_every_room_of_the_package_is_copied() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests", "docs", "examples"}
    assert rooms <= set(ROOMS)
