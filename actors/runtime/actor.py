"""The one module that touches pykka's private names.

pykka gives actors, references, the registry and futures; its own runtime is a thread per actor.
`LoopActor` keeps all of pykka's promises and runs on a :class:`Dispatcher` instead. A contract test
pins the names used here: `_create_actor_inbox`, `_create_future`, `_start_actor_loop`,
`_handle_receive`, `_handle_failure`, `_actor_loop_setup`, `_actor_loop_teardown`, `_actor_ref`, `Envelope`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pykka
from pykka._envelope import Envelope

from ...messages.errors import TurnoutError
from .future import LoopFuture

if TYPE_CHECKING:
    from collections.abc import Callable

    from .dispatcher import Dispatcher

logger = logging.getLogger("pykka")

__all__ = ["MAX_MAILBOX", "Inbox", "LoopActor", "MailboxFullError", "ShortMail", "where_it_broke"]

MAX_MAILBOX = 1_000_000
"""Messages an actor may have waiting. The router bounds its open requests long before."""

BATCH = 64
"""Messages an actor handles before the next one gets its turn."""


class MailboxFullError(TurnoutError):
    """An actor does not keep up with its mail; the message was not taken."""


class _Stopped:
    """Stands in for the `threading.Event` by which pykka's actors know that they are stopped.

    With its lock and its deque an event takes a kilobyte, in each of ten thousand actors, for somebody to
    wait; it is made when somebody does.
    """

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        if self._event is not None:
            self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        with _WAITING:
            event = self._event = self._event or threading.Event()
        if self._set:  # looked at after the event is there: whoever sets it now finds that
            event.set()
        return event.wait(timeout)


_WAITING = threading.Lock()


class ShortMail(list[Any]):
    """Mail of an actor that never has much of it: a deque takes 0.7 KB even when it is empty.

    Taking the first moves up all the others, which is nothing with the batch or two that a deployment gets
    between two of its turns.
    """

    __slots__ = ()

    def popleft(self) -> Any:
        return self.pop(0)


class Inbox:
    """An actor's mail. Its `put` is all it takes to get the actor run.

    Inside it are messages as they are; one that was asked, and not told, is in pykka's envelope.
    """

    __slots__ = ("_actor", "_dispatcher", "_handlers", "_items", "closed", "scheduled")

    def __init__(self, items: deque[Any] | ShortMail | None = None) -> None:
        self._items = deque() if items is None else items
        self._actor: LoopActor | None = None
        self._dispatcher: Dispatcher | None = None
        self._handlers: dict[type, Callable[[Any], Any]] = {}
        self.scheduled = False
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def _owner(self) -> LoopActor:
        assert self._actor is not None, "mail for an actor that was not started"
        return self._actor

    def attach(self, actor: LoopActor, dispatcher: Dispatcher) -> None:
        """Deliver to `actor` from now on (mail that came before the start included)."""
        self._actor = actor
        self._handlers = actor.message_handlers
        self._dispatcher = dispatcher
        if self._items:
            self.scheduled = True
            dispatcher.schedule(self)

    def put(self, envelope: Envelope[Any], /) -> None:
        """pykka's way in, from any thread."""
        reply: Any = envelope.reply_to
        if reply is not None and self._dispatcher is not None:
            reply.bind(self._dispatcher)
        self.post(envelope.message, reply)

    def post(self, message: Any, reply: LoopFuture[Any] | None = None) -> None:
        """Leave a message. From any thread.

        Raises:
            MailboxFullError: the actor does not keep up.
        """
        items = self._items
        items.append(message if reply is None else Envelope(message, reply_to=reply))
        if not self.scheduled:
            if self._dispatcher is not None:
                self.scheduled = True
                self._dispatcher.schedule(self)
        elif len(items) > MAX_MAILBOX:
            items.pop()
            msg = f"{self._actor} has {MAX_MAILBOX} messages waiting"
            raise MailboxFullError(msg)

    def leave_word(self, message: Any) -> None:
        """Leave a message that a full mailbox takes, too. From any thread, the garbage collector's included.

        For what makes less work, and comes at most once for each piece of work that was taken.
        """
        self._items.append(message)
        if not self.scheduled and self._dispatcher is not None:
            self.scheduled = True
            self._dispatcher.schedule(self)

    def deliver(self, message: Any) -> None:
        """Leave a message and, in the dispatcher's own thread, see all that follows from it done."""
        dispatcher = self._dispatcher
        assert dispatcher is not None, "mail for an actor that was not started"
        dispatcher.deliver(self, message)

    def handle_now(self, message: Any) -> None:
        """Handle a message at once if nothing waits before it; for the dispatcher."""
        if self._items or self.closed:
            self.post(message)
            return
        handler = self._handlers.get(type(message))
        if handler is None:
            self._owner.handle(message, None)
            return
        try:  # as in `run`
            handler(message)
        except BaseException as error:  # noqa: BLE001  (sorted out there)
            self._owner.crashed(error, message)

    def get(self) -> Envelope[Any]:
        item = self._items.popleft()
        return item if type(item) is Envelope else Envelope(item)

    def empty(self) -> bool:
        return not self._items

    def run(self) -> None:
        """Let the actor handle what is waiting, up to a batch. Called by the dispatcher."""
        # cleared first: a message put from another thread during the run asks for another run
        self.scheduled = False
        items, handlers = self._items, self._handlers
        turns = len(items)
        if turns > BATCH:
            turns = BATCH
        while turns and not self.closed:
            turns -= 1
            message = items.popleft()
            handler = handlers.get(type(message))
            if handler is not None:
                try:  # what `handle` does, without the call: this is where every hop passes
                    handler(message)
                except BaseException as error:  # noqa: BLE001  (sorted out there)
                    self._owner.crashed(error, message)
            elif type(message) is Envelope:
                reply: Any = message.reply_to
                self._owner.handle(message.message, reply)
            else:
                self._owner.handle(message, None)
        if self.closed:
            self._owner.bury()
        elif items and not self.scheduled:
            assert self._dispatcher is not None
            self.scheduled = True
            self._dispatcher.schedule(self)


