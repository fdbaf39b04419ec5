"""The story of one request, from its events: as data, and in plain words. Pure.

::

    print(router.explain())  # the last one
    router.explain(request_id).steps[1].facts["decision"]
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ...messages.events import (
    AttemptFailed,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    CooldownEnded,
    CooldownStarted,
    DeploymentPicked,
    FellBack,
    HedgeRefused,
    HedgeSettled,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RetryScheduled,
    RouterStarted,
    WaitStarted,
)
from ...messages.figures import millionths, spent
from .story import in_words

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from ...actors.journal.codec import Recorded
    from ...messages.events import Event

__all__ = ["Call", "Explanation", "Step", "calls_of", "explained", "is_over"]

_ENDS = (RequestSucceeded, RequestFailed, RequestCancelled)
_HEADS = {
    "answered": "answered after {}",
    "failed": "failed after {}",
    "cancelled": "cancelled after {}",
    "abandoned": "never answered: its router was gone, last heard of after {}",
    "open": "still open, last heard of after {}",
}


class Step(msgspec.Struct, frozen=True):
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


class Explanation(msgspec.Struct, frozen=True):
    """What became of one request, and why. `str()` of it is its story.

    Attributes:
        request_id: whose story it is.
        model: the name that was asked for.
        result: ``"answered"``, ``"failed"``, ``"cancelled"``, ``"abandoned"`` (its router ended, and not in
            good order), or ``"open"`` when it has no end yet.
        seconds: from acceptance to the end, or to the last thing that is known.
        cost: US dollars, what came to nothing included; None when unknown.
        steps: what happened, in order.
        complete: whether the beginning is there: a journal in memory drops its oldest events, and
            retention those of a file.
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

    @property
    def headline(self) -> str:
        """The first line: what was asked for, how it ended, when, and what it cost."""
        asked = "" if self.model is None else f' for "{self.model}"'
        end = _HEADS[self.result].format(f"{self.seconds:.3f} s")
        cost = "" if self.cost is None else f", {millionths(self.cost)}"
        return f"request {self.request_id}{asked}: {end}{cost}"

    def lines(self) -> Iterator[str]:
        """The story, line by line."""
        yield self.headline
        if not self.complete:
            yield "           (its beginning is no longer in the journal)"
        for step in self.steps:
            yield f"{step.at:8.3f} s  {step.says}"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON-ready data."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


def explained(
    recorded: Sequence[Recorded], calls: Iterable[Recorded] = (), restart: Recorded | None = None
) -> Explanation:
    """The explanation that these events give.

    Args:
        recorded: the events of the stream ``request/<id>``, in order; at least one.
        calls: those of the deployments that took part; what has nothing to do with the request is
            passed over. They add the first tokens, the tokens, and the cooldowns that followed.
        restart: the start of another router, where the request's own left it without an end.
    """
    first, last = recorded[0], recorded[-1]
    request_id = first.stream.partition("/")[2]
    theirs = list(_of_the_request(calls, request_id))
    told = [*recorded, *theirs, *([] if restart is None else [restart])]
    events = sorted(told, key=lambda item: item.position)
    picks = (item.event for item in recorded if isinstance(item.event, DeploymentPicked))
    attempts = {event.call_id: event.attempt for event in picks}
    refused = _refused(recorded)
    steps = [_step(item, first.at, attempts, refused) for item in events]
    accepted = first.event if isinstance(first.event, RequestAccepted) else None
    return Explanation(
        request_id,
        None if accepted is None else accepted.model,
        "abandoned" if restart is not None else _result(last.event),
        max(0.0, last.at - first.at),
        _cost(last.event, theirs),
        tuple(steps),
        complete=accepted is not None,
    )


def is_over(recorded: Sequence[Recorded]) -> bool:
    """Whether the events of a request tell of its end."""
    return isinstance(recorded[-1].event, _ENDS)


# -- its calls


class Call(NamedTuple):
    """Where the request's own events say that a call began, and that it was over (positions), if it is."""

    deployment_id: str
    begin: int
    end: int | None


