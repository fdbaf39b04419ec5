"""What holds for each of them: the contract of `Strategy`."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from turnout.actors.model_group.strategies import STRATEGY_NAMES, make_strategy
from turnout.messages.commands import DeploymentStatus

every_strategy = pytest.mark.parametrize("name", STRATEGY_NAMES)

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "remove", "pick", "pick", "pick", "end"]),
        st.integers(0, 11),
        st.integers(0, 2**12 - 1),
    ),
    max_size=50,
)


def unlike(candidate, number):
    """A candidate that shares some settings with others, and has some of its own."""
    return candidate(
        number,
        weight=None if number % 3 else number / 4,
        rpm=None if number % 2 else number + 1,
        input_cost_per_token=None if number == 5 else (number % 4) * 1e-6,
        output_cost_per_token=(number % 3) * 1e-6,
    )


class Game:
    """A strategy, who is eligible, and what was picked; the same steps give the same game."""

    def __init__(self, name, candidate, query):
        self.strategy = make_strategy(name)
        self.known = [unlike(candidate, number) for number in range(12)]
        self.eligible = {}
        self.query = query
        self.now = 1000.0
        self.rng = random.Random(42)
        self.picks = []

    def play(self, changes):
        for what, number, mask in changes:
            self.now += 1.5
            getattr(self, what)(self.known[number], mask)
        return self.picks

    def add(self, one, _):
        self.eligible[one.id] = one
        self.strategy.add(one, self.now)

    def remove(self, one, _):
        self.eligible.pop(one.id, None)
        self.strategy.remove(one)

    def end(self, one, mask):
        one.open = max(0, one.open - 1)
        one.status = DeploymentStatus(
            one.id,
            open=one.open,
            tokens_used=mask,
            mean_output=1 + mask % 300,
            latency=(*one.status.latency[-9:], (self.now, 0.1 + mask / 1000)),
            ttft=mask / 1000,
            per_token=0.01,
            measured_at=self.now,
            penalty=float(mask % 2),
            penalised_at=self.now,
        )
        if one.id in self.eligible:
            self.strategy.update(one, self.now)

    def pick(self, _, mask):
        asked = Counter()

        def admits(one):
            asked[one.id] += 1
            return bool(mask >> int(one.id) & 1)

        output = None if mask % 2 else 1 + mask % 500
        pick = self.strategy.pick(self.query(self.now, output_tokens=output, admits=admits), self.rng)
        self.check(pick, asked, [name for name in self.eligible if mask >> int(name) & 1])
        if pick is None:
            self.picks.append(None)
            return
        one = pick.candidate
        self.picks.append((one.id, pick.score, pick.draw, pick.considered))
        one.open += 1
        self.strategy.started(one, 100 + mask % 100, self.now)
        self.strategy.update(one, self.now)

    def check(self, pick, asked, admitted):
        assert set(asked) <= set(self.eligible), "asked about one that is not eligible"
        assert all(times == 1 for times in asked.values()), "asked twice about the same"
        if pick is None:
            assert not admitted
            return
        assert self.eligible[pick.candidate.id] is pick.candidate
        assert pick.candidate.id in admitted
        assert pick.draw is None or 0 <= pick.draw < 1
        assert len(pick.considered) <= 8
        if pick.considered:
            assert pick.considered[0] == (pick.candidate.id, pick.score)


@every_strategy
@settings(max_examples=60, deadline=None)
@given(changes=steps)
def test_a_pick_is_eligible_and_admitted_and_there_is_one_whenever_there_can_be(
    name, candidate, query, changes
):
    Game(name, candidate, query).play(changes)


@every_strategy
@settings(max_examples=15, deadline=None)
@given(changes=steps)
def test_the_same_seed_and_calls_give_the_same_picks(name, candidate, query, changes):
    assert Game(name, candidate, query).play(changes) == Game(name, candidate, query).play(changes)


@every_strategy
def test_an_empty_group_has_no_pick(name, query):
    assert make_strategy(name).pick(query(), random.Random(1)) is None


@every_strategy
def test_removing_and_updating_a_stranger_is_no_error(name, candidate, query):
    strategy, stranger = make_strategy(name), candidate("stranger")
    strategy.remove(stranger)
    strategy.update(stranger, 0.0)
    strategy.started(stranger, 10, 0.0)
    assert strategy.pick(query(), random.Random(1)) is None


@every_strategy
def test_a_candidate_that_came_back_with_another_configuration_replaces_itself(name, candidate, query):
    strategy = make_strategy(name)
    prices = {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0}
    former, later = candidate("a"), candidate("a", weight=3, **prices)
    strategy.add(former, 0.0)
    strategy.remove(former)
    strategy.add(later, 1.0)
    assert strategy.pick(query(2.0), random.Random(1)).candidate is later


@every_strategy
def test_a_pick_that_nobody_refuses_takes_three_random_numbers_at_most(name, candidate, query):
    strategy = make_strategy(name)
    for number in range(12):
        strategy.add(unlike(candidate, number), 0.0)
    counted = Counting(7)
    for _ in range(50):
        before = counted.drawn
        pick = strategy.pick(query(), counted)
        assert counted.drawn - before <= 3
        pick.candidate.status = replace(pick.candidate.status, open=1)


class Counting(random.Random):
    drawn = 0

    def random(self):
        self.drawn += 1
        return super().random()
