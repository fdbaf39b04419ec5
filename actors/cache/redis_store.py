"""Answers in Redis: one server, one behind Sentinels, or a Cluster.

Redis is never in the way: whatever it does, a call here ends within a bounded time, and what goes wrong
is a `StoreError` with the kind of trouble and nothing of what was sent.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from attrs import define
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import URL_QUERY_ARGUMENT_PARSERS, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from ...messages.errors import ConfigurationError
from ...messages.problems import did_you_mean, quoted
from .ports import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ...messages.redis_address import RedisAddress
    from ..runtime.clock import Clock

__all__ = ["MAX_CONNECTIONS", "REDIS_SECONDS", "RedisStore", "open_client"]

REDIS_SECONDS = 1.0
"""For one lookup or one write, connecting included, where `socket_timeout` does not say; then the
request goes on without."""

MAX_CONNECTIONS = 50
"""To Redis, and so lookups and writes at one time, where `max_connections` does not say."""


class RedisStore:
    """See :class:`~.ports.Store`.

    Args:
        address: where Redis is.
        options: of redis-py, as a user gave them.
        clock: to know the age of the connections.
        client_ttl: seconds after which they are made anew; what is under way ends on the old ones.

    Raises:
        ConfigurationError: an option that redis-py does not have, or cannot use.
    """

    def __init__(
        self, address: RedisAddress, options: dict[str, Any], clock: Clock, client_ttl: float
    ) -> None:
        self._address = address
        self._options = options
        self._clock = clock
        self._client_ttl = client_ttl
        self._seconds: float = options.get("socket_timeout") or REDIS_SECONDS
        self._gate = asyncio.Semaphore(options.get("max_connections") or MAX_CONNECTIONS)
        self._current = _Client(open_client(address, options), clock.now())
        self._retired: set[_Client] = set()

    def __repr__(self) -> str:
        return f"<RedisStore {self._address!r}>"

    async def get(self, key: str) -> bytes | None:
        """What is kept under `key`.

        Raises:
            StoreError: Redis could not say.
        """
        found = await self._do(lambda redis: redis.get(key))
        return found if found is None or isinstance(found, bytes) else str(found).encode()

    async def put(self, key: str, data: bytes, ttl: float) -> None:
        """Keep it for `ttl` seconds.

        Raises:
            StoreError: Redis did not take it.
        """
        milliseconds = max(1, int(ttl * 1000))
        await self._do(lambda redis: redis.set(key, data, px=milliseconds))

    async def _do(self, what: Callable[[Any], Awaitable[Any]]) -> Any:
        client = await self._client()
        client.users += 1
        try:
            async with asyncio.timeout(self._seconds), self._gate:
                return await what(client.redis)
        except TimeoutError:
            msg = f"no word from Redis within {self._seconds:g} s"
            raise StoreError(msg) from None
        except Exception as error:  # noqa: BLE001  (whatever it is, the request goes on without)
            raise StoreError(type(error).__name__) from None
        finally:
            client.users -= 1
            await self._close_if_idle(client)

    async def _client(self) -> _Client:
        now = self._clock.now()
        if now - self._current.born >= self._client_ttl:
            old, self._current = self._current, _Client(open_client(self._address, self._options), now)
            self._retired.add(old)
            await self._close_if_idle(old)
        return self._current

    async def _close_if_idle(self, client: _Client) -> None:
        if client.users == 0 and client in self._retired:
            await close_client(client.redis)
            self._retired.discard(client)  # last: whoever is cancelled before leaves it to `aclose`

    async def aclose(self) -> None:
        """Close every connection."""
        for client in (self._current, *self._retired):
            await close_client(client.redis)
        self._retired.clear()


@define(eq=False)
class _Client:
    """A redis-py client, how old it is, and how many use it now."""

    redis: Any
    born: float
    users: int = 0


def open_client(address: RedisAddress, options: dict[str, Any]) -> Any:
    """A redis-py client that connects when it is first used.

    How long a reply may take is watched here and not by redis-py: its own `socket_timeout` waits with
    `asyncio.wait_for`, which before Python 3.12 may swallow the cancellation that ours relies on.

    Raises:
        ConfigurationError: an option is unknown, or of no use.
    """
    kind = RedisCluster if address.kind == "cluster" else Redis
    _check_names((*options, *address.options), inspect.signature(kind.__init__).parameters)
    given = {**_defaults(address), **options, "socket_timeout": None, "decode_responses": False}
    try:
        client = _OPEN[address.kind](address, given)
        if address.kind != "cluster":
            client.connection_pool.make_connection()  # which connects nowhere, but reads the options
    except Exception as error:  # noqa: BLE001  (redis-py raises what it likes for a wrong value)
        msg = f"cache_kwargs: redis-py does not take these options ({type(error).__name__})"
        raise ConfigurationError(msg) from None
    return client


def _check_names(given: Iterable[str], known: Iterable[str]) -> None:
    names = [name for name in known if name != "self"]
    for name in given:
        if name not in names:
            msg = f"cache_kwargs: redis-py has no option {quoted(name)}{did_you_mean(name, names)}"
            raise ConfigurationError(msg)


def _defaults(address: RedisAddress) -> dict[str, Any]:
    """What is ours to say: short waits, and one more try, for a pooled connection that was closed."""
    options: dict[str, Any] = {"socket_connect_timeout": REDIS_SECONDS}
    return {**options, "retry": Retry(NoBackoff(), 1)} if address.kind != "cluster" else options


def _login(address: RedisAddress) -> dict[str, Any]:
    login: dict[str, Any] = {"username": address.username, "password": address.password}
    if address.tls:
        login["ssl"] = True
    return {name: value for name, value in login.items() if value is not None}


def _from_query(address: RedisAddress) -> dict[str, Any]:
    """The options of a URL that redis-py does not read by itself, as redis-py would read them."""
    parsers: dict[str, Callable[[str], Any]] = URL_QUERY_ARGUMENT_PARSERS  # type: ignore[assignment]
    return {name: parsers.get(name, str)(text) for name, text in address.options.items()}


def _open_server(address: RedisAddress, options: dict[str, Any]) -> Any:
    if address.url is not None:
        return Redis.from_url(address.url, **_beside_a_url(address, options))
    ((host, port),) = address.nodes
    return Redis(host=host, port=port, **{"db": address.db, **_login(address), **options})


def _beside_a_url(address: RedisAddress, options: dict[str, Any]) -> dict[str, Any]:
    """The options as `from_url` takes them: it knows no `ssl`, and nothing about TLS where there is none."""
    rest = {name: value for name, value in options.items() if name != "ssl"}
    if address.tls:
        return rest
    if options.get("ssl"):
        return {**rest, "connection_class": SSLConnection}
    return {name: value for name, value in rest.items() if not name.startswith("ssl_")}


def _open_sentinel(address: RedisAddress, options: dict[str, Any]) -> Any:
    """The master that the Sentinels name; they are asked with the same user and password, if any."""
    login = _login(address)
    short = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        address.nodes,
        sentinel_kwargs={**login, **short},
        **{"db": address.db, **login, **_from_query(address), **options},
    )
    return sentinel.master_for(address.service)


def _open_cluster(address: RedisAddress, options: dict[str, Any]) -> Any:
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    return RedisCluster(startup_nodes=nodes, **{**_login(address), **_from_query(address), **options})


_OPEN: dict[str, Callable[[RedisAddress, dict[str, Any]], Any]] = {
    "server": _open_server,
    "sentinel": _open_sentinel,
    "cluster": _open_cluster,
}


async def close_client(client: Any) -> None:
    """Close a client and, behind Sentinels, those that ask them."""
    await client.aclose()
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in () if manager is None else manager.sentinels:
        await sentinel.aclose()
