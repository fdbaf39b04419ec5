"""Child processes, each of which ends with its parent and within a bound."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["ROOT", "module", "serving", "upstream"]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout; children run there, so that they find `bench`."""

GRACE_SECONDS = 5.0
"""How long a child may take to end once its stdin is closed, or once it was terminated."""


@contextlib.contextmanager
def serving(
    command: Sequence[str], env: Mapping[str, str] | None = None
) -> Iterator[tuple[IO[str], IO[str]]]:
    """A child that is talked to in lines: yields its stdin and stdout, and ends it on the way out.

    It has a session of its own, so Ctrl-C reaches the parent only, which then ends it in good order.
    """
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield child.stdin, child.stdout
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        end(child)
        child.stdout.close()


def end(child: subprocess.Popen[str]) -> None:
    """Wait for the child; terminate, then kill it when it stays."""
    for push in (child.terminate, child.kill):
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            push()
        else:
            return
    child.wait()


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """The base URL of a fast upstream in a process of its own (see `bench.upstream`)."""
    with serving([sys.executable, "-m", "bench.upstream"]) as (_, output):
        port = output.readline().strip()
        if not port.isdigit():
            msg = "the upstream did not start"
            raise RuntimeError(msg)
        yield f"http://127.0.0.1:{port}"


def module(name: str, *arguments: str, seconds: float) -> str:
    """Run `python -m name ...` and return what it printed; its stderr is shown as it comes.

    Raises:
        RuntimeError: it failed, or ran for longer than `seconds` (and was killed).
    """
    command = [sys.executable, "-m", name, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            output, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            msg = f"{name} {' '.join(arguments)} did not end within {seconds:g} s"
            raise RuntimeError(msg) from None
        finally:
            if child.poll() is None:
                child.terminate()
                end(child)
    if child.returncode:
        msg = f"{name} {' '.join(arguments)} ended with status {child.returncode}"
        raise RuntimeError(msg)
    return output
