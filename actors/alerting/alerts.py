"""Which events are worth an alert, and what it says. Pure.

An alert is made of names and numbers: no key, no prompt, no answer, no provider's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...messages.events import CallFailed, CooldownStarted, DeploymentRetired, Event, EventsLost
from ...messages.figures import dollars, in_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_NAME_CHARS", "Alert", "alert_for", "hanging", "shown", "slow"]

MAX_NAME_CHARS = 100
"""Of a name in an alert; the rest of it is left out."""

_CONTROLS = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""What Slack takes for markup: a name must not become a link, or call everyone in the channel."""


@frozen
class Alert:
    """One thing to tell. Those of one `kind` about one `subject` are alike, and are told as one."""

    kind: str
    subject: str
    text: str


def shown(name: str) -> str:
    """A name as text that Slack leaves alone."""
    name = name if len(name) <= MAX_NAME_CHARS else name[:MAX_NAME_CHARS] + "…"
    return "".join(_CONTROLS.get(letter, letter) for letter in name)


def alert_for(event: Event, stream: str, label: Callable[[str], str]) -> Alert | None:
    """The alert for an event, if it is worth one.

    Args:
        event: what was recorded.
        stream: where; `deployment/<id>` tells whose it is.
        label: the text that stands for a deployment's id.
    """
    if isinstance(event, CallFailed):
        deployment_id = _owner(stream)
        text = f"{event.error} ({event.status_code}) after {in_seconds(event.seconds)}"
        return Alert("exception", deployment_id, f"{label(deployment_id)} failed: {text}")
    if isinstance(event, CooldownStarted):
        deployment_id = _owner(stream)
        text = f"cools down for {event.seconds:g} s because of {event.error}"
        return Alert("cooldown", deployment_id, f"{label(deployment_id)} {text}")
    if isinstance(event, DeploymentRetired):
        text = f"{label(event.deployment_id)} crashed again and again and was taken out of rotation"
        return Alert("retired", event.deployment_id, text)
    if isinstance(event, EventsLost):
        return Alert("journal", "", f"{event.count} events could not be journalled")
    if event.TYPE == "budget_exhausted":
        return _budget(event)
    return None


def _budget(event: Any) -> Alert:
    return Alert(
        "budget",
        event.budget,
        f"budget {shown(event.budget)} is used up: {dollars(event.spent)} of {dollars(event.limit)}",
    )


def _owner(stream: str) -> str:
    return stream.partition("/")[2]


def slow(deployment_id: str, seconds: float, threshold: float, label: Callable[[str], str]) -> Alert:
    """A call was answered, late."""
    text = f"answered after {in_seconds(seconds)} (threshold {threshold:g} s)"
    return Alert("slow", deployment_id, f"{label(deployment_id)} {text}")


def hanging(deployment_id: str, threshold: float, label: Callable[[str], str]) -> Alert:
    """A call is still not answered."""
    return Alert("hanging", deployment_id, f"{label(deployment_id)} has not answered for {threshold:g} s")
