"""What the cache is asked and told, what it keeps, and what a request may say of it.

::

    Supervisor  ── LookUp ───────────────▶ Cache
    Cache       ── CacheFound | CacheMissed ▶ Supervisor
    Supervisor  ── Keep | LeaveCache ────▶ Cache
    task        ── Fetched, Written ─────▶ Cache
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

from .problems import number_in
from .values import Message, Value

if TYPE_CHECKING:
    from .requests import Request

__all__ = [
    "CONTROLS",
    "DEFAULT",
    "CacheControls",
    "CacheFound",
    "CacheMissed",
    "Fetched",
    "Keep",
    "Kept",
    "LeaveCache",
    "LookUp",
    "Written",
    "parse_controls",
]

CONTROLS = ("no-cache", "no-store", "ttl", "s-maxage", "namespace", "key", "use-cache")
"""What a request's `cache` may hold. `cache_key` is `key` by another name, `s-max-age` is `s-maxage`, and
every `-` may be a `_`; `use-cache` is accepted, since that is what a router with a cache does anyway."""

_ALIASES = {"cache-key": "key", "s-max-age": "s-maxage"}
_SWITCHES = frozenset({"no-cache", "no-store", "use-cache"})
_SECONDS = frozenset({"ttl", "s-maxage"})
MAX_KEY_CHARS = 4096
"""Of a key or a namespace of one's own."""


@frozen
class CacheControls:
    """What one request wants of the cache.

    Attributes:
        read: answer from the cache.
        write: keep the answer.
        ttl: seconds to keep it; None is the router's.
        max_age: seconds; an older answer does not do.
        namespace: in place of the router's.
        key: in place of everything that was asked.
    """

    read: bool = True
    write: bool = True
    ttl: float | None = None
    max_age: float | None = None
    namespace: str | None = None
    key: str | None = None


DEFAULT = CacheControls()


def parse_controls(raw: Any) -> CacheControls:
    """A request's `cache`, checked.

    Raises:
        ValueError: it is no dict of known controls; the text names the control.
    """
    if isinstance(raw, CacheControls):
        return raw
    if not isinstance(raw, dict):
        msg = f"must be a dict of {', '.join(CONTROLS)}"
        raise ValueError(msg)
    values: dict[str, Any] = {}
    for given, value in raw.items():
        name = str(given).replace("_", "-")
        name = _ALIASES.get(name, name)
        if name not in CONTROLS:
            msg = f"unknown control {str(given)[:80]!r} (known: {', '.join(CONTROLS)})"
            raise ValueError(msg)
        if value is not None:
            values[name] = _checked(name, value)
    return CacheControls(
        read=not values.get("no-cache", False),
        write=not values.get("no-store", False),
        ttl=values.get("ttl"),
        max_age=values.get("s-maxage"),
        namespace=values.get("namespace"),
        key=values.get("key"),
    )


def _checked(name: str, value: Any) -> Any:
    if name in _SWITCHES:
        if isinstance(value, bool):
            return value
        msg = f"{name} must be True or False"
        raise ValueError(msg)
    if name in _SECONDS:
        seconds = number_in(value)
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < math.inf:
            return float(seconds)
        msg = f"{name} must be a number of seconds, 0 or more"
        raise ValueError(msg)
    if isinstance(value, str) and 0 < len(value) <= MAX_KEY_CHARS:
        return value
    msg = f"{name} must be a text of 1 to {MAX_KEY_CHARS} characters"
    raise ValueError(msg)


class Kept(Value, frozen=True):
    """An answer in the cache.

    Attributes:
        kind: of the request it answers.
        stream: whether it was streamed.
        group, deployment_id: who gave it.
        at: router time when it was complete.
        parts: JSON: the answer, or the chunks of a stream.
    """

    kind: str
    stream: bool
    group: str
    deployment_id: str
    at: float
    parts: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Its bytes, about."""
        return sum(map(len, self.parts)) + PART_BYTES * len(self.parts)


PART_BYTES = 48
"""What holding one more piece of text costs beside the text itself."""


# -- to the cache --------------------------------------------------------------------------------


class LookUp(Message, frozen=True):
    """Is there an answer? Replied to with `CacheFound` or `CacheMissed`, maybe when another has it.

    `scope` names who may answer: the group (or its caching group), the one deployment that was asked for,
    the `*` of a wildcard, and what of the request decides between deployments.
    """

    request_id: str
    request: Request
    scope: tuple[Any, ...]
    stream: bool


class Keep(Message, frozen=True):
    """The answer that was missed. `store` is False for one that only those who wait now may have."""

    request_id: str
    kept: Kept
    store: bool = True


class LeaveCache(Message, frozen=True):
    """This request will bring no answer, or waits for none any more; `failed`: it tried to get one."""

    request_id: str
    failed: bool


class Fetched(Message, frozen=True):
    """From a store's task: what was found. `error` says why nothing could be looked for."""

    request_id: str
    kept: Kept | None
    error: str | None = None
    garbage: bool = False


class Written(Message, frozen=True):
    """From a store's task: it is kept, unless there is an `error`."""

    error: str | None = None


# -- from the cache, to the Supervisor -----------------------------------------------------------


class CacheMissed(Message, frozen=True):
    """There is no answer: call for one."""

    request_id: str


class CacheFound(Message, frozen=True):
    """Here is one, `age` seconds old. `shared`: it is of a call that was under way."""

    request_id: str
    kept: Kept
    key: str
    age: float
    shared: bool = False
