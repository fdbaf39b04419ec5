"""The base of the user's own loggers, where users of other routers look for it."""

from __future__ import annotations

from ..actors.callbacks.custom_logger import CustomLogger

__all__ = ["CustomLogger"]
