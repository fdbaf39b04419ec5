"""Who runs the actors: an event loop, or the thread that asks.

A dispatcher owns the queue of actors that have mail. Both kinds give each actor its messages in
the order they were put, one at a time; only the order *between* actors is the dispatcher's choice.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

import pykka

from .clock import LoopClock, ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from .clock import Clock
    from .future import LoopFuture

__all__ = ["Dispatcher", "EventLoopDispatcher", "ManualDispatcher", "Runnable", "Task"]


class Runnable(Protocol):
    """What a dispatcher runs: an inbox with mail, or a callback in its clothes."""

    def run(self) -> object: ...


class Mailbox(Protocol):
    """Where a message can be left."""

    def post(self, message: Any) -> None: ...

    def handle_now(self, message: Any) -> None:
        """Handle a message at once; in the dispatcher's thread, between two turns."""
        ...


class Task(Protocol):
    """A coroutine under way."""

    def cancel(self) -> Any: ...


class Dispatcher(Protocol):
    """What an actor, a future and a channel need to know of the thread they live in.

    Attributes:
        clock: tells the time and keeps timers.
        bound: whether there is a thread yet; before that no timer can be set.
        lost: whether its loop is closed; after that none can be set either.
    """

    clock: Clock
    bound: bool

    @property
    def lost(self) -> bool: ...

    def schedule(self, runnable: Runnable) -> None:
        """Run it soon, in the dispatcher's thread. May be called from any thread."""
        ...

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call back soon, in the dispatcher's thread. May be called from any thread."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        """Run I/O beside the actors. Only from the dispatcher's thread."""
        ...

    def run_now(self) -> None:
        """Do now what can be done in this thread; elsewhere it is being done anyway."""
        ...

    def deliver(self, mailbox: Mailbox, message: Any) -> None:
        """Leave a message, and do now what follows from it. May be called from any thread."""
        ...

    def refuse_to_block(self) -> None:
        """Raise RuntimeError where blocking this thread would stop the very actors it waits for."""
        ...

    def wait(self, future: LoopFuture[Any], timeout: float | None) -> None:
        """Block until the future is settled."""
        ...

    def wait_async(self, future: LoopFuture[Any]) -> Generator[Any, None, None]:
        """Suspend the running task until the future is settled."""
        ...


class _Draws(Protocol):
    """What order is drawn from: a `random.Random`, or anything that draws like one."""

    def randrange(self, n: int, /) -> int: ...


class _Callback:
    __slots__ = ("run",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.run = callback


class EventLoopDispatcher:
    """Runs actors on an asyncio loop: the caller's own, or one in a daemon thread of ours."""

    TURNS = 1000
    """Actors run in one go before the loop may look at its sockets again."""

    def __init__(self, clock: LoopClock | None = None) -> None:
        self.clock: Clock = clock or LoopClock()
        self.bound = False
        """Whether there is a loop yet."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id: int | None = None
        self._thread: threading.Thread | None = None
        self._ready: deque[Runnable] = deque()
        self._wakeup_pending = False
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        where = "unbound" if self._loop is None else "own thread" if self._thread else "caller's loop"
        return f"<EventLoopDispatcher {where} · {len(self._ready)} ready · {len(self._tasks)} tasks>"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "the dispatcher has no loop yet"
        return self._loop

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Live on this loop, whose thread is the calling one."""
        self._loop = loop
        self.bound = True
        self._thread_id = get_ident()
        assert isinstance(self.clock, LoopClock)
        self.clock.bind(loop)
        if self._ready:
            self._request_drain()

    def start_thread(self, name: str) -> None:
        """Live on a loop of our own, in a daemon thread."""
        started = threading.Event()

        def main() -> None:
            with asyncio.Runner() as runner:
                loop = runner.get_loop()
                self.bind(loop)
                loop.call_soon(started.set)
                loop.run_forever()

        self._thread = threading.Thread(target=main, name=name, daemon=True)
        self._thread.start()
        started.wait()

    def stop_thread(self) -> None:
        """End the thread of `start_thread`; no-op on a caller's loop."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            if thread is not threading.current_thread():
                thread.join()
                self._thread_id = get_ident()
                self._drain()  # mail that came too late for the loop: nobody may wait for it in vain

    def in_thread(self) -> bool:
        """Whether the calling thread is the one the actors run in."""
        return get_ident() == self._thread_id

    def runs_here(self) -> bool:
        """Whether the calling thread is inside the running loop, so that blocking it would hang."""
        return self._loop is not None and self.in_thread() and self._loop.is_running()

    @property
    def in_turn(self) -> bool:
        """Whether the calling thread is in the middle of an actor's turn."""
        return self._draining and self.in_thread()

    def schedule(self, runnable: Runnable) -> None:
        self._ready.append(runnable)
        if self._draining and get_ident() == self._thread_id:
            return  # whoever drains will come to it
        if not self._wakeup_pending:
            self._request_drain()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.schedule(_Callback(callback))

    def _request_drain(self) -> None:
        if self._loop is None:
            return
        # set before asking: a put between the two must not ask again, a put after the drain must
        self._wakeup_pending = True
        ask = self._loop.call_soon if self.in_thread() else self._loop.call_soon_threadsafe
        try:
            ask(self._woken)
        except RuntimeError:  # the loop was closed under us: nothing runs any more
            self._wakeup_pending = False

    def _woken(self) -> None:
        self._wakeup_pending = False
        self._drain()

    def run_now(self) -> None:
        if not self._draining and self.in_thread():
            self._drain()

    def deliver(self, mailbox: Mailbox, message: Any) -> None:
        if self._draining or get_ident() != self._thread_id:
            mailbox.post(message)
            return
        self._draining = True
        try:
            mailbox.handle_now(message)
        finally:
            self._draining = False
        self._drain()

    def _drain(self) -> None:
        ready = self._ready
        if self._draining or not ready:
            return
        self._draining = True
        turns = self.TURNS
        try:
            while ready and turns:
                ready.popleft().run()
                turns -= 1
        finally:
            self._draining = False
            if ready and not self._wakeup_pending:
                self._request_drain()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish_tasks(self) -> None:
        """Cancel what still runs and wait until it is gone."""
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)

    @property
    def lost(self) -> bool:
        """Whether the loop is closed: nothing will ever run here again."""
        return self._loop is not None and self._loop.is_closed()

    def refuse_to_block(self) -> None:
        if self.runs_here():
            msg = (
                "a blocking call on the event loop this router lives on would deadlock: use "
                "`await router.acompletion(...)`, or await the future of `router.ask(request, block=False)`"
            )
            raise RuntimeError(msg)

    def wait(self, future: LoopFuture[Any], timeout: float | None) -> None:
        self.refuse_to_block()
        future.wait_in_thread(timeout)

    def wait_async(self, future: LoopFuture[Any]) -> Generator[Any, None, None]:
        return future.wait_on_loop()


