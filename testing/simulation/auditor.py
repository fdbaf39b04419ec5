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
from ...messages.events import (
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentRetired,
    DeploymentUpdated,
    EventsLost,
    HealthChecked,
    HedgeSettled,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
)
from ...messages.outcomes import Usage
from ...supervisor.planning.compile_rules import limits_of
from .attempts import Attempts
from .budgets import HedgeBudget, RetryBudget
from .cache_book import CacheBook
from .deployment_book import DeploymentBook
from .options import KEY, PROMPT
from .request_book import STALE, RequestBook, RetriesMade
from .shadow import Shadow, differ, recovered, replayed
from .strategy_book import StrategyBook
from .upstream import ANSWER
from .violation import Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...actors.journal.codec import Recorded
    from ...messages.events import Event
    from ...messages.settings import RouterSettings
    from ...supervisor.face.router import Router
    from .callers import Callers, SimulatedCaller
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
_USED = ("started", "succeeded", "failed", "cancelled", "abandoned", "prompt_tokens", "completion_tokens")
_NEVER_TOLD = Usage()

LOOKED_AT = 4
"""Waiting requests that are looked at in each step, the oldest first."""

SOON = 1.0
"""Seconds after which something must have been done about a request, whatever its group has been through."""

SURELY_SAVED = 4.0
"""Hedges that are in the budget although some were spent on requests that were over at that very moment."""

