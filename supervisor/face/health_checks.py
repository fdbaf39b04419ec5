"""A router's methods that ask its deployments how they are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...actors.runtime.future import LoopFuture
from ...messages.errors import RouterClosedError
from ...messages.health_commands import CheckHealth
from ...messages.redaction import hide_url_secrets
from ..fleet.health_checker import CheckerPorts, HealthChecker

if TYPE_CHECKING:
    from ...actors.runtime.dispatcher import Dispatcher, EventLoopDispatcher, ManualDispatcher
    from ...actors.runtime.switchboard import Switchboard
    from ...messages.deployment import Deployment
    from ...messages.health_commands import DeploymentChecked
    from .lifecycle import Lifecycle
    from .wiring import Wiring

__all__ = ["HealthChecks", "start_checker"]


def start_checker(wiring: Wiring, dispatcher: Dispatcher) -> None:
    """Start the service that runs the checks."""
    ports = CheckerPorts(
        dispatcher,
        wiring.switchboard,
        lambda: tuple(wiring.fleet.berths),
        wiring.settings.health_check_interval,
    )
    wiring.start_service("health", partial(wiring.system.start, HealthChecker, ports))


class HealthChecks:
    """The part of :class:`.router.Router` that checks deployments."""

    if TYPE_CHECKING:
        _dispatcher: EventLoopDispatcher | ManualDispatcher
        _lifecycle: Lifecycle
        _switchboard: Switchboard
        _wiring: Wiring

    def health_check(self, model: str | None = None) -> dict[str, Any]:
        """Make one minimal call to every deployment, and report which of them answer.

        Each is asked by its mode (chat: one token; images: one small image), `MAX_CHECKS` at a time, for
        `CHECK_SECONDS` at most (`IMAGE_CHECK_SECONDS` for an image). These are real calls: they cost, and
        count in `rpm` and `tpm`; `model_info.health_check=False` leaves a deployment out of them. One
        that fails is left out of its group, while any other is well, until a check or a call of it
        succeeds.

        Args:
            model: a group, an alias or a deployment's id; None is all deployments.

        Returns:
            `healthy_endpoints`, `unhealthy_endpoints` and `unchecked_endpoints` (lists of dicts with
            `deployment_id`, `model_name`, `model`, `latency` in seconds, and where it is not healthy
            `error`), `healthy_count`, `unhealthy_count`.

        Raises:
            NotFoundError: `model` leads nowhere.
            RouterClosedError: the router was closed.
            RuntimeError: a blocking call on the event loop the router lives on.
        """
        self._dispatcher.refuse_to_block()
        future = self._ask_for_checks(model)
        return _report(future.get(), self._deployments_now())

    async def ahealth_check(self, model: str | None = None) -> dict[str, Any]:
        """The same, awaited."""
        return _report(await self._ask_for_checks(model), self._deployments_now())

    def _deployments_now(self) -> dict[str, Deployment]:
        return dict(self._wiring.deployments)

    def _ask_for_checks(self, model: str | None) -> LoopFuture[tuple[DeploymentChecked, ...]]:
        if self._lifecycle.closed or self._dispatcher.lost:
            msg = "this router is closed; make a new one"
            raise RouterClosedError(msg)
        self._lifecycle.ensure_running()
        reply: LoopFuture[tuple[DeploymentChecked, ...]] = LoopFuture(self._dispatcher)
        message = CheckHealth(self._meant(model), reply)
        self._switchboard.supervisor.actor_inbox.deliver(message)
        return reply

    def _meant(self, model: str | None) -> tuple[str, ...]:
        berths = tuple(self._wiring.fleet.berths.values())
        if model is None:
            return tuple(berth.id for berth in berths)
        target = self._wiring.directory.resolve(model)
        if target.only is not None:
            return (target.only,)
        return tuple(berth.id for berth in berths if berth.deployment.model_name == target.group)


def _report(checked: tuple[DeploymentChecked, ...], deployments: dict[str, Deployment]) -> dict[str, Any]:
    rows: dict[bool | None, list[dict[str, Any]]] = {True: [], False: [], None: []}
    for item in checked:
        rows[item.well].append(_row(item, deployments.get(item.deployment_id)))
    return {
        "healthy_endpoints": rows[True],
        "unhealthy_endpoints": rows[False],
        "unchecked_endpoints": rows[None],
        "healthy_count": len(rows[True]),
        "unhealthy_count": len(rows[False]),
    }


def _row(item: DeploymentChecked, deployment: Deployment | None) -> dict[str, Any]:
    row: dict[str, Any] = {"deployment_id": item.deployment_id}
    if deployment is not None:
        row["model_name"] = deployment.model_name
        row["model"] = f"{deployment.provider}/{deployment.model}"
        if deployment.api_base is not None:
            row["api_base"] = hide_url_secrets(deployment.api_base)
    row["latency"] = item.seconds
    if not item.well:
        row["error"] = item.error
    if item.well is False:
        row |= {"status_code": item.status_code, "counted": item.counted}
    return row
