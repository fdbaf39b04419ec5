"""The alert actor: listens to the journal, decides by the ledger, posts to the webhook."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, frozen

from ...messages.commands import ActorCrashed, Inspect
from ...messages.values import Message
from ..runtime.actor import LoopActor, where_it_broke
from .alerts import alert_for, hanging, slow
from .ledger import AlertLedger
from .open_calls import OpenCalls
from .webhook import Posted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..journal.codec import Recorded
    from ..runtime.clock import Timer
    from ..runtime.dispatcher import Dispatcher, Task
    from ..runtime.future import LoopFuture
    from ..runtime.switchboard import Switchboard
    from .webhook import Webhook

__all__ = ["MAX_TRIES", "SERVICE", "AlertActor", "AlertPorts", "Farewell", "Heard"]

log = logging.getLogger("turnout.alerting")

SERVICE = "alerts"
"""Its name on the switchboard."""

MAX_TRIES = 5
"""Of one message; then it is lost, and counted."""

POST_SECONDS = 10.0
"""How long the webhook has for one try."""

SPACING_SECONDS = 1.0
"""Between two messages: Slack takes one a second."""

BACKOFF_SECONDS = 1.0
"""Before the second try; doubled before each one after it."""

SETTLE_SECONDS = 60.0
"""After a message was lost: how long the next one waits, so that a dead webhook is not knocked at all day."""


class Heard(Message, frozen=True):
    """These were recorded."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"recorded"})

    recorded: Sequence[Recorded]


class Farewell(Message, frozen=True):
    """The router closes: send what is due, one try, and settle `reply`."""

    HANDLES: ClassVar[frozenset[str]] = frozenset({"reply"})

    reply: LoopFuture[None]


class _Due(Message, frozen=True):
    """It is time to look what is to be done."""


class _TryTimedOut(Message, frozen=True):
    number: int


@frozen
class AlertPorts:
    """What the actor needs of its surroundings. `label` gives the text for a deployment's id."""

    dispatcher: Dispatcher
    switchboard: Switchboard
    webhook: Webhook
    threshold: float
    label: Callable[[str], str]


@define(eq=False)
class _Sending:
    """The message under way, and the try it is at."""

    text: str
    tries: int = 0
    task: Task | None = None
    timer: Timer | None = None


