"""Where callbacks run: a thread for those that may block, the router's loop for those that await.

On a fake clock there is neither: they run in the caller's thread, when the actors have done their turn.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from ..runtime.future import LoopFuture
from .report import arguments_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runtime.dispatcher import Dispatcher
    from .hooks import Hook
    from .report import Report
    from .teller import Teller

__all__ = ["MAX_AT_ONCE", "Chains", "InlineChains", "InlineWorker", "Lane", "Worker"]

MAX_AT_ONCE = 100
"""Requests whose awaited callbacks run at the same time; the others wait their turn."""


class Lane(Protocol):
    """Takes reports for hooks, in the dispatcher's thread."""

    @property
    def waiting(self) -> int:
        """Reports that were taken and not yet told."""
        ...

    def put(self, hooks: tuple[Hook, ...], report: Report) -> None: ...

    def give_up(self) -> int:
        """Take no more time: how many reports nobody will be told."""
        ...


class Worker:
    """A daemon thread that runs jobs in their order; it starts with the first one."""

    def __init__(self, teller: Teller, dispatcher: Dispatcher) -> None:
        self._teller = teller
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended: LoopFuture[None] = LoopFuture(dispatcher)

    def __repr__(self) -> str:
        return f"<Worker {'idle' if self._thread is None else 'running'} · {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        return self._jobs.qsize()

    def put(self, hooks: tuple[Hook, ...], report: Report) -> None:
        self.run(partial(self._teller.tell, hooks, report))

    def run(self, job: Callable[[], object]) -> None:
        """Do this after all that was put before."""
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="turnout-callbacks", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # an interpreter that is ending gives us no thread
                self._jobs.put(None)
                self._main()

    def _main(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._ended.set()

    def stop(self) -> LoopFuture[None]:
        """End the thread when it has done its jobs: settled then, from that thread."""
        if self._thread is None:
            self._ended.set()
        else:
            self._jobs.put(None)
        return self._ended

    def join(self, seconds: float) -> None:
        """Wait, blocking, until the thread is gone."""
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(seconds)

    def give_up(self) -> int:
        lost = 0
        while not self._jobs.empty():
            lost += self._jobs.get() is not None
        self._jobs.put(None)
        return lost


class InlineWorker:
    """Runs each job at once."""

    waiting = 0

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def put(self, hooks: tuple[Hook, ...], report: Report) -> None:
        self._teller.tell(hooks, report)

    def give_up(self) -> int:
        return 0


class Chains:
    """Runs hooks on the router's loop: those of one request in order, those of others beside it."""

    def __init__(self, teller: Teller, worker: Worker, dispatcher: Dispatcher) -> None:
        self._teller = teller
        self._worker = worker
        self._dispatcher = dispatcher
        self._chains: dict[str, deque[tuple[tuple[Hook, ...], Report]]] = {}
        self._queue: deque[str] = deque()
        self._running = 0
        self._starting = False
        self._idle: LoopFuture[None] | None = None
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<Chains {self._running} running · {self.waiting} waiting>"

    def put(self, hooks: tuple[Hook, ...], report: Report) -> None:
        request_id = report.call.request_id
        chain = self._chains.get(request_id)
        if chain is None:
            chain = self._chains[request_id] = deque()
            self._queue.append(request_id)
        chain.append((hooks, report))
        self.waiting += 1
        if not self._starting:
            self._starting = True
            self._dispatcher.call_soon(self._start_more)

    def _start_more(self) -> None:
        self._starting = False
        if self._queue and self._running < MAX_AT_ONCE:
            self._running += 1
            self._dispatcher.spawn(self._run())

    async def _run(self) -> None:
        """Tell one request after the other. One that has to wait gets company: another such task."""
        try:
            while self._queue:
                request_id = self._queue.popleft()
                if self._queue and not self._starting:
                    self._starting = True
                    self._dispatcher.call_soon(self._start_more)
                await self._follow(request_id)
        finally:
            self._running -= 1
            if self._idle is not None and not self._chains:
                self._idle.set()
                self._idle = None

    async def _follow(self, request_id: str) -> None:
        chain = self._chains[request_id]
        try:
            while chain:
                await self._tell(*chain[0])
                chain.popleft()
                self.waiting -= 1
        finally:
            del self._chains[request_id]

    async def _tell(self, hooks: tuple[Hook, ...], report: Report) -> None:
        arguments = arguments_of(report)
        for hook in hooks:
            if hook.awaited:
                await self._teller.wait_for(hook, arguments)
            else:  # one that may block, of a logger that has both kinds
                done: LoopFuture[None] = LoopFuture(self._dispatcher)
                self._worker.run(partial(self._call, hook, arguments, done))
                await done

    def _call(self, hook: Hook, arguments: tuple[object, ...], done: LoopFuture[None]) -> None:
        self._teller.call(hook, arguments)
        done.set()

    def finished(self) -> LoopFuture[None]:
        """Settled when nothing is under way."""
        future: LoopFuture[None] = LoopFuture(self._dispatcher)
        if self._chains:
            self._idle = future
        else:
            future.set()
        return future

    def give_up(self) -> int:
        """The tasks themselves are cancelled by the dispatcher's end."""
        self._queue.clear()
        lost, self.waiting = self.waiting, 0
        return lost


class InlineChains:
    """Runs each hook at once; one that would have to wait has failed."""

    waiting = 0

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def put(self, hooks: tuple[Hook, ...], report: Report) -> None:
        arguments = arguments_of(report)
        for hook in hooks:
            run = self._teller.step if hook.awaited else self._teller.call
            run(hook, arguments)

    def give_up(self) -> int:
        return 0
