"""What a request asks of the deployment that is to serve it, beside its size."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from .prefixes import prefixes_of
from .values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .requests import Request

__all__ = [
    "MAX_TAGS",
    "NOT_TAG",
    "Reading",
    "Wishes",
    "check_metadata",
    "check_tags",
    "reading",
    "sorted_tags",
    "wishes_of",
]

MAX_TAGS = 32
"""Tags of a request. They name an index of its group's, so they are no place for a novel."""

NOT_TAG = "!"
"""A tag that begins with it must not be there."""


class Wishes(Value, frozen=True):
    """What this request asks for. A request that asks for nothing has none, and costs nothing.

    Attributes:
        tags: sorted, each once; with `!` in front those that must not be there.
        session: whose it is, as a number made of the session's name; its requests stay together.
        region: where it may go: a region's name, or an area such as "eu".
        prefixes: numbers made of its prompt's beginnings, the longest first (see `prefixes_of`).
    """

    tags: tuple[str, ...] = ()
    session: int | None = None
    prefixes: tuple[int, ...] = ()
    region: str | None = None


class Reading(Value, frozen=True):
    """What a router's settings make it look for in a request."""

    tags: bool = False
    session: bool = False
    user: bool = False
    prefixes: bool = False
    region: bool = False
    fields: frozenset[str] = frozenset()
    """A request that sets none of these asks for nothing."""
    always: bool = False
    """Whether there is something to look for in every request."""


def reading(*, tags: bool, session: bool, user: bool, prefixes: bool, region: bool) -> Reading:
    """What is looked for, and where."""
    fields: set[str] = set()
    fields |= {"tags", "metadata"} if tags else set()
    fields |= {"session_id", "metadata"} if session else set()
    fields |= {"user"} if user else set()
    fields |= {"allowed_model_region"} if region else set()
    return Reading(tags, session, user, prefixes, region, frozenset(fields), prefixes)


def wishes_of(request: Request, look: Reading) -> Wishes | None:
    """What a request asks for; None when that is nothing."""
    if not look.always and look.fields.isdisjoint(request.__pydantic_fields_set__):
        return None
    metadata = request.metadata or {}
    tags = sorted_tags(request.tags, metadata.get("tags")) if look.tags else ()
    session = _session(request, metadata, look)
    prefixes = prefixes_of(request) if look.prefixes else ()
    allowed = request.allowed_model_region if look.region else None
    region = None if allowed is None else allowed.lower()
    if not tags and session is None and not prefixes and region is None:
        return None
    return Wishes(tags, session, prefixes, region)


def _session(request: Request, metadata: dict[str, Any], look: Reading) -> int | None:
    if not look.session:
        return None
    for name in (request.session_id, metadata.get("session_id")):
        if isinstance(name, str) and name:
            return _number(name)
    user = (request.__pydantic_extra__ or {}).get("user") if look.user else None
    return _number(user) if isinstance(user, str) and user else None


def _number(name: str) -> int:
    """The name itself goes no further: it may say who somebody is."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def check_tags(value: Any) -> Any:
    """Tags as a request may bring them: a list of texts, `MAX_TAGS` at most.

    Raises:
        ValueError: anything else.
    """
    if value is None:
        return None
    good = isinstance(value, (list, tuple)) and all(isinstance(t, str) and t.strip("! ") for t in value)
    if not good:
        msg = "must be a list of tags, each a text"
        raise ValueError(msg)
    if len(value) > MAX_TAGS:
        msg = f"must be at most {MAX_TAGS} tags"
        raise ValueError(msg)
    return value


def check_metadata(value: Any) -> Any:
    """The caller's own notes, of which only tags and session are read.

    Raises:
        ValueError: the tags are wrong.
    """
    if isinstance(value, dict):
        try:
            check_tags(value.get("tags"))
        except ValueError as error:
            msg = f"tags {error}"
            raise ValueError(msg) from None
    return value


def sorted_tags(*given: Iterable[str] | None) -> tuple[str, ...]:
    """All of them, in one order whatever order they came in."""
    return tuple(sorted({tag for tags in given if tags for tag in tags}))
