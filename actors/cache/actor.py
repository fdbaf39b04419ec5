"""The Cache actor: owns the answers that are kept, and knows which requests wait for the same one.

A service beside the way of a request: who asks it goes on without it when it is gone. Answers are
content, so nothing here is journalled but that there was a hit, and that a store was lost.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...messages.caching import (
    DEFAULT,
    CacheFound,
    CacheMissed,
    Fetched,
    Keep,
    LeaveCache,
    LookUp,
    Written,
)
from ...messages.commands import ActorCrashed, Inspect
from ...messages.events import CacheLost, CacheRestored
from ...messages.values import Value
from ..runtime.actor import LoopActor, where_it_broke
from .answers import GarbageError, pack, unpack
from .flights import Flights
from .key import key_of
from .memory import MemoryCache
from .outage import StoreHealth
from .ports import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.cache_rules import CacheRules
    from ...messages.caching import CacheControls, Kept
    from ...messages.events import Event
    from ..runtime.dispatcher import Dispatcher
    from ..runtime.switchboard import Switchboard
    from .outage import Way
    from .ports import Store

__all__ = ["MAX_WRITES", "CacheActor", "CachePorts"]

MAX_WRITES = 1000
"""Answers on their way to a store; beyond that they are not kept."""

log = logging.getLogger("turnout.cache")


@frozen
class CachePorts:
    """What the cache needs of its surroundings. `store` is None for answers in memory."""

    dispatcher: Dispatcher
    switchboard: Switchboard
    rules: CacheRules
    store: Store | None
    note: Callable[[Event], object]


class _Asked(Value, frozen=True):
    """A request that will bring an answer, or waits for one."""

    key: str
    kind: str
    stream: bool
    controls: CacheControls


class CacheActor(LoopActor):
    """Answers `LookUp`s from memory or a store; one per router that caches."""

    def __init__(self, ports: CachePorts) -> None:
        super().__init__(ports.dispatcher)
        self._switchboard = ports.switchboard
        self._rules = ports.rules
        self._store = ports.store
        self._note = ports.note
        self._memory = MemoryCache(ports.rules.max_entries, ports.rules.max_bytes)
        self._flights = Flights()
        self._asked: dict[str, _Asked] = {}
        self._health = StoreHealth()
        self._writes = 0
        self._totals = dict.fromkeys(("hits", "misses", "shared", "garbage"), 0)

    def __repr__(self) -> str:
        where = repr(self._memory) if self._store is None else repr(self._store)
        return f"<Cache {where} · {len(self._flights)} in flight>"

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        return {
            LookUp: self._look_up,
            Keep: self._keep,
            LeaveCache: self._leave,
            Fetched: self._fetched,
            Written: self._written,
            Inspect: self._inspect,
        }

    # -- is there an answer?

    def _look_up(self, message: LookUp) -> None:
        request_id, request, stream = message.request_id, message.request, message.stream
        controls = request.cache or DEFAULT
        key = key_of(request, message.scope, controls, self._rules.namespace, stream=stream)
        if key is None:
            self._missed(request_id)
            return
        if self._store is None and controls.read and self._found_in_memory(request_id, key, controls):
            return
        self._asked[request_id] = _Asked(key, request.KIND, stream, controls)
        if not controls.read:
            self._missed(request_id)
        elif not controls.write or self._flights.join(key, request_id):
            self._seek(request_id, key)

    def _found_in_memory(self, request_id: str, key: str, controls: CacheControls) -> bool:
        now = self.clock.now()
        kept = self._memory.get(key, now)
        if kept is None or not _fresh(kept, controls, now):
            return False
        self._totals["hits"] += 1
        self._tell(CacheFound(request_id, kept, key, max(0.0, now - kept.at)))
        return True

    def _seek(self, request_id: str, key: str) -> None:
        """Nobody else is asking for it: look into the store, or have the call made."""
        if self._store is None:
            self._missed(request_id)
        elif self._health.avoids("lookups", self.clock.now()):
            self._health.skipped()
            self._missed(request_id)
        else:
            self.dispatcher.spawn(self._fetch(self._store, request_id, key))

    async def _fetch(self, store: Store, request_id: str, key: str) -> None:
        kept = error = None
        garbage = False
        try:
            data = await store.get(key)
            kept = None if data is None else unpack(data)
        except StoreError as trouble:
            error = str(trouble)
        except GarbageError:
            garbage = True
        self.inbox.deliver(Fetched(request_id, kept, error, garbage))

    def _fetched(self, message: Fetched) -> None:
        request_id, kept = message.request_id, message.kept
        self._heard("lookups", message.error)
        asked = self._asked.get(request_id)
        if kept is not None and asked is not None and (kept.kind, kept.stream) != (asked.kind, asked.stream):
            kept = None
            self._garbage()
        if message.garbage:
            self._garbage()
        if asked is None:
            return  # it left, and another one seeks in its place
        if kept is None or not _fresh(kept, asked.controls, self.clock.now()):
            self._missed(request_id)
            return
        waiting = self._flights.land(asked.key) if request_id in self._flights else []
        for name in (request_id, *waiting):
            self._give(name, kept)

    def _give(self, request_id: str, kept: Kept) -> None:
        """To one who waited for the store's word: as old as it is, it may not do."""
        asked = self._asked[request_id]
        now = self.clock.now()
        if not _fresh(kept, asked.controls, now):
            self._missed(request_id)
            return
        del self._asked[request_id]
        self._totals["hits"] += 1
        self._tell(CacheFound(request_id, kept, asked.key, max(0.0, now - kept.at)))

    def _missed(self, request_id: str) -> None:
        self._totals["misses"] += 1
        self._tell(CacheMissed(request_id))

    # -- an answer comes, or none

    def _keep(self, message: Keep) -> None:
        asked = self._asked.pop(message.request_id, None)
        if asked is None:
            return  # a former life was asked
        kept = message.kept
        if asked.controls.write:
            for name in self._flights.land(asked.key):
                del self._asked[name]
                self._totals["shared"] += 1
                self._tell(CacheFound(name, kept, asked.key, 0.0, shared=True))
            if message.store:
                self._put(asked, kept)

    def _put(self, asked: _Asked, kept: Kept) -> None:
        ttl = self._rules.ttl if asked.controls.ttl is None else asked.controls.ttl
        if ttl <= 0:
            return
        if self._store is None:
            self._memory.put(asked.key, kept, kept.at + ttl)
        elif self._writes >= MAX_WRITES or self._health.avoids("writes", self.clock.now()):
            self._health.skipped()
        else:
            self._writes += 1
            self.dispatcher.spawn(self._write(self._store, asked.key, kept, ttl))

    async def _write(self, store: Store, key: str, kept: Kept, ttl: float) -> None:
        error = None
        try:
            await store.put(key, pack(kept), ttl)
        except StoreError as trouble:
            error = str(trouble)
        self.inbox.deliver(Written(error))

    def _written(self, message: Written) -> None:
        self._writes -= 1
        self._heard("writes", message.error)

    def _leave(self, message: LeaveCache) -> None:
        request_id = message.request_id
        self._asked.pop(request_id, None)
        for name in self._flights.leave(request_id, failed=message.failed):
            self._seek(name, self._asked[name].key)

    # -- the store's health

    def _heard(self, way: Way, error: str | None) -> None:
        """What a try came to. The first loss is told, and that it is over; what lies between is counted."""
        if error is None:
            if self._health.worked(way):
                lost = self._health.lost_in_it
                log.warning("the cache is back; %d lookups and writes were lost", lost)
                self._note(CacheRestored(lost))
        elif self._health.failed(way, error, self.clock.now()):
            log.warning("the cache is lost (%s): requests go on without it", error)
            self._note(CacheLost(error))

    def _garbage(self) -> None:
        self._totals["garbage"] += 1
        if self._totals["garbage"] == 1:
            log.warning("the cache holds a value that is no answer; it is taken for a miss")

    # -- telling

    def _tell(self, message: CacheFound | CacheMissed) -> None:
        self.send(self._switchboard.supervisor, message)

    def _inspect(self, _message: Inspect) -> dict[str, Any]:
        """For `health()`."""
        mine = self._store is None
        return {
            "ok": self._health.reason is None,
            "reason": self._health.reason,
            "store": "memory" if mine else "redis",
            "entries": len(self._memory) if mine else None,
            "bytes": self._memory.bytes if mine else None,
            **self._totals,
            "lost": self._health.lost,
            "in_flight": len(self._flights),
        }

    def on_crash(self, error: BaseException, message: Any) -> None:
        """Have it started again, empty; the Supervisor goes on with what it had asked."""
        crash = ActorCrashed("service", "cache", where_it_broke(error), message)
        self.send(self._switchboard.supervisor, crash)


def _fresh(kept: Kept, controls: CacheControls, now: float) -> bool:
    return controls.max_age is None or now - kept.at <= controls.max_age
