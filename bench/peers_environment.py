"""The second environment, `.venv-peers`, in which the peers live."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from .children import ROOT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["environment", "versions"]

FOLDER = ROOT / ".venv-peers"
CONSTRAINTS = ROOT / "bench" / "peers-constraints.txt"
PEERS = ("litellm", "tensorzero", "aiohttp")
INSTALL_SECONDS = 900.0


def environment() -> Path:
    """The interpreter of the environment, which is made when it is not there or out of date.

    Raises:
        subprocess.SubprocessError: the peers could not be installed, or not in `INSTALL_SECONDS`.
    """
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = FOLDER / "constraints.sha256"
    wanted = hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return python
    print(f"installing {', '.join(PEERS)} into {FOLDER.name} ...", file=sys.stderr, flush=True)
    run(sys.executable, "-m", "venv", "--clear", str(FOLDER))
    run(str(python), "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS), *PEERS)
    stamp.write_text(wanted, encoding="ascii")
    return python


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS, stdout=sys.stderr)


def versions() -> dict[str, str]:
    """The pinned version of each peer."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==", 1) for line in lines if "==" in line)
    return {name: pins[name] for name in PEERS}
