"""How much memory this process holds."""

from __future__ import annotations

import gc
import os
from pathlib import Path

__all__ = ["peak_bytes", "resident_bytes"]

STATM = Path("/proc/self/statm")
STATUS = Path("/proc/self/status")


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


def peak_bytes() -> int:
    """The most resident memory this process has held; what its parent held is not in it, as in `ru_maxrss`.

    Raises:
        RuntimeError: this system does not say (it has no `/proc`).
    """
    try:
        lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as problem:
        msg = f"the peak of memory is read from {STATUS}, which this system does not have"
        raise RuntimeError(msg) from problem
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
