"""A deployment's state as its events tell it, kept beside the living one and held against it. I8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....actors.budget.state import TreasuryState
from ....actors.deployment.state import DeploymentState
from ....supervisor.planning.compile_rules import shared_budgets
from .account import facts_of
from .violation import Violation

if TYPE_CHECKING:
    from ..disk import SimulatedDisk

__all__ = ["Shadow", "differ", "recovered", "replayed", "treasury_on"]


def recovered(disk: SimulatedDisk, name: str, limits: Any) -> DeploymentState:
    """From the latest snapshot and what follows it."""
    snapshot = disk.snapshot(f"deployment/{name}")
    if snapshot is None:
        return replayed(disk, name, limits)
    state = DeploymentState.restore(name, limits, snapshot.state)
    for item in disk.read(f"deployment/{name}", snapshot.position):
        state.apply(item.event, item.at)
    return state


def replayed(disk: SimulatedDisk, name: str, limits: Any) -> DeploymentState:
    """From the very first event."""
    state = DeploymentState(name, limits)
    for item in disk.read(f"deployment/{name}"):
        state.apply(item.event, item.at)
    return state


def treasury_on(disk: SimulatedDisk, settings: Any, whole_at: float | None) -> TreasuryState:
    """The Treasury as its journal says; on one that is whole from its snapshot as well as without one."""
    rules, snapshot = shared_budgets(settings), disk.snapshot("budgets")
    states = [(TreasuryState(rules), 0)]
    if snapshot is not None:
        states.append((TreasuryState.restore(rules, snapshot.state), snapshot.position))
    for state, position in states:
        for item in disk.read("budgets", position):
            state.apply(item.event, item.at)
    if whole_at is not None and states[0][0].snapshot(whole_at) != states[-1][0].snapshot(whole_at):
        raise Violation("I8", "the Treasury recovers to another state from its snapshot", whole_at)
    return states[-1][0]


def differ(one: DeploymentState, other: DeploymentState, now: float) -> bool:
    """Whether two states are not the same, whatever they say of themselves."""
    for state in (one, other):
        state.window.expire(now)
        if state.ledger is not None:
            state.ledger.expire(now)
        if state.quiet_until <= now:  # long ago is as good as never
            state.quiet_until = 0.0
        for call in state.open.values():  # nor is what is in no period any more
            call.set_aside = call.counted or 0
    return bool(facts_of(one) != facts_of(other))


class Shadow:
    """The state of a deployment, kept current by its events alone, now and then by way of a snapshot."""

    def __init__(self, name: str, limits: Any, begun: DeploymentState | None) -> None:
        self.name = name
        self.limits = limits
        self.state = begun or DeploymentState(name, limits)
        self.events = 0

    def apply(self, event: Any, at: float) -> None:
        self.state.apply(event, at)
        self.events += 1

    def compare(self, live: DeploymentState, now: float) -> None:
        """I8."""
        self.events = 0
        replayed = self.state.snapshot(now)
        if replayed != live.snapshot(now) or differ(self.state, live, now):
            what = f"{self.name} is {facts_of(live)}, its events say {facts_of(self.state)}"
            raise Violation("I8", what, now)
        restored = DeploymentState.restore(self.name, self.limits, replayed)
        if differ(restored, self.state, now):
            what = f"{self.name} is {facts_of(self.state)}, from its snapshot {facts_of(restored)}"
            raise Violation("I8", what, now)
        self.state = restored
