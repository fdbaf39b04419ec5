"""Puts the alert actor beside a router's way, and lets it send its last at the end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ...actors.alerting.actor import SERVICE, AlertActor, AlertPorts, Farewell, Heard
from ...actors.alerting.alerts import shown
from ...actors.alerting.webhook import Webhook
from ...actors.providers.transport import AiohttpTransport
from ...actors.runtime.future import LoopFuture
from ...messages.commands import Inspect
from .questions import answer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from ...actors.journal.codec import Recorded
    from ...actors.runtime.dispatcher import Dispatcher
    from ...messages.settings import AlertingConfig
    from .wiring import Wiring

__all__ = ["CLOSE_SECONDS", "Alerts"]

log = logging.getLogger("turnout.alerting")

CLOSE_SECONDS = 5.0
"""How long `close()` lets the last alerts be sent."""


class Alerts:
    """A router's alerts, seen from its running: they begin, and they say their last."""

    def __init__(
        self,
        wiring: Wiring,
        dispatcher: Dispatcher,
        config: AlertingConfig,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._wiring = wiring
        self._dispatcher = dispatcher
        self._webhook = Webhook(config.webhook_url, transport, self._open)
        ports = AlertPorts(
            dispatcher, wiring.switchboard, self._webhook, config.alerting_threshold, self._label
        )
        wiring.start_service(SERVICE, lambda: wiring.system.start(AlertActor, ports))
        wiring.journal.subscribe(self._listen)
        wiring.closers.append(self._webhook.aclose)

    def _open(self) -> httpx.AsyncBaseTransport:
        return AiohttpTransport(self._dispatcher.clock)

    def _label(self, deployment_id: str) -> str:
        """`gpt-4/eu`: the group and the id."""
        deployment = self._wiring.deployments.get(deployment_id)
        return shown(deployment_id if deployment is None else f"{deployment.model_name}/{deployment_id}")

    def _listen(self, recorded: Sequence[Recorded]) -> None:
        actor = self._wiring.switchboard.services.get(SERVICE)
        if actor is not None and actor.is_alive():
            actor.actor_inbox.post(Heard(recorded))

    def _part(self) -> LoopFuture[None]:
        """Tell it all there is to tell, and ask for its last word."""
        reply: LoopFuture[None] = LoopFuture(self._dispatcher)
        self._wiring.journal.tell_listeners()
        actor: Any = self._wiring.switchboard.services.get(SERVICE)
        if actor is None or not actor.is_alive():
            reply.set()
        else:
            actor.actor_inbox.post(Farewell(reply))
        self._dispatcher.run_now()
        return reply

    def finish_now(self) -> None:
        """Send what is due, where there is no loop: a transport that answers at once is told all of it."""
        self._part()

    async def finish(self) -> None:
        """Send what is due, for `CLOSE_SECONDS` at most; then the actor's end cancels it."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._part()
        except TimeoutError:
            log.error("the last alerts could not be delivered in %g s", CLOSE_SECONDS)  # noqa: TRY400

    def health(self) -> dict[str, Any] | None:
        """How many messages were sent and lost, how many alerts wait; None while its actor is restarted."""
        actor = self._wiring.switchboard.services.get(SERVICE)
        if actor is None or not actor.is_alive():
            return None
        future = actor.ask(Inspect(), block=False)
        self._dispatcher.run_now()
        found: dict[str, Any] | None = answer_of(future)
        return found
