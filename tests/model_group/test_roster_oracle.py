"""The roster against a model that looks at every deployment for every question."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.actors.model_group.left_out import MIN_WAIT_SECONDS
from turnout.actors.model_group.roster import Picked, Roster
from turnout.actors.model_group.strategies.shuffle import SimpleShuffle
from turnout.messages.outcomes import LeftOut

START = 1_000_000.0
NAMES = "abcd"
RNG = random.Random(3)


@dataclass
class Known:
    """One deployment, as the model sees it."""

    rpm: int | None
    capacity: int
    blocked: LeftOut | None
    seen: int
    unheard: list = field(default_factory=list)

    def released(self, now):
        if self.blocked is not None and self.blocked.until is not None and self.blocked.until <= now:
            self.capacity = 1 if self.blocked.reason == "cooling_down" else self.rpm or 10**9
            self.blocked = None

    @property
    def eligible(self):
        return self.blocked is None and self.capacity > 0


class Model:
    def __init__(self):
        self.known = {}

    def heard(self, name, status, now, *, rpm, new):
        former = self.known.get(name)
        unheard = [] if new or former is None else former.unheard[status.seen - former.seen :]
        blocked = status.blocked
        if blocked is not None and blocked.until is not None and blocked.until <= now:
            blocked = LeftOut(name, blocked.reason, now + MIN_WAIT_SECONDS)
        self.known[name] = Known(rpm, status.capacity - len(unheard), blocked, status.seen, unheard)

    def sent(self, name):
        self.known[name].capacity -= 1
        self.known[name].unheard.append(1)

    def eligible(self, now):
        for known in self.known.values():
            known.released(now)
        return {name for name, known in self.known.items() if known.eligible}

    def next_release(self):
        untils = [k.blocked.until for k in self.known.values() if k.blocked is not None]
        return min((u for u in untils if u is not None), default=None)

    def by_reason(self):
        counts = {}
        for known in self.known.values():
            if not known.eligible:
                reason = known.blocked.reason if known.blocked else None
                counts[reason] = counts.get(reason, 0) + 1
        return counts


names = st.sampled_from(NAMES)
blocks = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["cooling_down", "rpm"]), st.one_of(st.none(), st.integers(-1, 8))),
)
steps = st.one_of(
    st.tuples(st.just("join"), names, st.integers(0, 3), blocks),
    st.tuples(st.just("leave"), names, st.just(0), st.none()),
    st.tuples(st.just("says"), names, st.integers(0, 3), blocks),
    st.tuples(st.just("pick"), names, st.integers(0, 7), st.none()),
    st.tuples(st.just("later"), names, st.integers(1, 5), st.none()),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(steps, max_size=60), st.sampled_from([None, 2]))
def test_the_eligible_are_those_that_a_scan_would_find(make, script, rpm):
    roster, model, now = Roster("gpt-4", make.First(), make.First), Model(), START
    for what, name, number, block in script:
        until = None if block is None or block[1] is None else now + block[1]
        blocked = None if block is None else LeftOut(name, block[0], until)
        if what == "join":
            status = make.status(name, capacity=0 if blocked else number, blocked=blocked)
            roster.add(make.deployment(name, rpm=rpm), status, object(), now)
            model.heard(name, status, now, rpm=rpm, new=True)
        elif what == "leave":
            roster.remove(name, now)
            model.known.pop(name, None)
        elif what == "says" and name in model.known:
            known = model.known[name]
            seen = known.seen + min(number, len(known.unheard))
            status = make.status(name, seen=seen, capacity=0 if blocked else number, blocked=blocked)
            roster.apply(status, now)
            model.heard(name, status, now, rpm=rpm, new=False)
        elif what == "pick":
            exclude = frozenset(NAMES[: number % 4])
            expected = model.eligible(now)
            picked = roster.pick(make.assign(exclude=exclude, repeat=number > 3), now, RNG)
            if isinstance(picked, Picked):
                chosen = picked.candidate.id
                assert chosen in (expected - exclude or (expected if number > 3 else ()))
                roster.started(picked.candidate, make.assign().call.demand, now)
                model.sent(chosen)
            else:
                assert not expected - exclude
                assert picked.repeatable is (number <= 3 and bool(expected))
                assert picked.earliest == model.next_release()
        elif what == "later":
            now += number
        roster.release_due(now)
        eligible = model.eligible(now)
        assert (
            {n for n in NAMES if roster.is_eligible(n)} == eligible == set(roster._views.base.default.index)
        )
        assert roster.eligible == len(eligible)
        assert roster.next_release() == model.next_release()
        said = {reason: count for reason, count in model.by_reason().items() if reason}
        counted = Counter(item.reason for item in roster.left_out_at(now))
        assert sum(counted.values()) == len(model.known) - len(eligible)
        assert all(counted.get(reason, 0) >= count for reason, count in said.items())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(names, st.booleans()), max_size=40), st.integers(0, 2**32))
def test_a_named_strategy_that_comes_late_knows_the_same_candidates(make, script, seed):
    roster = Roster("gpt-4", make.First(), lambda _: SimpleShuffle())
    for name, up in script:
        blocked = None if up else LeftOut(name, "cooling_down", None)
        if name not in roster:
            roster.add(make.deployment(name), make.status(name), object(), START)
        roster.apply(make.status(name, capacity=int(up), blocked=blocked), START)
    eligible = {name for name in NAMES if roster.is_eligible(name)}
    rng = random.Random(seed)
    picks = (roster.pick(make.assign(strategy="late"), START, rng) for _ in range(30))
    assert {p.candidate.id for p in picks if isinstance(p, Picked)} <= eligible
    assert isinstance(roster.pick(make.assign(strategy="late"), START, rng), Picked) is bool(eligible)
