"""Where Redis is: one server, several behind a Sentinel, or a Cluster. Pure.

::

    redis://[[user]:password@]host[:port][/db]         rediss:// is TLS, unix:// a socket on this machine
    redis+sentinel://[[user]:password@]host[:port],host[:port].../service[/db]
    redis+cluster://[[user]:password@]host[:port],host[:port]...
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from attrs import field, frozen

from .errors import ConfigurationError

__all__ = ["RedisAddress", "parse_redis_url"]

REDIS_PORT = 6379
SENTINEL_PORT = 26379
DEFAULT_SERVICE = "mymaster"

_KINDS: dict[str, Literal["server", "sentinel", "cluster"]] = {
    "redis": "server",
    "rediss": "server",
    "unix": "server",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}

_SCHEMES = "must begin with one of " + ", ".join(f"{name}://" for name in _KINDS)


@frozen(repr=False)
class RedisAddress:
    """Where to connect to, and as whom. Its `repr` shows neither user nor password.

    Attributes:
        kind: one server, several watched by Sentinels, or a Cluster.
        url: for one server, as it was given; None when it was given in pieces.
        nodes: (host, port) of the server, the Sentinels or some of the Cluster's nodes.
        service: what the Sentinels call it.
        options: further ones of redis-py, from the URL's query; all texts.
    """

    kind: Literal["server", "sentinel", "cluster"]
    nodes: tuple[tuple[str, int], ...]
    url: str | None = None
    tls: bool = False
    username: str | None = None
    password: str | None = None
    db: int = 0
    service: str = DEFAULT_SERVICE
    options: dict[str, Any] = field(factory=dict)

    def __repr__(self) -> str:
        where = ",".join(f"{host}:{port}" for host, port in self.nodes)
        return f"<RedisAddress {self.kind} {where}>"


def parse_redis_url(url: str) -> RedisAddress:
    """What a `redis_url` says.

    Raises:
        ConfigurationError: it is none; the text quotes nothing of it, since a password may be in it.
    """
    scheme, separator, _ = url.partition("://")
    kind = _KINDS.get(scheme.lower())
    if not separator or kind is None:
        raise _not_redis(what=_SCHEMES)
    try:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return _address(kind, url, parts, query)
    except ConfigurationError:  # which is a ValueError, too
        raise
    except ValueError:
        raise _not_redis(
            what="cannot be read as a URL (write a special character in a password as %..)"
        ) from None


def _address(kind: Any, url: str, parts: SplitResult, query: dict[str, str]) -> RedisAddress:
    user, _, where = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    default = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
    nodes = tuple(_node(node, default) for node in where.split(",") if node)
    path = [unquote(part) for part in parts.path.split("/") if part]
    if parts.scheme == "unix":
        nodes = ((parts.path, 0),)
        path = []
    if not nodes:
        raise _not_redis(what="names no host")
    if kind == "server" and len(nodes) > 1:
        raise _not_redis(what="names several hosts: begin it with redis+sentinel:// or redis+cluster://")
    service = path.pop(0) if kind == "sentinel" and path else DEFAULT_SERVICE
    return RedisAddress(
        kind,
        nodes,
        url if kind == "server" else None,
        tls=parts.scheme.startswith("rediss"),
        username=unquote(username) or None,
        password=unquote(password) or None,
        db=_db(path, query),
        service=service,
        options=query,
    )


def _db(path: list[str], query: dict[str, str]) -> int:
    text = query.pop("db", None) or (path[0] if path else "0")
    if not text.isdecimal() or len(path) > 1:
        raise _not_redis(what="names a database that is not a number")
    return int(text)


def _node(text: str, default: int) -> tuple[str, int]:
    split = urlsplit(f"//{text}")
    if not split.hostname:
        raise _not_redis(what="names no host")
    return split.hostname, split.port or default


def _not_redis(what: str) -> ConfigurationError:
    return ConfigurationError(f"redis_url {what}")
