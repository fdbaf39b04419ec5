"""Where answers may be kept beside our own memory."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Store", "StoreError"]


class StoreError(Exception):
    """It could not be asked. The text names the kind of trouble and quotes nothing."""


class Store(Protocol):
    """A map from keys to bytes, somewhere else.

    Each call ends in a bounded time, and raises nothing but `StoreError`.
    """

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, data: bytes, ttl: float) -> None: ...

    async def aclose(self) -> None:
        """Close what was opened."""
        ...
