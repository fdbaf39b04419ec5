"""What a journal's events rebuild: the fleet, every deployment, the budgets and the open requests. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actors.budget.state import TreasuryState
from ..actors.budget.treasury import STREAM as BUDGETS
from ..actors.deployment.state import DeploymentState, Limits
from ..messages.events import (
    DeploymentAdded,
    DeploymentUpdated,
    ModelListSet,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RouterStarted,
)
from ..supervisor.fleet.fleet import Fleet
from ..supervisor.fleet.manager import ROUTER_STREAM
from ..supervisor.planning.compile_rules import shared_budgets
from ..supervisor.request_state import RequestState
from .rules import limits_in, settings_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..actors.journal.codec import Recorded
    from ..actors.journal.ports import Snapshot
    from ..messages.events import Event
    from ..messages.settings import RouterSettings

__all__ = ["DEPLOYMENT", "ENDINGS", "REQUEST", "UNFIT", "World", "owner_of"]

DEPLOYMENT = "deployment/"
REQUEST = "request/"
ENDINGS = frozenset({RequestSucceeded, RequestFailed, RequestCancelled})
UNFIT = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a state may raise over an event that cannot follow: one between them is lost, or damaged."""


def owner_of(stream: str) -> str:
    """The kind of state that a stream rebuilds: router, deployment, budgets or request."""
    return stream.partition("/")[0]


class World:
    """A router as its events tell of it, from the beginning or from snapshots on.

    Attributes:
        fleet: the deployments there are, and the settings the router was started with.
        states: deployments by id; those that were removed are kept, for they may come back.
        treasury: the budgets that deployments share.
        requests: those that are open, by id.
        revised: by stream, where its owner's rules last changed (a position).
        misfit: the position of the last event that could not follow what its request had been through.
    """

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.states: dict[str, DeploymentState] = {}
        self.treasury = TreasuryState({})
        self.requests: dict[str, RequestState] = {}
        self.revised: dict[str, int] = {}
        self.misfit = 0
        self._settings: RouterSettings = settings_in({})
        self._recorded: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<World · {len(self.fleet.listings)} deployments · {len(self.requests)} open requests>"

    # -- beginning in the middle

    def adopt(self, snapshot: Snapshot) -> None:
        """Take a snapshot's word for the state of a stream's owner.

        Raises:
            ValueError, KeyError, TypeError, IndexError: it is of another version, or damaged.
        """
        stream = snapshot.stream
        if stream == ROUTER_STREAM:
            self.fleet = Fleet.restore(snapshot.state)
            self._take_settings(self.fleet.settings, snapshot.position)
            self._set_all_limits(snapshot.position)
        elif stream == BUDGETS:
            self.treasury = TreasuryState.restore(shared_budgets(self._settings), snapshot.state)
        elif stream.startswith(DEPLOYMENT):
            name = stream.removeprefix(DEPLOYMENT)
            self.states[name] = DeploymentState.restore(name, self._limits(name), snapshot.state)

    # -- what happened

    def apply(self, recorded: Recorded) -> None:
        """Change by one event. Events of a stream come in their order; streams need not be told in turn."""
        stream, event, at = recorded.stream, recorded.event, recorded.at
        if stream.startswith(DEPLOYMENT):
            self.state_of(stream.removeprefix(DEPLOYMENT)).apply(event, at)
        elif stream.startswith(REQUEST):
            self._apply_to_request(stream.removeprefix(REQUEST), recorded)
        elif stream == ROUTER_STREAM:
            self._apply_to_router(event, at, recorded.position)
        elif stream == BUDGETS:
            self.treasury.apply(event, at)

    def state_of(self, name: str) -> DeploymentState:
        """A deployment's state; a new one when nothing was told of it yet."""
        state = self.states.get(name)
        if state is None:
            state = self.states[name] = DeploymentState(name, self._limits(name))
        return state

    def snapshot_of(self, stream: str, now: float) -> dict[str, Any]:
        """What the owner of a stream would save now."""
        if stream == ROUTER_STREAM:
            return self.fleet.snapshot()
        if stream == BUDGETS:
            return self.treasury.snapshot(now)
        return self.state_of(stream.removeprefix(DEPLOYMENT)).snapshot(now)

    def present(self) -> Iterator[str]:
        """The deployments there are, and those that went and let their open calls end."""
        yield from self.fleet.listings
        for name, state in self.states.items():
            if state.open and name not in self.fleet.listings:
                yield name

    # -- requests

    def _apply_to_request(self, request_id: str, recorded: Recorded) -> None:
        event = recorded.event
        if type(event) is RequestAccepted:
            self.requests[request_id] = RequestState()
        state = self.requests.get(request_id)
        if state is None:  # its beginning is not in the journal any more
            return
        try:
            state.apply(event, recorded.at)
        except UNFIT:  # where it stands cannot be told any more, and nothing else hangs on it
            self.misfit = recorded.position
            del self.requests[request_id]
            return
        if type(event) in ENDINGS:
            del self.requests[request_id]

    # -- the router

    def _apply_to_router(self, event: Event, at: float, position: int) -> None:
        self.fleet.apply(event)
        if isinstance(event, RouterStarted):
            self.requests.clear()  # nobody is left to answer them
            self._restart(event, at, position)
            return
        for name in _changed_by(event):
            self._set_limits(name, position)

    def _restart(self, event: RouterStarted, at: float, position: int) -> None:
        if event.settings == self._recorded:
            return
        self._take_settings(event.settings, position)
        self._set_all_limits(position)
        saved = self.treasury.snapshot(at)
        self.treasury = TreasuryState.restore(shared_budgets(self._settings), saved)

    def _take_settings(self, recorded: dict[str, Any], position: int) -> None:
        self._recorded = recorded
        self._settings = settings_in(recorded)
        self.revised[BUDGETS] = position

    def _set_all_limits(self, position: int) -> None:
        for name in self.fleet.listings:
            self._set_limits(name, position)

    def _set_limits(self, name: str, position: int) -> None:
        state = self.states.get(name)
        if state is None or name not in self.fleet.listings:
            return
        limits = self._limits(name)
        if limits != state.limits:
            state.go_by(limits)
            self.revised[f"{DEPLOYMENT}{name}"] = position

    def _limits(self, name: str) -> Limits:
        listing = self.fleet.listings.get(name)
        if listing is None:
            return Limits()
        defaults = self._recorded.get("default_litellm_params", {})
        return limits_in(name, listing, self._settings, defaults) or Limits()


def _changed_by(event: Event) -> Iterator[str]:
    """The deployments that go on under another configuration."""
    match event:
        case DeploymentAdded() | DeploymentUpdated():
            yield event.deployment_id
        case ModelListSet():
            yield from (change.deployment_id for change in event.added)
            yield from (change.deployment_id for change in event.updated)
