"""What a large file adds to memory while it is transcribed: it is sent from the disk, and never held.

The sender is a fresh process that has sent a small file before, so that what any upload needs is there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from turnout import Router
from turnout.testing.upstream import run_upstream

from ..children import module
from ..progress import say
from ..report import Figure
from ..resident import peak_bytes

GOAL_MB = 8.0
FILE_MB = 200
SMALL_BYTES = 256_000
GROUP = "ears"
LIMIT_SECONDS = 120.0


def measure(*, quick: bool = False) -> list[Figure]:  # noqa: ARG001  (it is quick)
    with TemporaryDirectory() as folder, run_upstream(seed=1) as upstream:
        small, large = Path(folder, "small.mp3"), Path(folder, "large.mp3")
        small.write_bytes(bytes(SMALL_BYTES))
        with large.open("wb") as file:
            file.truncate(FILE_MB * 2**20)
        say(f"upload: {FILE_MB} MB")
        printed = module(__name__, upstream.api_base, str(small), str(large), seconds=LIMIT_SECONDS)
    before, after = map(int, printed.split())
    return [
        Figure(
            what=f"memory that a transcription of {FILE_MB} MB adds at its peak",
            measured=(after - before) / 2**20,
            unit="MB",
            goal=GOAL_MB,
            detail=f"{before / 2**20:.1f} MB before, at most {after / 2**20:.1f} MB",
        )
    ]


def send(api_base: str, small: str, large: str) -> tuple[int, int]:
    """The peak before the large file is sent, and after; bytes."""
    params = {"model": "openai/whisper-1", "api_key": "bench", "api_base": api_base}
    with Router(model_list=[{"model_name": GROUP, "litellm_params": params}]) as router:
        router.transcription(GROUP, small)
        before = peak_bytes()
        router.transcription(GROUP, large)
        return before, peak_bytes()


if __name__ == "__main__":
    print(*send(*sys.argv[1:4]))
