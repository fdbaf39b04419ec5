"""How much memory this process holds."""

from __future__ import annotations

import gc
import os
from pathlib import Path

__all__ = ["resident_bytes"]

STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Resident memory of this process after a garbage collection.

    Raises:
        RuntimeError: this system does not say (it has no `/proc`).
    """
    gc.collect()
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
    except OSError as problem:
        msg = f"resident memory is read from {STATM}, which this system does not have"
        raise RuntimeError(msg) from problem
    return pages * os.sysconf("SC_PAGE_SIZE")
