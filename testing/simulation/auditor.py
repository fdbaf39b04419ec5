"""Goes through everything a router records while it lives, and looks into its actors between two steps."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...actors.deployment.state import DeploymentState
from ...actors.journal.codec import encode_event
from ...actors.model_group.actor import LOOK_AHEAD
from ...messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallStarted,
    CallSucceeded,
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentRetired,
    DeploymentUpdated,
    EventsLost,
    HealthChecked,
    RequestAccepted,
)
from ...supervisor.planning.compile_rules import limits_of
from .cache_book import CacheBook
from .deployment_book import DeploymentBook
from .options import KEY, PROMPT
from .request_book import STALE, RequestBook, RetriesMade
from .upstream import ANSWER
from .violation import Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...actors.journal.codec import Recorded
    from ...messages.events import Event
    from ...messages.settings import RouterSettings
    from ...supervisor.face.router import Router
    from .callers import Callers
    from .disk import SimulatedDisk
    from .marks import Marks
    from .request_book import Accusation
    from .rulebook import Rulebook
    from .upstream import SimulatedUpstream

__all__ = ["Auditor"]

_SECRETS = (PROMPT.encode(), KEY.encode(), ANSWER.encode())
_FINAL = frozenset({"request_succeeded", "request_failed", "request_cancelled"})
_DIGEST_BYTES = 16
_NOTHING: dict[str, Any] = {}

LOOKED_AT = 4
"""Waiting requests that are looked at in each step, the oldest first."""

RECENT = 4_000
"""Events that are kept to tell what led to a violation."""


class Auditor:
    """Books of every deployment and of every open request, and the tests that hold them to the design.

    Attributes:
        events: how many were looked at.
        recent: the latest of them.
    """

    COMPARE_EVERY = 64
    """Events of a deployment after which its live state is compared with a replay, byte for byte."""

    def __init__(self, rules: Rulebook, callers: Callers, upstream: SimulatedUpstream, marks: Marks) -> None:
        self.rules = rules
        self.callers = callers
        self.upstream = upstream
        self.marks = marks
        self.events = 0
        self.recent: deque[Recorded] = deque(maxlen=RECENT)
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self.deployments = {name: DeploymentBook(each, marks) for name, each in rules.deployments.items()}
        self.requests: dict[str, RequestBook] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._versions: dict[str, int] = {}
        self._position = 0
        self._touched: set[str] = set()
        self._moved: set[str] = set()
        self._waiting: dict[str, RequestBook] = {}
        self._retried = RetriesMade()
        self._cache = CacheBook(rules, marks)
        self._accused: list[Accusation] = []
        self._heard: list[Recorded] = []
        self._shadows: dict[str, _Shadow] = {}
        self._blind: set[str] = set()  # they come back from a journal that has lost some of their events
        self._recovered: dict[str, DeploymentState] = {}
        self.router: Router = None  # type: ignore[assignment]  # from `watch`

    def __repr__(self) -> str:
        return f"<Auditor {self.events} events · {len(self.requests)} open requests>"

    @property
    def digest(self) -> str:
        """Of every byte recorded so far (I9)."""
        return self._digest.hexdigest()

    def watch(self, router: Router) -> None:
        """Hear of all that this router records from now on, and catch up with what it has recorded."""
        self.router = router
        router._journal.subscribe(self._heard.extend)
        deployments = router._wiring.deployments
        self._shadows = {
            name: _Shadow(name, limits_of(each, router.settings), self._recovered.get(name))
            for name, each in deployments.items()
        }

    def recover(self, disk: SimulatedDisk, settings: RouterSettings, now: float, before: Auditor) -> None:
        """Begin where the journal on `disk` ends, as a router that starts on it must (I8, I10)."""
        self._position = disk.last_position()
        self._versions = disk.versions()
        whole = disk.last_position() == sum(1 for _ in disk.read())
        for name, book in self.deployments.items():
            limits = before._shadows[name].limits
            state = _recovered(disk, name, limits)
            if whole and state.snapshot(now) != _replayed(disk, name, limits).snapshot(now):
                raise Violation("I8", f"{name} recovers to another state from its snapshot", now)
            book.adopt(state)
            book.crashed_at = now
            if state.open:
                self.marks.sometimes("recovery with open calls")
            self._recovered[name] = state

    def cut(self, position: int) -> None:
        """Of what was heard last only the events up to `position` have happened."""
        heard, self._heard[:] = tuple(self._heard), ()
        self.hear([item for item in heard if item.position <= position])

    def crashed(self, role: str, name: str, now: float) -> None:
        """An actor is about to die of a bug that was put there."""
        for book in self.deployments.values():
            rules = book.rules
            if role == "supervisor" or name in (rules.id, rules.group, *self.rules.substitutes):
                book.crashed_at = max(now, book.crashed_at)
        if role == "deployment":
            if self.deployments[name].open:
                self.marks.sometimes("crash with calls open")
            if self.router._journal.health().lost:
                self._blind.add(name)
        for request in self.requests.values():
            request.doubtful = True
            if role == "group" and request.phase == "waiting" and request.group == name:
                self.marks.sometimes("crash with requests waiting")

    # -- events

    def hear(self, recorded: Sequence[Recorded]) -> None:
        """Go through what was recorded, one event at a time."""
        for item in recorded:
            self.events += 1
            self.recent.append(item)
            self._numbered(item)
            self._written(item)
            kind, _, name = item.stream.partition("/")
            if kind == "deployment":
                self._of_deployment(name, item)
            elif kind == "router":
                self._of_router(item.event, item.at)
            elif kind == "request":
                self._of_request(name, item)

    def _numbered(self, item: Recorded) -> None:
        """I10."""
        if item.position != self._position + 1:
            raise Violation("I10", f"position {item.position} follows {self._position}", item.at)
        self._position = item.position
        last = self._versions.get(item.stream, 0)
        if item.version != last + 1:
            raise Violation("I10", f"{item.stream}: version {item.version} follows {last}", item.at)
        if item.event.TYPE in _FINAL:
            self._versions.pop(item.stream, None)
        else:
            self._versions[item.stream] = item.version

    def _written(self, item: Recorded) -> None:
        """I9, I11."""
        data = encode_event(item.event)
        self._digest.update(b"%d %s %d %r " % (item.position, item.stream.encode(), item.version, item.at))
        self._digest.update(data)
        for secret in _SECRETS:
            if secret in data:
                raise Violation("I11", f"{item.event.TYPE} holds {secret.decode()!r}", item.at)

    def _of_deployment(self, name: str, item: Recorded) -> None:
        book = self.deployments[name]
        event = item.event
        parallel = None
        if type(event) is CallStarted:
            parallel = self.callers.fields.get(event.request_id, _NOTHING).get("max_parallel_requests")
        elif isinstance(event, (CallSucceeded, CallFailed, CallCancelled)):
            self._usage_is_what_was_told(event, item.at)
            self._moved.add(event.request_id)
        elif type(event) is HealthChecked:
            self._usage_is_what_was_told(event, item.at)
        elif type(event) is CallAbandoned:
            self.upstream.under_way.pop(event.call_id, None)
        if name in self._blind:
            book.changed_at = item.at
        else:
            book.apply(event, item.at, parallel)
            if name in self._shadows:
                self._shadows[name].apply(event, item.at)
        self._touched.add(name)

    def _of_router(self, event: Event, at: float) -> None:
        if isinstance(event, EventsLost):
            self.marks.sometimes("journal lost events")
        elif isinstance(event, DeploymentRetired):
            self.marks.sometimes("actor retired")
            self.deployments[event.deployment_id].crashed_at = math.inf  # nothing is owed by it any more
        elif isinstance(event, (DeploymentAdded, DeploymentUpdated)) and not event.listed:
            self._learn(event, at)
        elif isinstance(event, DeploymentRemoved):
            self.marks.sometimes("deployment removed under load")
            self.deployments[event.deployment_id].crashed_at = math.inf

    def _learn(self, event: DeploymentAdded | DeploymentUpdated, at: float) -> None:
        """A deployment came, or changed, while the router runs."""
        name = event.deployment_id
        rules = self.rules.learn(name, event.config)
        book = self.deployments.get(name)
        if book is None:
            self.marks.sometimes("deployment added under load")
            self.deployments[name] = book = DeploymentBook(rules, self.marks)
            deployment = self.router._wiring.deployments.get(name)
            if deployment is not None:
                self._shadows[name] = _Shadow(name, limits_of(deployment, self.router.settings), None)
        else:
            self.marks.sometimes("deployment changed under load")
            book.change(rules, at)
        book.crashed_at = at

    def _usage_is_what_was_told(
        self, event: CallSucceeded | CallFailed | CallCancelled | HealthChecked, at: float
    ) -> None:
        call_id = event.check_id if isinstance(event, HealthChecked) else event.call_id
        told = self.upstream.told.pop(call_id, None)
        if told is None:
            return
        said = (told.prompt_tokens, told.completion_tokens)
        if (event.prompt_tokens, event.completion_tokens) != said:
            raise Violation("books", f"call {call_id} used {said}, recorded is {event!r}", at)

    def _of_request(self, name: str, item: Recorded) -> None:
        event = item.event
        book = self.requests.get(name)
        if type(event) is RequestAccepted:
            if book is not None:
                raise Violation("I1", f"request {name} was accepted twice", item.at)
            fields = self.callers.fields.get(name)
            ours = (self.deployments, self._retried, self._accused, self._waiting, self._cache)
            book = RequestBook(self.rules, self.marks, *ours, fields)
            self.requests[name] = book
            heapq.heappush(self._deadlines, (event.deadline, name))
        elif book is None:
            raise Violation("I1", f"request {name}: {event.TYPE}, and it is not open", item.at)
        book.apply(event, item.at)
        self._moved.add(name)
        if book.phase == "waiting":
            self._waiting[name] = book
        elif self._waiting:
            self._waiting.pop(name, None)
        if book.phase == "done":
            del self.requests[name]

    # -- between two steps

    def look(self, now: float) -> None:
        """The world stands still for a moment: everything recorded must be acted on by now."""
        if self._heard:
            heard, self._heard[:] = tuple(self._heard), ()
            self.hear(heard)
        for name in self._touched | self._blind if self._blind else self._touched:
            self._live_state_is_the_books(name, now)
        self._touched.clear()
        self._replies_are_there(now)
        self._nobody_is_late(now)
        self._nobody_is_nowhere(now)
        self._nobody_waits_in_vain(now)
        if self._cache.on:
            self._nobody_waits_for_nobody(now)

    def _replies_are_there(self, now: float) -> None:
        """I1: the reply and the record of it come together."""
        for caller in self.callers.just_ended:
            book = self.requests.get(caller.request_id)
            if book is not None and not caller.left:
                raise Violation("I1", f"request {caller.request_id} had its reply, unrecorded", now)
            self._says_no_secret(caller.error, now)
            if "max_queue" in str(caller.error):
                self.marks.sometimes("waiting room full")
        self.callers.just_ended.clear()

    def _says_no_secret(self, error: BaseException | None, now: float) -> None:
        """I11."""
        if error is not None:
            text = f"{error} {error!r} {getattr(error, 'attempts', '')!r}".encode()
            for secret in _SECRETS:
                if secret in text:
                    raise Violation("I11", f"{type(error).__name__} says {secret.decode()!r}", now)

    def _nobody_is_late(self, now: float) -> None:
        """I1."""
        deadlines = self._deadlines
        while deadlines and (deadlines[0][1] not in self.requests or deadlines[0][0] < now):
            deadline, name = heapq.heappop(deadlines)
            book = self.requests.get(name)
            if book is not None and now > book.last_moment:
                raise Violation("I1", f"request {name} was due at {deadline} and has no reply", now)

    def _nobody_is_nowhere(self, now: float) -> None:
        """I1: an open request is being chosen for, waits, pauses, or has a call under way."""
        for name in self._moved:
            book = self.requests.get(name)
            if book is not None and not book.is_somewhere() and self._group_lives(book.group):
                raise Violation("I1", f"request {name} has a call that is nowhere: {book.calls}", now)
        self._moved.clear()

    def _group_lives(self, group: str) -> bool:
        """A request whose deployment refused it is asked for anew when its group is back: no event."""
        ref = self.router._switchboard.groups.get(group)
        return ref is not None and bool(ref.is_alive())

    def _nobody_waits_in_vain(self, now: float) -> None:
        for names, invariant, what in self._accused:
            idle = [name for name in names if self.deployments[name].changed_at < now - STALE]
            if idle:
                raise Violation(invariant, f"{what}, and {idle} stood idle", now)
        self._accused.clear()
        if len(self._waiting) > LOOK_AHEAD:  # who stands so far behind may well not be looked at
            return
        for book in islice(self._waiting.values(), LOOKED_AT):
            idle = book.waits_in_vain(now)
            if idle:
                raise Violation("idle", f"request {book.request_id} waits, and {idle} stand idle", now)

    def _nobody_waits_for_nobody(self, now: float) -> None:
        """One who waits for the answer to an equal request: there is such a request, and it goes on."""
        for book in islice(self.requests.values(), LOOKED_AT):
            fields = book.fields
            if fields is None or not book.waits_for_another or book.accepted_at > now - STALE:
                continue
            if book.asks_the_dead(now):
                continue
            kind = self._cache.kind(fields)
            shares = self._cache.shares(fields)
            if not shares or not any(self._is_called_for(other, kind) for other in self.requests.values()):
                raise Violation("cache", f"request {book.request_id} waits for the answer of nobody", now)

    def _is_called_for(self, book: RequestBook, kind: str) -> bool:
        if book.fields is None or book.waits_for_another:
            return False
        return self._cache.shares(book.fields) and self._cache.kind(book.fields) == kind

    def excuse(self, now: float) -> None:
        """The process slept until now, and its timers will ring one after the other."""
        self.excuse_lateness(now)
        for each in self.deployments.values():
            each.crashed_at = max(now, each.crashed_at)

    def excuse_lateness(self, now: float) -> None:
        """Nothing could be done until now: what fell due meanwhile is late, and rightly so."""
        for name, book in self.requests.items():
            if book.deadline < now:
                book.excused_until = now
                heapq.heappush(self._deadlines, (now, name))

    def live(self, name: str) -> Any:
        """A deployment's actor, None while it is dead."""
        ref = self.router._switchboard.deployments.get(name)
        return None if ref is None or not ref.is_alive() else ref._actor_weakref()

    def _live_state_is_the_books(self, name: str, now: float) -> None:
        """I4, I8."""
        book, shadow, actor = self.deployments[name], self._shadows.get(name), self.live(name)
        if actor is None or shadow is None:
            return
        state = actor.state
        if name in self._blind:
            self._blind.discard(name)
            book.adopt(state)
            shadow.state = DeploymentState.restore(name, shadow.limits, state.snapshot(now))
            return
        book.settle_foretold(now)
        breaker = state.breaker
        if state.open.keys() != book.open.keys() or len(actor._running) != len(book.open):
            what = f"{name} has {sorted(state.open)} open, its journal says {sorted(book.open)}"
            raise Violation("I4", what, now)
        if (breaker.until, breaker.trips, breaker.probe) != (book.until, book.trips, book.probe):
            raise Violation("I8", f"the breaker of {name} is {breaker!r}, the books have {book!r}", now)
        if (state.sickness is not None) != book.sick:
            raise Violation("I8", f"{name} is {state.sickness}, and sick by the books: {book.sick}", now)
        if shadow.events >= self.COMPARE_EVERY:
            shadow.compare(state, now)

    def compare_all(self, now: float) -> None:
        """I8, for every deployment that lives."""
        for name, shadow in self._shadows.items():
            actor = self.live(name)
            if actor is not None:
                shadow.compare(actor.state, now)


