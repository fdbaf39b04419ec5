"""Messages and events through bytes and back, as a test kit wants them."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..actors.journal.codec import decode_event, encode_event
from ..messages.values import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..messages.events import Event

__all__ = ["event_round_trip", "message_round_trip"]


def event_round_trip(event: Event) -> Event:
    """The event, written as the journal writes it and read back.

    Raises:
        AssertionError: what was read is not what was written.
    """
    again = decode_event(event.TYPE, event.VERSION, encode_event(event))
    assert again == event, f"{event!r} came back from the journal's codec as {again!r}"
    return again


def message_round_trip(message: Any) -> Any:
    """The message, turned into bytes and back; its handles (live things) pass by identity.

    Raises:
        AssertionError: what was read is not what was sent.
    """
    live = {id(thing): thing for thing in _handles(message)}
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.persistent_id = lambda thing: id(thing) if id(thing) in live else None  # type: ignore[method-assign]
    pickler.dump(message)
    buffer.seek(0)
    unpickler = pickle.Unpickler(buffer)  # noqa: S301  (what we wrote ourselves)
    unpickler.persistent_load = live.__getitem__  # type: ignore[method-assign]
    again = unpickler.load()
    assert _same(again, message), f"{message!r} came back from bytes as {again!r}"
    return again


def _same(one: Any, other: Any) -> bool:
    """Equality by content, also of errors, which by themselves equal nothing but themselves."""
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseException):
        return one.args == other.args and _same(vars(one), vars(other))
    if isinstance(one, Struct):
        return all(_same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return bool(one == other)


def _handles(value: Any) -> Iterator[Any]:
    """Everything in fields that are named as handles, at any depth."""
    if not isinstance(value, Struct):
        return
    live = value.HANDLES if isinstance(value, Message) else frozenset()
    for name in value.__struct_fields__:
        inner = getattr(value, name)
        if name not in live:
            yield from _handles(inner)
        elif inner is not None:
            yield inner
