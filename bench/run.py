"""Every figure in one go: `make bench`, or `python -m bench.run [--quick] [--only NAME ...]`.

Each figure runs in a process of its own, one after another, so none feels what another left behind
in memory. Prints one table and writes it to `build/bench.json`. A goal that is not reached is shown,
not an error: a busy machine is no defect of the code.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .children import ROOT, module
from .report import as_json, machine, read, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .report import Figure

FIGURES = {
    "overhead": 120.0,
    "overhead_sync": 120.0,
    "cache": 120.0,
    "over_http": 300.0,
    "features": 300.0,
    "picks": 600.0,
    "memory": 600.0,
    "journal": 600.0,
    "long_run": 1800.0,
    "stream": 300.0,
    "upload": 120.0,
    "replay": 1800.0,
    "simulator": 600.0,
    "decisions": 120.0,
}
"""The modules of `bench.figures` in the order of the table, each with the seconds it may take."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Measure every figure.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    parser.add_argument("--only", nargs="+", choices=FIGURES, metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench.json")
    arguments = parser.parse_args()
    try:
        figures, failures = measure(arguments.only or FIGURES, quick=arguments.quick)
    except KeyboardInterrupt:
        return 130
    print("\n".join(f"{name}: {value}" for name, value in machine().items()), table(figures), sep="\n\n")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(as_json(figures, quick=arguments.quick, failures=failures), encoding="utf-8")
    print(f"\nwritten to {arguments.output}", *failures, sep="\n")
    return 1 if failures else 0


def measure(names: Iterable[str], *, quick: bool) -> tuple[list[Figure], list[str]]:
    """The figures, and what went wrong with those that could not be measured."""
    figures: list[Figure] = []
    failures = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        flags = ["--quick"] if quick else []
        try:
            figures += read(module("bench.figures", name, *flags, seconds=FIGURES[name]))
        except RuntimeError as problem:
            failures.append(str(problem))
    return figures, failures


if __name__ == "__main__":
    sys.exit(main())
