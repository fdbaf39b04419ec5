"""Requests and the cache: asked before a group is, given what it lacked, left when there is nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..actors.cache.answers import CACHED_KINDS, joined_answer, pack_answer, unpack_answer
from ..actors.cache.tape import NOT_KEPT, PlaybackChannel, TapedChannel
from ..messages.caching import DEFAULT, CacheFound, Keep, Kept, LeaveCache, LookUp
from ..messages.events import CacheHit, RequestSucceeded
from ..messages.outcomes import RouteInfo
from .answers import hidden_params
from .hedge_desk import HedgeDesk

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..messages.caching import CacheMissed
    from ..messages.commands import CallEnded
    from ..messages.deployment import Deployment
    from ..messages.requests import Request
    from .open_request import OpenRequest
    from .planning.rules import SupervisorRules
    from .stream import ModelStream

__all__ = ["CacheDesk"]


class CacheDesk(HedgeDesk):
    """Answers requests from the cache where there is one, and gives it the answers it lacked."""

    if TYPE_CHECKING:
        _deployments: dict[str, Deployment]
        _rules: SupervisorRules

        def _begin(self, entry: OpenRequest, now: float) -> None: ...

        def _open_stream(self, entry: OpenRequest) -> ModelStream: ...

    def _look_up(self, entry: OpenRequest) -> bool:
        """Whether the cache was asked: it will say found or missed."""
        request, target = entry.request, entry.target
        cache = self._switchboard.services.get("cache")
        if cache is None or target is None or not _may_be_cached(request):
            return False
        shared = self._rules.caching_groups.get(target.group, target.group)
        wishes = entry.wishes
        must = ((), None) if wishes is None else (wishes.tags, wishes.region)
        scope = (shared, target.only, target.wildcard, *must)
        if not self.send(cache, LookUp(entry.state.request_id, request, scope, entry.streamed)):
            return False
        entry.cache = "asked"
        return True

    def _cache_missed(self, message: CacheMissed) -> None:
        entry = self._open.get(message.request_id)
        if entry is not None and entry.cache == "asked":
            entry.cache = "missed"
            self._begin(entry, self.clock.now())

    def _cache_gone(self) -> None:
        """It crashed with the requests it had: they go on without."""
        now = self.clock.now()
        for entry in tuple(self._open.values()):
            if entry.cache == "asked":
                entry.cache = ""
                self._begin(entry, now)

    # -- a hit

    def _cache_found(self, message: CacheFound) -> None:
        entry = self._open.get(message.request_id)
        if entry is None or entry.cache != "asked":
            return  # it has had its reply
        entry.cache = ""
        now = self.clock.now()
        kept, state = message.kept, entry.state
        route = _route_of_a_hit(state.request_id, kept, now - state.accepted_at)
        deployment = self._deployments.get(kept.deployment_id)
        self._record(
            entry,
            CacheHit(
                state.request_id, message.key, kept.group, kept.deployment_id, message.age, message.shared
            ),
            now,
        )
        self._record(entry, _success(route), now)
        self._forget(entry)
        if entry.streamed:
            entry.channel = PlaybackChannel(self.dispatcher, kept.kind, kept.parts)
            self._open_stream(entry).finish(route)
            self._tell_of_hit(entry, kept, partial(joined_answer, kept), now)
            return
        response = unpack_answer(kept)
        response.routed(route, partial(hidden_params, deployment=deployment))
        entry.reply.set(response)
        self._tell_of_hit(entry, kept, lambda: response, now)

    def _tell_of_hit(self, entry: OpenRequest, kept: Kept, answer: Callable[[], Any], now: float) -> None:
        """Let callbacks hear of it, if there are any."""
        if self._observer is not None and self._observer.listens:
            deployment = self._deployments.get(kept.deployment_id)
            self._observer.answered_from_cache(entry.cached_call(), deployment, answer, now)

    # -- a miss is made good, or not

    def _keep(self, entry: OpenRequest, ended: CallEnded, group: str, now: float) -> None:
        """Give the cache the answer it lacked; before its caller has it, and can change it.

        One that a fallback gave is no answer of the group that was asked.
        """
        cache = self._switchboard.services.get("cache")
        state, request = entry.state, entry.request
        if state.fallbacks or cache is None or not (request.cache or DEFAULT).write:
            return
        channel = entry.channel
        if isinstance(channel, TapedChannel):
            if channel.tape is None:
                return
            parts, store = tuple(channel.tape), channel.kept
        else:
            response, source = ended.outcome.response, ended.outcome.source
            parts, store = (pack_answer(response, source),), _worth_keeping(response)
        kept = Kept(request.KIND, entry.streamed, group, ended.deployment_id, now, parts)
        if self.send(cache, Keep(state.request_id, kept, store)):
            entry.cache = ""

    def _withdraw(self, entry: OpenRequest, reason: str) -> None:
        super()._withdraw(entry, reason)
        if entry.cache:  # also when it crashed the Supervisor, and so is not forgotten in good order
            self._leave_cache(entry)

    def _let_go(self, entry: OpenRequest) -> None:
        if entry.cache:
            self._leave_cache(entry)
        super()._let_go(entry)

    def _leave_cache(self, entry: OpenRequest) -> None:
        """Let one of those who wait for the same answer call for it."""
        entry.cache = ""
        cache = self._switchboard.services.get("cache")
        failed = entry.error is not None or entry.first_error is not None
        if cache is not None:
            self.send(cache, LeaveCache(entry.state.request_id, failed))


def _may_be_cached(request: Request) -> bool:
    if request.KIND not in CACHED_KINDS or request.caching is False:
        return False
    controls = request.cache
    return controls is None or controls.read or controls.write


def _worth_keeping(response: object) -> bool:
    choices = getattr(response, "choices", ())
    for choice in choices:  # noqa: SIM110  (a generator takes twice as long, for one choice)
        if choice.finish_reason in NOT_KEPT:
            return False
    return True


def _route_of_a_hit(request_id: str, kept: Kept, seconds: float) -> RouteInfo:
    """It cost nothing and nobody was asked; who gave the answer once is told."""
    return RouteInfo(
        request_id, kept.group, kept.deployment_id, (), 0, 0, 0.0, seconds, 0.0, cache_hit=True, strategy=""
    )


def _success(route: RouteInfo) -> RequestSucceeded:
    return RequestSucceeded(
        route.request_id,
        route.model_group,
        route.deployment_id,
        0,
        0,
        0,
        0.0,
        route.seconds,
        route.cost,
        cached=True,
    )
