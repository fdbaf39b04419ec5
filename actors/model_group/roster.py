"""Who could take a call: the group's mirror of its deployments. Pure.

The deployments own their state; the roster believes what they last said, and counts on top of it
what it has sent since. It may err only towards asking: a deployment that is asked too soon refuses,
and its refusal corrects the mirror.

Eligible candidates are in the strategy's index, the others in the left-out table. Each message
moves one candidate; a pick walks the index and looks at nobody else. What a request asks for (tags)
leads it to a view of the group with an index of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ...messages.outcomes import Decision, LeftOut
from ...messages.values import replace
from ..deployment.pricing import stated_facts
from .affinity import Affinity
from .kinds import Rules
from .left_out import LeftOutTable, release_unknown
from .mirror import Mirror, believe, count_start, presume_released
from .near_limit import could_fit, count_decides
from .screen import Screen
from .strategies.base import Candidate, Pick, Query
from .strategies.tiers import Tiers, order_of
from .view import summed
from .views import Views

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator

    from ...messages.commands import Assign, Call, DeploymentStatus
    from ...messages.outcomes import Demand
    from ...messages.prices import ModelFacts
    from ...messages.settings import Deployment
    from ...messages.wishes import Wishes
    from .purses import Purses
    from .strategies.base import Strategy
    from .view import Summary, View

__all__ = ["NonePicked", "Picked", "Roster"]

_ONLY = "by-id"
"""What decided when the caller named the deployment."""

NO_RULES = Rules()


class Picked(Struct, frozen=True):
    """This one; nothing has been counted yet."""

    candidate: Candidate
    decision: Decision


class NonePicked(Struct, frozen=True):
    """Nobody, and why.

    Attributes:
        left_out: `MAX_LEFT_OUT` of them at most.
        more: how many more there were, by reason.
        repeatable: one that failed in this request would do right now.
        earliest: the first known release among all left out.
        unknown: whether one may be free at a time that nobody knows.
        hopeless: there are deployments, and none will ever do for this request.
        countable: one may do, should the prompt be shorter than it was estimated.
    """

    left_out: tuple[LeftOut, ...] = ()
    more: dict[str, int] = {}
    repeatable: bool = False
    earliest: float | None = None
    unknown: bool = False
    hopeless: bool = False
    countable: bool = False

    def can_end_before(self, deadline: float) -> bool:
        """Whether waiting until then makes sense."""
        if self.hopeless:
            return False
        return self.unknown or self.earliest is None or self.earliest < deadline


class Roster:
    """Candidates by id, and the indexes over those that are eligible.

    Args:
        group: the group's name, for the decision record.
        strategy: chooses where the request names no other.
        make: builds the strategy of that name, this or another; it may raise ConfigurationError.
        rules: who suits which request.
        purses: knows of budgets; None when there are none.
    """

    def __init__(
        self,
        group: str,
        strategy: Strategy,
        make: Callable[[str], Strategy],
        rules: Rules = NO_RULES,
        purses: Purses | None = None,
    ) -> None:
        self.group = group
        self._by_id: dict[str, Candidate] = {}
        self._table = LeftOutTable()
        self._out = self._table.by_id
        self.affinity = Affinity()
        self._views = Views(self._by_id, self._table, strategy, make, rules)
        self._purses: Purses | None = purses
        self._with_tpm = 0
        self._guests = 0
        self._unwell: dict[str, Candidate] = {}
        self._spared = True

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._by_id.values())

    def __getitem__(self, deployment_id: str) -> Candidate:
        return self._by_id[deployment_id]

    def __contains__(self, deployment_id: str) -> bool:
        return deployment_id in self._by_id

    @property
    def eligible(self) -> int:
        """How many may be picked, by some request."""
        return len(self._by_id) - len(self._out)

    def is_eligible(self, deployment_id: str) -> bool:
        return deployment_id in self._by_id and deployment_id not in self._table

    def left_out_at(self, now: float) -> list[LeftOut]:
        """Who a pick at `now` would find left out. Looks at all of them, and changes nothing."""
        return [item for item in self._table if item.until is None or item.until > now]

    def next_release(self) -> float | None:
        """When the first of those left out is known to be released."""
        return self._table.next_release()

    # -- who is there

    def add(
        self,
        deployment: Deployment,
        status: DeploymentStatus,
        ref: Any,
        now: float,
        facts: ModelFacts | None = None,
    ) -> None:
        """A deployment joins, or joins again. A new `ref` is a new life: nothing is on its way to it."""
        former = self._by_id.get(deployment.id)
        mirror = Mirror(ref, status.seen)
        if former is not None:
            self.remove(deployment.id, now)
            if former.mirror.ref is ref:
                mirror = former.mirror
        candidate = Candidate(deployment, status, mirror=mirror, facts=facts or stated_facts(deployment))
        self._by_id[deployment.id] = candidate
        self._with_tpm += deployment.tpm is not None
        self._guests += deployment.model_name != self.group
        if self._purses is not None:
            self._purses.joined(deployment)
        item = believe(candidate, status, now)
        if status.unhealthy or self._unwell:
            item = self._judged(candidate, item, now)
        if item is not None:
            self._table.put(item)
        self._views.join(candidate, now)

    def remove(self, deployment_id: str, now: float) -> None:
        """A deployment leaves. An unknown one is no error."""
        candidate = self._by_id.pop(deployment_id, None)
        if candidate is None:
            return
        self._with_tpm -= candidate.deployment.tpm is not None
        self._guests -= candidate.deployment.model_name != self.group
        if self._purses is not None:
            self._purses.left(deployment_id)
        was_out = self._table.drop(deployment_id) is not None
        self._views.leave(candidate, now, was_out=was_out)
        if self._unwell:
            self._unwell.pop(deployment_id, None)
            self._spare_or_not(now)

    # -- what is heard of them

    def apply(self, status: DeploymentStatus, now: float) -> None:
        """Believe a deployment's word. One that left in the meantime is no error."""
        candidate = self._by_id.get(status.deployment_id)
        if candidate is None:
            return
        item = believe(candidate, status, now)
        if status.unhealthy or self._unwell:
            item = self._judged(candidate, item, now)
        self._move(candidate, item, now)

    def _move(self, candidate: Candidate, item: LeftOut | None, now: float) -> None:
        """Have it where it belongs: left out for `item`, or in the index with its present numbers."""
        was_out = candidate.id in self._out
        if item is not None:
            self._views.leave_out(candidate, item)
            if not was_out:
                self._views.expel(candidate)
        elif was_out:
            self._views.take_back(candidate, now)
        else:
            for view in candidate.mirror.views:
                for strategy in view.strategies:
                    strategy.update(candidate, now)

    # -- who failed a health check

    def _judged(self, candidate: Candidate, item: LeftOut | None, now: float) -> LeftOut | None:
        """Why it is left out when its health counts as well: while any other is well, it does."""
        if candidate.status.unhealthy:
            self._unwell[candidate.id] = candidate
        else:
            self._unwell.pop(candidate.id, None)
        self._spare_or_not(now, but=candidate.id)
        return self._verdict(candidate, item)

    def _verdict(self, candidate: Candidate, item: LeftOut | None) -> LeftOut | None:
        blocked = candidate.status.blocked
        if self._spared or not candidate.status.unhealthy or (blocked and blocked.reason == "unhealthy"):
            return item
        return LeftOut(candidate.id, "unhealthy")

    def _spare_or_not(self, now: float, but: str | None = None) -> None:
        """With nobody well, those who are not are better than none; move them when that changes."""
        spared = len(self._unwell) == len(self._by_id)
        if spared != self._spared:
            self._spared = spared
            for candidate in self._unwell.values():
                if candidate.id != but:
                    item = believe(candidate, candidate.status, now)
                    self._move(candidate, self._verdict(candidate, item), now)

    def started(self, candidate: Candidate, demand: Demand, now: float) -> None:
        """A call was sent to the candidate: it counts before the deployment has heard of it."""
        status = candidate.status
        tokens = demand.reservation(
            status.mean_output, candidate.deployment.tpm, status.tokens_per_byte, candidate.mirror.yardstick
        )
        item = count_start(candidate, tokens)
        for view in candidate.mirror.views:
            for strategy in view.strategies:
                strategy.started(candidate, tokens, now)
                if item is None:
                    strategy.update(candidate, now)
        if item is not None:
            self._views.leave_out(candidate, item)
            self._views.expel(candidate)

    def unreachable(self, candidate: Candidate) -> None:
        """Its actor is dead; it is left out until it joins again."""
        if candidate.id not in self._table:
            self._views.expel(candidate)
        self._views.leave_out(candidate, LeftOut(candidate.id, "unhealthy"))

    def release_due(self, now: float) -> None:
        """Take back, as presumed available, those whose time has come; they may say no."""
        while (item := self._table.pop_due(now)) is not None:
            candidate = self._by_id[item.deployment_id]
            still_out = presume_released(candidate, item)
            if still_out is not None:
                self._views.leave_out(candidate, still_out)
            else:
                self._views.take_back(candidate, now)

    # -- choosing

    @property
    def yardsticks(self) -> tuple[str, ...]:
        """The vocabularies by which prompts are counted here."""
        return self._views.kinds.yardsticks

    def window_decides(self, call: Call) -> bool:
        """Whether this call's prompt must be counted to know into which context windows it fits."""
        return self._views.kinds.window_decides(call.demand)

    def count_decides(self, picked: Picked | NonePicked, demand: Demand) -> bool:
        """Whether the prompt must be counted to know if this is right: it is near somebody's tpm."""
        if isinstance(picked, NonePicked):
            return picked.countable
        return self._with_tpm > 0 and count_decides(picked.candidate, demand)

    def could_fit(self, refused: LeftOut, demand: Demand) -> bool:
        """Whether a deployment that refused a prompt for its tokens may take it when they are counted."""
        candidate = self._by_id.get(refused.deployment_id)
        if candidate is None or refused.reason != "tpm":
            return False
        return could_fit(candidate, demand, ever=refused.until is None)

    def pick(self, assign: Assign, now: float, rng: random.Random) -> Picked | NonePicked:
        """Choose for one request: those that have not failed in it, then, if it may repeat, the others.

        Raises:
            ConfigurationError: the request names an unknown strategy, or a user's own one misbehaved.
        """
        if self._out:
            self.release_due(now)
        if assign.only is not None:
            return self._pick_only(assign, assign.only, now)
        views, call = self._views, assign.call
        view = views.base if call.wishes is None and not views.kinds.matters else views.of(call, now)
        picked = self._pick_in(view, assign, now, rng)
        return _with_need(picked, call.demand) if view.suit.beyond else picked

    def _pick_in(self, view: View, assign: Assign, now: float, rng: random.Random) -> Picked | NonePicked:
        views, call = self._views, assign.call
        named = assign.strategy
        strategy = view.default if named is None else views.strategy(view, named, now)
        if not self._needs_screen(assign):
            if len(view.members) > len(view.table.by_id):
                query = Query(call.request, call.demand, now, _everyone)
                pick = self._choose(call.wishes, view, strategy, query, rng)
                if pick is not None:
                    return Picked(pick.candidate, self._decision(view, strategy, pick))
            return self._nobody_in(view)
        screen = Screen(assign, now, self.group, sizes_matter=self._with_tpm > 0, purses=self._purses)
        pick = self._walk(view, strategy, screen, assign, now, rng)
        if pick is None:
            return self._nobody_for(view, assign, screen)
        screen.note_barred(_not_behind(view, pick.candidate) if views.tiered else view.is_eligible)
        return Picked(pick.candidate, self._screened_decision(view, strategy, pick, screen))

    def _needs_screen(self, assign: Assign) -> bool:
        return bool(
            assign.exclude
            or assign.never
            or assign.left_out
            or self._with_tpm
            or self._guests
            or (self._purses is not None and self._purses.matter)
            or assign.call.demand.inputs > 1
            or assign.call.request.max_parallel_requests is not None
        )

    def _walk(
        self, view: View, strategy: Strategy, screen: Screen, assign: Assign, now: float, rng: random.Random
    ) -> Pick | None:
        request = assign.call.request
        pick = None
        if view.eligible:
            query = Query(request, assign.call.demand, now, screen.admits)
            pick = self._choose(assign.call.wishes, view, strategy, query, rng)
            if pick is None and assign.repeat and assign.exclude:
                screen.allow_excluded()
                pick = self._choose(assign.call.wishes, view, strategy, query, rng)
        if pick is None and request.max_parallel_requests is not None:
            pick = self._full_for_others(view, screen)
        return pick

    def _choose(
        self, wishes: Wishes | None, view: View, strategy: Strategy, query: Query, rng: random.Random
    ) -> Pick | None:
        if wishes is None:
            return strategy.pick(query, rng)
        return self.affinity.pick(wishes, view, strategy, query, rng)

    def _full_for_others(self, view: View, screen: Screen) -> Pick | None:
        """A request that brings a limit of its own may fit where the deployment's own is reached."""
        full = (item.deployment_id for item in view.table if item.reason == "parallel")
        candidates: Iterable[Candidate] = (view.members[name] for name in full)
        if self._views.tiered:
            candidates = sorted(candidates, key=lambda candidate: order_of(candidate.deployment))
        return next((Pick(candidate) for candidate in candidates if screen.fits(candidate)), None)

    def _pick_only(self, assign: Assign, deployment_id: str, now: float) -> Picked | NonePicked:
        """The caller named the deployment: it is this one or none, and no limit is skipped."""
        candidate = self._by_id.get(deployment_id)
        if candidate is None:
            return NonePicked((LeftOut(deployment_id, "removed"),), unknown=True)
        obstacle = self._views.kinds.checked(assign.call).obstacle(candidate)
        if obstacle is not None:
            return _with_need(NonePicked((obstacle,), hopeless=True), assign.call.demand)
        screen = Screen(assign, now, self.group, sizes_matter=True, purses=self._purses)
        left_out = self._table.get(deployment_id)
        own_limit = assign.call.request.max_parallel_requests is not None
        if left_out is not None and not (own_limit and left_out.reason == "parallel"):
            until, unknown = left_out.until, release_unknown(left_out)
            hopeless = deployment_id in assign.never or (until is None and not unknown)
            return NonePicked((left_out,), earliest=until, unknown=unknown, hopeless=hopeless)
        repeatable = deployment_id in assign.exclude - assign.never and screen.only_failed(candidate)
        if assign.repeat:
            screen.allow_excluded()
        if screen.admits(candidate):
            return Picked(candidate, Decision(self.group, _ONLY, deployment_id, 1))
        screen.note_barred(deployment_id.__eq__)
        return NonePicked(
            tuple(screen.named),
            {},
            repeatable and not assign.repeat,
            screen.earliest,
            screen.unknown,
            screen.unfit > 0,
            screen.countable,
        )

    # -- explaining

    def _decision(self, view: View, strategy: Strategy, pick: Pick) -> Decision:
        candidate = pick.candidate
        eligible = len(view.members) - len(view.table.by_id)
        named, more = view.summary()
        names = view.candidates()
        if type(strategy) is Tiers:
            aside, count = strategy.aside(candidate)
            eligible -= count
            named, more = summed((named, more), aside, {"order": count})
            names = _without(names, aside)
        return Decision(
            self.group,
            pick.by or strategy.name,
            candidate.id,
            eligible,
            pick.score,
            pick.draw,
            pick.considered,
            named,
            more,
            names,
        )

    def _screened_decision(self, view: View, strategy: Strategy, pick: Pick, screen: Screen) -> Decision:
        decision = self._decision(view, strategy, pick)
        if not screen.named:
            return decision
        left_out, more = self._with_screened(view, screen)
        if type(strategy) is Tiers:
            aside, count = strategy.aside(pick.candidate)
            left_out, more = summed((left_out, more), aside, {"order": count})
        ruled_out = len(screen.named) + sum(screen.more.values())
        return replace(
            decision,
            eligible=decision.eligible - ruled_out,
            left_out=left_out,
            left_out_by_reason=more,
            candidates=_without(decision.candidates, screen.named),
        )

    def _with_screened(self, view: View, screen: Screen) -> Summary:
        named = tuple(screen.named)
        summary = view.with_misfits(view.table.summary_after(named))
        return summed(summary, (), screen.more) if screen.more else summary

    def nobody(self) -> NonePicked:
        """Why nobody can be picked, whatever the request."""
        table = self._table
        named, more = table.summary()
        unknown = table.unknown > 0 or not self._by_id
        hopeless = table.never_released and not self.eligible
        return NonePicked(named, more, earliest=table.next_release(), unknown=unknown, hopeless=hopeless)

    def _nobody_in(self, view: View) -> NonePicked:
        table = view.table
        named, more = view.summary()
        unknown = table.unknown > 0 or not self._by_id
        hopeless = bool(self._by_id) and (not view.members or (table.never_released and not view.eligible))
        return NonePicked(named, more, earliest=table.next_release(), unknown=unknown, hopeless=hopeless)

    def _nobody_for(self, view: View, assign: Assign, screen: Screen) -> NonePicked:
        table = view.table
        screen.note_barred(view.is_eligible)
        never_out = [item for name in assign.never if (item := table.get(name)) is not None]
        releases = (table.next_release(assign.never), screen.earliest)
        named, more = self._with_screened(view, screen)
        earliest = min((at for at in releases if at is not None), default=None)
        unknown = screen.unknown or not self._by_id or table.unknown > sum(i.until is None for i in never_out)
        for_good = screen.unfit + len(never_out) == len(view.members)
        return NonePicked(
            named,
            more,
            not assign.repeat and self._repeatable(view, assign, screen),
            earliest,
            unknown,
            bool(self._by_id) and (for_good or (earliest is None and not unknown)),
            screen.countable,
        )

    def _repeatable(self, view: View, assign: Assign, screen: Screen) -> bool:
        return any(
            view.is_eligible(name) and screen.only_failed(self._by_id[name])
            for name in assign.exclude - assign.never
        )


def _everyone(_candidate: Candidate) -> bool:
    return True


def _without(names: tuple[str, ...], out: Iterable[LeftOut]) -> tuple[str, ...]:
    """Those of `names` that are not among `out`."""
    if not names:
        return names
    gone = {item.deployment_id for item in out}
    return tuple(name for name in names if name not in gone)


def _with_need(result: Picked | NonePicked, demand: Demand) -> Picked | NonePicked:
    """Say how long the prompt is where it is too long: a view is for prompts of many lengths."""
    told = result.decision if isinstance(result, Picked) else result
    left_out = tuple(
        LeftOut(item.deployment_id, item.reason, None, demand.input_by(item.detail), item.has, item.detail)
        if item.reason == "context_window"
        else item
        for item in told.left_out
    )
    if isinstance(result, Picked):
        return Picked(result.candidate, replace(result.decision, left_out=left_out))
    return replace(result, left_out=left_out)


def _not_behind(view: View, picked: Candidate) -> Callable[[str], bool]:
    """Whether a deployment could have been picked as well as this one: it is in no later tier."""
    order = order_of(picked.deployment)
    return lambda name: view.is_eligible(name) and order_of(view.members[name].deployment) <= order
