"""Measure one figure in this process and print it as JSON: `python -m bench.figures overhead --quick`."""

from __future__ import annotations

import argparse
import importlib
import sys

from ..progress import done
from ..report import as_json


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.figures", description=__doc__)
    parser.add_argument("name", help="a module of bench.figures")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    arguments = parser.parse_args()
    module = importlib.import_module(f"bench.figures.{arguments.name}")
    try:
        print(as_json(module.measure(quick=arguments.quick)))
    except KeyboardInterrupt:
        return 130
    finally:
        done()
    return 0


if __name__ == "__main__":
    sys.exit(main())