def _recovered(disk: SimulatedDisk, name: str, limits: Any) -> DeploymentState:
    """From the latest snapshot and what follows it."""
    snapshot = disk.snapshot(f"deployment/{name}")
    if snapshot is None:
        return _replayed(disk, name, limits)
    state = DeploymentState.restore(name, limits, snapshot.state)
    for item in disk.read(f"deployment/{name}", snapshot.position):
        state.apply(item.event, item.at)
    return state


def _replayed(disk: SimulatedDisk, name: str, limits: Any) -> DeploymentState:
    """From the very first event."""
    state = DeploymentState(name, limits)
    for item in disk.read(f"deployment/{name}"):
        state.apply(item.event, item.at)
    return state


class _Shadow:
    """The state of a deployment, kept current by its events alone, now and then by way of a snapshot."""

    def __init__(self, name: str, limits: Any, begun: DeploymentState | None) -> None:
        self.name = name
        self.limits = limits
        self.state = begun or DeploymentState(name, limits)
        self.events = 0

    def apply(self, event: Any, at: float) -> None:
        self.state.apply(event, at)
        self.events += 1

    def compare(self, live: DeploymentState, now: float) -> None:
        """I8."""
        self.events = 0
        replayed = self.state.snapshot(now)
        if replayed != live.snapshot(now):
            what = f"{self.name} is {live.snapshot(now)}, its events say {replayed}"
            raise Violation("I8", what, now)
        self.state = DeploymentState.restore(self.name, self.limits, replayed)
