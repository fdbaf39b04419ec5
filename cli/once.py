"""Warnings of a router that is played again and again: each is told once."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["told_once"]


@contextmanager
def told_once() -> Iterator[None]:
    """Let what is said on stderr where nobody set up logging be said once in here."""
    handler = logging.lastResort
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in said
        said.add(text)
        return new

    if handler is None:
        yield
        return
    handler.addFilter(is_new)
    try:
        yield
    finally:
        handler.removeFilter(is_new)
