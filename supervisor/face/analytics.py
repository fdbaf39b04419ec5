"""What a router has used: `get_usage_stats()`, `print_deployment_metrics()`, `reset_cost()`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from ...actors.runtime.future import LoopFuture
from ...actors.usage.actor import NAME, recovered
from ...actors.usage.report import usage_report
from ...messages.commands import Inspect
from ...messages.errors import RouterClosedError
from ...messages.events import CostReset
from .metrics_table import deployment_table, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.journal.store import Journal
    from ...actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher
    from ...actors.runtime.switchboard import Switchboard
    from .lifecycle import Lifecycle
    from .wiring import Wiring

__all__ = ["Analytics"]


class Analytics:
    """The part of :class:`.router.Router` that speaks of what was used."""

    if TYPE_CHECKING:
        _dispatcher: EventLoopDispatcher | ManualDispatcher
        _journal: Journal
        _lifecycle: Lifecycle
        _switchboard: Switchboard
        _wiring: Wiring

    def get_usage_stats(self) -> dict[str, Any]:
        """What was used since the journal began: plain JSON-able data, up to this moment.

        `total` and each of `groups` count *requests* by the group they asked for, and the calls, tokens and
        costs of the group's deployments; each of `deployments` counts the calls it was given, under
        `requests` as well as `calls`. Times are seconds, `latency` and `time_to_first_token` have
        `average`, `p50`, `p95` and `p99` (within 1 %) and `longest`. `cost` is in US dollars: of the calls
        whose cost is known, and (`estimated_cost`) of those that were charged for an estimate;
        `calls_without_cost` says how many it leaves out, and with nothing known it is None. `timeline` has
        at most 60 steps of `step` seconds. `complete` is False when events were missing, so that something
        may not be counted.

        Raises:
            RouterClosedError: the router was closed.
            RuntimeError: from within a callback on the loop the router lives on.
        """
        try:
            stats: dict[str, Any] = self._in_its_thread(self._ask_for_usage)
        except ActorDeadError:  # it crashed with the question in its mail
            stats = self._counted_again()
        return stats

    def print_deployment_metrics(self) -> None:
        """Print a table: each deployment's requests, success rate, latency, throughput, tokens, cost, errors.

        With the extra `cli` it is drawn by rich, else in plain text.
        """
        print_table(deployment_table(self.get_usage_stats()))

    def reset_cost(self) -> None:
        """Count money from nothing again. It is recorded, so a restart keeps it; budgets are not touched."""
        self._in_its_thread(self._record_reset)

    def _in_its_thread(self, step: Callable[[LoopFuture[Any]], None]) -> Any:
        """Have `step` settle a future in the dispatcher's thread, and give what it was settled with."""
        if self._lifecycle.closed:
            msg = "this router is closed; make a new one"
            raise RouterClosedError(msg)
        self._lifecycle.ensure_running()
        future: LoopFuture[Any] = LoopFuture(self._dispatcher)
        self._dispatcher.call_soon(partial(_taken, step, future))
        self._dispatcher.run_now()
        return future.get()

    def _ask_for_usage(self, future: LoopFuture[Any]) -> None:
        """Tell what was not told yet, then ask: the mailbox keeps the order."""
        self._journal.tell_listeners()
        ref = self._switchboard.services.get(NAME)
        if ref is None or not ref.is_alive():
            future.set(self._counted_again())
        else:
            ref.actor_inbox.post(Inspect(), future)

    def _counted_again(self) -> dict[str, Any]:
        """Without the actor, which is being restarted or was given up: the journal knows as much."""
        return usage_report(recovered(self._journal)[0])

    def _record_reset(self, future: LoopFuture[Any]) -> None:
        self._wiring.record(CostReset())
        future.set(None)


def _taken(step: Callable[[LoopFuture[Any]], None], future: LoopFuture[Any]) -> None:
    """Take the step; whoever waits hears also of what went wrong."""
    try:
        step(future)
    except Exception as error:  # noqa: BLE001  (it is raised there)
        future.fail(error)
