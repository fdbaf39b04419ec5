"""What the Supervisor needs of its surroundings, and what it leaves to its next incarnation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

from .planning.retry_budget import RetryBudget

if TYPE_CHECKING:
    import random

    from ..actors.callbacks.observer import CallObserver
    from ..actors.journal.sourced import EventLog
    from ..actors.runtime.clock import Timer
    from ..actors.runtime.dispatcher import Dispatcher
    from ..actors.runtime.switchboard import Switchboard
    from ..messages.commands import ActorCrashed, Rejoined, RestartDue
    from ..messages.deployment import Deployment
    from ..messages.fleet_commands import FleetChange, FleetReply
    from ..messages.health_commands import CheckHealth
    from .open_request import OpenRequest
    from .planning.directory import Directory
    from .planning.hedging import Hedging
    from .planning.rules import SupervisorRules

__all__ = ["Estate", "Nursery", "SupervisorPorts"]


class Nursery(Protocol):
    """Who makes actors anew after a crash; the router's wiring."""

    def crashed(self, crash: ActorCrashed) -> float | None:
        """Seconds until the actor may be restarted; None when it crashed too often and is retired."""
        ...

    def retired(self, role: str, name: str) -> bool:
        """Whether it is gone for good."""
        ...

    def restart(self, role: str, name: str) -> None:
        """Start the actor again from the journal."""
        ...

    def change_fleet(self, command: FleetChange) -> FleetReply:
        """Change which deployments there are, or refuse to."""
        ...

    def check_health(self, message: CheckHealth) -> None:
        """Pass it on to the health checker, which is started when it is first wanted."""
        ...

    def drained(self, deployment_id: str) -> None:
        """A deployment that was removed has no open call any more."""
        ...

    def replace_supervisor(self, crash: ActorCrashed, estate: Estate) -> None:
        """Start the next incarnation of the Supervisor at once, with the open requests of this one."""
        ...


@define(eq=False)
class Estate:
    """What one incarnation of the Supervisor leaves to the next.

    `errands`: what it has yet to tell itself, of actors that crashed, with the timers that will do it.
    """

    open: dict[str, OpenRequest] = field(factory=dict)
    budget: RetryBudget = field(factory=RetryBudget)
    hedging: Hedging | None = None
    errands: dict[RestartDue | Rejoined, Timer] = field(factory=dict)


@frozen
class SupervisorPorts:
    """The lines out of the Supervisor. `deployments` are all of the router's, by id."""

    dispatcher: Dispatcher
    journal: EventLog
    switchboard: Switchboard
    directory: Directory
    deployments: dict[str, Deployment]
    rules: SupervisorRules
    rng: random.Random
    nursery: Nursery
    observer: CallObserver | None = None
