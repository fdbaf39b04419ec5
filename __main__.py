"""`python -m turnout`, and the command `turnout`."""

from __future__ import annotations

import sys

try:
    from .cli.main import main
except KeyboardInterrupt:  # the command line, and with it who hears Ctrl-C, was still on its way
    sys.exit(130)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
