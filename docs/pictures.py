"""Writes the pictures of the pages, each with the command that the page shows: `make pictures`.

They are of the journal that `docs/sample.py` makes, and of `examples/outage.yaml`.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from turnout.cli.main import main as turnout

from . import sample

DOCS = Path(__file__).parent
MOMENT = "2026-03-01T14:02:16.3Z"
REQUEST = "007bcded9010c30a"
"""The one whose story is told; see `sample.write`."""

JOURNAL = "turnout.db"
COMMANDS = {
    "explain.svg": ["explain", JOURNAL, REQUEST],
    "replay.svg": ["replay", JOURNAL, "--at", MOMENT],
    "backtest.svg": ["backtest", JOURNAL, "--set", "routing_strategy=latency-based-routing", "--seeds", "3"],
    "outage.svg": ["simulate", str(DOCS.parent / "examples" / "outage.yaml"), "--seeds", "1"],
}


def draw(name: str) -> str:
    """The picture that its command draws."""
    with tempfile.TemporaryDirectory(prefix="turnout-pictures-") as name_of_folder:
        folder = Path(name_of_folder)
        if JOURNAL in COMMANDS[name]:
            sample.write(folder / JOURNAL)
        words = [str(folder / JOURNAL) if word == JOURNAL else word for word in COMMANDS[name]]
        with contextlib.redirect_stdout(io.StringIO()):
            code = turnout([*words, "--svg", str(folder / name)])
        assert code == 0, f"{' '.join(words)} ended with {code}"
        return (folder / name).read_text(encoding="utf-8")


def main() -> int:
    for name, words in COMMANDS.items():
        (DOCS / name).write_text(draw(name), encoding="utf-8")
        print(f"docs/{name}: turnout {' '.join(words)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
