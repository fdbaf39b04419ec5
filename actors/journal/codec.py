"""Events as JSON, and back: also those that older versions wrote.

An event class that changes its fields raises its `VERSION` and leaves an upcaster behind, a plain
function from the old fields to the new ones::

    @upcaster("call_started", from_version=1)
    def _(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "stream": False}

Upcasters chain: version 1 is read as 3 by way of 2. A field that is added with a default, and means
the same when absent, needs neither.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from ...messages.events import EVENT_TYPES, Event
from .ports import UnreadableEventError

if TYPE_CHECKING:
    from collections.abc import Callable

    Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

__all__ = ["Recorded", "decode_event", "encode_event", "upcaster"]


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """One event in its place.

    A msgspec struct, since it is made for every event: it takes 70 ns to make where a slotted attrs
    class takes 200 and a frozen one 630, and the collector need not look at the ring of them.

    Attributes:
        position: its place among all events; grows, with gaps only where events were lost.
        stream: whose event it is: ``router``, ``deployment/<id>``, ``request/<id>``.
        version: its place in the stream, from 1.
        at: router time, in seconds since the epoch.
        event: what happened.
    """

    position: int
    stream: str
    version: int
    at: float
    event: Event


_UPCASTERS: dict[tuple[str, int], Upcaster] = {}
_encode = msgspec.json.Encoder().encode


def upcaster(event_type: str, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register the way from `from_version` of an event's fields to the next one."""

    def register(function: Upcaster) -> Upcaster:
        key = (event_type, from_version)
        assert key not in _UPCASTERS, f"two upcasters for {event_type} version {from_version}"
        _UPCASTERS[key] = function
        return function

    return register


def encode_event(event: Event) -> bytes:
    """The event's fields as a JSON object."""
    return _encode(event)


def decode_event(event_type: str, version: int, data: bytes | str | msgspec.Raw) -> Event:
    """The event that was written under this type and version.

    Raises:
        UnreadableEventError: no such event, a version newer than ours, or other fields than promised.
    """
    kind = EVENT_TYPES.get(event_type)
    if kind is None:
        msg = f"the journal holds an event {event_type!r} (version {version}), which is not known here"
        raise UnreadableEventError(msg)
    try:
        if version == kind.VERSION:
            return _decoder(kind).decode(data)
        return msgspec.convert(_upcast(event_type, version, kind.VERSION, msgspec.json.decode(data)), kind)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        msg = f"the journal's event {event_type!r} (version {version}) cannot be read: {error}"
        raise UnreadableEventError(msg) from error


def _upcast(event_type: str, version: int, ours: int, fields: dict[str, Any]) -> dict[str, Any]:
    if not 1 <= version <= ours:
        msg = f"the journal holds {event_type!r} in version {version}; the newest known here is {ours}"
        raise UnreadableEventError(msg)
    for step in range(version, ours):
        function = _UPCASTERS.get((event_type, step))
        if function is None:
            msg = f"no upcaster reads {event_type!r} version {step}"
            raise UnreadableEventError(msg)
        fields = function(fields)
    return fields


@cache
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind)
