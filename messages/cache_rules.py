"""What a router's settings say of its cache. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .caching import MAX_KEY_CHARS
from .errors import ConfigurationError
from .policies import Count, Seconds  # noqa: TC001  (pydantic resolves them)
from .problems import configuration_error
from .redis_address import RedisAddress, parse_redis_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .settings import RouterSettings

__all__ = [
    "MAX_BYTES",
    "MAX_ENTRIES",
    "TTL_SECONDS",
    "CacheRules",
    "cache_rules",
    "redis_address",
    "shared_by",
]

TTL_SECONDS = 600.0
"""How long an answer is kept where nobody says."""

MAX_ENTRIES = 10_000
MAX_BYTES = 64 * 1024 * 1024
"""Of the cache in memory, where `cache_kwargs` does not say."""

_BOUNDS = {"socket_timeout", "max_connections"}


class _CacheArgs(BaseModel):
    """What `cache_kwargs` holds of ours, and what we must know of the rest, which is for redis-py."""

    model_config = ConfigDict(extra="allow")

    ttl: Seconds = Field(default=TTL_SECONDS, gt=0)
    namespace: str = Field(default="turnout", min_length=1, max_length=MAX_KEY_CHARS)
    max_entries: Count = Field(default=MAX_ENTRIES, ge=1)
    max_bytes: Count = Field(default=MAX_BYTES, ge=1)
    socket_timeout: Seconds | None = Field(default=None, gt=0)
    max_connections: Count | None = Field(default=None, ge=1)


@frozen(repr=False)
class CacheRules:
    """How answers are kept.

    Attributes:
        ttl: seconds.
        namespace: what every key begins with.
        max_entries, max_bytes: of the cache in memory.
        redis: where answers are kept when not in memory.
        options: for redis-py, as they were given.
    """

    ttl: float = TTL_SECONDS
    namespace: str = "turnout"
    max_entries: int = MAX_ENTRIES
    max_bytes: int = MAX_BYTES
    redis: RedisAddress | None = None
    options: dict[str, Any] = field(factory=dict)


def cache_rules(settings: RouterSettings) -> CacheRules | None:
    """The rules; None for a router without a cache.

    Raises:
        ConfigurationError: `redis_url` or `cache_kwargs` is wrong.
    """
    if not settings.cache_responses:
        redis_address(settings, {})
        return None
    try:
        args = _CacheArgs.model_validate(settings.cache_kwargs)
    except ValidationError as error:
        raise configuration_error(error, known=_CacheArgs.model_fields, owner="cache_kwargs") from None
    for_redis = {**(args.__pydantic_extra__ or {}), **args.model_dump(include=_BOUNDS)}
    options = {name: value for name, value in for_redis.items() if value is not None}
    redis = redis_address(settings, options)
    if redis is None and options:
        msg = f"cache_kwargs.{next(iter(options))} is an option of Redis: set redis_url or redis_host, too"
        raise ConfigurationError(msg)
    return CacheRules(args.ttl, args.namespace, args.max_entries, args.max_bytes, redis, options)


def redis_address(settings: RouterSettings, options: dict[str, Any]) -> RedisAddress | None:
    """Where the settings say that Redis is; takes what `cache_kwargs` says of it out of `options`."""
    url, host, port = (options.pop(name, None) for name in ("url", "host", "port"))
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    if url is not None:
        return parse_redis_url(str(url))
    host, port = settings.redis_host or host, settings.redis_port or port
    if host is None and port is None:
        return None
    return RedisAddress(
        "server",
        ((str(host or "localhost"), int(port or 6379)),),
        username=options.pop("username", None)
        if settings.redis_username is None
        else settings.redis_username,
        password=(
            options.pop("password", None)
            if settings.redis_password is None
            else settings.redis_password.get_secret_value()
        ),
        db=int(options.pop("db", None) or 0),
    )


def shared_by(caching_groups: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """{group: what its caching group is called}; a group in two of them is in the first."""
    shared: dict[str, str] = {}
    for groups in caching_groups:
        name = "\n".join(sorted(groups))
        for group in groups:
            shared.setdefault(group, name)
    return shared
