"""Holds what callers are told against what is recorded, and against what providers sent. I1, I8, I11."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...messages.events import RequestCancelled, RequestFailed, RequestSucceeded
from .journal_book import SECRETS
from .violation import Violation

if TYPE_CHECKING:
    from collections.abc import Container

    from ...messages.events import Event
    from .callers import Callers, SimulatedCaller
    from .marks import Marks
    from .upstream import SimulatedUpstream

__all__ = ["Replies"]


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
        self._told: dict[str, tuple[str | None, int, bool]] = {}

    def __repr__(self) -> str:
        return f"<Replies {len(self._told)} to be heard of>"

    def recorded(self, name: str, event: Event, at: float) -> None:
        """A request had its final reply: which.

        Raises:
            Violation: it was cancelled, and its caller is there.
        """
        if isinstance(event, RequestFailed):
            self._told[name] = (event.error, event.attempts, False)
        elif isinstance(event, RequestSucceeded):
            self._told[name] = (None, 0, event.cached)
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
        error, attempts, cached = told
        if not cached:
            self._answer_is_its_own(caller, error, now)
        said = None if caller.error is None else type(caller.error).__name__
        if said != error:
            raise Violation("reply", f"request {caller.request_id} got {said}, recorded is {error}", now)
        rows = getattr(caller.error, "attempts", None)
        if rows is not None and len(rows) != attempts:
            what = f"request {caller.request_id} was told of {len(rows)} attempts of {attempts}"
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