class ManualDispatcher:
    """Runs actors in the calling thread, on a clock that is moved by hand.

    With `rng` the next actor to run is drawn from those that are ready, as a simulator wants it;
    without, they run in the order in which they got mail.
    """

    MAX_TURNS = 10_000_000
    """Actors run in one go before we take it for a loop of messages that never ends."""

    SETTLE_TURNS = 8
    """Turns of the caller's event loop before a task that waits moves the clock: the end of one task
    takes a few to reach those who wait for it, and to cancel others."""

    def __init__(self, clock: ManualClock, rng: _Draws | None = None) -> None:
        self.clock: Clock = clock
        self.bound = True
        self._manual = clock
        self._rng = rng
        self._ready: deque[Runnable] = deque()
        self.schedule: Callable[[Runnable], None] = self._ready.append
        """Run it soon, at the price of a deque's append: nobody has to be woken."""
        self._resting: deque[Callable[[], object]] = deque()
        self._draining = False
        clock.attach(self.run_now)

    def __repr__(self) -> str:
        return f"<ManualDispatcher {len(self._ready)} ready · {self._manual!r}>"

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.schedule(_Callback(callback))

    def at_rest(self, callback: Callable[[], object]) -> None:
        """Call back once no actor has mail any more: what follows from it is done in the same go."""
        self._resting.append(callback)

    def run_now(self) -> None:
        if self._draining:
            return
        self._draining = True
        ready, resting = self._ready, self._resting
        try:
            for _ in range(self.MAX_TURNS):
                if ready:
                    if self._rng is not None and len(ready) > 1:
                        ready.rotate(-self._rng.randrange(len(ready)))
                    ready.popleft().run()
                elif resting:
                    resting.popleft()()
                else:
                    return
        finally:
            self._draining = False
        msg = f"{self.MAX_TURNS} turns and actors still have mail: messages go round in circles"
        raise RuntimeError(msg)

    def deliver(self, mailbox: Mailbox, message: Any) -> None:
        mailbox.post(message)
        self.run_now()

    def draw_order(self, rng: _Draws) -> None:
        """Draw the next actor to run from now on."""
        self._rng = rng

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        task = _SteppedTask(coroutine)
        self.call_soon(task.step)
        return task

    lost = False
    """There is no loop that could be closed."""

    def runs_here(self) -> bool:
        """Blocking the calling thread hangs nothing: it is the one that does the work."""
        return False

    @property
    def in_turn(self) -> bool:
        """Whether the calling thread is in the middle of an actor's turn."""
        return self._draining

    def refuse_to_block(self) -> None:
        if self._draining:
            msg = "a blocking get() inside an actor would deadlock"
            raise RuntimeError(msg)

    def wait(self, future: LoopFuture[Any], timeout: float | None) -> None:
        self.refuse_to_block()
        limit = None if timeout is None else self._manual.now() + timeout
        self.run_now()
        while not future.done():
            self._step(limit, timeout)

    def wait_async(self, future: LoopFuture[Any]) -> Generator[Any, None, None]:
        self.run_now()
        while not future.done():
            for _ in range(self.SETTLE_TURNS):  # first let the caller's other tasks go as far as they can
                yield
            self.run_now()
            if not future.done():
                self._step(None, None)

    def _step(self, limit: float | None, timeout: float | None) -> None:
        when = self._manual.next_timer()
        if when is None:
            msg = "nothing is scheduled on the fake clock that could ever settle this reply"
            raise RuntimeError(msg)
        if limit is not None and when > limit:
            self._manual.advance(limit - self._manual.now())
            msg = f"{timeout} seconds"
            raise pykka.Timeout(msg)
        self._manual.step()

    def close(self) -> None:
        """Leave the clock, which may outlive this dispatcher."""
        self._manual.detach(self.run_now)


class _SteppedTask:
    """A coroutine run without an event loop, which works as long as it does no real I/O."""

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._done = False

    def step(self) -> None:
        if self._done:
            return
        self._done = True
        try:
            self._coroutine.send(None)
        except StopIteration:
            return
        with suppress(RuntimeError):
            self._coroutine.close()
        msg = (
            "a FakeClock router has no event loop, so its transport must answer without real I/O "
            "(httpx.MockTransport, mock_response, simulated providers)"
        )
        raise RuntimeError(msg)

    def cancel(self) -> None:
        if not self._done:
            self._done = True
            self._coroutine.close()
