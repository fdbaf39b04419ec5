"""Who is told of what: the functions behind the user's callbacks, found once per list of callbacks. Pure."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from .custom_logger import CustomLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["EVENTS", "Event", "Hook", "Plan", "is_callback", "plan_for"]

Event = Literal["pre_api_call", "post_api_call", "stream_event", "success_event", "failure_event"]

EVENTS: tuple[Event, ...] = (
    "pre_api_call",
    "post_api_call",
    "stream_event",
    "success_event",
    "failure_event",
)
_OUTCOMES: frozenset[Event] = frozenset({"success_event", "failure_event"})
"""What a plain function is told of: how each attempt ended."""

_NAMES = frozenset(prefix + event for event in EVENTS for prefix in ("log_", "async_log_"))


@frozen
class Hook:
    """One function of the user's. `awaited` when it makes a coroutine; `name` is for the log."""

    name: str
    call: Callable[..., Any] = field(repr=False)
    awaited: bool


@frozen
class Plan:
    """Which hooks hear of an event, by `(event, blocking)`.

    Attributes:
        direct: hooks of callbacks that have no coroutine among those they use: the worker runs them.
        chained: the hooks of the others, which must keep their order over two places.
        awaited, blocking: the events that somebody wants to hear of, of requests asked in this way.
    """

    direct: dict[tuple[Event, bool], tuple[Hook, ...]]
    chained: dict[tuple[Event, bool], tuple[Hook, ...]]
    awaited: frozenset[Event]
    blocking: frozenset[Event]


def is_callback(value: Any) -> bool:
    """A function, or an object with at least one method of `CustomLogger`'s."""
    if isinstance(value, type):
        return False
    return callable(value) or any(callable(getattr(value, name, None)) for name in _NAMES)


def plan_for(callbacks: Iterable[Any], success: Iterable[Any] = (), failure: Iterable[Any] = ()) -> Plan:
    """The plan for these callbacks; `success` and `failure` hear of one outcome only."""
    direct: dict[tuple[Event, bool], list[Hook]] = {}
    chained: dict[tuple[Event, bool], list[Hook]] = {}
    lists: tuple[tuple[Iterable[Any], frozenset[Event]], ...] = (
        (callbacks, frozenset(EVENTS)),
        (success, frozenset({"success_event"})),
        (failure, frozenset({"failure_event"})),
    )
    for members, wanted in lists:
        for callback in members:
            for blocking in (True, False):
                hooks = _hooks_of(callback, wanted, blocking=blocking)
                where = chained if any(hook.awaited for hook in hooks.values()) else direct
                for event, hook in hooks.items():
                    where.setdefault((event, blocking), []).append(hook)
    return Plan(
        {key: tuple(hooks) for key, hooks in direct.items()},
        {key: tuple(hooks) for key, hooks in chained.items()},
        *(
            frozenset(event for event, way in (*direct, *chained) if way is blocking)
            for blocking in (False, True)
        ),
    )


def _hooks_of(callback: Any, wanted: frozenset[Event], *, blocking: bool) -> dict[Event, Hook]:
    if not _is_logger(callback):
        hook = Hook(_name_of(callback), callback, _makes_coroutines(callback))
        return dict.fromkeys(sorted(_OUTCOMES & wanted), hook)
    found = ((event, _method(callback, event, blocking=blocking)) for event in EVENTS if event in wanted)
    return {event: hook for event, hook in found if hook is not None}


def _is_logger(callback: Any) -> bool:
    return isinstance(callback, CustomLogger) or any(hasattr(callback, name) for name in _NAMES)


def _method(logger: Any, event: Event, *, blocking: bool) -> Hook | None:
    """The method that fits the way the request was asked, else its twin, so that one of them is called."""
    order = ("log_", "async_log_") if blocking else ("async_log_", "log_")
    for prefix in order:
        name = prefix + event
        method = getattr(logger, name, None)
        if callable(method) and not _is_the_default(logger, name):
            return Hook(f"{type(logger).__name__}.{name}", method, _makes_coroutines(method))
    return None


def _is_the_default(logger: Any, name: str) -> bool:
    default = getattr(CustomLogger, name)
    return getattr(type(logger), name, None) is default and name not in getattr(logger, "__dict__", ())


def _makes_coroutines(function: Any) -> bool:
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  (not whether it can be called)
    )


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__
