"""The journal that a command is given: its file, or its address as a Router has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["add_journal"]

ADDRESS = "sqlite:///"


def add_journal(parser: argparse.ArgumentParser) -> None:
    """Let a command be given a journal, as `arguments.journal`: the path of its file."""
    parser.add_argument(
        "journal", metavar="JOURNAL", type=_path, help=f"a journal: its file, or its address ({ADDRESS}FILE)"
    )


def _path(text: str) -> str:
    return text.removeprefix(ADDRESS)
