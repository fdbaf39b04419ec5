"""A router's methods that change which deployments it has, while it runs.

A change is made in one turn of the router's actors, or refused and nothing is changed. It is recorded,
and the blocking methods return when the record is durable. Called on the event loop that the router
lives on, where nothing may block, they return when the change is made, and the record becomes durable
behind them (`health()["deployments_durable"]`); their awaited twins wait for that there, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from ...messages.deployments import parse_model_list
from ...messages.errors import RouterClosedError
from ...messages.fleet_commands import (
    AddDeployment,
    DeleteDeployment,
    SetModelList,
    UpdateDeployment,
    UpsertDeployment,
)

if TYPE_CHECKING:
    from ...actors.journal.store import Journal
    from ...actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher
    from ...actors.runtime.future import LoopFuture
    from ...actors.runtime.switchboard import Switchboard
    from ...messages.fleet_commands import FleetChange, FleetReply
    from ...messages.settings import RouterSettings
    from .lifecycle import Lifecycle
    from .wiring import Wiring

__all__ = ["Management"]

_CLOSED = "this router is closed; make a new one"


class Management:
    """The part of :class:`.router.Router` that manages its deployments. All of it from any thread.

    Every method that changes something raises:
        ConfigurationError: what was given is wrong; nothing was changed.
        NotFoundError: there is no deployment of this id; nothing was changed.
        JournalError: the change was made, and the journal cannot make it durable.
        RouterClosedError: the router was closed.
    """

    if TYPE_CHECKING:
        settings: RouterSettings
        _dispatcher: EventLoopDispatcher | ManualDispatcher
        _journal: Journal
        _lifecycle: Lifecycle
        _switchboard: Switchboard
        _wiring: Wiring

    def get_deployments(self) -> list[dict[str, Any]]:
        """All deployments as `model_list` entries with their ids: keys masked, mock answers by their type."""
        return [berth.deployment.public_config() for berth in tuple(self._wiring.fleet.berths.values())]

    # -- one deployment

    def add_deployment(self, deployment: dict[str, Any]) -> str:
        """Take in a `model_list` entry as a new deployment, and give its id."""
        return self._changed(AddDeployment(deployment))

    async def aadd_deployment(self, deployment: dict[str, Any]) -> str:
        """The same, awaited."""
        return await self._achanged(AddDeployment(deployment))

    def upsert_deployment(self, deployment: dict[str, Any]) -> str:
        """The same; the deployment that has this id already goes on under the new configuration."""
        return self._changed(UpsertDeployment(deployment))

    async def aupsert_deployment(self, deployment: dict[str, Any]) -> str:
        """The same, awaited."""
        return await self._achanged(UpsertDeployment(deployment))

    def update_deployment(self, deployment_id: str, **changes: Any) -> None:
        """Change some of a deployment's configuration; None takes a parameter away.

        Its calls, windows, cooldown and totals stay. `litellm_params` and `model_info` may be given
        as dicts of what is to change in them; every other name is a parameter.
        """
        self._changed(UpdateDeployment(deployment_id, changes))

    async def aupdate_deployment(self, deployment_id: str, **changes: Any) -> None:
        """The same, awaited."""
        await self._achanged(UpdateDeployment(deployment_id, changes))

    def delete_deployment(self, deployment_id: str) -> None:
        """Take a deployment out: new requests go elsewhere, its open calls end in their own time."""
        self._changed(DeleteDeployment(deployment_id))

    async def adelete_deployment(self, deployment_id: str) -> None:
        """The same, awaited."""
        await self._achanged(DeleteDeployment(deployment_id))

    # -- all of them

    def set_model_list(self, model_list: list[dict[str, Any]]) -> None:
        """Have these deployments and no others: all of it, or nothing when an entry is wrong.

        One that is there already, by its id, goes on under its new configuration.
        """
        self._changed(self._parsed(model_list))

    async def aset_model_list(self, model_list: list[dict[str, Any]]) -> None:
        """The same, awaited."""
        await self._achanged(self._parsed(model_list))

    def _parsed(self, model_list: Any) -> SetModelList:
        """Checked in the caller's thread: ten thousand entries would hold up the requests."""
        deployments = parse_model_list(model_list, defaults=self.settings.default_litellm_params)
        check = self._wiring.fleet.check
        if check is not None:
            for deployment in deployments:
                check(deployment)
        return SetModelList(tuple(model_list or ()), deployments)

    # -- how

    def _ask_for(self, command: FleetChange) -> LoopFuture[FleetReply]:
        if self._lifecycle.closed or self._dispatcher.lost:
            raise RouterClosedError(_CLOSED)
        if self._dispatcher.in_turn:
            msg = (
                "the router's own actors are at work in this thread, so a change cannot be waited for; "
                "leave it to a task (`await router.aadd_deployment(...)`) or another thread"
            )
            raise RuntimeError(msg)
        self._lifecycle.ensure_running()
        future: LoopFuture[FleetReply] = self._switchboard.supervisor.ask(command, block=False)
        self._dispatcher.run_now()
        return future

    def _changed(self, command: FleetChange) -> str:
        future = self._ask_for(command)
        deployment_id = _result(future)
        if not self._dispatcher.runs_here():
            self._journal.confirm().get()
        return deployment_id

    async def _achanged(self, command: FleetChange) -> str:
        future = self._ask_for(command)
        await _settled(future)
        deployment_id = _result(future)
        await self._journal.confirm()
        return deployment_id


async def _settled(future: LoopFuture[FleetReply]) -> None:
    try:
        await future
    except pykka.ActorDeadError:
        raise RouterClosedError(_CLOSED) from None


def _result(future: LoopFuture[FleetReply]) -> str:
    try:
        reply = future.get()
    except pykka.ActorDeadError:
        raise RouterClosedError(_CLOSED) from None
    if reply.refusal is not None:
        raise reply.refusal
    return reply.deployment_id