MOST_CRASHES, CRASHES_WITHIN = 5, 29.0
"""An actor that crashes more often in half a minute is not started again."""

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
        self._strategies = StrategyBook(rules, self.deployments)
        self._budgets = (HedgeBudget(), RetryBudget())
        self._attempts = Attempts(rules, callers, upstream)
        self._told: dict[str, tuple[str | None, int, bool]] = {}
        self._unrecorded: list[tuple[str, str]] = []
        self._died = False  # a Supervisor, since the last look: it answers first, should more of it break
        self._chosen_for: list[tuple[float, str]] = []
        self._crashes: dict[str, deque[float]] = {}
        self._slept_until = -math.inf
        self._groups: dict[str, tuple[Any, float]] = {}
        self._accused: list[Accusation] = []
        self._heard: list[Recorded] = []
        self._shadows: dict[str, Shadow] = {}
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
        self.upstream.begun = self._call_is_recorded
        deployments = router._wiring.deployments
        self._shadows = {
            name: Shadow(name, limits_of(each, router.settings), self._recovered.get(name))
            for name, each in deployments.items()
        }

    def _call_is_recorded(self, name: str, call_id: str) -> None:
        """A provider is being called: that must be in the books of the deployment by now (I8)."""
        actor = self.live(name)
        check = None if actor is None else actor.state.check
        is_check = check is not None and check.check_id == call_id
        if actor is not None and call_id not in actor.state.open and not is_check:
            self._unrecorded.append((name, call_id))

    def recover(self, disk: SimulatedDisk, settings: RouterSettings, now: float, before: Auditor) -> None:
        """Begin where the journal on `disk` ends, as a router that starts on it must (I8, I10)."""
        self._position = disk.last_position()
        self._versions = disk.versions()
        whole = disk.last_position() == sum(1 for _ in disk.read())
        for name, book in self.deployments.items():
            limits = before._shadows[name].limits
            state = recovered(disk, name, limits)
            if whole and differ(state, replayed(disk, name, limits), now):
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
        self._died = self._died or role == "supervisor"
        self._crashes.setdefault(f"{role}/{name}", deque(maxlen=MOST_CRASHES + 1)).append(now)
        for request in self.requests.values():
            request.doubtful = True
            if role == "group" and request.group == name and request.phase in ("waiting", "choosing"):
                request.lost_after = self.router._journal.position
                heapq.heappush(self._chosen_for, (now + SOON, request.request_id))
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
            self._of_attempt(name, event, item.at)
            book.apply(event, item.at, parallel)
            said = self.upstream.limits.pop(event.call_id, None) if type(event) is CallSucceeded else None
            if said is not None:
                book.foretell_limits(said, item.at)
            if name in self._shadows:
                self._shadows[name].apply(event, item.at)
        self._touched.add(name)

    def _of_attempt(self, name: str, event: Event, at: float) -> None:
        attempts = self._attempts
        if type(event) is CallStarted:
            attempts.started(event, name, at, self.deployments[name])
            if event.request_id in self.requests:
                self.requests[event.request_id].reserves(event, name, at)
        elif type(event) is CallOpened:
            attempts.opened(event.call_id, at)
        elif isinstance(event, CallFailed):
            request = self.requests.get(event.request_id)
            attempts.failed(event, None if request is None else request.deadline, at)
        elif isinstance(event, (CallSucceeded, CallCancelled, CallAbandoned)):
            attempts.ended(event.call_id)
            if isinstance(event, CallSucceeded) and event.request_id in self.requests:
                self.requests[event.request_id].costs[name] = event.cost

    def _of_router(self, event: Event, at: float) -> None:
        if isinstance(event, EventsLost):
            self.marks.sometimes("journal lost events")
        elif isinstance(event, DeploymentRetired):
            self.marks.sometimes("actor retired")
            self._retired_for_a_reason(event.deployment_id, at)
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
                self._shadows[name] = Shadow(name, limits_of(deployment, self.router.settings), None)
        else:
            self.marks.sometimes("deployment changed under load")
            book.change(rules, at)
        book.crashed_at = at

    def _usage_is_what_was_told(
        self, event: CallSucceeded | CallFailed | CallCancelled | HealthChecked, at: float
    ) -> None:
        call_id = event.check_id if isinstance(event, HealthChecked) else event.call_id
        told = self.upstream.told.pop(call_id, _NEVER_TOLD)
        if told is None and isinstance(event, CallSucceeded):
            self._usage_is_estimated(event, at)
        if told is None or told is _NEVER_TOLD:
            return
        said = (told.prompt_tokens, told.completion_tokens)
        if (event.prompt_tokens, event.completion_tokens) != said:
            raise Violation("books", f"call {call_id} used {said}, recorded is {event!r}", at)

    def _usage_is_estimated(self, event: CallSucceeded, at: float) -> None:
        """Nobody said what an answer used, so it counts as what was sent, and a little at least came back."""
        request = self.requests.get(event.request_id)
        least = 0 if request is None else request.input_tokens // 2
        if not event.estimated or event.prompt_tokens < least or event.cost is not None:
            raise Violation("books", f"nobody told what {event.call_id} used: {event!r}", at)

    def _of_request(self, name: str, item: Recorded) -> None:
        event = item.event
        book = self.requests.get(name)
        if type(event) is RequestAccepted:
            if book is not None:
                raise Violation("I1", f"request {name} was accepted twice", item.at)
            fields = self.callers.fields.get(name)
            ours = (self.deployments, self._retried, self._accused, self._waiting, self._cache)
            book = RequestBook(self.rules, self.marks, *ours, self._strategies, *self._budgets, fields)
            self.requests[name] = book
            heapq.heappush(self._deadlines, (event.deadline, name))
        elif book is None:
            raise Violation("I1", f"request {name}: {event.TYPE}, and it is not open", item.at)
        calls = dict(book.calls)
        book.apply(event, item.at)
        if book.lost_after is not None and item.position > book.lost_after:
            book.lost_after = None
        if book.phase == "choosing":
            heapq.heappush(self._chosen_for, (item.at + SOON, name))
        self._moved.add(name)
        if isinstance(event, HedgeSettled):
            self._attempts.unwanted(event.loser, calls.get(event.loser, event.deployment_id), item.at)
        if book.phase == "waiting":
            self._waiting[name] = book
        elif self._waiting:
            self._waiting.pop(name, None)
        if book.phase == "done":
            del self.requests[name]
            self._is_over(name, event, calls, item.at)

    def _is_over(self, name: str, event: Event, calls: dict[str, str], at: float) -> None:
        """A request had its final reply: which, and what is not needed any more."""
        for call_id, deployment_id in calls.items():
            self._attempts.unwanted(call_id, deployment_id, at)
        self._attempts.over(name, at)
        if isinstance(event, RequestFailed):
            self._told[name] = (event.error, event.attempts, False)
        elif isinstance(event, RequestSucceeded):
            self._told[name] = (None, 0, event.cached)
        elif isinstance(event, RequestCancelled) and name in self.callers.fields:
            if name not in self.callers.gone:
                raise Violation("reply", f"request {name} was cancelled, and by nobody", at)
            self.callers.gone.discard(name)

    # -- between two steps

    def look(self, now: float) -> None:
        """The world stands still for a moment: everything recorded must be acted on by now."""
        if self._heard:
            heard, self._heard[:] = tuple(self._heard), ()
            self.hear(heard)
        for name in self._touched | self._blind if self._blind else self._touched:
            self._live_state_is_the_books(name, now)
        self._touched.clear()
        self._recorded_first(now)
        self._replies_are_there(now)
        self._nobody_is_late(now)
        self._attempts.look(self.deployments, now)
        self._leaving_is_heard(now)
        self._hedges_are_made(now)
        self._groups_go_on(now)
        self._nobody_is_nowhere(now)
        self._nobody_waits_in_vain(now)
        if self._cache.on:
            self._nobody_waits_for_nobody(now)

    def _recorded_first(self, now: float) -> None:
        """I8: what is done is in the journal before it is done."""
        if self._unrecorded:
            raise Violation(
                "I8", f"providers were called for {self._unrecorded} before that was recorded", now
            )
        if self.callers.early and not self._died:
            raise Violation("I8", f"{self.callers.early} had their replies before that was recorded", now)
        self.callers.early.clear()
        self._died = False

    def _replies_are_there(self, now: float) -> None:
        """I1: the reply and the record of it come together."""
        for caller in self.callers.just_ended:
            book = self.requests.get(caller.request_id)
            if book is not None and not caller.left:
                raise Violation("I1", f"request {caller.request_id} had its reply, unrecorded", now)
            self._reply_is_what_was_told(caller, now)
            self._says_no_secret(caller.error, now)
            if "max_queue" in str(caller.error):
                self.marks.sometimes("waiting room full")
        self.callers.just_ended.clear()

    def _reply_is_what_was_told(self, caller: SimulatedCaller, now: float) -> None:
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

    def _leaving_is_heard(self, now: float) -> None:
        """A caller who gave up is not called for any more."""
        left = self.callers.left
        while left and left[0][0] < now - SOON:
            at, name = left.popleft()
            book = self.requests.get(name)
            if book is not None and not book.doubtful and now > self._slept_until + SOON:
                raise Violation("stray", f"request {name} goes on, and its caller left at {at}", now)

    @property
    def _uneven(self) -> bool:
        """Whether there was a crash, or a time in which nothing was done and much came at once."""
        return bool(self._crashes) or self._slept_until > -math.inf

    def _hedges_are_made(self, now: float) -> None:
        """A slow attempt has another beside it, when the budget has room and somebody is idle."""
        budget = self._budgets[0]
        while budget.due and budget.due[0][0] < now - STALE:
            due, name = heapq.heappop(budget.due)
            book = self.requests.get(name)
            if book is None or budget.saved < SURELY_SAVED or self._cache.on or self._uneven:
                continue
            idle = book.misses_a_hedge(due, now)
            if idle:
                raise Violation("times", f"request {name} was to be hedged at {due}, {idle} stood idle", now)

    def _groups_go_on(self, now: float) -> None:
        """I1: whoever is chosen for, or was when its group died, is heard of soon after that is back."""
        for group, ref in self.router._switchboard.groups.items():
            known, since = self._groups.get(group, (None, now))
            if not ref.is_alive():
                self._groups[group] = (None, now)
            elif known is not ref:
                self._groups[group] = (ref, now)
            else:
                self._groups[group] = (ref, since)
        while self._chosen_for and self._chosen_for[0][0] < now:
            _, name = heapq.heappop(self._chosen_for)
            book = self.requests.get(name)
            if book is None or (self._cache.on and not book.begun and self._may_follow(book)):
                continue
            lost = book.phase == "choosing" or (book.phase == "waiting" and book.lost_after is not None)
            if not lost or book.last_at > now - SOON:
                continue
            if not self._is_just_back(book.group, now):
                raise Violation("I1", f"request {name} is with nobody since {book.last_at}", now)
            heapq.heappush(self._chosen_for, (now + SOON, name))

    def _is_just_back(self, group: str, now: float) -> bool:
        """Whether a group is dead, or was a moment ago, or nothing at all could be done then."""
        ref, since = self._groups.get(group, (None, now))
        return ref is None or since >= now - SOON or now <= self._slept_until + SOON

    def _nobody_is_nowhere(self, now: float) -> None:
        """I1: an open request is being chosen for, waits, pauses, or has a call under way."""
        orphans = set()
        for name in self._moved:
            book = self.requests.get(name)
            if book is not None and not book.is_somewhere():
                if self._group_lives(book.group):
                    raise Violation("I1", f"request {name} has a call that is nowhere: {book.calls}", now)
                orphans.add(name)
        self._moved = orphans

    def _group_lives(self, group: str) -> bool:
        """A request whose deployment refused it is asked for anew when its group is back: then it counts."""
        ref = self.router._switchboard.groups.get(group)
        return ref is not None and bool(ref.is_alive())

    def _nobody_waits_in_vain(self, now: float) -> None:
        for names, invariant, what in self._accused:
            idle = [name for name in names if self.deployments[name].changed_at < now - STALE]
            if idle:
                raise Violation(invariant, f"{what}, and {idle} stood idle", now)
        self._accused.clear()
        for book in islice(self._waiting.values(), LOOKED_AT):
            idle = book.waits_in_vain(now)
            if idle and not book.stands_far_back():
                raise Violation("idle", f"request {book.request_id} waits, and {idle} stand idle", now)

    def _nobody_waits_for_nobody(self, now: float) -> None:
        """One who waits for the answer to an equal request: there is such a request, and it goes on."""
        for book in islice(self.requests.values(), LOOKED_AT):
            fields = book.fields
            if fields is None or not book.waits_for_another or book.accepted_at > now - STALE:
                continue
            if self._is_just_back(book.group, now):
                continue
            kind = self._cache.kind(fields)
            shares = self._cache.shares(fields)
            if not shares or not any(self._is_called_for(other, kind) for other in self.requests.values()):
                raise Violation("cache", f"request {book.request_id} waits for the answer of nobody", now)

    def _may_follow(self, book: RequestBook) -> bool:
        """Whether it may wait for the answer to an equal request, since one is called for."""
        if book.fields is None:
            return True
        kind = self._cache.kind(book.fields)
        return any(
            other.fields is not None
            and (other.phase != "choosing" or other.begun)
            and self._cache.shares(other.fields)
            and self._cache.kind(other.fields) == kind
            for other in self.requests.values()
        )

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
        self._slept_until = now
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
        book.account.compare(state, name, now)
        if shadow.events >= self.COMPARE_EVERY:
            shadow.compare(state, now)
            book.account.compare_closely(state, book, now)

    def _retired_for_a_reason(self, deployment_id: str, at: float) -> None:
        times = list(self._crashes.get(f"deployment/{deployment_id}", ()))
        if len(times) <= MOST_CRASHES or times[0] < at - CRASHES_WITHIN - SOON:
            raise Violation("crash", f"{deployment_id} was retired; it crashed at {times}", at)

    def actors_are_retired(self, now: float) -> None:
        """Who crashed too often in a short time is not there any more."""
        failed = self.router._wiring.failed
        for name, times in self._crashes.items():
            if name.partition("/")[2] not in self.callers.options.provider_of:
                continue  # others may leave, and come again
            if len(times) > MOST_CRASHES and times[0] > times[-1] - CRASHES_WITHIN and name not in failed:
                raise Violation("crash", f"{name} crashed at {list(times)}, and was started again", now)

    def losses_are_told(self, disk: SimulatedDisk, now: float) -> None:
        """Whoever reads the journal knows how much of it is missing."""
        lost = self.router._journal.health().lost
        events = [item.event for item in disk.read("router")]
        told = sum(event.count for event in events if isinstance(event, EventsLost))
        if lost != told:
            raise Violation("books", f"{lost} events were lost, and {told} told of", now)

    def compare_usage(self, now: float) -> None:
        """What the router says it has used is what its deployments add up to."""
        ref = self.router._switchboard.services.get("usage")
        actor = None if ref is None or not ref.is_alive() else ref._actor_weakref()
        if (
            actor is None
            or not actor._state.complete
            or actor._state.position != self.router._journal.position
        ):
            return
        for name, usage in actor._state.deployments.items():
            live = self.live(name)
            if live is None or name in self._blind or self.router._journal.health().lost:
                continue
            calls, totals = usage.calls, live.state.totals
            sums = (*_USED, "cost")
            said, kept = ([getattr(each, what) for what in sums] for each in (calls, totals))
            if said[:-1] != kept[:-1] or not math.isclose(said[-1], kept[-1], rel_tol=1e-9, abs_tol=1e-12):
                raise Violation("books", f"{name} is said to have used {said}, and used {kept}", now)

    def compare_all(self, now: float) -> None:
        """I8, for every deployment that lives."""
        for name, shadow in self._shadows.items():
            actor = self.live(name)
            if actor is not None and name not in self._blind:
                shadow.compare(actor.state, now)
                self.deployments[name].account.compare_closely(actor.state, self.deployments[name], now)
