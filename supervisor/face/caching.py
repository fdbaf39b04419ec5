"""Whether a router caches, and where: starts the cache's actor, or does not."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...actors.cache.actor import CacheActor, CachePorts
from ...actors.runtime.dispatcher import ManualDispatcher
from ...messages.cache_rules import cache_rules
from ...messages.commands import Inspect
from ...messages.errors import ConfigurationError

if TYPE_CHECKING:
    from ...actors.cache.ports import Store
    from ...actors.runtime.dispatcher import Dispatcher
    from ...actors.runtime.switchboard import Switchboard
    from ...messages.cache_rules import CacheRules
    from .wiring import Wiring

__all__ = ["ask_cache", "start_cache"]


def start_cache(wiring: Wiring, dispatcher: Dispatcher) -> None:
    """Start the cache, if the settings ask for one. A router without it has no such actor.

    Raises:
        ConfigurationError: an option of Redis is wrong, or a router on a fake clock is to use Redis.
    """
    rules = cache_rules(wiring.settings)
    if rules is None:
        return
    store = None if rules.redis is None else _redis_store(rules, wiring.settings.client_ttl, dispatcher)
    if store is not None:
        wiring.closers.append(store.aclose)
    ports = CachePorts(dispatcher, wiring.switchboard, rules, store, wiring.record)
    wiring.start_service("cache", partial(wiring.system.start, CacheActor, ports))


def _redis_store(rules: CacheRules, client_ttl: float, dispatcher: Dispatcher) -> Store:
    if isinstance(dispatcher, ManualDispatcher):
        msg = "a router on a fake clock opens no connections: leave redis_url and redis_host out"
        raise ConfigurationError(msg)
    # imported here: redis-py takes as long to import as all the rest, and most routers need none of it
    module = import_module("...actors.cache.redis_store", __package__)
    store: Store = module.RedisStore(rules.redis, rules.options, dispatcher.clock, client_ttl)
    return store


def ask_cache(board: Switchboard) -> Any:
    """A future for how the cache is; None where there is none, or it is being restarted."""
    cache = board.services.get("cache")
    return cache.ask(Inspect(), block=False) if cache is not None and cache.is_alive() else None
