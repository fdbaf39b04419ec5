"""The port between a Deployment and the world outside.

A Deployment starts a call and hears of it by message; it never awaits. Real callers run a task on
the event loop, simulated ones set timers on the clock; the Deployment cannot tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ...messages.values import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages.commands import Call, ProviderFinished, ProviderOpened
    from ...messages.outcomes import Usage
    from ...messages.settings import Deployment


class ProviderCall(Message, frozen=True):
    """What to ask of whom. `one_by_one`: its calls are limited, so one with parts has one open at a time."""

    call: Call
    deployment: Deployment
    one_by_one: bool = False


class CallHandle(Protocol):
    """A call under way."""

    def cancel(self) -> Usage | None:
        """Abort it: the socket is closed within a second and nothing more is delivered.

        Idempotent, never raises. Returns the tokens used so far when the provider said so.
        """


class Caller(Protocol):
    """Starts calls.

    `deliver` is called with at most one `ProviderOpened` (streams only: after the first content
    chunk went into the channel) and then exactly one `ProviderFinished`, unless the handle was
    cancelled. Neither is called from inside `start`: a caller always finishes later.
    `start` does not raise for what the provider or the network does; that is an outcome.
    """

    def start(
        self, call: ProviderCall, deliver: Callable[[ProviderOpened | ProviderFinished], None]
    ) -> CallHandle: ...
