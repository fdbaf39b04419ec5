"""The journal that a command is given: its file, or its address as a Router has it."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["add_journal", "name_given"]

ADDRESS = "sqlite:///"


def name_given(text: str) -> str:
    """A name that may stand in a journal: bytes of a shell that are no text cannot.

    Raises:
        ArgumentTypeError: there are some in it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = f"{text!r} is no text in UTF-8"
        raise ArgumentTypeError(msg) from None
    return text


def add_journal(parser: argparse.ArgumentParser) -> None:
    """Let a command be given a journal, as `arguments.journal`: the path of its file."""
    parser.add_argument(
        "journal", metavar="JOURNAL", type=_path, help=f"a journal: its file, or its address ({ADDRESS}FILE)"
    )


def _path(text: str) -> str:
    return text.removeprefix(ADDRESS)