class LoopActor(pykka.Actor):
    """A pykka actor whose messages are handled in its dispatcher's thread.

    Subclasses list their handlers in `handlers()`; a message of any other type goes pykka's way
    (stop, proxies, `on_receive`). A handler that raises is a crash, whether it was asked or told:
    pykka would keep an asked actor alive, half-changed.
    """

    def __init__(self, dispatcher: Dispatcher, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stopped: Any = _Stopped()
        self.actor_stopped = self._actor_ref.actor_stopped = stopped
        self.dispatcher = dispatcher
        self.clock = dispatcher.clock
        self.inbox: Inbox = self.actor_inbox  # type: ignore[assignment]  # made below
        self.message_handlers = self.handlers()

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        """What to call for each type of message."""
        return {}

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    @staticmethod
    def _create_future() -> LoopFuture[Any]:
        return LoopFuture()

    def _start_actor_loop(self) -> None:
        self._actor_loop_setup()
        self.inbox.closed = self.actor_stopped.is_set()
        self.inbox.attach(self, self.dispatcher)

    def handle(self, message: Any, reply: LoopFuture[Any] | None) -> None:
        """Handle one message, and settle its reply whatever happens."""
        handler = self.message_handlers.get(type(message))
        try:
            response = handler(message) if handler is not None else self._handle_receive(message)
        except BaseException as error:  # noqa: BLE001  (sorted out below)
            if reply is not None:
                reply.set_exception(sys.exc_info())
            self.crashed(error, message)
            return
        if reply is not None:
            reply.set(response)

    def _stop(self) -> None:
        super()._stop()
        self.inbox.closed = True

    def crashed(self, error: BaseException, message: Any) -> None:
        """Stop this incarnation. A cancellation that leaks into a handler is a crash like any other.

        Raises:
            KeyboardInterrupt, SystemExit: those are for the loop, or whoever else runs us.
        """
        self.inbox.closed = True
        self._handle_failure(type(error), error, error.__traceback__)
        try:
            self.on_crash(error, message)
        except Exception as again:  # noqa: BLE001  (logged by pykka; the actor is dead already)
            self._handle_failure(type(again), again, again.__traceback__)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error

    def _handle_failure(self, _kind: Any, error: Any, _trace: Any) -> None:
        """What pykka does, save for the text of the error: it may quote a prompt."""
        logger.error("unhandled exception in %s: %s", self, where_it_broke(error))
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()

    def on_crash(self, error: BaseException, message: Any) -> None:
        """Tidy up after a handler raised for `message`, and tell whoever supervises."""

    def bury(self) -> None:
        """Settle what is left in the mailbox of a dead actor."""
        asked = []
        inbox = self.inbox
        while not inbox.empty():
            envelope = inbox.get()
            if envelope.reply_to is None:
                self.undelivered(envelope.message)
            else:
                asked.append(envelope)
        for envelope in asked:
            inbox.put(envelope)
        self._actor_loop_teardown()

    def undelivered(self, message: Any) -> None:
        """A message was told to this actor and can no longer be handled."""

    @staticmethod
    def reaches(ref: pykka.ActorRef[Any]) -> bool:
        """Whether a message sent now would be handled."""
        inbox: Inbox = ref.actor_inbox  # type: ignore[assignment]
        return not inbox.closed

    def send(self, ref: pykka.ActorRef[Any], message: Any) -> bool:
        """Tell `message` to another of our actors; False, not an exception, when that one is dead."""
        inbox: Inbox = ref.actor_inbox  # type: ignore[assignment]
        if inbox.closed:
            return False
        if inbox.scheduled or inbox._dispatcher is None:
            inbox.post(message)
        else:  # what `post` does with the first message, without the call: five of them make a request
            inbox._items.append(message)
            inbox.scheduled = True
            inbox._dispatcher.schedule(inbox)
        return True


def where_it_broke(error: BaseException) -> str:
    """`KeyError at state.py:214 in _close`: the place, and not the text, which may quote a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    file = code.co_filename.rpartition("/")[2]
    return f"{type(error).__name__} at {file}:{trace.tb_lineno} in {code.co_name}"
