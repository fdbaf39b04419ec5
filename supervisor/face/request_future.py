"""The reply to one request, and the way to give it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pykka

from ...actors.runtime.future import LoopFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ...actors.runtime.dispatcher import Dispatcher

__all__ = ["RequestFuture"]

T = TypeVar("T")


class RequestFuture(LoopFuture[T]):
    """What `router.ask(request, block=False)` gives: `get(timeout=...)` it, or `await` it.

    Ctrl-C in `get` and cancelling the task that awaits abort the call upstream; a `get` that times
    out does not: the answer may still be had later.
    """

    _given_up = False

    def __init__(self, dispatcher: Dispatcher, request_id: str, leave: Callable[[str], None]) -> None:
        self._dispatcher = dispatcher
        self._callbacks = []
        self._home = dispatcher
        self.request_id = request_id
        self._leave = leave

    def __repr__(self) -> str:
        return f"<RequestFuture {self.request_id} · {'done' if self.done() else 'open'}>"

    def cancel(self) -> bool:
        """Give the request up; False when it has had its reply."""
        if self.done():
            return False
        if not self._given_up:
            self._given_up = True
            self._leave(self.request_id)
        return True

    def get(self, *, timeout: float | None = None) -> T:
        """The answer, or the request's error.

        Raises:
            RequestError: the one that ended the request.
            pykka.Timeout: after `timeout` seconds without a reply.
        """
        if not self.done():
            self._home.refuse_to_block()
        try:
            return super().get(timeout=timeout)
        except pykka.Timeout:
            raise
        except BaseException:
            self.cancel()
            raise

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done():
            try:
                yield from self._home.wait_async(self)
            except BaseException:
                self.cancel()
                raise
        return self._result()

    __iter__ = __await__
