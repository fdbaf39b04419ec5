"""Router, the face of the library: a thin shell around the actors."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import httpx

from ...actors.journal.retention import Retention
from ...actors.journal.store import open_journal
from ...actors.providers.caller import RoutingCaller
from ...actors.runtime.chance import Ids, make_rng
from ...actors.runtime.clock import LoopClock, ManualClock
from ...actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher
from ...messages.commands import Cancel, Dispatch, Inspect
from ...messages.errors import BadRequestError, ConfigurationError, RouterClosedError
from ...messages.requests import Request
from ...messages.settings import RouterSettings, parse_model_list
from ..planning.edge import check_request
from .alerting import Alerts
from .analytics import Analytics
from .batches import Batches
from .caching import ask_cache
from .costs import Costs, ask_treasury, budgets_now
from .endpoints import Endpoints
from .explaining import Explaining
from .health_checks import HealthChecks
from .lifecycle import Lifecycle
from .management import Management
from .questions import NONE_OPEN, answer_of, ask_deployments
from .request_future import RequestFuture
from .verbose import logged
from .wiring import Wiring

if TYPE_CHECKING:
    from types import TracebackType

    from ...actors.journal.codec import Recorded
    from ...messages.deployment import Deployment

__all__ = ["Router"]


_CLOSED = "this router is closed; make a new one"


class Router(Endpoints, Batches, Costs, Management, Analytics, HealthChecks, Explaining):
    """Routes calls to language models over many deployments.

    Enter it (`with` or `async with`) or call `close()` when done. Entered with `async with` it lives
    on the caller's event loop; used without, on a thread of its own that starts with the first
    request. With `clock=FakeClock()` it has neither: messages run in the caller's thread.

    Args:
        model_list: the deployments, `{"model_name", "litellm_params": {...}, "model_info": {...}}`.
        clock: None for real time, or a `turnout.testing.FakeClock`.
        seed: makes every draw, and every request id, the same again.
        journal: `"memory"`, `"sqlite:///relative.db"`, `"sqlite:////absolute.db"`, or a store of your own.
        transport: any `httpx.AsyncBaseTransport`, which stays yours to close; None for our own.
        caller: who calls providers, such as `turnout.testing.SimulatedProviders`; None for HTTP.
        settings: the rest; see docs/settings.md.

    Raises:
        ConfigurationError: a setting or a deployment is wrong.
    """

    def __init__(
        self,
        model_list: list[dict[str, Any]] | None = None,
        *,
        clock: ManualClock | None = None,
        seed: int | None = None,
        journal: Any = "memory",
        transport: httpx.AsyncBaseTransport | None = None,
        caller: Any = None,
        **settings: Any,
    ) -> None:
        self.settings = RouterSettings(**settings)
        deployments = parse_model_list(model_list or [], defaults=self.settings.default_litellm_params)
        _check_ports(seed, transport, caller)
        self._dispatcher = dispatcher = _dispatcher_for(clock)
        calls = (
            _provider_caller(dispatcher, transport, self.settings, deployments)
            if caller is None
            else caller.connect(dispatcher)
        )
        kept = Retention(self.settings.journal_max_age, self.settings.journal_max_bytes)
        self._journal = open_journal(journal, dispatcher, kept)
        self._ids = Ids(seed, self._journal.position)
        self._last_request_id: str | None = None
        log = logged(self._journal, self.settings)
        try:
            self._wiring = Wiring(
                self.settings, model_list, deployments, dispatcher, log, calls, make_rng(seed), seed
            )
        except BaseException:
            self._journal.close()  # or its file would stay locked while the interpreter lives
            raise
        self._journal.on_gap = self._wiring.save_snapshots
        self._journal.on_trim(self._wiring.save_snapshots)
        self._switchboard = self._wiring.switchboard
        self._lifecycle = Lifecycle(dispatcher, self._wiring, calls, self._journal)
        alerting = self.settings.alerting_config
        if alerting is not None:
            self._lifecycle.alerts = Alerts(self._wiring, dispatcher, alerting, transport)
        self._finalizer = weakref.finalize(self, self._lifecycle.dropped)

    def __repr__(self) -> str:
        state = "closed" if self._lifecycle.closed else "open"
        deployments, groups = len(self._wiring.fleet.berths), len(self._switchboard.groups)
        return f"<Router {state} · {deployments} deployments in {groups} groups>"

    # -- asking

    @overload
    def ask(self, request: Request, *, block: Literal[True] = True) -> Any: ...

    @overload
    def ask(self, request: Request, *, block: Literal[False]) -> RequestFuture[Any]: ...

    def ask(self, request: Request, *, block: bool = True) -> Any:
        """Route a request and wait for its answer.

        Gives a `ModelResponse`, or a `ModelStream` when the request streams. With `block=False` it
        gives a future at once: `future.get(timeout=...)` from any thread, or `await future`.

        Raises:
            RequestError: the request failed; `.attempts` tells how.
            RouterClosedError: the router was closed.
            RuntimeError: a blocking call on the event loop the router lives on.
        """
        if not isinstance(request, Request):
            msg = f"ask() takes a request such as CompletionRequest(...), not {type(request).__name__}"
            raise BadRequestError(msg)
        if block:
            self._dispatcher.refuse_to_block()
        future = self._send(request, blocking=block)
        if not block:
            return future
        try:
            return future.get()
        except KeyboardInterrupt:  # it may have come before `get` was ready for it
            future.cancel()
            raise

    def _send(self, request: Request, *, blocking: bool = False) -> RequestFuture[Any]:
        lifecycle = self._lifecycle
        if lifecycle.closed or self._dispatcher.lost:
            raise RouterClosedError(_CLOSED)
        if not self._dispatcher.bound:
            lifecycle.ensure_running()
        wiring = self._wiring
        fallbacks = check_request(request, wiring.rules.fallbacks, wiring.directory)
        request_id = self._last_request_id = self._ids.next()
        future: RequestFuture[Any] = RequestFuture(self._dispatcher, request_id, self._leave)
        message = Dispatch(request_id, request, future, fallbacks, blocking)
        try:
            self._switchboard.supervisor.actor_inbox.deliver(message)
        except KeyboardInterrupt:  # the message may be on its way already
            future.cancel()
            raise
        return future

    def _leave(self, request_id: str) -> None:
        self._switchboard.supervisor.actor_inbox.leave_word(Cancel(request_id))
        self._dispatcher.run_now()

    # -- looking

    def _settle_down(self) -> None:
        self._dispatcher.run_now()

    def events(self, stream: str | None = None, after: int = 0) -> list[Recorded]:
        """What was recorded: position, stream, version, at (seconds since the epoch), event.

        `stream` is ``"router"``, ``"deployment/<id>"`` or ``"request/<id>"``; None is all of them in
        order. `after` skips what you have seen: events at higher positions only.
        """
        self._dispatcher.run_now()
        return list(self._journal.read(stream, after))

    def health(self) -> dict[str, Any]:
        """How the router is: its journal, open requests, cache, and one entry per deployment and budget.

        `ok` is False when the journal is degraded, an actor was taken out of rotation or a deployment
        that the journal gave back is `incomplete` (its key is nowhere to be found). A deployment
        that cools down is no fault of the router's: see its own entry. One whose actor is being
        restarted has none at that moment. `deployments_durable` is False while the latest change of
        settings or deployments is not on the disk.

        Raises:
            RouterClosedError: the router was closed.
        """
        if self._lifecycle.closed:
            raise RouterClosedError(_CLOSED)
        self._lifecycle.ensure_running()
        board = self._switchboard
        asked = ask_deployments(board)
        open_requests = board.supervisor.ask(Inspect(), block=False)
        cache = ask_cache(board)
        treasury = ask_treasury(board)
        self._dispatcher.run_now()
        journal = self._journal.health()
        failed, incomplete = dict(self._wiring.failed), self._wiring.fleet.incomplete()
        told = {name: answer_of(future) for name, future in asked.items()}
        deployments = {name: said for name, said in told.items() if said is not None}
        return {
            "ok": journal.ok and not failed and not incomplete,
            "journal": journal,
            "failed": failed,
            "callbacks": self._wiring.observer.health(),
            "cache": None if cache is None else answer_of(cache),
            "incomplete": incomplete,
            "deployments_durable": self._wiring.fleet.durable,
            "alerts": None if self._lifecycle.alerts is None else self._lifecycle.alerts.health(),
            "open_requests": (answer_of(open_requests) or NONE_OPEN)["open_requests"],
            "deployments": deployments,
            "budgets": budgets_now(deployments, treasury),
        }

    # -- the end

    def close(self) -> None:
        """End every open request, stop every actor, flush the journal; nothing is left behind."""
        self._lifecycle.close()
        self._finalizer.detach()

    async def aclose(self) -> None:
        """The same, awaited."""
        await self._lifecycle.aclose()
        self._finalizer.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._lifecycle.enter_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _check_ports(seed: Any, transport: Any, caller: Any) -> None:
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        msg = f"seed must be a whole number or None, not {type(seed).__name__}"
        raise ConfigurationError(msg)
    if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
        msg = f"transport must be an httpx.AsyncBaseTransport, not {type(transport).__name__}"
        raise ConfigurationError(msg)
    if caller is not None and not callable(getattr(caller, "connect", None)):
        msg = (
            f"caller must have a connect(dispatcher), as SimulatedProviders has; not {type(caller).__name__}"
        )
        raise ConfigurationError(msg)


def _dispatcher_for(clock: ManualClock | None) -> EventLoopDispatcher | ManualDispatcher:
    if clock is None:
        return EventLoopDispatcher(LoopClock())
    if isinstance(clock, ManualClock):
        return ManualDispatcher(clock)
    msg = f"clock must be None or a turnout.testing.FakeClock, not {type(clock).__name__}"
    raise ConfigurationError(msg)


def _provider_caller(
    dispatcher: EventLoopDispatcher | ManualDispatcher,
    transport: httpx.AsyncBaseTransport | None,
    settings: RouterSettings,
    deployments: tuple[Deployment, ...],
) -> RoutingCaller:
    caller = RoutingCaller(
        dispatcher,
        transport,
        client_ttl=settings.client_ttl,
        max_retry_after=settings.max_retry_after,
    )
    for deployment in deployments:
        caller.check(deployment)
    return caller
