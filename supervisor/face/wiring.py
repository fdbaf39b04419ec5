"""Builds a router's actors from its settings, and builds them again after a crash."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from ...actors.budget.treasury import STREAM as BUDGETS
from ...actors.budget.treasury import TREASURY
from ...actors.callbacks.observer import CallObserver
from ...actors.deployment.actor import DeploymentActor, DeploymentPorts
from ...actors.deployment.state import DeploymentState
from ...actors.model_group.actor import ModelGroup
from ...actors.model_group.counting import TokenCounter, available
from ...actors.model_group.strategies import make_strategy
from ...actors.runtime.switchboard import Switchboard
from ...actors.runtime.system import ActorSystem, RestartLedger
from ...actors.usage import actor as usage
from ...messages.commands import ActorCrashed, RemoveMember, SaveSnapshot, Shutdown
from ...messages.errors import ServiceUnavailableError
from ...messages.events import (
    DeploymentRestarted,
    DeploymentRetired,
    RouterStarted,
    RouterStopped,
)
from ..fleet.berths import BerthMaker
from ..fleet.manager import ROUTER_STREAM, FleetManager, listed_berths, recovered
from ..planning.compile_rules import supervisor_rules
from ..planning.directory import Directory
from ..planning.fallbacks import unknown_fallbacks
from ..ports import SupervisorPorts
from ..supervisor import Supervisor
from .caching import start_cache
from .costs import start_budgets
from .health_checks import start_checker
from .process_wide import wide_callbacks

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from ...actors.journal.store import Journal
    from ...actors.providers.ports import Caller
    from ...actors.runtime.dispatcher import Dispatcher
    from ...messages.events import Event
    from ...messages.fleet_commands import FleetChange, FleetReply
    from ...messages.health_commands import CheckHealth
    from ...messages.settings import Deployment, RouterSettings
    from ..fleet.fleet import Berth
    from ..ports import Estate

__all__ = ["Wiring"]

log = logging.getLogger("turnout.supervisor")


class Wiring:
    """One router's actors and the lines between them.

    `deployments` are those whose actors live: the fleet's, and those that were removed and let their
    open calls end.
    """

    def __init__(
        self,
        settings: RouterSettings,
        model_list: list[dict[str, Any]] | None,
        deployments: tuple[Deployment, ...],
        dispatcher: Dispatcher,
        journal: Journal,
        caller: Caller,
        rng: random.Random,
        seed: int | None,
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.clock = dispatcher.clock
        self.switchboard = Switchboard()
        self.system = ActorSystem(dispatcher)
        self.failed: dict[str, str] = {}
        self.rules = supervisor_rules(settings)
        self.substitutes = (settings.routing_strategy_args or {}).get("substitutes") or {}
        self._dispatcher = dispatcher
        self._rng = rng
        self._ledger = RestartLedger()
        self._services: dict[str, Callable[[], Any]] = {}
        self.observer = CallObserver(dispatcher, settings.callbacks, wide_callbacks, self._answers_are_due)
        self._ports = DeploymentPorts(
            dispatcher, journal, caller, self.switchboard, settings.stream_timeout, self.observer
        )
        self.closers: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._counter = self._token_counter()
        make_strategy(settings.routing_strategy, settings.routing_strategy_args)  # wrong ones fail here
        maker = BerthMaker(settings.default_litellm_params, getattr(caller, "check", None))
        self.fleet = FleetManager(self, recovered(journal), maker)
        self._must_know_groups(deployments, unlisted=model_list is None)
        self.fleet.begin(RouterStarted(seed, settings.changed()))
        self.fleet.open(listed_berths(maker, model_list, deployments))
        self.deployments = {name: berth.deployment for name, berth in self.fleet.berths.items()}
        self.directory = Directory(self.deployments.values(), settings.model_group_alias)
        try:
            self._start()
        except BaseException:  # a journal that cannot be read, for one
            self.system.unregister_all()
            raise

    def _must_know_groups(self, deployments: tuple[Deployment, ...], *, unlisted: bool) -> None:
        """An alias or a stand-in must lead somewhere: in the list, or in what the journal has.

        A group of the list may have been deleted since, which is no reason not to start.
        """
        aliases = self.settings.model_group_alias
        given = Directory(deployments, aliases)
        for group in self.fleet.fleet.groups_beside(None if unlisted else {d.id for d in deployments}):
            given.learn(group)
        self.settings.check_groups(given.__contains__, given.names())
        for problem in self.settings.unknown_fallbacks(given.__contains__, given.names()):
            log.warning("%s; it is passed over until there is one", problem)
        for problem in unknown_fallbacks(deployments, given):
            log.warning("%s; it is passed over until there is one", problem)

    def _start(self) -> None:
        self.switchboard.supervisor = self._start_supervisor()
        for group in self.directory.groups:
            self.open_group(group)
        for berth in self.fleet.berths.values():
            self.start_deployment(berth)
        start_cache(self, self._dispatcher)
        start_budgets(self, self._dispatcher)
        self.start_service(usage.NAME, self._start_usage)
        if self.settings.health_check_interval is not None:
            start_checker(self, self._dispatcher)

    def record(self, event: Event) -> None:
        """Record an event of the router's own stream."""
        version = self.journal.version(ROUTER_STREAM) + 1  # the journal writes of its losses there, too
        self.journal.append(ROUTER_STREAM, version, self.clock.now(), event)

    def save_snapshots(self, streams: frozenset[str]) -> None:
        """Let recovery of these streams, and of the account, begin behind what was recorded up to now.

        Events of theirs were lost (see `Journal.on_gap`), or are to be removed (see `Journal.on_trim`).
        """
        if ROUTER_STREAM in streams:
            self._dispatcher.call_soon(self.fleet.save)
        for name, ref in self.switchboard.deployments.items():
            if f"deployment/{name}" in streams and ref.is_alive():
                ref.tell(SaveSnapshot())
        treasury = self.switchboard.services.get(TREASURY)
        if BUDGETS in streams and treasury is not None and treasury.is_alive():
            treasury.tell(SaveSnapshot())
        account = self.switchboard.services.get(usage.NAME)
        if account is not None and account.is_alive():
            account.tell(SaveSnapshot())

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
            self.observer,
        )
        return self.system.start(Supervisor, ports, estate)

    def open_group(self, group: str) -> None:
        """Start the actor of a group."""
        self._ledger.is_back("group", group)
        self.switchboard.groups[group] = self.system.start(
            ModelGroup, self._dispatcher, group, self.switchboard, self.settings, self._rng, self._counter
        )

    def _token_counter(self) -> TokenCounter | None:
        """Who counts tokens where it matters, if that can be done; it loads nothing before it must."""
        if not available():
            return None
        counter = TokenCounter(self._dispatcher)
        self.closers.append(counter.aclose)
        return counter

    def close_group(self, group: str) -> None:
        """Stop the actor of a group that is gone, after the mail it has."""
        ref = self.switchboard.groups.pop(group, None)
        self.failed.pop(f"group/{group}", None)
        if ref is not None:
            self.system.stop(ref)

    def start_service(self, name: str, make: Callable[[], Any]) -> None:
        """Start the actor that `make` gives under this name, and after a crash again."""
        self._services[name] = make
        self.switchboard.services[name] = make()

    def _start_usage(self) -> Any:
        return self.system.start(usage.UsageActor, self._dispatcher, self.journal, self.switchboard)

    def start_deployment(self, berth: Berth) -> None:
        """Start a deployment's actor with the state that its journal tells."""
        deployment = berth.deployment
        self._ledger.is_back("deployment", deployment.id)
        state, version, set_back = self._recovered(berth)
        self.switchboard.deployments[deployment.id] = self.system.start(
            DeploymentActor,
            self._ports,
            deployment,
            state,
            version,
            self.stands_in_for(deployment),
            set_back,
        )

    def forget_deployment(self, deployment_id: str) -> None:
        """Let go of a deployment that was removed; its actor stops, if it lives."""
        self.deployments.pop(deployment_id, None)
        ref = self.switchboard.deployments.pop(deployment_id, None)
        if ref is not None:
            self.system.stop(ref)

    def stands_in_for(self, deployment: Deployment) -> tuple[str, ...]:
        """The groups, there or not, that may use this deployment although it is not theirs."""
        own = deployment.model_name
        return tuple(group for group, others in self.substitutes.items() if own in others and group != own)

    def _recovered(self, berth: Berth) -> tuple[DeploymentState, int, float]:
        """The state that the journal says a deployment is in, its version, and how far it is ahead of us.

        Events that the journal lost have had their versions, and those are not given again.
        """
        stream = f"deployment/{berth.id}"
        limits = self.fleet.limits(berth)
        snapshot = self.journal.snapshot(stream)
        if snapshot is None:
            state, version, position, at = DeploymentState(berth.id, limits), 0, 0, 0.0
        else:
            state = snapshot.restored(partial(DeploymentState.restore, berth.id, limits))
            version, position, at = snapshot.version, snapshot.position, snapshot.at
        last = self.journal.version(stream)
        if last > version:
            for recorded in self.journal.read(stream, position):
                at = recorded.at
                state.apply(recorded.event, at)
        return state, max(version, last), max(0.0, at - self._dispatcher.clock.now())

    # -- the fleet

    def change_fleet(self, command: FleetChange) -> FleetReply:
        """See `Nursery.change_fleet`."""
        return self.fleet.change(command)

    def check_health(self, message: CheckHealth) -> None:
        """See `Nursery.check_health`."""
        if "service/health" in self.failed:
            message.reply.fail(ServiceUnavailableError("the health checker crashed again and again"))
            return
        if "health" not in self.switchboard.services:
            start_checker(self, self._dispatcher)
        checker = self.switchboard.services["health"]
        if checker.is_alive():
            checker.tell(message)
        else:
            message.reply.fail(ServiceUnavailableError("the health checker is being restarted"))

    def drained(self, deployment_id: str) -> None:
        """See `Nursery.drained`."""
        self.fleet.drained(deployment_id)

    # -- the nursery: who comes back after a crash

    def crashed(self, crash: ActorCrashed) -> float | None:
        """See `Nursery.crashed`."""
        now = self._dispatcher.clock.now()
        seconds = self._ledger.crashed(crash.role, crash.name, now)
        log.error("%s %s crashed (%s)", crash.role, crash.name, crash.error)
        if seconds is None and not self.retired(crash.role, crash.name):
            self._retire(crash)
        return seconds

    def _retire(self, crash: ActorCrashed) -> None:
        """Out of rotation for good: it crashed more often than a restart can mend."""
        log.critical("%s %s crashes again and again: taken out of rotation", crash.role, crash.name)
        self.failed[f"{crash.role}/{crash.name}"] = crash.error
        self.switchboard.services.pop(crash.name if crash.role == "service" else "", None)
        if crash.role == "deployment":
            restarts = self._ledger.restarts.get((crash.role, crash.name), 0)
            self.record(DeploymentRetired(crash.name, crash.error, restarts))
            for group in self.switchboard.groups.values():
                if group.is_alive():
                    group.tell(RemoveMember(crash.name))

    def retired(self, role: str, name: str) -> bool:
        """See `Nursery.retired`."""
        return f"{role}/{name}" in self.failed

    def restart(self, role: str, name: str) -> None:
        """Start a crashed actor again under its old name."""
        self._ledger.is_back(role, name)
        self.system.forget_dead()
        if role == "group":
            if _is_dead(
                self.switchboard.groups.get(name)
            ):  # else it was closed meanwhile, or is back already
                self.open_group(name)
            return
        if role == "service":
            if _is_dead(self.switchboard.services.get(name)):
                self.switchboard.services[name] = self._services[name]()
            return
        berth = self.fleet.berths.get(name)
        if berth is None:  # it was removed: nothing of it is left to wait for
            self.forget_deployment(name)
            return
        ref = self.switchboard.deployments.get(name)
        if ref is not None and ref.is_alive():  # removed and added again
            return
        self.record(DeploymentRestarted(name, "crashed", self._ledger.restarts[role, name]))
        self.start_deployment(berth)

    def replace_supervisor(self, crash: ActorCrashed, estate: Estate) -> None:
        """See `Nursery.replace_supervisor`."""
        too_often = self.crashed(crash) is None
        self.system.forget_dead()
        self.switchboard.supervisor = self._start_supervisor(estate)
        self._ledger.is_back(crash.role, crash.name)
        if too_often:
            self.switchboard.supervisor.tell(Shutdown())

    # -- the end

    def stop(self) -> None:
        """Record the end, keep what is known, and stop every actor. In the dispatcher's thread."""
        self.record(RouterStopped())
        self.journal.tell_listeners()
        self.system.stop_all()

    async def aclose(self) -> None:
        """Close what services have open outside. On the loop, when no task runs any more."""
        for close in self.closers:
            await close()

    def abandon(self) -> None:
        """Record the end; the loop that ran the actors is gone already."""
        self.record(RouterStopped())
        self.system.unregister_all()


def _is_dead(ref: Any) -> bool:
    return ref is not None and not ref.is_alive()
