"""Messages about deployments that come, change and go.

A change is asked of the Supervisor, and answered with a `FleetReply`::

    any thread  ── AddDeployment, ... ──▶ Supervisor
    Supervisor  ── Retire, Reconfigure ─▶ Deployment ── Drained ─▶ Supervisor
    Supervisor  ── CloseGroup ──────────▶ ModelGroup
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .values import Message

if TYPE_CHECKING:
    from .settings import Deployment

__all__ = [
    "AddDeployment",
    "CloseGroup",
    "DeleteDeployment",
    "Drained",
    "FleetChange",
    "FleetReply",
    "Reconfigure",
    "Retire",
    "SetModelList",
    "UpdateDeployment",
    "UpsertDeployment",
]


class AddDeployment(Message, frozen=True):
    """Take this `model_list` entry in as a new deployment."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"entry"})

    entry: Any


class UpsertDeployment(Message, frozen=True):
    """The same; a deployment that has this entry's id is reconfigured by it."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"entry"})

    entry: Any


class UpdateDeployment(Message, frozen=True):
    """Change some of a deployment's configuration; None takes a parameter away."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"changes"})

    deployment_id: str
    changes: dict[str, Any]


class DeleteDeployment(Message, frozen=True):
    """Take a deployment out; its open calls end in their own time."""

    deployment_id: str


class SetModelList(Message, frozen=True):
    """Have these deployments and no others. `deployments` are the `entries`, parsed."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"entries", "deployments"})

    entries: Any
    deployments: tuple[Deployment, ...]


FleetChange = AddDeployment | UpsertDeployment | UpdateDeployment | DeleteDeployment | SetModelList


class FleetReply(Message, frozen=True):
    """What came of a change: the id of the one deployment it was about, or why nothing was changed."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"refusal"})

    deployment_id: str = ""
    refusal: Any = None


class Drained(Message, frozen=True):
    """A deployment that was told to retire has no open call any more."""

    deployment_id: str


class CloseGroup(Message, frozen=True):
    """The group's last deployment is gone: refuse what waits and all that comes."""

    deployment_id: str


class Retire(Message, frozen=True):
    """You were removed: take no new call, let the open ones end, then say `Drained`."""


class Reconfigure(Message, frozen=True):
    """Go on as this `deployment`, by these `limits`; also when you were about to retire."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"deployment", "limits"})

    deployment: Deployment
    limits: Any
    stands_in_for: tuple[str, ...] = ()
