"""What a request asks of the deployment that is to serve it, beside its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_TAGS", "NOT_TAG", "Wishes", "check_metadata", "check_tags", "sorted_tags"]

MAX_TAGS = 32
"""Tags of a request. They name an index of its group's, so they are no place for a novel."""

NOT_TAG = "!"
"""A tag that begins with it must not be there."""


class Wishes(Value, frozen=True):
    """What this request asks for. A request that asks for nothing has none, and costs nothing.

    Attributes:
        tags: sorted, each once; with `!` in front those that must not be there.
    """

    tags: tuple[str, ...] = ()


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
    """The caller's own notes, of which only the tags are read.

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
