"""Those who ask: they send requests of every kind, read streams at their pace, and leave when they like."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field

from ...actors.runtime.actor import MailboxFullError
from ...actors.runtime.channel import ChannelClosed
from ...messages.errors import TurnoutError
from ...messages.requests import CompletionRequest
from ...messages.settings import STRATEGIES
from ...supervisor.stream import ModelStream
from .options import PROMPT

if TYPE_CHECKING:
    from ...actors.runtime.clock import Clock
    from ...supervisor.face.router import Router
    from .chance import Chance
    from .marks import Marks
    from .options import Options

__all__ = ["Callers", "SimulatedCaller"]

_MESSAGES = [{"role": "user", "content": PROMPT}]
_LONG = [{"role": "user", "content": PROMPT * 60}]

REMEMBERED = 5_000
"""Requests whose fields are known beside the open ones; a call of one that ended may still be on its way."""

_WISHES: tuple[tuple[str, int, tuple[Any, ...]], ...] = (
    ("stream", 2, (True,)),
    ("max_tokens", 2, (20, 200, 900)),
    ("messages", 4, (_LONG,)),
    ("timeout", 4, (5.0, 0.5, 60.0)),
    ("stream_timeout", 6, (1.0, 0.1)),
    ("num_retries", 6, (1, 0, 2, 3)),
    ("priority", 6, (0, 1, 2)),
    ("tags", 6, (["paid"], ["fast", "paid"], ["!paid"], ["nobody's"])),
    ("max_parallel_requests", 8, (1, 2, 3)),
    ("routing_strategy", 10, STRATEGIES),
    ("hedge_after", 10, (0.2,)),
    ("disable_fallbacks", 12, (True,)),
    ("cache", 8, ({"no-cache": True}, {"no-store": True}, {"ttl": 0.5}, {"s-maxage": 0.5})),
    ("caching", 12, (False,)),
)
"""What a request may bring along: the field, once in how many requests, and its values."""


_TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}
_PICTURE = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]}
]

_NEEDS: tuple[tuple[str, int, tuple[Any, ...]], ...] = (
    ("allowed_model_region", 3, ("eu", "us", "eu-west-1")),
    ("tools", 5, (_TOOLS,)),
    ("response_format", 6, (_SCHEMA, {"type": "json_object"})),
    ("messages", 8, (_PICTURE,)),
)
"""The same in a world of regions."""


@define(eq=False)
class SimulatedCaller:
    """One who asked.

    Attributes:
        request_id: of the request.
        asked_at, settled_at: router time; `settled_at` is None while there is no reply.
        fields: what was asked for.
        reply: the answer or the error; a stream that is being read.
        calls: whose chunks it brought.
        ended: nothing more will come, and `error` says why if it was not a good end.
        left: gave up before the end.
    """

    request_id: str
    asked_at: float
    fields: dict[str, Any]
    future: Any = field(repr=False)
    settled_at: float | None = None
    reply: Any = field(default=None, repr=False)
    error: BaseException | None = None
    chunks: int = 0
    calls: set[str] = field(factory=set)
    pace: float = 0.01
    ended: bool = False
    left: bool = False


class Callers:
    """All who asked this life of the router and have not had their last word yet.

    Attributes:
        open: by request.
        fields: what was asked for, by request, of the last `REMEMBERED`.
        just_ended: those who had their last word since the auditor looked.
        gone: requests whose callers gave up, until that is recorded.
        left: when they did, and which; those whom the auditor has looked after are taken out.
        early: those that had their last word before it was recorded, since the auditor looked.
    """

    def __init__(self, chance: Chance, options: Options, marks: Marks) -> None:
        self.chance = chance
        self.options = options
        self.marks = marks
        self.open: dict[str, SimulatedCaller] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self.just_ended: list[SimulatedCaller] = []
        self.gone: set[str] = set()
        self.left: deque[tuple[float, str]] = deque()
        self.early: list[str] = []
        self.asked = 0
        self.refused = 0
        self.calm = False
        self._settled: list[SimulatedCaller] = []
        self._names = (*options.groups, *options.provider_of)

    def __repr__(self) -> str:
        return f"<Callers {self.asked} asked · {len(self.open)} open>"

    def forget(self) -> None:
        """The router died, and all who waited for it know."""
        for caller in self.open.values():
            if isinstance(caller.reply, ModelStream):
                caller.reply._ended = True  # nobody is left who could be told that it was dropped
        self.open.clear()
        self.fields.clear()
        self._settled.clear()
        self.just_ended.clear()
        self.gone.clear()
        self.left.clear()
        self.early.clear()

    # -- asking

    def ask(
        self, router: Router, clock: Clock, number: int = 0, fields: dict[str, Any] | None = None
    ) -> SimulatedCaller | None:
        """Somebody sends a request; `number` tells those apart who do at the same moment.

        None: it was refused at once.
        """
        chance = self.chance.part(f"caller {number}")
        drawn = self._draw(chance) if fields is None else fields
        request = CompletionRequest(**drawn)
        self.asked += 1
        try:
            with self.chance.asking(number):
                future = router.ask(request, block=False)
        except MailboxFullError:
            self.marks.sometimes("mailbox full")
            return None
        except TurnoutError:  # refused at the edge: a list of fallbacks that makes no sense, for one
            self.refused += 1
            return None
        caller = SimulatedCaller(future.request_id, clock.now(), drawn, future)
        self.chance.asked(number, caller.request_id)
        self.open[caller.request_id] = caller
        self.fields[caller.request_id] = drawn
        self._forget_the_oldest()
        future.add_done_callback(partial(self._has_a_reply, caller, router))
        if drawn.get("stream"):
            caller.pace = chance.choice((0.01, 1.0, 1e6))
        if not self.calm and "leaving" in self.options.faults and chance.one_in(4):
            leave_after = chance.exponential(chance.choice((0.5, 5.0)))
            clock.call_later(leave_after, lambda: self._leave(caller, clock.now()))
        return caller

    def _has_a_reply(self, caller: SimulatedCaller, router: Router) -> None:
        self._settled.append(caller)
        future = caller.future
        last = not (future.succeeded and isinstance(future.get(timeout=0), ModelStream))
        if last and f"request/{caller.request_id}" in router._journal._versions:
            self.early.append(caller.request_id)

    def _forget_the_oldest(self) -> None:
        """One that is still open begins anew as the youngest: what it asked for binds its calls to come."""
        if len(self.fields) > REMEMBERED:
            oldest = next(iter(self.fields))
            asked = self.fields.pop(oldest)
            if oldest in self.open:
                self.fields[oldest] = asked

    def _draw(self, chance: Chance) -> dict[str, Any]:
        """The fields of a request, most of them left out."""
        model = chance.pick("model", self._names if chance.below(2) else self.options.groups)
        fields: dict[str, Any] = {"model": model, "messages": _MESSAGES}
        kind = chance.below(64)
        if kind < 32:  # half of them are as plain as can be
            return fields
        if kind == 63:
            fields["model"] = "no-such-model"
        for name, one_in, values in _WISHES:
            if chance.one_in(one_in):
                fields[name] = chance.choice(values)
        if chance.one_in(8):
            fields["fallbacks"] = chance.subset(self._names)
        for name, one_in, values in _NEEDS if "regions" in self.options.particulars else ():
            if chance.one_in(one_in):
                fields[name] = chance.choice(values)
        return fields

    # -- after each step of the world

    def attend(self, clock: Clock) -> None:
        """Take what has come."""
        while self._settled:
            caller = self._settled.pop()
            caller.settled_at = clock.now()
            try:
                caller.reply = caller.future.get(timeout=0)
            except TurnoutError as error:
                self._end(caller, error)
                continue
            if isinstance(caller.reply, ModelStream):
                caller.future = None  # a stream is its reader's alone
                self._read(caller, clock)
            else:
                self._end(caller, None)

    def _end(self, caller: SimulatedCaller, error: BaseException | None) -> None:
        caller.ended = True
        caller.error = error
        if self.open.pop(caller.request_id, None) is not None:
            self.just_ended.append(caller)

    def _read(self, caller: SimulatedCaller, clock: Clock) -> None:
        """Take the chunks that are there; come back for more."""
        if caller.ended:
            return
        stream = caller.reply
        try:
            while (chunk := stream._channel.get_nowait()) is not None:
                caller.chunks += 1
                caller.calls.add(chunk.id)
        except ChannelClosed as closed:
            stream._ended = True
            self._end(caller, closed.error)
            return
        pace = 0.01 if self.calm else caller.pace
        clock.call_later(min(pace, 30.0), lambda: self._read(caller, clock))

    def _leave(self, caller: SimulatedCaller, now: float) -> None:
        """Give up: the future is cancelled, the stream is closed, or just dropped."""
        if caller.ended or caller.request_id not in self.open:
            return
        caller.left = True
        self.gone.add(caller.request_id)
        self.left.append((now, caller.request_id))
        if caller.reply is None:
            caller.future.cancel()
            return
        stream, caller.reply = caller.reply, None
        self._end(caller, None)
        if self.chance.of(caller.request_id).below(2):
            self.marks.sometimes("stream forgotten")
            del stream  # the garbage collector leaves word
            return
        self.marks.sometimes("caller left a stream")
        stream.close()

    def settle_streams(self, clock: Clock) -> bool:
        """Read what is left of streams that are over; whether everybody had their last word."""
        for caller in tuple(self.open.values()):
            if caller.reply is not None:
                self._read(caller, clock)
        return not self.open
