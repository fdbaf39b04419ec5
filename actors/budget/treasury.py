"""The Treasury actor: owns the budgets that deployments share, those of providers and of tags.

A call that such a budget concerns comes by here on its way from its group to its deployment. Money is
set aside for it, or it is refused; either way the message goes on to the deployment, so that the
deployment has handled every call its group counts. The deployment says what it cost in the end.

A group that was refused is told when there is more again (`PurseChanged`), until the release that it
was told of has passed; so nothing polls, and nobody asks in vain for what is known to be too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...messages.commands import (
    AccountFor,
    ActorCrashed,
    CallEnded,
    Inspect,
    PassOn,
    PurseChanged,
    ReserveBudget,
    SaveSnapshot,
    SettleBudget,
    StartCall,
)
from ...messages.errors import APIConnectionError
from ...messages.events import BudgetSettled, ClockSetBack
from ...messages.outcomes import CallOutcome, LeftOut
from ..journal.sourced import SourcedActor
from ..runtime.actor import where_it_broke

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.budgets import Purse
    from ...messages.commands import Assign
    from ..journal.sourced import EventLog
    from ..runtime.dispatcher import Dispatcher
    from ..runtime.switchboard import Switchboard
    from .state import TreasuryState

__all__ = ["STREAM", "TREASURY", "Treasury", "TreasuryPorts"]

TREASURY = "treasury"
"""Its name among the services."""

STREAM = "budgets"


@frozen
class TreasuryPorts:
    """What the Treasury needs of its surroundings."""

    dispatcher: Dispatcher
    journal: EventLog
    switchboard: Switchboard


class Treasury(SourcedActor):
    """Sets money aside and settles it, exactly once for each call."""

    def __init__(
        self, ports: TreasuryPorts, state: TreasuryState, version: int = 0, set_back: float = 0.0
    ) -> None:
        super().__init__(ports.dispatcher, ports.journal, STREAM, state, version)
        self.state = state
        self._switchboard = ports.switchboard
        self._refused: dict[str, dict[str, float | None]] = {}
        """By budget, the groups that were refused, each with the release it was told of."""
        self._dealt_with: ReserveBudget | None = None
        self._set_back = set_back
        self._unaccounted: set[str] = set()
        """Calls of a former life of which their deployments were asked."""

    def __repr__(self) -> str:
        return f"<Treasury · {len(self.state.ledgers)} budgets · {len(self.state.open)} open calls>"

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {
            ReserveBudget: self._reserve,
            SettleBudget: self._settle,
            PassOn: self._pass_on,
            Inspect: self._inspect,
            SaveSnapshot: self._save,
        }

    def on_start(self) -> None:
        """Ask what became of the calls of a former life, and let every group ask again."""
        if self._set_back > 0:
            self.record(ClockSetBack(self._set_back), self.clock.now())
        asked: dict[str, list[str]] = {}
        for call_id, reservation in self.state.open.items():
            asked.setdefault(reservation.deployment_id, []).append(call_id)
        for deployment_id, call_ids in asked.items():
            if not self._to_deployment(deployment_id, AccountFor(tuple(call_ids))):
                for call_id in call_ids:
                    self.record(BudgetSettled(call_id, None), self.clock.now())
            else:
                self._unaccounted.update(call_ids)
        for group in self._switchboard.groups.values():
            for name in self.state.ledgers:
                self.send(group, PurseChanged(name, None))

    def on_stop(self) -> None:
        """Keep what is known for the next life."""
        self.save_snapshot(self.clock.now())

    def _save(self, _message: SaveSnapshot) -> None:
        self.save_snapshot(self.clock.now())

    # -- a call comes by

    def _reserve(self, message: ReserveBudget) -> None:
        self._decide(message)
        self._dealt_with = message

    def _decide(self, message: ReserveBudget) -> None:
        now = self.clock.now()
        assign = message.assign
        call_id = assign.call.call_id
        if call_id in self.state.open:  # it was refused while nobody was here to hear of it, and comes anew
            self._over(call_id, 0.0, now)
        verdict = self.state.reserve(message, now)
        if isinstance(verdict, LeftOut):
            self._refuse(message, verdict, now)
            return
        self.record(verdict, now)
        if not self._to_deployment(message.deployment_id, StartCall(assign, paid=True)):
            self._over(call_id, 0.0, now)
            self._lost(assign, message.deployment_id)

    def _refuse(self, message: ReserveBudget, left_out: LeftOut, now: float) -> None:
        name = left_out.detail
        assert name is not None, "refused by no budget"
        exhausted = self.state.exhausted(name, left_out.need or 0.0, now)
        if exhausted is not None:
            self.record(exhausted, now)
        group = message.assign.group
        self._refused.setdefault(name, {})[group] = None
        for each in message.budgets:  # in all that it knows to be low it has counted this call already
            until = self._refused.get(each, {}).get(group, now)
            if until is None or until > now:
                self._tell_purse(group, each, self.state.purse(each, now))
        self._refuse_by_way_of(message, left_out)

    def _refuse_by_way_of(self, message: ReserveBudget, left_out: LeftOut) -> None:
        """The deployment tells the group, who counts what it has handled."""
        if not self._to_deployment(message.deployment_id, StartCall(message.assign, refused=left_out)):
            self._lost(message.assign, message.deployment_id)

    def _lost(self, assign: Assign, deployment_id: str) -> None:
        """Its deployment crashed meanwhile: the call never started."""
        error = APIConnectionError("the deployment's actor crashed", sent="no", deployment_id=deployment_id)
        call = assign.call
        ended = CallEnded(
            call.request_id, call.call_id, deployment_id, CallOutcome("failed", error=error), 0.0
        )
        self.send(self._switchboard.supervisor, ended)

    def _pass_on(self, message: PassOn) -> None:
        self._to_deployment(message.deployment_id, message.cancel)

    # -- a call is over

    def _settle(self, message: SettleBudget) -> None:
        late = message.asked and message.call_id not in self._unaccounted
        if message.call_id in self.state.open and not late:
            self._over(message.call_id, message.cost, self.clock.now())

    def _over(self, call_id: str, cost: float | None, now: float) -> None:
        reservation = self.state.open[call_id]
        self._unaccounted.discard(call_id)
        self.record(BudgetSettled(call_id, cost), now)
        for name in reservation.amounts:
            exhausted = self.state.exhausted(name, 0.0, now)
            if exhausted is not None:
                self.record(exhausted, now)
            if name in self._refused:
                self._tell_refused(name, now)

    def _tell_refused(self, name: str, now: float) -> None:
        """More may be left than the groups were told."""
        waiting = self._refused[name]
        purse = self.state.purse(name, now)
        for group, until in tuple(waiting.items()):
            if until is not None and until <= now:  # it asks again by itself
                del waiting[group]
            else:
                self._tell_purse(group, name, purse)
        if not waiting:
            del self._refused[name]

    def _tell_purse(self, group: str, name: str, purse: Purse) -> None:
        """From now on it goes by this, until the release of which this says."""
        self._refused[name][group] = purse.until
        self._tell_group(group, PurseChanged(name, purse))

    # -- telling

    def _to_deployment(self, deployment_id: str, message: Any) -> bool:
        ref = self._switchboard.deployments.get(deployment_id)
        return ref is not None and self.send(ref, message)

    def _tell_group(self, group: str, message: PurseChanged) -> None:
        ref = self._switchboard.groups.get(group)
        if ref is not None:
            self.send(ref, message)

    def _inspect(self, _message: Inspect) -> dict[str, Any]:
        """The budgets as plain values, for `health()` and tests."""
        now = self.clock.now()
        return {"line": repr(self), "budgets": self.state.describe(now), "open": len(self.state.open)}

    # -- the end

    def on_crash(self, error: BaseException, message: Any) -> None:
        """Call for the Supervisor; the call it died of, and those behind it, start nowhere."""
        if message is not self._dealt_with:  # else it is on its way, started or refused
            self.undelivered(message)
        self.send(
            self._switchboard.supervisor,
            ActorCrashed("service", TREASURY, where_it_broke(error), message),
        )

    def undelivered(self, message: Any) -> None:
        """A call that was on its way through here is refused, and a cancellation still arrives."""
        if isinstance(message, ReserveBudget):
            deployment_id = message.deployment_id
            away = LeftOut(deployment_id, "budget", detail="the Treasury is being restarted", sooner=True)
            self._refuse_by_way_of(message, away)
        elif isinstance(message, PassOn):
            self._pass_on(message)
