"""A router's running and its end: which loop it lives on, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from ...actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher
from ...messages.commands import Shutdown

if TYPE_CHECKING:
    from ...actors.journal.store import Journal
    from .alerting import Alerts
    from .wiring import Wiring

__all__ = ["CLOSE_SECONDS", "Lifecycle"]

CLOSE_SECONDS = 30.0
"""How long a blocking `close()` waits for its own thread before it gives up with an error."""


class Lifecycle:
    """Starts the loop when it is needed and takes everything down in order.

    Holds no reference to the Router, so that a router that is dropped can still be closed.
    """

    def __init__(
        self,
        dispatcher: EventLoopDispatcher | ManualDispatcher,
        wiring: Wiring,
        caller: Any,
        journal: Journal,
    ) -> None:
        self.dispatcher = dispatcher
        self.wiring = wiring
        self.closed = False
        self.alerts: Alerts | None = None
        self._caller = caller
        self._journal = journal
        self._starting = threading.Lock()
        self._farewell: asyncio.Task[None] | None = None

    def enter_loop(self) -> None:
        """Live on the running loop, unless there is a home already."""
        dispatcher = self.dispatcher
        if isinstance(dispatcher, EventLoopDispatcher) and not dispatcher.bound:
            dispatcher.bind(asyncio.get_running_loop())

    def ensure_running(self) -> None:
        """Start a thread of our own, unless there is a home already."""
        dispatcher = self.dispatcher
        if isinstance(dispatcher, EventLoopDispatcher) and not dispatcher.bound:
            with self._starting:
                if not dispatcher.bound:
                    dispatcher.start_thread("turnout")

    def close(self) -> None:
        """End every request, stop every actor, flush the journal. Idempotent.

        Raises:
            RuntimeError: when called on the very loop it would have to wait for.
        """
        dispatcher = self.dispatcher
        if self.closed:
            return
        if isinstance(dispatcher, ManualDispatcher):
            self.closed = True
            self._end_requests()
            self.wiring.observer.close()
            if self.alerts is not None:
                self.alerts.finish_now()
            self.wiring.stop()
            dispatcher.close()
            self._journal.close()
            return
        self.ensure_running()
        if dispatcher.loop.is_closed():
            self._abandon()
            return
        if dispatcher.in_thread():
            msg = "close() would block the loop this router lives on: use `await router.aclose()`"
            raise RuntimeError(msg)
        self.closed = True
        asyncio.run_coroutine_threadsafe(self._shutdown(), dispatcher.loop).result(CLOSE_SECONDS)
        self._journal.close()  # in this thread: an interpreter that is ending gives us no other
        dispatcher.stop_thread()

    async def aclose(self) -> None:
        """The same, from any event loop."""
        dispatcher = self.dispatcher
        if self.closed:
            return
        if isinstance(dispatcher, EventLoopDispatcher) and dispatcher.bound and dispatcher.in_thread():
            self.closed = True
            await self._shutdown()
            await asyncio.to_thread(self._journal.close)
        else:
            await asyncio.to_thread(self.close)

    def dropped(self) -> None:
        """The router was forgotten: close it as well as can be done from here."""
        dispatcher = self.dispatcher
        if isinstance(dispatcher, EventLoopDispatcher) and dispatcher.runs_here() and not self.closed:
            self._farewell = dispatcher.loop.create_task(self._take_leave(dispatcher))
        else:
            self.close()

    async def _take_leave(self, dispatcher: EventLoopDispatcher) -> None:
        """Forgotten by its own loop: whoever held the router last did so there."""
        await self.aclose()
        dispatcher.stop_thread()  # nobody else is left who could end it

    def _end_requests(self) -> None:
        self.wiring.switchboard.supervisor.ask(Shutdown(), block=False)
        self.dispatcher.run_now()

    async def _shutdown(self) -> None:
        """Callers first, then actors, then what they used; all but the journal."""
        self._end_requests()
        await self.wiring.observer.aclose()
        if self.alerts is not None:
            await self.alerts.finish()
        self.wiring.stop()
        dispatcher = self.dispatcher
        assert isinstance(dispatcher, EventLoopDispatcher)
        await dispatcher.finish_tasks()
        await self.wiring.aclose()
        await self._caller.aclose()

    def _abandon(self) -> None:
        """The loop is gone and took tasks and sockets with it: keep what the journal was given."""
        self.closed = True
        self.wiring.observer.close()
        self.wiring.abandon()
        self._journal.close()
