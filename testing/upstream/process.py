"""The upstream as a process of its own, for as long as a `with` lasts."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .behaviour import Behaviour

__all__ = ["Upstream", "run_upstream"]

START_SECONDS = 30.0
STOP_SECONDS = 5.0


@frozen
class Upstream:
    """A running upstream.

    Attributes:
        url: its root, such as ``http://127.0.0.1:43210`` (an `api_base` for Azure).
        api_base: an `api_base` for OpenAI-compatible deployments.
        pid: its process.
    """

    url: str
    pid: int
    api_base: str = field(init=False)

    @api_base.default
    def _api_base(self) -> str:
        return f"{self.url}/v1"

    def stats(self) -> dict[str, dict[str, int]]:
        """How many requests each model got and what became of them.

        By model, ``"*"`` for those without a behaviour of their own: `requests`, `answered`, `failed`,
        `rate_limited`, `cut`, `stalled`, `left` (by the client).
        """
        with urllib.request.urlopen(f"{self.url}/stats", timeout=STOP_SECONDS) as answer:  # noqa: S310
            stats: dict[str, dict[str, int]] = json.load(answer)
        return stats


@contextmanager
def run_upstream(
    behaviour: Behaviour | None = None,
    models: Mapping[str, Behaviour] | None = None,
    *,
    seed: int | None = None,
) -> Iterator[Upstream]:
    """Start an upstream on a free port of the loopback; it ends with the block, or with us.

    Raises:
        RuntimeError: when it did not start.
    """
    command = [sys.executable, "-m", "turnout", "upstream", "--until-eof", *_options(behaviour, models, seed)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            ready = _ready_line(process.stdout)
            yield Upstream(ready["url"], process.pid)
        finally:
            process.stdin.close()
            _end(process)


def _options(
    behaviour: Behaviour | None, models: Mapping[str, Behaviour] | None, seed: int | None
) -> Iterator[str]:
    if behaviour is not None and str(behaviour):
        yield from ("--default", str(behaviour))
    for name, own in (models or {}).items():
        yield from ("--model", f"{name}:{own}")
    if seed is not None:
        yield from ("--seed", str(seed))


def _ready_line(stdout: IO[bytes]) -> dict[str, Any]:
    readable, _, _ = select.select([stdout], [], [], START_SECONDS)
    line = stdout.readline() if readable else b""
    if not line:
        msg = "the upstream did not start" if readable else f"no upstream after {START_SECONDS:g} s"
        raise RuntimeError(msg)
    ready: dict[str, Any] = json.loads(line)
    return ready


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
