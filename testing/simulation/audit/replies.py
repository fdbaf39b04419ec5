"""Holds what callers are told against what is recorded, and against what providers sent. I1, I8, I11."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....messages.events import RequestCancelled, RequestFailed, RequestSucceeded
from .journal_book import SECRETS
from .tolerances import ROUNDING
from .violation import Violation

if TYPE_CHECKING:
    from collections.abc import Container

    from ....messages.events import Event
    from ....messages.outcomes import LeftOut
    from ..callers import Callers, SimulatedCaller
    from ..marks import Marks
    from ..upstream import SimulatedUpstream

__all__ = ["Replies"]


class _End(NamedTuple):
    """What was recorded of a request's end. `left_out`: everybody who turned it away at that very moment."""

    at: float
    error: str | None = None
    attempts: int = 0
    cached: bool = False
    left_out: tuple[LeftOut, ...] = ()


class Replies:
    """The ends that were recorded, until their callers have heard of them.

    Attributes:
        supervisor_died: since the last look. It answers first, should more of it break.
    """

    def __init__(self, callers: Callers, upstream: SimulatedUpstream, marks: Marks) -> None:
        self.callers = callers
        self.upstream = upstream
        self.marks = marks
        self.supervisor_died = False
        self._told: dict[str, _End] = {}

    def __repr__(self) -> str:
        return f"<Replies {len(self._told)} to be heard of>"

    def recorded(self, name: str, event: Event, at: float) -> None:
        """A request had its final reply: which.

        Raises:
            Violation: it was cancelled, and its caller is there.
        """
        if isinstance(event, RequestFailed):
            self._told[name] = _End(at, event.error, event.attempts, left_out=_all_who_turned_away(event))
        elif isinstance(event, RequestSucceeded):
            self._told[name] = _End(at, cached=event.cached)
        elif isinstance(event, RequestCancelled) and name in self.callers.fields:
            if name not in self.callers.gone:
                raise Violation("reply", f"request {name} was cancelled, and by nobody", at)
            self.callers.gone.discard(name)

    def come_after_their_record(self, now: float) -> None:
        """I8: nobody has a reply that is not in the journal."""
        if self.callers.early and not self.supervisor_died:
            raise Violation("I8", f"{self.callers.early} had their replies before that was recorded", now)
        self.callers.early.clear()
        self.supervisor_died = False

    def are_there(self, unfinished: Container[str], now: float) -> None:
        """I1: the reply and the record of it come together."""
        for caller in self.callers.just_ended:
            if caller.request_id in unfinished and not caller.left:
                raise Violation("I1", f"request {caller.request_id} had its reply, unrecorded", now)
            self._is_what_was_told(caller, now)
            self._says_no_secret(caller.error, now)
            if "max_queue" in str(caller.error):
                self.marks.sometimes("waiting room full")
        self.callers.just_ended.clear()

    def _is_what_was_told(self, caller: SimulatedCaller, now: float) -> None:
        """Who asked hears what the journal says of the request's end."""
        told = self._told.pop(caller.request_id, None)
        if told is None or caller.left:
            return
        if not told.cached:
            self._answer_is_its_own(caller, told.error, now)
        said = None if caller.error is None else type(caller.error).__name__
        if said != told.error:
            raise Violation("reply", f"request {caller.request_id} got {said}, recorded is {told.error}", now)
        rows = getattr(caller.error, "attempts", None)
        if rows is not None and len(rows) != told.attempts:
            what = f"request {caller.request_id} was told of {len(rows)} attempts of {told.attempts}"
            raise Violation("reply", what, now)
        if told.left_out:
            self._may_come_again_in_time(caller, told, now)

    def _may_come_again_in_time(self, caller: SimulatedCaller, told: _End, now: float) -> None:
        """Who is told that nobody is available is told how long that lasts: until the first is, if known."""
        first = min((item.until for item in told.left_out if item.until is not None), default=None)
        seconds = None if first is None else max(0.0, first - told.at)
        said = getattr(caller.error, "retry_after", None)
        right = said is seconds if said is None or seconds is None else abs(said - seconds) < ROUNDING
        if not right:
            what = f"request {caller.request_id} was told to come again in {said} s, not in {seconds}"
            raise Violation("reply", what, now)

    def _answer_is_its_own(self, caller: SimulatedCaller, error: str | None, now: float) -> None:
        """All of the answer comes from one call of this request; of a stream that ended well, every chunk."""
        name = caller.request_id
        calls = caller.calls or {getattr(caller.reply, "id", "")} - {""}
        if len(calls) > 1 or not all(call.startswith(name) for call in calls):
            raise Violation("reply", f"request {name} was answered with {sorted(calls)}", now)
        if error is None and caller.fields.get("stream"):
            sent = self.upstream.sent.pop(next(iter(calls), ""), 0)
            if not sent or sent != caller.chunks:
                raise Violation("reply", f"request {name} got {caller.chunks} chunks of {sent}", now)

    def _says_no_secret(self, error: BaseException | None, now: float) -> None:
        """I11."""
        if error is not None:
            text = f"{error} {error!r} {getattr(error, 'attempts', '')!r}".encode()
            for secret in SECRETS:
                if secret in text:
                    raise Violation("I11", f"{type(error).__name__} says {secret.decode()!r}", now)


def _all_who_turned_away(event: RequestFailed) -> tuple[LeftOut, ...]:
    """Nobody, if it was long ago (fallbacks came after it), or there are more than are named."""
    if event.error != "NoDeploymentsAvailable" or event.fallbacks or event.left_out_by_reason:
        return ()
    return event.left_out
