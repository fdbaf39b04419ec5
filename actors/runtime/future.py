"""A pykka future that can be awaited for real, and waited for from any thread.

No lock: whoever waits puts a callback into a list and looks again; whoever settles writes the
result and then empties the list. Both rely on `list.append` and `list.pop` being atomic.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import pykka

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .dispatcher import Dispatcher

__all__ = ["LoopFuture"]

T = TypeVar("T")
_PENDING: Any = object()


class LoopFuture(pykka.Future[T]):
    """Settled once, by anyone; read from any thread with `get`, or with `await` on any loop."""

    # how every future begins, written once: one is made per request (`_get_hook` is pykka's)
    _get_hook = None
    _value: Any = _PENDING
    _error: BaseException | None = None

    def __init__(self, dispatcher: Dispatcher | None = None) -> None:
        self._dispatcher = dispatcher
        self._callbacks: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        state = "pending" if not self.done() else "failed" if self._error is not None else "done"
        return f"<LoopFuture {state}>"

    def bind(self, dispatcher: Dispatcher) -> None:
        """Tell the future who will settle it, so a wait that cannot end is refused."""
        if self._dispatcher is None:
            self._dispatcher = dispatcher

    def done(self) -> bool:
        """Whether there is a result or an error to get."""
        return self._value is not _PENDING or self._error is not None

    @property
    def succeeded(self) -> bool:
        """Whether there is a result."""
        return self._value is not _PENDING

    def set(self, value: T | None = None) -> None:
        if self._value is not _PENDING or self._error is not None or self._get_hook is not None:
            self._must_be_open()
        self._value = value
        if self._callbacks:
            self._wake()

    def set_exception(self, exc_info: Any = None) -> None:
        _, error, traceback = exc_info or sys.exc_info()
        if error is None:
            error = exc_info[0]()
        if traceback is not None and error.__traceback__ is not traceback:
            error = error.with_traceback(traceback)
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Settle with an error."""
        self._must_be_open()
        self._error = error
        self._wake()

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        self._must_be_open()
        super().__init__()  # the hook's own fields, which `__init__` above leaves out
        super().set_get_hook(func)

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Call back once settled (at once if it is), in the settling thread."""
        self._callbacks.append(callback)
        if self.done():
            self._wake()

    def get(self, *, timeout: float | None = None) -> T:
        """The result, waiting for it.

        Raises:
            pykka.Timeout: after `timeout` seconds (on a fake clock: of fake time).
            RuntimeError: when waiting here would block the very loop that must settle it.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self.done():
            if self._dispatcher is not None:
                self._dispatcher.wait(self, timeout)
            else:
                self.wait_in_thread(timeout)
        return self._result()

    def wait_in_thread(self, timeout: float | None) -> None:
        """Block this thread until settled."""
        gate = threading.Lock()
        gate.acquire()
        self.add_done_callback(gate.release)
        if not gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            msg = f"{timeout} seconds"
            raise pykka.Timeout(msg)

    def __await__(self) -> Generator[Any, None, T]:
        if self._get_hook is not None:
            # a hook (pykka's stop(), map(), join()) waits in its own way: let it, off the loop
            return (yield from asyncio.to_thread(self.get).__await__())
        if not self.done():
            if self._dispatcher is not None:
                yield from self._dispatcher.wait_async(self)
            else:
                yield from self.wait_on_loop()
        return self._result()

    __iter__ = __await__

    def wait_on_loop(self) -> Generator[Any, None, None]:
        """Suspend the running task until settled."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        thread = threading.get_ident()

        def wake() -> None:
            if threading.get_ident() != thread:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(wake)
            elif not waiter.done():
                waiter.set_result(None)

        self.add_done_callback(wake)
        yield from waiter

    def _result(self) -> T:
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def _wake(self) -> None:
        callbacks = self._callbacks
        while callbacks:
            try:
                callback = callbacks.pop()
            except IndexError:  # another thread took the last one
                return
            callback()

    def _must_be_open(self) -> None:
        if self.done() or self._get_hook is not None:
            msg = "this future is settled already"
            raise RuntimeError(msg)
