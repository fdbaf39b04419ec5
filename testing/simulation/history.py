"""A shortened history in a file: the draws that make it happen again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from ...messages.errors import ConfigurationError
from .chance import TapedChance
from .marks import Marks
from .run import run_world

if TYPE_CHECKING:
    from pathlib import Path

    from .diary import Diary
    from .run import Outcome
    from .shrink import Shrunk

__all__ = ["MOST_DRAWS", "History"]

KIND = "turnout history"
VERSION = 1

MOST_DRAWS = 200_000
"""A longer one is no short history: its seed runs it again."""

MOST_BYTES = 2_000_000
"""What a file of so many draws may have at most."""

MOST_HOURS = 10_000.0


@frozen
class History:
    """One history that went wrong.

    Attributes:
        seed: whose world it was before it was shortened.
        hours: of a world's own time with faults.
        invariant: that was broken.
        digest: of every byte that was recorded.
        tape: the draws; all others are 0.
    """

    seed: int
    hours: float
    invariant: str
    digest: str
    tape: tuple[int, ...]

    @classmethod
    def of(cls, shrunk: Shrunk, seed: int) -> History:
        """What is left of the history of a seed."""
        outcome = shrunk.outcome
        return cls(seed, outcome.hours, outcome.invariant or "", outcome.digest, shrunk.tape)

    def play(self, diary: Diary | None = None) -> Outcome:
        """Let it happen again."""
        return run_world(TapedChance(self.tape), self.hours, Marks(), diary=diary)

    def write(self, path: Path) -> None:
        """Keep it.

        Raises:
            ConfigurationError: it has more than `MOST_DRAWS` draws.
            OSError: from the file system.
        """
        if len(self.tape) > MOST_DRAWS:
            msg = f"a history of {len(self.tape):,} draws is too long to be kept; its seed runs it again"
            raise ConfigurationError(msg)
        kept = {"kind": KIND, "version": VERSION, **asdict(self)}
        path.write_text(json.dumps(kept) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> History:
        """What the file holds.

        Raises:
            ConfigurationError: it is something else, torn, of another version, or too long.
            OSError: from the file system.
        """
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _wrong(path, f"is no simulated history: it has more than {MOST_BYTES:,} bytes")
        try:
            kept = json.loads(data)
        except (ValueError, RecursionError):
            raise _wrong(path, "is no simulated history, or one that is torn") from None
        if not isinstance(kept, dict) or kept.get("kind") != KIND:
            raise _wrong(path, "is no simulated history")
        if kept.get("version") != VERSION:
            raise _wrong(path, f"is a history of version {kept.get('version')}, and this one reads {VERSION}")
        try:
            return _history(kept)
        except (KeyError, TypeError, ValueError):
            raise _wrong(path, "is a simulated history that is not whole") from None


def _history(kept: dict[str, Any]) -> History:
    tape, hours = tuple(kept["tape"]), float(kept["hours"])
    if not 0 < hours <= MOST_HOURS or len(tape) > MOST_DRAWS:
        raise ValueError(hours)
    if not all(type(drawn) is int and drawn >= 0 for drawn in tape):
        raise ValueError(tape)
    return History(int(kept["seed"]), hours, str(kept["invariant"]), str(kept["digest"]), tape)


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} {what}; `python -m turnout simulate --seed N` writes one for a seed that fails"
    )
