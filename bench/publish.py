"""Puts what `make bench` and `make bench-peers` measured last into docs/benchmarks.md."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from .children import ROOT
from .report import read, side_by_side, table

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def main() -> int:
    try:
        own, peers = (load(ROOT / "build" / name) for name in ("bench.json", "bench-peers.json"))
    except FileNotFoundError as problem:
        print(f"{problem.filename} is not there: run `make bench` and `make bench-peers`", file=sys.stderr)
        return 1
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + BEGIN + section(own, peers) + END + after, encoding="utf-8")
    return 0


def load(path: Path) -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return measured


def section(own: dict[str, Any], peers: dict[str, Any]) -> str:
    """The two tables, with what they were taken on."""
    machine = ", ".join(f"{name} {value}" for name, value in own["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in peers["peers"].items())
    hurried = " Taken with `--quick`: a look, not a measurement." if own["quick"] or peers["quick"] else ""
    parts = (
        f"\nTaken on: {machine}.{hurried}",
        table(read(json.dumps(own))),
        f"Beside the peers ({versions}):",
        side_by_side(peers["measured"]),
        table(read(json.dumps(peers))),
    )
    return "\n\n".join(parts) + "\n\n"


if __name__ == "__main__":
    sys.exit(main())