class AlertActor(LoopActor):
    """Owns what was told and what is to be told. One message is under way at a time."""

    def __init__(self, ports: AlertPorts) -> None:
        super().__init__(ports.dispatcher)
        self._ports = ports
        self._calls = OpenCalls(ports.threshold)
        self._ledger = AlertLedger()
        self._sending: _Sending | None = None
        self._number = 0
        self._not_before = 0.0
        self._timer: Timer | None = None
        self._farewell: LoopFuture[None] | None = None
        self.sent = 0
        self.lost = 0

    def __repr__(self) -> str:
        return f"<AlertActor {self.sent} sent · {self.lost} lost · {len(self._ledger)} waiting>"

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {
            Heard: self._heard,
            _Due: self._due,
            Posted: self._posted,
            _TryTimedOut: self._try_timed_out,
            Farewell: self._say_farewell,
            Inspect: self._inspect,
        }

    # -- listening

    def _heard(self, message: Heard) -> None:
        now = self.clock.now()
        label = self._ports.label
        for recorded in message.recorded:
            stream, event = recorded.stream, recorded.event
            alert = alert_for(event, stream, label)
            if stream.startswith("deployment/"):
                deployment_id = stream.partition("/")[2]
                seconds = self._calls.hear(event, deployment_id, recorded.at)
                if seconds is not None:
                    alert = slow(deployment_id, seconds, self._ports.threshold, label)
            if alert is not None:
                self._ledger.note(alert, now)
        self._go_on(now)

    # -- deciding what is due

    def _due(self, _message: _Due) -> None:
        self._timer = None
        self._go_on(self.clock.now())

    def _go_on(self, now: float) -> None:
        """Do what is due, and set the one timer for what comes next."""
        for deployment_id in self._calls.overdue(now):
            self._ledger.note(hanging(deployment_id, self._ports.threshold, self._ports.label), now)
        self._ledger.roll(now)
        sending = self._sending
        if now >= self._not_before and (sending is None or sending.task is None):
            self._send_next(now)
        self._wake_for_the_next(now)

    def _send_next(self, now: float) -> None:
        sending = self._sending
        if sending is None:
            text = self._ledger.take(now)
            if text is None:
                return
            sending = self._sending = _Sending(text)
        sending.tries += 1
        self._number = number = self._number + 1
        sending.timer = self.clock.call_later(POST_SECONDS, partial(self._deliver, _TryTimedOut(number)))
        sending.task = self.dispatcher.spawn(self._ports.webhook.post(number, sending.text, self._deliver))

    def _wake_for_the_next(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [self._calls.next_at()]
        sending = self._sending
        if sending is None:
            times.append(self._ledger.next_at())
        elif sending.task is None:
            times.append(self._not_before)
        known = [at for at in times if at is not None]
        if known:
            at = max(min(known), self._not_before if sending is None and len(self._ledger) else 0.0)
            self._timer = self.clock.call_later(max(0.001, at - now), partial(self._deliver, _Due()))

    def _deliver(self, message: Any) -> None:
        """A message to myself from a task or a timer."""
        self.inbox.deliver(message)

    # -- posting

    def _try_timed_out(self, message: _TryTimedOut) -> None:
        sending = self._sending
        if sending is None or sending.task is None or message.number != self._number:
            return
        sending.task.cancel()
        self._posted(Posted(message.number, f"no answer in {POST_SECONDS:g} s"))

    def _posted(self, message: Posted) -> None:
        sending = self._sending
        if sending is None or sending.task is None or message.number != self._number:
            return  # a try that was given up
        now = self.clock.now()
        if sending.timer is not None:
            sending.timer.cancel()
        sending.task = sending.timer = None
        if message.problem is None:
            self.sent += 1
            self._sending = None
            self._not_before = now + SPACING_SECONDS
        elif message.hopeless or sending.tries >= MAX_TRIES or self._farewell is not None:
            self._lose(message, now)
        else:
            pause = BACKOFF_SECONDS * 2.0 ** (sending.tries - 1)
            self._not_before = now + max(pause, message.retry_after)
        if self._farewell is not None:
            self._part(now)
        else:
            self._go_on(now)

    def _lose(self, message: Posted, now: float) -> None:
        self.lost += 1
        self._sending = None
        self._not_before = now + SETTLE_SECONDS
        log.error("an alert could not be delivered (%s); %d so far", message.problem, self.lost)

    # -- the end

    def _say_farewell(self, message: Farewell) -> None:
        now = self.clock.now()
        self._farewell = message.reply
        self._ledger.finish(now)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sending is None or self._sending.task is None:
            self._part(now)

    def _part(self, now: float) -> None:
        """One try for each message that is left, one after the other; then the reply."""
        assert self._farewell is not None
        self._send_next(now)
        if self._sending is None:
            self._farewell.set()
            self._farewell = None

    def _inspect(self, _message: Inspect) -> dict[str, Any]:
        return {"line": repr(self), "sent": self.sent, "lost": self.lost, "waiting": len(self._ledger)}

    def on_stop(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        sending = self._sending
        for timer in (self._timer, None if sending is None else sending.timer):
            if timer is not None:
                timer.cancel()
        if sending is not None and sending.task is not None:
            sending.task.cancel()

    def on_crash(self, error: BaseException, message: Any) -> None:
        """What was to be told is lost with it; the next incarnation listens on."""
        self._let_go()
        if self._farewell is not None:
            self._farewell.set()
        crash = ActorCrashed("service", SERVICE, where_it_broke(error), message)
        self.send(self._ports.switchboard.supervisor, crash)

    def undelivered(self, message: Any) -> None:
        if isinstance(message, Farewell):
            message.reply.set()
