"""What a router has used since its journal began: a fold over everything that was recorded. Pure.

Calls are counted where they were made: in the stream of their deployment, each once, with what they
used, however they ended. Requests are counted where they were asked: under the group their model
leads to, once, with how they ended. So a request that fell back is one of the group it asked for, and
its calls and their tokens are those of the groups that served it.

Names that come and go are bounded: of deployments that are gone the last `MAX_GONE` keep their
line (twice as many for a while), and those before them are added up in their group's; a group that has no
deployment any more counts as gone in the same way. Names that lead nowhere never get a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from ...messages.events import (
    CacheHit,
    CallAbandoned,
    CallCancelled,
    CallFailed,
    CallOpened,
    CallStarted,
    CallSucceeded,
    CostReset,
    DeploymentAdded,
    DeploymentRemoved,
    DeploymentUpdated,
    HealthChecked,
    ModelListSet,
    RequestAccepted,
    RequestCancelled,
    RequestFailed,
    RequestSucceeded,
    RouterStarted,
)
from .tallies import CallTally, RequestTally, count_error
from .timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..journal.codec import Recorded

__all__ = ["FORMAT", "MAX_GONE", "DeploymentUsage", "GroupUsage", "UsageState"]

FORMAT = 1
"""Of the snapshot. One in another format is passed over, and everything counted again."""

MAX_GONE = 1000
"""Deployments, and groups, that are gone and keep a line of their own."""


@define(eq=False)
class DeploymentUsage:
    """One deployment's calls."""

    group: str
    calls: CallTally = field(factory=CallTally)


@define(eq=False)
class GroupUsage:
    """One group's requests, and the calls of deployments it once had and that lost their line."""

    requests: RequestTally = field(factory=RequestTally)
    gone: CallTally = field(factory=CallTally)


