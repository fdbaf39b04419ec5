"""Progress of long work, on stderr: one line that is rewritten, or plain lines when piped."""

from __future__ import annotations

import sys

__all__ = ["done", "say"]


def say(text: str) -> None:
    """Show where the work is."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K  {text}")
    else:
        sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def done() -> None:
    """Clear the line; what comes next starts on a fresh one."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
