"""How a command fails: one clear line, and an exit code."""

from __future__ import annotations

import sys

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "Failure", "complain"]

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


class Failure(Exception):  # noqa: N818  (the end of a command, not a fault in the code)
    """The command cannot go on; the text is for the person who typed it."""


def complain(text: str) -> None:
    """Say it on stderr, in one line."""
    print(f"turnout: {' '.join(text.split())}", file=sys.stderr)
