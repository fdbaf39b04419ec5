"""What many runs came to together, in a file: ten thousand seeds need not be run in one go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ...messages.errors import ConfigurationError
from .marks import MARKS, Marks

if TYPE_CHECKING:
    from pathlib import Path

    from .run import Summary

__all__ = ["Tally"]

VERSION = 1


@define
class Tally:
    """Sums over runs, each of some seeds in a row.

    Attributes:
        runs: the first seed of each, how many, and of how many hours.
        failed: seed, hours and invariant of each that failed.
        marks: how often each mark was reached.
    """

    runs: list[tuple[int, int, float]] = field(factory=list)
    requests: int = 0
    events: int = 0
    twice: int = 0
    failed: list[tuple[int, float, str]] = field(factory=list)
    marks: Marks = field(factory=Marks)

    @classmethod
    def read(cls, path: Path) -> Tally:
        """What the file holds; nothing yet, if there is none.

        Raises:
            ConfigurationError: it is something else.
        """
        if not path.exists():
            return cls()
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            _check_version(kept["version"])
            tally = cls(
                [(int(first), int(seeds), float(hours)) for first, seeds, hours in kept["runs"]],
                kept["requests"],
                kept["events"],
                kept["twice"],
                [(int(seed), float(hours), str(why)) for seed, hours, why in kept["failed"]],
            )
            known = {mark: count for mark, count in kept["marks"].items() if mark in MARKS}
            tally.marks.counts.update(known)
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            msg = f"{path} is no tally of simulated seeds; name another file, or one that is not there yet"
            raise ConfigurationError(msg) from wrong
        return tally

    @property
    def seeds(self) -> int:
        """How many were run, over all runs."""
        return sum(seeds for _, seeds, _ in self.runs)

    def add(self, summary: Summary, first: int, hours: float) -> None:
        """One more run."""
        self.runs.append((first, summary.seeds, hours))
        self.requests += summary.requests
        self.events += summary.events
        self.twice += summary.twice
        self.failed += [(each.seed or 0, each.hours, each.invariant or "") for each in summary.failures]
        self.marks.counts.update(summary.marks.counts)

    def write(self, path: Path) -> None:
        """Keep it."""
        kept: dict[str, Any] = {
            "version": VERSION,
            "runs": self.runs,
            "requests": self.requests,
            "events": self.events,
            "twice": self.twice,
            "failed": self.failed,
            "marks": {mark: self.marks.counts[mark] for mark in MARKS},
        }
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _check_version(version: Any) -> None:
    if version != VERSION:
        msg = f"version {version}, and not {VERSION}"
        raise ValueError(msg)
