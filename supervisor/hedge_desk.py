"""Two attempts of one request side by side: the first that answers is the request's, the other is aborted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..messages.commands import HedgeDue
from ..messages.events import DeploymentPicked, HedgeRefused, HedgeSettled
from .desk import RequestDesk
from .open_request import Hedge

if TYPE_CHECKING:
    from ..messages.commands import Assigned
    from ..messages.errors import RequestError
    from .open_request import OpenRequest

__all__ = ["HedgeDesk"]


class HedgeDesk(RequestDesk):
    """Starts a second attempt where the first is slow, within the budget, and settles the two.

    To the request the second is an attempt more and no retry. While both run, the current one is the
    older; a failure of either leaves the other as the request's only attempt.
    """

    # -- a second attempt begins

    def _watch_for_hedge(self, entry: OpenRequest) -> None:
        """An attempt has begun: if it may be hedged, set the timer; anew for one that was refused before."""
        if entry.hedge is not None:
            if entry.hedge.timer is None:
                return
            entry.hedge.forget()
            entry.hedge = None
        if entry.target is not None and entry.target.only is not None:
            return
        asked = entry.request.hedge_after
        seconds = self._hedging.delay(entry.state.group, asked, stream=entry.streamed)
        if seconds is not None:
            due = HedgeDue(entry.state.request_id, entry.call_id)
            timer = self.clock.call_later(seconds, partial(self._deliver, due))
            entry.hedge = Hedge(f"{entry.call_id}h", timer)

    def _hedge_due(self, message: HedgeDue) -> None:
        entry = self._open.get(message.request_id)
        if entry is None or entry.call_id != message.call_id or entry.hedge is None:
            return
        entry.hedge.timer = None
        if entry.state.phase != "calling":  # it was refused, and waits: its time begins when it is placed
            entry.hedge = None
            return
        if not self._hedging.take():
            return
        if entry.streamed:
            entry.hedge.channel = entry.new_channel(self.dispatcher)
        group = self._switchboard.groups.get(entry.state.group)
        if group is None or not self.send(group, entry.second_assignment(entry.hedge)):
            self._hedging.give_back()

    def _hedge_assigned(self, entry: OpenRequest, message: Assigned, now: float) -> bool:
        """Whether it was the second attempt of this request that found a deployment."""
        if entry.hedge is None or entry.hedge.call_id != message.call_id:
            return False
        event = DeploymentPicked(
            message.request_id, message.call_id, entry.state.attempt + 1, message.decision, hedge=True
        )
        self._record(entry, event, now)
        return True

    def _hedge_unplaced(self, entry: OpenRequest, call_id: str) -> None:
        """Nobody else could take it, so the first attempt goes on alone."""
        if entry.hedge is not None and entry.hedge.call_id == call_id:
            self._hedging.give_back()
            if entry.state.hedge is not None:  # it was chosen for, and refused
                self._record(entry, HedgeRefused(entry.state.request_id, call_id), self.clock.now())

    # -- one of the two is over

    def _answered(self, entry: OpenRequest, call_id: str, now: float) -> bool:
        """Make the call that answered the request's own, and abort the other; False for a stranger's."""
        state, hedge = entry.state, entry.hedge
        if call_id != entry.call_id:
            if hedge is None or state.hedge is None or hedge.call_id != call_id:
                return False
            assert state.deployment_id is not None
            self._abort(entry, call_id, entry.call_id, state.deployment_id, state.called_at, now)
            self._go_on_with(entry, hedge)
        elif hedge is not None:
            if state.hedge is not None:
                self._abort(
                    entry, call_id, hedge.call_id, state.hedge.deployment_id, state.hedge.called_at, now
                )
            hedge.forget()
            entry.hedge = None
        return True

    def _abort(
        self, entry: OpenRequest, winner: str, loser: str, deployment_id: str, since: float, now: float
    ) -> None:
        event = HedgeSettled(entry.state.request_id, winner, loser, deployment_id, now - since)
        self._record(entry, event, now)
        self._cancel_call(deployment_id, loser, "hedged")

    def _outlived(
        self,
        entry: OpenRequest,
        call_id: str,
        error: RequestError,
        deployment_id: str,
        seconds: float,
        now: float,
    ) -> bool:
        """Whether a failure needs no answer, since another attempt goes on; then it is noted here.

        So it is with a call that was over already. One that has no other beside it is not noted.
        """
        hedge = entry.hedge
        if hedge is None:
            return False
        of_the_first = call_id == entry.call_id
        if entry.state.hedge is None:
            if of_the_first:
                hedge.forget()
                entry.hedge = None
            return not of_the_first
        if of_the_first or call_id == hedge.call_id:
            self._note_failure(entry, error, deployment_id, seconds, now, call_id)
            if of_the_first:
                entry.outlived = error
                self._go_on_with(entry, hedge)
        return True

    @staticmethod
    def _go_on_with(entry: OpenRequest, hedge: Hedge) -> None:
        entry.call_id = hedge.call_id
        if entry.streamed:
            entry.channel = hedge.channel
        entry.hedge = None
