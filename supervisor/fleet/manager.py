"""The deployments of a running router: decides about a change of them, records it, and acts on it.

All of it happens in the Supervisor's turns (before there are any: in the thread that makes the router),
so a change is whole before anything else happens, and what is refused has changed nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import evolve

from ...actors.journal.sourced import SNAPSHOT_EVERY
from ...actors.journal.store import Snapshot
from ...actors.runtime.actor import LoopActor
from ...messages.commands import Announce, RemoveMember
from ...messages.errors import ConfigurationError, TurnoutError
from ...messages.events import DeploymentAdded, DeploymentRemoved, DeploymentUpdated, ModelListSet
from ...messages.fleet_commands import (
    AddDeployment,
    CloseGroup,
    DeleteDeployment,
    FleetReply,
    Reconfigure,
    Retire,
    SetModelList,
    UpdateDeployment,
    UpsertDeployment,
)
from ...messages.outcomes import LeftOut
from ..planning.compile_rules import limits_of
from .fleet import Berth, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...actors.deployment.state import Limits
    from ...actors.journal.store import Journal
    from ...actors.runtime.future import LoopFuture
    from ...messages.deployment import Deployment
    from ...messages.events import Event, RouterStarted
    from ...messages.fleet_commands import FleetChange
    from ..face.wiring import Wiring
    from .berths import BerthMaker

__all__ = ["FleetManager", "listed_berths", "recovered"]

log = logging.getLogger("turnout.supervisor")

ROUTER_STREAM = "router"


def recovered(journal: Journal) -> Fleet:
    """The fleet that a journal knows."""
    snapshot = journal.snapshot(ROUTER_STREAM)
    fleet = Fleet() if snapshot is None else snapshot.restored(Fleet.restore)
    position = 0 if snapshot is None else snapshot.position
    if journal.version(ROUTER_STREAM):
        for recorded in journal.read(ROUTER_STREAM, position):
            fleet.apply(recorded.event)
    return fleet


class FleetManager:
    """Owns the fleet, and sees that there is an actor for each deployment and each group of it.

    Attributes:
        fleet: what the journal says.
        berths: the deployments, by id.
        unrestored: those of the journal that this router cannot have at all, and why.
        confirmation: settled when the latest change is durable.
    """

    def __init__(self, wiring: Wiring, fleet: Fleet, maker: BerthMaker) -> None:
        self.fleet = fleet
        self.berths: dict[str, Berth] = {}
        self.unrestored: dict[str, str] = {}
        self._wiring = wiring
        self._make = maker
        self._saved_version = 0
        self.confirmation: LoopFuture[None] = wiring.journal.confirm()

    def __repr__(self) -> str:
        return (
            f"<FleetManager · {len(self.berths)} deployments in {len(self._wiring.directory.groups)} groups>"
        )

    @property
    def check(self) -> Callable[[Deployment], object] | None:
        """Whether real calls to a deployment can be made; raises ConfigurationError."""
        return self._make.check

    # -- the start

    def begin(self, event: RouterStarted) -> None:
        """Record that a router takes up this journal."""
        self._record(event)

    def open(self, berths: Mapping[str, Berth] | None) -> None:
        """Record what the constructor's list changes, and make out which deployments there are."""
        for event in self.fleet.opened(berths):
            self._record(event)
        listed, listings = berths or {}, self.fleet.listings
        for name in (*(n for n in listed if n in listings), *(n for n in listings if n not in listed)):
            try:
                self.berths[name] = self._make.restored(name, listings[name], listed.get(name))
            except TurnoutError as error:
                self.unrestored[name] = str(error)
                log.error("deployment %s cannot be restored from the journal: %s", name, error)  # noqa: TRY400
        self._save_if_due()
        self.confirmation = self._wiring.journal.confirm()

    @property
    def durable(self) -> bool:
        """Whether the settings and all changes of deployments would outlive the process."""
        return self.confirmation.succeeded

    def limits(self, berth: Berth) -> Limits:
        """What a deployment admits by; nothing while it lacks what calls need."""
        limits = limits_of(berth.deployment, self._wiring.settings)
        if not berth.lacking:
            return limits
        return evolve(limits, barred=LeftOut(berth.id, "unhealthy", detail=_why(berth)))

    def incomplete(self) -> dict[str, str]:
        """Deployments that take no calls since something of theirs was not restored, and what."""
        lacking = {berth.id: _why(berth) for berth in tuple(self.berths.values()) if berth.lacking}
        return {**lacking, **self.unrestored}

    # -- changes

    def change(self, command: FleetChange) -> FleetReply:
        """Do what a command asks, or refuse it and change nothing."""
        try:
            event, berths = self._decide(command)
        except TurnoutError as refusal:
            return FleetReply(refusal=refusal)
        if event is not None:
            self._record(event)
            self._act(event, {berth.id: berth for berth in berths})
            self._save_if_due()
            self.confirmation = self._wiring.journal.confirm()
        return FleetReply("" if isinstance(command, SetModelList) or not berths else berths[0].id)

    def _decide(self, command: FleetChange) -> tuple[Event | None, tuple[Berth, ...]]:
        fleet = self.fleet
        match command:
            case AddDeployment(entry):
                berth = self._make.new(entry, self._taken())
                return fleet.add(berth), (berth,)
            case UpsertDeployment(entry):
                berth = self._make.new(entry)
                return fleet.put(berth, self.berths.get(berth.id)), (berth,)
            case UpdateDeployment(deployment_id, changes):
                fleet.must_have(deployment_id)
                former = self._berth(deployment_id)
                berth = self._make.updated(former, changes)
                return fleet.put(berth, former), (berth,)
            case DeleteDeployment(deployment_id):
                return fleet.remove(deployment_id), ()
            case SetModelList(entries, deployments):
                pairs = zip(entries, deployments, strict=True)
                berths = tuple(
                    self._make.parsed(entry, deployment, at_run_time=True) for entry, deployment in pairs
                )
                return fleet.replace(berths, self.berths.get), berths

    def _taken(self) -> dict[str, str]:
        return dict.fromkeys(self.fleet.listings, "another deployment")

    def _berth(self, deployment_id: str) -> Berth:
        berth = self.berths.get(deployment_id)
        if berth is None:
            msg = (
                f"deployment {deployment_id} could not be restored, so there is nothing to update "
                f"(upsert_deployment() replaces it): {self.unrestored[deployment_id]}"
            )
            raise ConfigurationError(msg)
        return berth

    def _record(self, event: Event) -> None:
        self._wiring.record(event)
        self.fleet.apply(event)

    def _save_if_due(self) -> None:
        if self._wiring.journal.version(ROUTER_STREAM) - self._saved_version >= SNAPSHOT_EVERY:
            self.save()

    def save(self) -> None:
        """Save a snapshot: recovery begins here, behind all that came before."""
        journal = self._wiring.journal
        version = self._saved_version = journal.version(ROUTER_STREAM)
        now = self._wiring.clock.now()
        journal.save_snapshot(Snapshot(ROUTER_STREAM, version, journal.position, now, self.fleet.snapshot()))

    # -- acting

    def _act(self, event: Event, berths: dict[str, Berth]) -> None:
        """Newcomers first, so that no group is without a deployment in between."""
        if isinstance(event, ModelListSet):
            for change in (*event.added, *event.updated, *event.removed):
                self._act(change, berths)
            self.berths = {name: self.berths[name] for name in berths}  # in the order of the list
        elif isinstance(event, (DeploymentAdded, DeploymentUpdated)):
            self._put(berths[event.deployment_id])
        elif isinstance(event, DeploymentRemoved):
            self._remove(event.deployment_id)

    def _put(self, berth: Berth) -> None:
        former = self.berths.get(berth.id)
        self.berths[berth.id] = berth
        self.unrestored.pop(berth.id, None)
        self._enter(berth.deployment, None if former is None else former.deployment)
        self._launch(berth)
        if former is not None and former.deployment.model_name != berth.deployment.model_name:
            self._leave_group(former.deployment)

    def _enter(self, deployment: Deployment, former: Deployment | None) -> None:
        """Make it known under its names, and see that its group is there."""
        wiring = self._wiring
        wiring.deployments[deployment.id] = deployment
        if former is None or _names(former) != _names(deployment):
            wiring.directory.remove(deployment.id)
            wiring.directory.add(deployment)
        if deployment.model_name not in wiring.switchboard.groups:
            wiring.open_group(deployment.model_name)
            self._call_stand_ins(deployment.model_name)

    def _call_stand_ins(self, group: str) -> None:
        """Have those of other groups join it that may stand in for its own."""
        wiring = self._wiring
        if not wiring.substitutes.get(group):
            return
        for name, ref in wiring.switchboard.deployments.items():
            if group in wiring.stands_in_for(wiring.deployments[name]) and LoopActor.reaches(ref):
                ref.tell(Announce(group))

    def _launch(self, berth: Berth) -> None:
        """Have its actor go on under the new configuration, one that was about to retire included."""
        wiring, deployment = self._wiring, berth.deployment
        ref = wiring.switchboard.deployments.get(berth.id)
        failed = wiring.failed.pop(f"deployment/{berth.id}", None)
        if ref is None or failed is not None:
            wiring.start_deployment(berth)
        elif LoopActor.reaches(ref):  # else it crashed, and comes back as what it is now
            ref.tell(Reconfigure(deployment, self.limits(berth), wiring.stands_in_for(deployment)))

    def _remove(self, deployment_id: str) -> None:
        berth = self.berths.pop(deployment_id, None)
        self.unrestored.pop(deployment_id, None)
        if berth is None:
            return
        wiring = self._wiring
        wiring.directory.remove(deployment_id)
        wiring.failed.pop(f"deployment/{deployment_id}", None)
        for group in wiring.stands_in_for(berth.deployment):
            self._tell_group(group, RemoveMember(deployment_id))
        self._leave_group(berth.deployment)
        ref = wiring.switchboard.deployments.get(deployment_id)
        if ref is not None and LoopActor.reaches(ref):
            ref.tell(Retire())
        else:
            wiring.forget_deployment(deployment_id)

    def _leave_group(self, deployment: Deployment) -> None:
        """Its group sends nothing more; without any other deployment it is closed."""
        group = deployment.model_name
        self._tell_group(group, RemoveMember(deployment.id))
        if group in self._wiring.directory.groups:
            return
        self._tell_group(group, CloseGroup(deployment.id))
        self._wiring.close_group(group)
        mentions = self._wiring.settings.mentions(group)
        if mentions:
            log.warning("group %s has no deployment any more; named in %s", group, ", ".join(mentions))

    def _tell_group(self, group: str, message: Any) -> None:
        ref = self._wiring.switchboard.groups.get(group)
        if ref is not None and ref.is_alive():
            ref.tell(message)

    def drained(self, deployment_id: str) -> None:
        """It has no open call any more; if it is still to go, it goes."""
        if deployment_id not in self.berths:
            self._wiring.forget_deployment(deployment_id)


def _why(berth: Berth) -> str:
    return f"the journal cannot hold {', '.join(berth.lacking)}, and nobody gave it again"


def _names(deployment: Deployment) -> tuple[str, bool]:
    """What decides how a deployment is found."""
    return deployment.model_name, "*" in deployment.model


def listed_berths(
    maker: BerthMaker, entries: Iterable[Any] | None, deployments: tuple[Deployment, ...]
) -> dict[str, Berth] | None:
    """The constructor's list; None when there was none."""
    if entries is None:
        return None
    pairs = zip(entries, deployments, strict=True)
    return {deployment.id: maker.parsed(entry, deployment) for entry, deployment in pairs}
