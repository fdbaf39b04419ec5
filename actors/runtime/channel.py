"""The way of a stream's chunks from the provider task to the caller, past every mailbox.

One producer, in the dispatcher's thread; one consumer, anywhere. Bounded: a producer that finds it
full waits for space, which in turn stops reading from the provider's socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable  # noqa: TC003  (msgspec reads the annotations)
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from .dispatcher import EventLoopDispatcher
from .future import LoopFuture

if TYPE_CHECKING:
    import asyncio

    from .dispatcher import Dispatcher

__all__ = ["CAPACITY", "Channel", "ChannelClosed", "Sealed"]

T = TypeVar("T")

CAPACITY = 64
"""Chunks a channel holds before its producer must wait."""


class ChannelClosed(Exception):  # noqa: N818  (a signal, like StopIteration)
    """Nothing more will come; `error` says why when the end was not a good one."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__("the channel is closed")
        self.error = error


class Sealed(Struct, frozen=True, gc=False):
    """A chunk that is made when it is taken: as bytes it is small, and nothing to the garbage collector.

    Attributes:
        data: what it is made of.
        make: makes it; never fails on this data.
    """

    data: bytes
    make: Callable[[bytes], Any]


class Channel(Generic[T]):
    """A bounded queue of chunks that knows how it ended.

    Attributes:
        count: chunks put so far.
        last_put_at: router time of the last chunk, for whoever watches for stalls.
        abandoned: the consumer left; what is put is dropped.
        tap: hears of each chunk, made at once, and of when it came, in the dispatcher's thread.
    """

    __slots__ = (
        "_capacity",
        "_closed",
        "_dispatcher",
        "_error",
        "_items",
        "_loop_dispatcher",
        "_on_space",
        "_reader",
        "_refill_at",
        "_waiter",
        "abandoned",
        "count",
        "last_put_at",
        "tap",
    )

    def __init__(self, dispatcher: Dispatcher, capacity: int = CAPACITY) -> None:
        self._dispatcher = dispatcher
        self._loop_dispatcher = dispatcher if isinstance(dispatcher, EventLoopDispatcher) else None
        self._capacity = capacity
        # half empty: a producer woken for every single chunk would take turns with its consumer
        self._refill_at = capacity // 2
        self._items: deque[T | Sealed] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._reader: LoopFuture[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._on_space: Callable[[], object] | None = None
        self.last_put_at = dispatcher.clock.now()
        self.abandoned = False
        self.count = 0
        self.tap: Callable[[T, float], object] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "abandoned" if self.abandoned else "open"
        return f"<Channel {state} · {len(self._items)}/{self._capacity}>"

    # -- the producer's side, in the dispatcher's thread

    @property
    def full(self) -> bool:
        """Whether the producer should wait, or waits, before it puts more."""
        return not self.abandoned and (self._on_space is not None or len(self._items) >= self._capacity)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T | Sealed) -> None:
        """Hand over one chunk. The producer asks `full` first and waits with `space()`."""
        if self.abandoned or self._closed:
            return
        self.last_put_at = self._dispatcher.clock.now()
        self.count += 1
        if self.tap is not None:
            self._tell(self.tap, item)
        else:
            self._items.append(item)
        waiter = self._waiter
        if waiter is not None:  # it waits on the loop that we are on: see `changed`
            self._waiter = None
            _settle(waiter)
        if self._reader is not None:
            self._wake_reader()

    def _tell(self, tap: Callable[[T, float], object], item: T | Sealed) -> None:
        chunk: T = item.make(item.data) if type(item) is Sealed else item  # type: ignore[assignment]
        self._items.append(chunk)
        tap(chunk, self.last_put_at)

    def when_space(self, callback: Callable[[], object]) -> None:
        """Call back, in the dispatcher's thread, once the consumer has taken half of it or left."""
        self._on_space = callback
        if self.abandoned or len(self._items) < self._capacity:
            self._wake_writer()

    async def space(self) -> None:
        """Wait until the consumer has taken half of it or left."""
        if self.full:
            gate: LoopFuture[None] = LoopFuture(self._dispatcher)
            self.when_space(gate.set)
            await gate

    def close(self, error: BaseException | None = None) -> None:
        """No more chunks; with `error` the consumer gets it after the chunks that are there."""
        if not self._closed:
            self._error = error
            self._closed = True
            self._wake_reader()
            self._wake_writer()

    # -- the consumer's side, in any thread

    def get_nowait(self) -> T | None:
        """The next chunk, or None when there is none yet.

        Raises:
            ChannelClosed: when there will be none.
        """
        closed = self._closed  # read before the items: what was put before the close is not lost
        try:
            item = self._items.popleft()
        except IndexError:
            if closed:
                raise ChannelClosed(self._error) from None
            return None
        if self._on_space is not None and len(self._items) <= self._refill_at:
            self._wake_writer()
        if type(item) is Sealed:
            made: T = item.make(item.data)
            return made
        return item  # type: ignore[return-value]

    def get(self) -> T:
        """The next chunk, blocking this thread for it."""
        while (item := self.get_nowait()) is None:
            self._changed().get()
        return item

    async def get_async(self) -> T:
        """The next chunk, awaiting it."""
        while (item := self.get_nowait()) is None:
            await self.changed()
        return item

    def changed(self) -> Awaitable[None]:
        """What to await, at once, when `get_nowait` had nothing to give; then it is time to look again."""
        dispatcher = self._loop_dispatcher
        if dispatcher is None or not dispatcher.in_thread():
            return self._changed()
        # the producer's own thread: nothing can come between the look and this
        waiter = self._waiter = dispatcher.loop.create_future()
        return waiter

    def abandon(self) -> None:
        """The consumer leaves: chunks are dropped from now on and a waiting producer goes on.

        Whoever reads all the same, now or later, finds the end.
        """
        self.abandoned = True
        self._items.clear()
        self._closed = True
        self._wake_reader()
        self._wake_writer()

    def _changed(self) -> LoopFuture[None]:
        reader: LoopFuture[None] = LoopFuture(self._dispatcher)
        self._reader = reader
        if self._items or self._closed:  # it came between our look and our waiting
            self._wake_reader()
        return reader

    def _wake_reader(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            if self._loop_dispatcher is not None and self._loop_dispatcher.in_thread():
                _settle(waiter)
            else:  # whoever abandons may be anywhere
                waiter.get_loop().call_soon_threadsafe(_settle, waiter)
        reader = self._reader
        if reader is not None:
            self._reader = None
            if not reader.done():
                reader.set(None)

    def _wake_writer(self) -> None:
        callback: Any = self._on_space
        if callback is not None:
            self._on_space = None
            self._dispatcher.call_soon(callback)


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
