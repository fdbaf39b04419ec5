"""Lengths of time and amounts of bytes as people write them: `30d`, `500M`."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["HOW_BYTES", "HOW_SECONDS", "bytes_in", "seconds_in"]

HOW_SECONDS = '"30s", "15m", "1h", "1d", "1w" or "1mo"'
HOW_BYTES = '"500K", "200M", "1G" or "1GiB"'

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604_800.0, "mo": 30 * 86400.0}
_LENGTH = re.compile(r"([1-9]\d{0,8})(mo|[smhdw])")
_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_AMOUNT = re.compile(r"([1-9]\d{0,14})([KMGT]?)(i?)B?")


def seconds_in(text: Any) -> float | None:
    """What `"15m"` or `"1mo"` (30 days) is in seconds; None for anything else."""
    match = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else int(match[1]) * _SECONDS[match[2]]


def bytes_in(text: Any) -> int | None:
    """What `"500M"` (millions) or `"1GiB"` (by 1,024) is in bytes; None for anything else."""
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match[3] and not match[2]):
        return None
    return int(match[1]) * (_BINARY if match[3] else _BYTES)[match[2]]