@define(eq=False)
class UsageState:
    """The whole account.

    Attributes:
        position: of the last event that is counted.
        since, until: router time of the first and the last of them.
        cost_since: router time since which money is counted, when that was reset.
        complete: False when events were missing, or could not be read.
        present: ids of the deployments there are; `gone` those there were, oldest first.
        strays: requests for names that lead nowhere, and what groups without a line left behind.
    """

    position: int = 0
    since: float | None = None
    until: float | None = None
    cost_since: float | None = None
    complete: bool = True
    deployments: dict[str, DeploymentUsage] = field(factory=dict)
    groups: dict[str, GroupUsage] = field(factory=dict)
    present: set[str] = field(factory=set)
    strays: GroupUsage = field(factory=GroupUsage)
    timeline: Timeline = field(factory=Timeline)
    open_requests: dict[str, RequestTally] = field(factory=dict)
    _calls: dict[str, CallTally] = field(factory=dict)

    def __repr__(self) -> str:
        return (
            f"<Usage at {self.position} · {len(self.deployments)} deployments in {len(self.groups)} groups>"
        )

    @property
    def lines(self) -> int:
        """How much it holds, and so how much a snapshot of it is."""
        return len(self.deployments) + len(self.groups) + len(self.open_requests)

    def fold(self, batch: Iterable[Recorded]) -> None:
        """Count what was recorded, in its order; what is counted already is passed over."""
        position, first, last = self.position, None, None
        for recorded in batch:
            here = recorded.position
            if here > position:
                if here != position + 1:  # positions have gaps only where events were lost
                    self.complete = False
                position = here
                if first is None:
                    first = recorded
                last = recorded
                count = _COUNT.get(type(recorded.event))
                if count is not None:
                    count(self, recorded)
        if first is not None and last is not None:
            self.position = position
            self.until = last.at
            if self.since is None:
                self.since = first.at

    def reset_cost(self, at: float) -> None:
        """Count money from nothing again, from router time `at` on."""
        self.cost_since = at
        tallies = [one.calls for one in self.deployments.values()]
        tallies += [one.gone for one in self.groups.values()]
        for tally in (*tallies, self.strays.gone):
            tally.reset_cost()
        self.timeline.reset_cost()

    # -- deployments come and go

    def _router_started(self, recorded: Recorded) -> None:
        """What was open will never end."""
        self._drop_gone()
        for tally in self.open_requests.values():
            tally.interrupted += 1
        self.open_requests.clear()

    def _deployment_there(self, recorded: Recorded) -> None:
        self._arrive(recorded.event)

    def _deployment_removed(self, recorded: Recorded) -> None:
        self._leave(recorded.event)

    def _model_list_set(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        for arrival in (*event.added, *event.updated):
            self._arrive(arrival)
        for departure in event.removed:
            self._leave(departure)

    def _arrive(self, event: Any) -> None:
        name, group = event.deployment_id, event.group
        usage = self.deployments.get(name)
        if usage is not None and usage.group != group:  # it moved: what it did stays where it did it
            self.groups[usage.group].gone.merge(usage.calls)
            usage = None
        if usage is None:
            usage = self.deployments[name] = DeploymentUsage(group)
            self._calls[_stream(name)] = usage.calls
        self.present.add(name)
        if group not in self.groups:
            self.groups[group] = GroupUsage()

    def _leave(self, event: Any) -> None:
        usage = self.deployments.pop(event.deployment_id, None)
        if usage is not None:
            self.deployments[event.deployment_id] = usage  # behind those that went before
        self.present.discard(event.deployment_id)
        if len(self.deployments) - len(self.present) > 2 * MAX_GONE:  # now and then, for many
            self._drop_gone()

    def _drop_gone(self) -> None:
        """Take the line from those that went first; their sums stay."""
        gone = [name for name in self.deployments if name not in self.present]
        for name in gone[: max(0, len(gone) - MAX_GONE)]:
            usage = self.deployments.pop(name)
            self._calls.pop(_stream(name), None)
            self.groups[usage.group].gone.merge(usage.calls)
        lively = {usage.group for usage in self.deployments.values()}
        asked = {id(tally) for tally in self.open_requests.values()}
        empty = [n for n, group in self.groups.items() if n not in lively and id(group.requests) not in asked]
        for name in empty[: max(0, len(empty) - MAX_GONE)]:
            group = self.groups.pop(name)
            self.strays.gone.merge(group.gone)
            self.strays.requests.merge(group.requests)

    def _of(self, recorded: Recorded) -> CallTally:
        """The tally of the deployment whose stream this is."""
        calls = self._calls.get(recorded.stream)
        if calls is None:  # its line is gone, or its beginning is not in the journal any more
            calls = self.strays.gone
        return calls

    # -- calls

    def _call_started(self, recorded: Recorded) -> None:
        self._of(recorded).started += 1

    def _call_opened(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        self._of(recorded).ttft.add(event.ttft)

    def _call_succeeded(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        calls = self._calls.get(recorded.stream) or self.strays.gone
        calls.succeeded += 1
        calls.seconds.add(event.seconds)
        calls.answered_tokens += event.completion_tokens
        if event.cached_tokens:
            calls.cached_tokens += event.cached_tokens
        self._used(calls, recorded)
        if event.cost is None and not (event.charged or event.prompt_tokens or event.completion_tokens):
            calls.unpriced += 1  # an image, say: what has an answer has used something

    def _call_failed(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        calls = self._of(recorded)
        calls.failed += 1
        count_error(calls.errors, event.error)
        self._used(calls, recorded)

    def _call_cancelled(self, recorded: Recorded) -> None:
        calls = self._of(recorded)
        calls.cancelled += 1
        self._used(calls, recorded)

    def _call_abandoned(self, recorded: Recorded) -> None:
        self._of(recorded).abandoned += 1

    def _health_checked(self, recorded: Recorded) -> None:
        calls = self._of(recorded)
        calls.checks += 1
        self._used(calls, recorded)

    def _used(self, calls: CallTally, recorded: Recorded) -> None:
        event: Any = recorded.event
        prompt, completion, cost = event.prompt_tokens, event.completion_tokens, event.cost
        charged = getattr(event, "charged", None) if cost is None else None
        calls.used(prompt, completion, cost, charged)
        self.timeline.used(prompt + completion, (charged if cost is None else cost) or 0.0, recorded.at)

    # -- requests

    def _request_accepted(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        group = self.groups.get(event.group)
        tally = self.strays.requests if group is None else group.requests
        tally.accepted += 1
        self.open_requests[event.request_id] = tally
        self.timeline.add("requests", 1, recorded.at)

    def _cache_hit(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        self.open_requests.get(event.request_id, self.strays.requests).cache_hits += 1

    def _ended(self, event: Any) -> RequestTally:
        return self.open_requests.pop(event.request_id, None) or self._missed()

    def _missed(self) -> RequestTally:
        """Of a request whose beginning is not in the journal any more: it was accepted, whoever it asked."""
        self.strays.requests.accepted += 1
        return self.strays.requests

    def _request_succeeded(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        tally = self._ended(event)
        tally.succeeded += 1
        tally.retries += event.retries
        tally.fallbacks += event.fallbacks
        tally.seconds.add(event.seconds)

    def _request_failed(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        tally = self._ended(event)
        tally.failed += 1
        tally.retries += event.retries
        tally.fallbacks += event.fallbacks
        count_error(tally.errors, event.error)
        self.timeline.add("failures", 1, recorded.at)

    def _request_cancelled(self, recorded: Recorded) -> None:
        self._ended(recorded.event).cancelled += 1

    # -- the account itself

    def _cost_reset(self, recorded: Recorded) -> None:
        self.reset_cost(recorded.at)

    # -- snapshots

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        of_group = {id(group.requests): name for name, group in self.groups.items()}
        return {
            "format": FORMAT,
            "times": [self.since, self.until, self.cost_since],
            "complete": self.complete,
            "deployments": [[name, d.group, d.calls.snapshot()] for name, d in self.deployments.items()],
            "groups": [[name, g.requests.snapshot(), g.gone.snapshot()] for name, g in self.groups.items()],
            "strays": [self.strays.requests.snapshot(), self.strays.gone.snapshot()],
            "present": sorted(self.present),
            "timeline": self.timeline.snapshot(),
            "open": [[name, of_group.get(id(tally))] for name, tally in self.open_requests.items()],
        }

    @classmethod
    def restore(cls, state: dict[str, Any], position: int) -> UsageState:
        """What `snapshot` gave after the event at `position`.

        Raises:
            ValueError: it is in another format, or contradicts itself.
        """
        if state.get("format") != FORMAT:
            msg = f"a snapshot in format {state.get('format')!r}; this is {FORMAT}"
            raise ValueError(msg)
        since, until, cost_since = state["times"]
        made = cls(position, since, until, cost_since, state["complete"])
        for name, requests, gone in state["groups"]:
            made.groups[name] = _group(requests, gone)
        for name, group, calls in state["deployments"]:
            if group not in made.groups:
                msg = f"deployment {name!r} is of a group {group!r} that nobody knows"
                raise ValueError(msg)
            usage = made.deployments[name] = DeploymentUsage(group)
            usage.calls.restore(calls)
            made._calls[_stream(name)] = usage.calls
        made.strays = _group(*state["strays"])
        made.present = set(state["present"])
        made.timeline = Timeline.restore(state["timeline"])
        for request_id, group in state["open"]:
            usage_of = made.strays if group is None else made.groups[group]
            made.open_requests[request_id] = usage_of.requests
        return made


def _stream(deployment_id: str) -> str:
    """The stream of a deployment."""
    return "deployment/" + deployment_id


def _group(requests: Sequence[Any], gone: Sequence[Any]) -> GroupUsage:
    group = GroupUsage()
    group.requests.restore(list(requests))
    group.gone.restore(list(gone))
    return group


_COUNT: dict[type, Callable[[UsageState, Recorded], None]] = {
    CacheHit: UsageState._cache_hit,
    CallAbandoned: UsageState._call_abandoned,
    CallCancelled: UsageState._call_cancelled,
    CallFailed: UsageState._call_failed,
    CallOpened: UsageState._call_opened,
    CallStarted: UsageState._call_started,
    CallSucceeded: UsageState._call_succeeded,
    CostReset: UsageState._cost_reset,
    DeploymentAdded: UsageState._deployment_there,
    DeploymentRemoved: UsageState._deployment_removed,
    DeploymentUpdated: UsageState._deployment_there,
    HealthChecked: UsageState._health_checked,
    ModelListSet: UsageState._model_list_set,
    RequestAccepted: UsageState._request_accepted,
    RequestCancelled: UsageState._request_cancelled,
    RequestFailed: UsageState._request_failed,
    RequestSucceeded: UsageState._request_succeeded,
    RouterStarted: UsageState._router_started,
}
