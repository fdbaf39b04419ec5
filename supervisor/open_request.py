"""The live side of a request: what cannot be journalled and must be let go of at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from ..actors.cache.tape import TapedChannel
from ..actors.runtime.channel import Channel
from ..messages.commands import Assign, Call

if TYPE_CHECKING:
    import weakref

    from ..actors.runtime.clock import Timer
    from ..actors.runtime.dispatcher import Dispatcher
    from ..actors.runtime.future import LoopFuture
    from ..messages.commands import Unassigned
    from ..messages.errors import RequestError
    from ..messages.outcomes import Demand, LeftOut
    from ..messages.requests import Request
    from ..messages.wishes import Wishes
    from .planning.directory import Target
    from .planning.fallbacks import FallbackRules
    from .planning.plan import Failed
    from .request_state import RequestState
    from .stream import ModelStream

__all__ = ["Hedge", "OpenRequest"]


class Hedge(Struct, eq=False):
    """The live side of a second attempt: first its timer, then the channel of its own."""

    call_id: str
    timer: Timer | None = None
    channel: Channel[Any] | None = None

    def forget(self) -> None:
        """Cancel the timer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class OpenRequest(Struct, eq=False):
    """One request under way.

    `stream_name` is where its events go; `model` is the name the caller asked for; `request` has a
    fallback's overrides applied, and `plain` is it without them, from the first fallback on.
    `error` is the latest error of the current group, `first_error` the one its caller is told when
    everything fails: the first group's. `has_waited`, `has_paused`: this retry was in the
    waiting room, has had its pause; `spared_the_last`: it is asked of all but the last that failed.
    `hedge` is the attempt beside the current one, or its timer; `turned_away` the group's word that it
    could not place the latest attempt.
    `cache`: it was "asked" and has not answered, or was "missed" and is owed an answer.
    `blocking`: its caller waits in a thread. `asked`: the incarnation of a group that has its latest attempt;
    `owed`: that group was dead, and is to be asked when it is back.
    `outlived`: how the attempt ended beside which the one under way was begun.
    """

    state: RequestState
    stream_name: str
    model: str
    request: Request
    reply: LoopFuture[Any]
    demand: Demand
    streamed: bool
    target: Target | None
    fallbacks: FallbackRules
    priority: int = 0
    waits: bool = False
    timer: Timer | None = None
    pause: Timer | None = None
    channel: Channel[Any] | None = None
    stream: weakref.ref[ModelStream] | None = None
    failed: Failed | None = None
    error: RequestError | None = None
    first_error: RequestError | None = None
    call_id: str = ""
    has_waited: bool = False
    has_paused: bool = False
    spared_the_last: bool = False
    hedge: Hedge | None = None
    turned_away: Unassigned | None = None
    version: int = 0
    plain: Request | None = None
    cache: Literal["", "asked", "missed"] = ""
    wishes: Wishes | None = None
    blocking: bool = False
    asked: Any = None
    owed: bool = False
    outlived: RequestError | None = None

    @property
    def left_out(self) -> tuple[tuple[LeftOut, ...], dict[str, int]]:
        """Who could not take the latest attempt, if the group could not place it; the rest by reason."""
        away = self.turned_away
        return ((), {}) if away is None else (away.left_out, away.left_out_by_reason)

    @property
    def in_the_group(self) -> bool:
        """Whether it is the group's turn: choosing, or letting it wait."""
        return self.state.phase != "calling" and self.pause is None and self.cache != "asked"

    def new_channel(self, dispatcher: Dispatcher) -> Channel[Any]:
        """Where the chunks of the next attempt go; recorded on their way if the cache is owed them."""
        return TapedChannel(dispatcher) if self.cache == "missed" else Channel(dispatcher)

    def call_at(self, deployment_id: str) -> str | None:
        """The call of this request that is under way there."""
        state = self.state
        if state.phase != "calling":
            return None
        if state.deployment_id == deployment_id:
            return self.call_id
        hedge = state.hedge
        return hedge.call_id if hedge is not None and hedge.deployment_id == deployment_id else None

    @property
    def next_attempt(self) -> int:
        """The number of the attempt that is to be placed: a new one, or the one that was refused."""
        state = self.state
        return state.attempt if state.call_id else state.attempt + 1

    def ask_as(self, overrides: dict[str, Any] | None) -> None:
        """Go on with the caller's own request, changed by a fallback's `overrides` and by no other's.

        Raises:
            BadRequestError: that makes no request.
        """
        plain = self.plain = self.plain or self.request
        request = plain.overridden(overrides) if overrides else plain
        if request is not self.request:
            self.request = request
            self.demand = request.demand()

    def cached_call(self) -> Call:
        """The call that a cache made unnecessary, for those who want to hear of it."""
        state = self.state
        return Call(
            f"{state.request_id}.0",
            state.request_id,
            0,
            self.request,
            self.demand,
            state.deadline,
            self.streamed,
            None if self.target is None else self.target.wildcard,
            blocking=self.blocking,
        )

    def assignment(self, *, repeat: bool, wait: bool) -> Assign:
        """Ask the current group for the next attempt."""
        state = self.state
        self.call_id = f"{state.request_id}.{self.next_attempt}"
        never = state.never
        if self.spared_the_last and state.deployment_id is not None:
            never |= {state.deployment_id}
        return self._ask_for(self.call_id, never, self.channel, repeat=repeat, wait=wait)

    def second_assignment(self, hedge: Hedge) -> Assign:
        """Ask the current group for an attempt beside the current one, on another deployment."""
        state = self.state
        assert state.deployment_id is not None, "a hedge beside nothing"
        never = state.never | state.failed | {state.deployment_id}
        return self._ask_for(hedge.call_id, never, hedge.channel, repeat=False, wait=False)

    def _ask_for(
        self, call_id: str, never: frozenset[str], channel: Channel[Any] | None, *, repeat: bool, wait: bool
    ) -> Assign:
        state, target = self.state, self.target
        assert target is not None, "assigned without a group"
        call = Call(
            call_id,
            state.request_id,
            state.attempt + 1 if call_id != state.call_id else state.attempt,
            self.request,
            self.demand,
            state.deadline,
            self.streamed,
            target.wildcard,
            channel,
            self.blocking,
            self.wishes,
        )
        return Assign(
            call,
            state.failed,
            never,
            repeat,
            wait,
            self.priority,
            target.only,
            self.request.routing_strategy,
            group=state.group,
        )

    def release(self) -> None:
        """Cancel the timers."""
        for timer in (self.timer, self.pause):
            if timer is not None:
                timer.cancel()
        self.timer = self.pause = None
        if self.hedge is not None:
            self.hedge.forget()
            self.hedge = None
