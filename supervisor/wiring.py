"""Builds a router's actors from its settings, and builds them again after a crash."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..actors.callbacks.observer import CallObserver
from ..actors.deployment.actor import DeploymentActor, DeploymentPorts
from ..actors.deployment.state import DeploymentState
from ..actors.model_group.actor import ModelGroup
from ..actors.model_group.strategies import make_strategy
from ..actors.runtime.switchboard import Switchboard
from ..actors.runtime.system import ActorSystem, RestartLedger
from ..messages.commands import ActorCrashed, RemoveMember, SaveSnapshot, Shutdown
from ..messages.events import (
    DeploymentAdded,
    DeploymentRestarted,
    DeploymentRetired,
    RouterStarted,
    RouterStopped,
)
from .caching import start_cache
from .compile_rules import limits_of, supervisor_rules
from .directory import Directory
from .ports import SupervisorPorts
from .process_wide import wide_callbacks
from .supervisor import Supervisor

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from ..actors.journal.store import Journal
    from ..actors.providers.ports import Caller
    from ..actors.runtime.dispatcher import Dispatcher
    from ..messages.events import Event
    from ..messages.settings import Deployment, RouterSettings
    from .ports import Estate

__all__ = ["Wiring"]

log = logging.getLogger("turnout.supervisor")

ROUTER_STREAM = "router"


class Wiring:
    """One router's actors and the lines between them."""

    def __init__(
        self,
        settings: RouterSettings,
        deployments: tuple[Deployment, ...],
        dispatcher: Dispatcher,
        journal: Journal,
        caller: Caller,
        rng: random.Random,
        seed: int | None,
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.deployments = {deployment.id: deployment for deployment in deployments}
        self.directory = Directory(deployments, settings.model_group_alias)
        settings.check_groups(self.directory.__contains__, self.directory.names())
        for problem in settings.unknown_fallbacks(self.directory.__contains__, self.directory.names()):
            log.warning("%s; it is passed over until there is one", problem)
        make_strategy(settings.routing_strategy, settings.routing_strategy_args)  # wrong ones fail here
        self.switchboard = Switchboard()
        self.system = ActorSystem(dispatcher)
        self.failed: dict[str, str] = {}
        self.rules = supervisor_rules(settings)
        self._dispatcher = dispatcher
        self._rng = rng
        self._ledger = RestartLedger()
        self._services: dict[str, Callable[[], Any]] = {}
        self.observer = CallObserver(dispatcher, settings.callbacks, wide_callbacks, self._answers_are_due)
        self._ports = DeploymentPorts(
            dispatcher, journal, caller, self.switchboard, settings.stream_timeout, self.observer
        )
        self.closers: list[Callable[[], Coroutine[Any, Any, None]]] = []
        try:
            self._start(seed)
        except BaseException:  # a journal that cannot be read, for one
            self.system.unregister_all()
            raise

    def _start(self, seed: int | None) -> None:
        self._record(RouterStarted(seed, self.settings.changed()))
        self.switchboard.supervisor = self._start_supervisor()
        for group in dict.fromkeys(d.model_name for d in self.deployments.values()):
            self._start_group(group)
        for deployment in self.deployments.values():
            self._record(DeploymentAdded(deployment.id, deployment.model_name, deployment.public_config()))
            self._start_deployment(deployment)
        start_cache(self, self._dispatcher)

    def _record(self, event: Event) -> None:
        version = self.journal.version(ROUTER_STREAM) + 1  # the journal writes of its losses there, too
        self.journal.append(ROUTER_STREAM, version, self._dispatcher.clock.now(), event)

    def save_snapshots(self, streams: frozenset[str]) -> None:
        """Events of these streams were lost: let recovery begin behind the gap (see `Journal.on_gap`)."""
        for name, ref in self.switchboard.deployments.items():
            if f"deployment/{name}" in streams and ref.is_alive():
                ref.tell(SaveSnapshot())

    def _answers_are_due(self) -> bool:
        """Whether the Supervisor has mail: a callback must not see an answer before it is through with it."""
        return bool(len(self.switchboard.supervisor.actor_inbox))

    # -- starting actors

    def _start_supervisor(self, estate: Estate | None = None) -> Any:
        ports = SupervisorPorts(
            self._dispatcher,
            self.journal,
            self.switchboard,
            self.directory,
            self.deployments,
            self.rules,
            self._rng,
            self,
        )
        return self.system.start(Supervisor, ports, estate)

    def _start_group(self, group: str) -> None:
        self.switchboard.groups[group] = self.system.start(
            ModelGroup, self._dispatcher, group, self.switchboard, self.settings, self._rng
        )

    def start_service(self, name: str, make: Callable[[], Any]) -> None:
        """Start the actor that `make` gives under this name, and after a crash again."""
        self._services[name] = make
        self.switchboard.services[name] = make()

    def _start_deployment(self, deployment: Deployment) -> None:
        state, version = self._recovered(deployment)
        self.switchboard.deployments[deployment.id] = self.system.start(
            DeploymentActor, self._ports, deployment, state, version, self._stands_in_for(deployment)
        )

    def _stands_in_for(self, deployment: Deployment) -> tuple[str, ...]:
        """The groups that may use this deployment although it is not theirs."""
        substitutes = (self.settings.routing_strategy_args or {}).get("substitutes") or {}
        own = deployment.model_name
        asked = (group for group, others in substitutes.items() if own in others and group != own)
        return tuple(group for group in asked if group in self.switchboard.groups)

    def _recovered(self, deployment: Deployment) -> tuple[DeploymentState, int]:
        """The state that the journal says a deployment is in."""
        stream = f"deployment/{deployment.id}"
        limits = limits_of(deployment, self.settings)
        snapshot = self.journal.snapshot(stream)
        if snapshot is None:
            state, version, position = DeploymentState(deployment.id, limits), 0, 0
        else:
            state = DeploymentState.restore(deployment.id, limits, snapshot.state)
            version, position = snapshot.version, snapshot.position
        if self.journal.version(stream) > version:
            for recorded in self.journal.read(stream, position):
                state.apply(recorded.event, recorded.at)
                version = recorded.version
        return state, version

    # -- the nursery: who comes back after a crash

    def crashed(self, crash: ActorCrashed) -> float | None:
        """See `Nursery.crashed`."""
        now = self._dispatcher.clock.now()
        seconds = self._ledger.crashed(crash.role, crash.name, now)
        log.error("%s %s crashed (%s)", crash.role, crash.name, crash.error)
        if seconds is None:
            self._retire(crash)
        return seconds

    def _retire(self, crash: ActorCrashed) -> None:
        """Out of rotation for good: it crashed more often than a restart can mend."""
        log.critical("%s %s crashes again and again: taken out of rotation", crash.role, crash.name)
        self.failed[f"{crash.role}/{crash.name}"] = crash.error
        self.switchboard.services.pop(crash.name if crash.role == "service" else "", None)
        if crash.role == "deployment":
            restarts = self._ledger.restarts.get((crash.role, crash.name), 0)
            self._record(DeploymentRetired(crash.name, crash.error, restarts))
            for group in self.switchboard.groups.values():
                if group.is_alive():
                    group.tell(RemoveMember(crash.name))

    def retired(self, role: str, name: str) -> bool:
        """See `Nursery.retired`."""
        return f"{role}/{name}" in self.failed

    def restart(self, role: str, name: str) -> None:
        """Start a crashed actor again under its old name."""
        self.system.forget_dead()
        if role == "group":
            self._start_group(name)
            return
        if role == "service":
            self.switchboard.services[name] = self._services[name]()
            return
        restarts = self._ledger.restarts[role, name]
        self._record(DeploymentRestarted(name, "crashed", restarts))
        self._start_deployment(self.deployments[name])

    def replace_supervisor(self, crash: ActorCrashed, estate: Estate) -> None:
        """See `Nursery.replace_supervisor`."""
        too_often = self.crashed(crash) is None
        self.system.forget_dead()
        self.switchboard.supervisor = self._start_supervisor(estate)
        if too_often:
            self.switchboard.supervisor.tell(Shutdown())

    # -- the end

    def stop(self) -> None:
        """Record the end, keep what is known, and stop every actor. In the dispatcher's thread."""
        self._record(RouterStopped())
        self.journal.tell_listeners()
        self.system.stop_all()

    async def aclose(self) -> None:
        """Close what services have open outside. On the loop, when no task runs any more."""
        for close in self.closers:
            await close()

    def abandon(self) -> None:
        """Record the end; the loop that ran the actors is gone already."""
        self._record(RouterStopped())
        self.system.unregister_all()