def calls_of(recorded: Sequence[Recorded]) -> list[Call]:
    """The calls of a request, in order."""
    picked: dict[str, tuple[str, int]] = {}
    ends: dict[str, int] = {}
    for item in recorded:
        event = item.event
        if isinstance(event, DeploymentPicked):
            picked[event.call_id] = (event.decision.deployment_id, item.position)
        elif isinstance(event, (AttemptFailed, HedgeRefused)):
            ends[event.call_id] = item.position
        elif isinstance(event, HedgeSettled):
            ends[event.loser] = item.position
    last = recorded[-1].position if is_over(recorded) else None
    return [Call(name, begin, ends.get(call_id, last)) for call_id, (name, begin) in picked.items()]


def _refused(recorded: Sequence[Recorded]) -> set[int]:
    """Where somebody was chosen who did not take the call: the group had not heard of its last one yet.

    Nothing else is recorded of that, since it costs the request nothing: it is placed again under the same
    name, waits, or goes on elsewhere, and no attempt has failed meanwhile.
    """
    refused = set()
    picked: dict[str, int] = {}
    for item in recorded:
        event = item.event
        if isinstance(event, DeploymentPicked):
            if event.call_id in picked:
                refused.add(picked[event.call_id])
            if not event.hedge:
                picked = {event.call_id: item.position}
        elif isinstance(event, (WaitStarted, RetryScheduled, FellBack)):
            refused.update(picked.values())
            picked = {}
        elif isinstance(event, AttemptFailed):
            picked.pop(event.call_id, None)
    return refused


def _of_the_request(calls: Iterable[Recorded], request_id: str) -> Iterator[Recorded]:
    """What the deployments recorded of it: the first tokens, what was used, and cooldowns of its making."""
    ours: dict[str, int] = {}
    for item in calls:
        event = item.event
        if isinstance(event, (CooldownStarted, CooldownEnded)):
            if ours.get(item.stream) == item.version - 1:  # it follows the end that brought it about
                yield item
        elif getattr(event, "request_id", None) == request_id:
            ours[item.stream] = item.version
            if _tells(event):
                yield item


def _tells(event: Event) -> bool:
    """Whether it says more than the request's own events do."""
    match event:
        case CallOpened() | CallSucceeded() | CallCancelled() | CallAbandoned():
            return True
        case CallStarted():
            return event.probe
        case CallFailed():  # what failed is told by the request; what it used is not
            return bool(event.prompt_tokens + event.completion_tokens or event.cost or event.charged)
        case _:
            return False


# -- what it came to


def _result(last: Event) -> str:
    match last:
        case RequestSucceeded():
            return "answered"
        case RequestFailed():
            return "failed"
        case RequestCancelled():
            return "cancelled"
        case _:
            return "open"


def _cost(last: Event, calls: Iterable[Recorded]) -> float | None:
    """All of it: what failed or was given up is paid for, too, and where nobody told goes by its estimate."""
    lost = [item.event for item in calls if isinstance(item.event, (CallFailed, CallCancelled))]
    known = [cost for event in lost if (cost := _paid(event)) is not None]
    if isinstance(last, RequestSucceeded):
        return None if last.cost is None else math.fsum((last.cost, *known))
    return math.fsum(known) if known else None


def _paid(event: CallFailed | CallCancelled) -> float | None:
    return event.charged if event.cost is None else event.cost


def _step(item: Recorded, start: float, attempts: Mapping[str, int], refused: Container[int]) -> Step:
    event: Any = item.event
    says = _says(item)
    kind, _, name = item.stream.partition("/")
    if kind == "deployment":
        call_id: str = getattr(event, "call_id", "")
        attempt = f"attempt {attempts.get(call_id, '?')}"
        says = f"{name}: {says.replace(f'call {call_id}', attempt)}"
    elif item.position in refused:
        says += f"; {event.decision.deployment_id} refuses after all"
    return Step(max(0.0, item.at - start), event.TYPE, says, _facts(event))


def _used(event: CallFailed) -> str:
    price = spent(event.cost, event.charged)
    cost = f", {price}" if price else ""
    return f"call {event.call_id} used {event.prompt_tokens} + {event.completion_tokens} tokens{cost}"


def _says(item: Recorded) -> str:
    event = item.event
    if isinstance(event, CallFailed):
        return _used(event)
    if isinstance(event, RouterStarted):
        return "another router takes up the journal: the one before ended without an answer to this request"
    return in_words(event, item.at)


def _facts(event: Event) -> dict[str, Any]:
    return {name: _plain(getattr(event, name)) for name in event.__struct_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    fields = getattr(value, "__struct_fields__", None)
    return value if fields is None else {name: _plain(getattr(value, name)) for name in fields}
