"""Questions to actors that may be gone, or crash, before they have answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from ...messages.commands import Inspect

if TYPE_CHECKING:
    from ...actors.runtime.switchboard import Switchboard

__all__ = ["NONE_OPEN", "answer_of", "ask_deployments"]

NONE_OPEN = {"open_requests": 0}
"""In place of the word of a Supervisor that crashed: all its requests ended with it."""


def ask_deployments(board: Switchboard) -> dict[str, Any]:
    """A future of what each deployment says of itself; from any thread, also while they change."""
    everyone = tuple(board.deployments.items())
    return {name: ref.ask(Inspect(), block=False) for name, ref in everyone if ref.is_alive()}


def answer_of(future: Any) -> Any:
    """What an actor answered; None when it ended with the question in its mail."""
    try:
        return future.get()
    except pykka.ActorDeadError:
        return None
