"""Messages of health checks.

::

    any thread     ── CheckHealth ────────▶ Supervisor ─▶ HealthChecker
    HealthChecker  ── CheckDeployment ────▶ Deployment
    Deployment     ── DeploymentChecked ──▶ HealthChecker
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .values import Message

if TYPE_CHECKING:
    from .outcomes import CallOutcome

__all__ = [
    "CheckDeployment",
    "CheckFinished",
    "CheckHealth",
    "CheckOverdue",
    "DeploymentChecked",
    "RoundDue",
]


class CheckHealth(Message, frozen=True):
    """To the health checker: check these deployments and settle `reply` with a report."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"reply"})

    deployment_ids: tuple[str, ...]
    reply: Any = None


class RoundDue(Message, frozen=True):
    """Timer of the health checker: check all deployments."""


class CheckDeployment(Message, frozen=True):
    """To a Deployment: make one minimal call, and tell the health checker what came of it.

    One that has answered a real call since `unless_well_since` is well, and makes none.
    """

    unless_well_since: float | None = None


class CheckFinished(Message, frozen=True):
    """To a Deployment, from the task of its check: the call is over."""

    call_id: str
    outcome: CallOutcome


class CheckOverdue(Message, frozen=True):
    """Timer: a check is not over in its time. Of a Deployment for its call, of the checker for its word."""

    call_id: str


class DeploymentChecked(Message, frozen=True):
    """A Deployment's answer to `CheckDeployment`.

    `well` is None when nothing was found out, and `error` says why. `seconds` is None without a call.
    `counted`: the error speaks against the deployment, and not against the little request.
    """

    deployment_id: str
    well: bool | None
    seconds: float | None = None
    error: str | None = None
    status_code: int | None = None
    counted: bool = False
