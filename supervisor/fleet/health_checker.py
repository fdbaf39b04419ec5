"""The health checker: has deployments check themselves, a few at a time, and gathers what they say.

A service beside the way of requests. What a check finds out is the deployment's own to record and to
act on; the checker only reports.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from ...actors.deployment.minimal import IMAGE_CHECK_SECONDS
from ...actors.runtime.actor import LoopActor, where_it_broke
from ...messages.commands import ActorCrashed, Inspect
from ...messages.errors import APIError, RouterClosedError
from ...messages.health_commands import (
    CheckDeployment,
    CheckHealth,
    CheckOverdue,
    DeploymentChecked,
    RoundDue,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...actors.runtime.clock import Timer
    from ...actors.runtime.dispatcher import Dispatcher
    from ...actors.runtime.switchboard import Switchboard

__all__ = ["MAX_CHECKS", "CheckerPorts", "HealthChecker"]

MAX_CHECKS = 20
"""Deployments that are checked at the same time."""

PATIENCE_SECONDS = IMAGE_CHECK_SECONDS + 5.0
"""How long a deployment's word is waited for: longer than any check may take, in case its actor died."""


@frozen
class CheckerPorts:
    """What the checker needs of its surroundings.

    Attributes:
        deployments: the ids of all deployments, now.
        interval: seconds between rounds in the background; None is none.
    """

    dispatcher: Dispatcher
    switchboard: Switchboard
    deployments: Callable[[], Iterable[str]]
    interval: float | None = None


@define(eq=False)
class _Round:
    """Checks that were asked for together. `reply` is None in the background."""

    waiting_for: set[str]
    reply: Any = None
    since: float | None = None
    said: dict[str, DeploymentChecked] = field(factory=dict)


@define(eq=False)
class _UnderWay:
    """A deployment that is being checked, and for whom."""

    rounds: list[_Round]
    timer: Timer


class HealthChecker(LoopActor):
    """Runs rounds of checks, those asked for and those of the interval."""

    def __init__(self, ports: CheckerPorts) -> None:
        super().__init__(ports.dispatcher)
        self._switchboard = ports.switchboard
        self._deployments = ports.deployments
        self._interval = ports.interval
        self._queue: deque[tuple[str, _Round]] = deque()
        self._under_way: dict[str, _UnderWay] = {}
        self._rounds: list[_Round] = []
        self._background: _Round | None = None
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<HealthChecker · {len(self._under_way)} under way · {len(self._queue)} to come>"

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {
            CheckHealth: self._check_health,
            DeploymentChecked: self._checked,
            CheckOverdue: self._overdue,
            RoundDue: self._round_due,
            Inspect: lambda _message: repr(self),
        }

    def on_start(self) -> None:
        """By message: a timer can be set only when there is a thread to run it."""
        if self._interval is not None:
            self.inbox.post(RoundDue())

    # -- rounds

    def _check_health(self, message: CheckHealth) -> None:
        self._begin(_Round(set(message.deployment_ids), message.reply), message.deployment_ids)

    def _round_due(self, _message: RoundDue) -> None:
        """Every interval, beginning one interval after the start; a round that is not over goes on."""
        assert self._interval is not None
        first, self._timer = self._timer is None, self.clock.call_later(self._interval, self._ring)
        if first or self._background is not None:
            return
        names = tuple(self._deployments())
        self._background = _Round(set(names), since=self.clock.now() - self._interval)
        self._begin(self._background, names)

    def _ring(self) -> None:
        self.inbox.deliver(RoundDue())

    def _begin(self, begun: _Round, names: Iterable[str]) -> None:
        self._rounds.append(begun)
        self._queue.extend((name, begun) for name in names)
        self._go_on()
        self._finish_if_over(begun)

    def _go_on(self) -> None:
        """Ask as many as may be asked."""
        while self._queue and len(self._under_way) < MAX_CHECKS:
            name, asking = self._queue.popleft()
            known = self._under_way.get(name)
            if known is not None:
                known.rounds.append(asking)
                continue
            ref = self._switchboard.deployments.get(name)
            if ref is None or not self.send(ref, CheckDeployment(asking.since)):
                why = "the deployment was removed" if ref is None else "its actor is being restarted"
                self._note(DeploymentChecked(name, None, error=why), [asking])
                continue
            overdue = partial(self.inbox.deliver, CheckOverdue(name))
            self._under_way[name] = _UnderWay([asking], self.clock.call_later(PATIENCE_SECONDS, overdue))

    def _checked(self, message: DeploymentChecked) -> None:
        under_way = self._under_way.pop(message.deployment_id, None)
        if under_way is None:
            return
        under_way.timer.cancel()
        self._note(message, under_way.rounds)
        self._go_on()

    def _overdue(self, message: CheckOverdue) -> None:
        why = "nothing was heard of it: its actor may have crashed"
        self._checked(DeploymentChecked(message.call_id, None, error=why))

    def _note(self, checked: DeploymentChecked, rounds: list[_Round]) -> None:
        for one in rounds:
            one.waiting_for.discard(checked.deployment_id)
            one.said[checked.deployment_id] = checked
            self._finish_if_over(one)

    def _finish_if_over(self, one: _Round) -> None:
        if one.waiting_for or one not in self._rounds:
            return
        self._rounds.remove(one)
        if one is self._background:
            self._background = None
        elif not one.reply.done():
            one.reply.set(tuple(one.said.values()))

    # -- the end

    def on_stop(self) -> None:
        """Nobody waits for what will not come."""
        self._give_up(RouterClosedError("the router was closed"))

    def on_crash(self, error: BaseException, message: Any) -> None:
        """Fail what was asked for; the next incarnation knows nothing of it."""
        self._give_up(APIError("the health checker crashed"))
        self.undelivered(message)
        self.send(
            self._switchboard.supervisor, ActorCrashed("service", "health", where_it_broke(error), message)
        )

    def undelivered(self, message: Any) -> None:
        """A round that nobody will run."""
        if isinstance(message, CheckHealth) and not message.reply.done():
            message.reply.fail(APIError("the health checker is being restarted"))

    def _give_up(self, error: Exception) -> None:
        for timer in (self._timer, *(one.timer for one in self._under_way.values())):
            if timer is not None:
                timer.cancel()
        for one in self._rounds:
            if one.reply is not None and not one.reply.done():
                one.reply.fail(error)
        self._rounds.clear()
