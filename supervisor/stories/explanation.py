"""The story of one request, from its events: as data, and in plain words. Pure.

::

    print(router.explain())  # the last one
    router.explain(request_id).steps[1].facts["decision"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from ...messages.events import (
    CallOpened,
    CallSucceeded,
    CooldownStarted,
    DeploymentPicked,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
)
from .story import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...actors.journal.codec import Recorded
    from ...messages.events import Event

__all__ = ["Explanation", "Step", "deployments_of", "explained"]


@frozen
class Step:
    """One thing that happened to the request.

    Attributes:
        at: seconds after the request was accepted.
        event: the event's TYPE.
        says: it in words, one line: who was chosen and by what score, who was left out and until when.
        facts: the event's fields, JSON-ready.
    """

    at: float
    event: str
    says: str
    facts: dict[str, Any]


@frozen
class Explanation:
    """What became of one request, and why. `str()` of it is its story.

    Attributes:
        request_id: whose story it is.
        model: the name that was asked for.
        result: ``"answered"``, ``"failed"``, ``"cancelled"``, or ``"open"`` when it has no end yet.
        seconds: from acceptance to the end, or to the last thing that is known.
        cost: US dollars; None when unknown.
        steps: what happened, in order.
        complete: whether the beginning is there: a journal in memory drops its oldest events.
    """

    request_id: str
    model: str | None
    result: str
    seconds: float
    cost: float | None
    steps: tuple[Step, ...]
    complete: bool = True

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The story, line by line."""
        asked = "" if self.model is None else f' for "{self.model}"'
        yield f"request {self.request_id}{asked}: {self.result} after {self.seconds:.3f} s"
        if not self.complete:
            yield "           (its beginning is no longer in the journal)"
        for step in self.steps:
            yield f"{step.at:8.3f} s  {step.says}"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready data."""
        return asdict(self)


def explained(recorded: Iterable[Recorded], calls: Iterable[Recorded] = ()) -> Explanation:
    """The explanation that these events give.

    Args:
        recorded: the events of the stream ``request/<id>``, in order; at least one.
        calls: those of the deployments that took part; what has nothing to do with the request is
            passed over. They add the first tokens, the tokens, and the cooldowns that followed.
    """
    own = list(recorded)
    first = own[0]
    request_id = first.stream.partition("/")[2]
    start = first.at
    events = sorted([*own, *_of_the_request(calls, request_id)], key=lambda item: item.position)
    steps = tuple(_step(item, start) for item in events)
    accepted = first.event if isinstance(first.event, RequestAccepted) else None
    result, cost = _result(own[-1].event)
    return Explanation(
        request_id,
        None if accepted is None else accepted.model,
        result,
        own[-1].at - start,
        cost,
        steps,
        complete=accepted is not None,
    )


def deployments_of(recorded: Iterable[Recorded]) -> list[str]:
    """Who took part in the request, in order."""
    picked = (item.event for item in recorded if isinstance(item.event, DeploymentPicked))
    return list(dict.fromkeys(event.decision.deployment_id for event in picked))


def _of_the_request(calls: Iterable[Recorded], request_id: str) -> Iterator[Recorded]:
    """What the deployments recorded of this request: first tokens, tokens, and a cooldown of its making."""
    ours = False
    for item in calls:
        event = item.event
        if isinstance(event, CooldownStarted):
            if ours:  # it follows the failure that brought it about
                yield item
            continue
        ours = getattr(event, "request_id", None) == request_id
        if ours and isinstance(event, (CallOpened, CallSucceeded)):
            yield item


def _result(last: Event) -> tuple[str, float | None]:
    match last:
        case RequestSucceeded():
            return "answered", last.cost
        case RequestFailed():
            return "failed", None
        case RequestCancelled():
            return "cancelled", None
        case _:
            return "open", None


def _step(item: Recorded, start: float) -> Step:
    event = item.event
    says = _with_place(item.stream, in_words(event, item.at))
    return Step(max(0.0, item.at - start), event.TYPE, says, _facts(event))


def _with_place(stream: str, says: str) -> str:
    kind, _, name = stream.partition("/")
    return f"{name}: {says}" if kind == "deployment" else says


def _facts(event: Event) -> dict[str, Any]:
    return {name: _plain(getattr(event, name)) for name in event.__struct_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    fields = getattr(value, "__struct_fields__", None)
    return value if fields is None else {name: _plain(getattr(value, name)) for name in fields}
