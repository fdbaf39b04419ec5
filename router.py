"""The names that users of other routers import from `.router`; the same are in `turnout` itself."""

from __future__ import annotations

from .messages.settings import AlertingConfig, AllowedFailsPolicy, RetryPolicy
from .supervisor.face.router import Router

__all__ = ["AlertingConfig", "AllowedFailsPolicy", "RetryPolicy", "Router"]
