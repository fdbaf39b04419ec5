"""The ModelGroup actor: chooses a deployment for each call, and lets calls wait for one.

It owns no state that is worth a journal: its roster mirrors what the deployments say, and after a
restart they say it again.

Who may go first: a slot that comes free is offered to the waiting room before anybody new. Of those
that wait, the first `LOOK_AHEAD` are tried, so a call that fits nowhere (its tokens, its one
deployment) holds up none behind it. What they cannot use, a new call may have; one that could wait
only if all who wait have been tried, and one that cannot wait (a retry, `on_exhausted="fail"`) always.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ...messages.commands import (
    ActorCrashed,
    AddMember,
    Assign,
    Assigned,
    BudgetShort,
    CallRefused,
    Counted,
    Inspect,
    PurseChanged,
    Queued,
    ReleaseDue,
    RemoveMember,
    ReserveBudget,
    StartCall,
    StatusChanged,
    Unassigned,
    Withdraw,
)
from ...messages.errors import ConfigurationError
from ...messages.fleet_commands import CloseGroup
from ...messages.outcomes import LeftOut
from ...messages.values import replace
from ..budget.treasury import TREASURY
from ..runtime.actor import LoopActor, where_it_broke
from .kinds import rules_of
from .left_out import MIN_WAIT_SECONDS
from .purses import Purses
from .roster import NonePicked, Picked, Roster
from .strategies import make_strategy
from .waiting_room import WaitingRoom

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ...messages.outcomes import Demand
    from ...messages.settings import RouterSettings
    from ..runtime.clock import Timer
    from ..runtime.dispatcher import Dispatcher
    from ..runtime.switchboard import Switchboard
    from .counting import Counts, TokenCounter
    from .strategies.base import Candidate, Strategy
    from .waiting_room import Waiting

__all__ = ["LOOK_AHEAD", "ModelGroup"]

LOOK_AHEAD = 32
"""Waiting calls that are tried and fit nowhere before those behind them have to wait, too."""


class ModelGroup(LoopActor):
    """Deployments that can stand in for each other, and the calls that wait for one of them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        name: str,
        switchboard: Switchboard,
        settings: RouterSettings,
        rng: random.Random,
        counter: TokenCounter | None = None,
    ) -> None:
        super().__init__(dispatcher)
        self.name = name
        self._switchboard = switchboard
        self._rng = rng
        self._purses = Purses(settings.provider_budget_config, settings.tag_budget_config)
        self._shares_budgets = bool(settings.provider_budget_config or settings.tag_budget_config)
        rules = rules_of(settings, exact=counter is not None)
        self._roster = Roster(name, *_strategies(settings), rules, self._purses)
        self._counter = counter
        self._looks_at_windows = counter is not None and settings.enable_pre_call_checks
        self._counting: dict[str, Waiting | None] = {}
        """Calls whose prompts are being counted, and the place in the room of those that came from there."""
        self._room = WaitingRoom(settings.max_queue)
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._dealt_with: CallRefused | None = None

    def __repr__(self) -> str:
        return self.describe()

    def describe(self) -> str:
        """One line: `<ModelGroup gpt-4 · 3 of 4 eligible · 2 waiting>`."""
        members = len(self._roster)
        eligible = members - len(self._roster.left_out_at(self.clock.now()))
        return f"<ModelGroup {self.name} · {eligible} of {members} eligible · {len(self._room)} waiting>"

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {
            Assign: self._assign,
            StatusChanged: self._status_changed,
            CallRefused: self._call_refused,
            Counted: self._counted,
            Withdraw: self._withdraw,
            AddMember: self._add_member,
            RemoveMember: self._remove_member,
            CloseGroup: self._close,
            PurseChanged: self._purse_changed,
            ReleaseDue: self._release_due,
            Inspect: self._inspect,
        }

    # -- calls

    def _assign(self, assign: Assign) -> None:
        if self._looks_at_windows and self._roster.window_decides(assign.call) and self._count(assign):
            return
        now = self.clock.now()
        if self._room:
            self._serve(now)
            if assign.wait and len(self._room) > LOOK_AHEAD:
                self._wait(assign, NonePicked(earliest=self._roster.next_release()), now)
                return
        none = self._place(assign, now)
        if none is not None:
            self._refuse_or_wait(assign, none, now)

    def _count(self, assign: Assign, waiting: Waiting | None = None) -> bool:
        """Have the prompt counted first, since only that tells where it fits; False when it cannot be."""
        call = assign.call

        def tell(counts: Counts) -> None:
            self.inbox.deliver(Counted(assign, counts))

        assert self._counter is not None
        if not self._counter.start(call.request, self._roster.yardsticks, tell):
            return False
        self._counting[call.call_id] = waiting
        return True

    def _counted(self, message: Counted) -> None:
        """Place the call, unless it was withdrawn in the meantime; one that waited has its place again."""
        call = message.assign.call
        if call.call_id not in self._counting:
            return
        waiting = self._counting.pop(call.call_id)
        demand = replace(call.demand, counted=message.counts)
        assign = replace(message.assign, call=replace(call, demand=demand))
        if waiting is None or (assign.only is not None and assign.only not in self._roster):
            self._assign(assign)
        else:
            waiting.assign = assign
            self._room.put_back(waiting)
            self._serve(self.clock.now())

    def _call_refused(self, message: CallRefused) -> None:
        """The deployment knows better. Choose again without it; it has cost the request nothing."""
        now = self.clock.now()
        self._roster.apply(message.status, now)
        refused, why = message.assign, message.left_out
        if not (self._may_take(why, refused.call.demand) and self._count(refused)):
            assign = replace(refused, left_out=(*refused.left_out, why))
            none = self._place(assign, now)
            if none is not None:
                self._refuse_or_wait(assign, none, now)
            self._dealt_with = message
        if self._room:
            self._serve(now)

    def _may_take(self, why: LeftOut, demand: Demand) -> bool:
        return self._counter is not None and self._roster.could_fit(why, demand)

    def _withdraw(self, message: Withdraw) -> None:
        self._counting.pop(message.call_id, None)
        if self._room.withdraw(message.call_id):
            self._serve(self.clock.now())

    def _place(self, assign: Assign, now: float, waiting: Waiting | None = None) -> NonePicked | None:
        """Send the call to a deployment; why not, when there is none (or tell of a broken strategy).

        Near a tpm its prompt is counted first, and it is placed when that is done. `waiting` is the
        place in the room that it came from.
        """
        roster = self._roster
        call = assign.call
        while True:
            try:
                picked = roster.pick(assign, now, self._rng)
            except ConfigurationError as error:
                self._tell(Unassigned(call.request_id, call.call_id, self.name, problem=str(error)))
                return None
            if self._purses.short:
                self._tell_the_poor()
            near = self._counter is not None and roster.count_decides(picked, call.demand)
            if near and self._count(assign, waiting):
                return None
            if type(picked) is not Picked:
                return picked  # type: ignore[return-value]  # pick gives one or the other
            candidate = picked.candidate
            if not self.reaches(candidate.mirror.ref):
                roster.unreachable(candidate)
                continue
            to, message = candidate.mirror.ref, StartCall(assign)
            if self._shares_budgets:
                to, message = self._errand(candidate, assign, now)
            if to is not None:
                roster.started(candidate, call.demand, now)
                # the Supervisor first, so that a request's events tell the choice before the call
                self._tell(Assigned(call.request_id, call.call_id, picked.decision))
                self.send(to, message)
                return None

    def _tell_the_poor(self) -> None:
        short, self._purses.short = self._purses.short, {}
        for deployment_id, need in short.items():
            deployment = self._switchboard.deployments.get(deployment_id)
            if deployment is not None:
                self.send(deployment, BudgetShort(need))

    def _errand(self, candidate: Candidate, assign: Assign, now: float) -> tuple[Any, Any]:
        """Who gets the message that starts the call, and the message; None: the Treasury cannot be asked."""
        purses = self._purses
        budgets = purses.budgets(candidate.deployment, assign.call)
        cost = purses.expected(candidate, assign.call, now) if budgets else None
        if cost is None:
            return candidate.mirror.ref, StartCall(assign)
        treasury = self._switchboard.services.get(TREASURY)
        if treasury is None or not self.reaches(treasury):
            purses.away(budgets, now)
            return None, None
        purses.sent(budgets, cost.cost)
        return treasury, ReserveBudget(assign, candidate.id, budgets, cost.cost, cost.least)

    def _purse_changed(self, message: PurseChanged) -> None:
        self._purses.heard(message.budget, message.purse)
        if self._room:
            self._serve(self.clock.now())

    def _refuse_or_wait(self, assign: Assign, none: NonePicked, now: float) -> None:
        if assign.wait and none.can_end_before(assign.call.deadline):
            self._wait(assign, none, now)
        else:
            self._refuse(assign, none)

    def _wait(self, assign: Assign, none: NonePicked, now: float) -> None:
        not_before = 0.0
        if assign.left_out:  # those who refused may do later, but not at this very moment
            assign = replace(assign, left_out=())
            not_before = now + MIN_WAIT_SECONDS
        if not self._room.join(assign, not_before):
            self._refuse(assign, none, full=True)
            return
        call = assign.call
        self._tell(Queued(call.request_id, call.call_id, self.name, none.earliest, none.left_out))
        # what this one waits for may be nothing to those before it
        self._wake_at(_earlier(none.earliest, None if self._timer is None else self._timer_at), now)

    def _refuse(
        self, assign: Assign, none: NonePicked, *, full: bool = False, stranded: bool = False
    ) -> None:
        call = assign.call
        self._tell(
            Unassigned(
                call.request_id,
                call.call_id,
                self.name,
                none.left_out,
                none.more,
                none.repeatable,
                none.earliest,
                full,
                stranded=stranded,
            )
        )

    # -- calls that wait

    def _serve(self, now: float) -> None:
        """Place those that wait, in their order, as long as there is somebody to take them."""
        room, roster = self._room, self._roster
        roster.release_due(now)
        passed = 0
        wake: float | None = None
        while roster.eligible and passed < LOOK_AHEAD and passed < len(room):
            hope = self._try(room[passed], now)
            if hope is None:
                room.leave(passed)
            else:
                passed += 1
                wake = _earlier(wake, hope.earliest)
        if not roster.eligible:
            self._refuse_hopeless()
        self._wake_at(_earlier(wake, roster.next_release()), now)

    def _refuse_hopeless(self) -> None:
        """Nobody is eligible: those whose deadline comes before any known release need not wait for it."""
        none = self._roster.nobody()
        if none.unknown or none.earliest is None:
            return
        room, place = self._room, 0
        for _ in range(min(LOOK_AHEAD, len(room))):
            waiting = room[place]
            if none.can_end_before(waiting.assign.call.deadline):
                place += 1
            else:
                room.leave(place)
                self._refuse(waiting.assign, none)

    def _try(self, waiting: Waiting, now: float) -> NonePicked | None:
        """Place one call, or give it up; if it has to go on waiting, what it hopes for."""
        assign = waiting.assign
        if assign.call.deadline <= now:  # the Supervisor has its own timer for that
            return None
        if now < waiting.not_before:
            return NonePicked(earliest=waiting.not_before)
        none = self._place(assign, now, waiting)
        if none is not None and not none.can_end_before(assign.call.deadline):
            self._refuse(assign, none)
            return None
        return none

    def _wake_at(self, at: float | None, now: float) -> None:
        """One timer, for the next moment at which a waiting call may be placed."""
        if not self._room:
            at = None
        timer = self._timer
        if timer is not None:
            if at == self._timer_at:
                return
            timer.cancel()
            self._timer = None
        if at is not None:
            self._timer_at = at
            self._timer = self.clock.call_later(max(MIN_WAIT_SECONDS, at - now), self._timer_fired)

    def _timer_fired(self) -> None:
        """A message to myself, handled before anything else happens."""
        self._timer = None
        self.inbox.deliver(ReleaseDue())

    def _release_due(self, _message: ReleaseDue) -> None:
        self._serve(self.clock.now())

    # -- members

    def _status_changed(self, message: StatusChanged) -> None:
        now = self.clock.now()
        self._roster.apply(message.status, now)
        if message.warm:
            self._roster.affinity.warm.heard(message.warm, message.status.deployment_id, now)
        if self._room:
            self._serve(now)

    def _add_member(self, message: AddMember) -> None:
        now = self.clock.now()
        self._roster.add(message.deployment, message.status, message.ref, now, message.facts)
        if self._room:
            self._serve(now)

    def _remove_member(self, message: RemoveMember) -> None:
        name, now = message.deployment_id, self.clock.now()
        self._roster.remove(name, now)
        if self._room:
            self._refuse_waiting(self._room.take(lambda waiting: waiting.assign.only == name), name)
            self._serve(now)

    def _close(self, message: CloseGroup) -> None:
        """Nobody is left to wait for."""
        self._cancel_timer()
        self._refuse_waiting(self._room.take(lambda _waiting: True), message.deployment_id)

    def _refuse_waiting(self, those: list[Waiting], removed: str) -> None:
        for waiting in those:
            self._refuse(waiting.assign, NonePicked((LeftOut(removed, "removed"),), hopeless=True))

    # -- telling

    def _tell(self, message: Assigned | Unassigned | Queued | ActorCrashed) -> None:
        self.send(self._switchboard.supervisor, message)

    def _inspect(self, _message: Inspect) -> dict[str, Any]:
        """The mirror as plain values, for `health()` and tests: a status line for each deployment."""
        now = self.clock.now()
        left_out = {item.deployment_id: item for item in self._roster.left_out_at(now)}
        return {
            "line": self.describe(),
            "group": self.name,
            "members": len(self._roster),
            "eligible": len(self._roster) - len(left_out),
            "left_out_by_reason": dict(Counter(item.reason for item in left_out.values())),
            "waiting": len(self._room),
            "lines": [_line(candidate, left_out.get(candidate.id), now) for candidate in self._roster],
        }

    # -- the end

    def on_stop(self) -> None:
        self._cancel_timer()

    def on_crash(self, error: BaseException, message: Any) -> None:
        """Call for the Supervisor, which asks again for all that was the group's turn."""
        self._cancel_timer()
        self._counting.clear()
        if message is not self._dealt_with:  # else the Supervisor was told, and needs no second word
            self.undelivered(message)
        self._tell(ActorCrashed("group", self.name, where_it_broke(error), message))

    def undelivered(self, message: Any) -> None:
        """A refused call is with nobody now: unlike one that waits, the Supervisor must hear of it.

        So must it of one that was being counted when the group was closed.
        """
        if isinstance(message, CallRefused):
            self._refuse(message.assign, NonePicked((message.left_out,)), stranded=True)
        elif isinstance(message, Counted) and message.assign.call.call_id in self._counting:
            self._refuse(message.assign, NonePicked())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _strategies(settings: RouterSettings) -> tuple[Strategy, Callable[[str], Strategy]]:
    """The group's own strategy, and how to make one by its name: another of the group's own, or any."""
    spec, args = settings.routing_strategy, settings.routing_strategy_args
    own = make_strategy(spec, args)
    return own, lambda name: make_strategy(spec, args) if name == own.name else make_strategy(name)


def _line(candidate: Candidate, left_out: LeftOut | None, now: float) -> str:
    """`azure-eu · cooling_down 4.2s · 3 open`, as the group sees it."""
    state = "eligible"
    if left_out is not None:
        until = left_out.until
        state = left_out.reason if until is None else f"{left_out.reason} {until - now:.1f}s"
    return f"{candidate.id} · {state} · {candidate.open} open"


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
