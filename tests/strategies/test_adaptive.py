"""adaptive: the power of two choices over a peak-sensitive latency."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from turnout.actors.model_group.strategies.adaptive import EXPLORATION, OLD_SHARE, Adaptive


def strategy_of(*candidates):
    strategy = Adaptive()
    for one in candidates:
        strategy.add(one, 0.0)
    return strategy


def measured(ttft=0.1, per_token=0.01, at=0.0, **more):
    return {"ttft": ttft, "per_token": per_token, "measured_at": at, **more}


class Draws(random.Random):
    """Chance that says what the test wants to hear."""

    def __init__(self, *numbers):
        super().__init__(1)
        self.numbers = list(numbers)

    def random(self):
        return self.numbers.pop(0)


BOTH = (0.02, 0.5)
"""Draws that compare the only two candidates there are."""


def compare(query, one, other, now=0.0, **asked):
    pick = strategy_of(one, other).pick(query(now, **asked), Draws(*BOTH))
    assert len(pick.considered) == 2
    return pick


def test_load_is_time_to_first_token_and_output_times_open_calls(candidate, query):
    a = candidate("a", open=2, status=measured(0.5, 0.01))
    b = candidate("b", open=0, status=measured(0.5, 0.05))
    pick = compare(query, a, b, output_tokens=100)
    assert pick.candidate is a
    assert dict(pick.considered) == {"a": pytest.approx(4.5), "b": pytest.approx(5.5)}
    assert pick.score == pytest.approx(4.5)


def test_without_a_maximum_the_learned_mean_output_is_expected(candidate, query):
    a = candidate("a", status=measured(0.0, 0.01, mean_output=300))
    b = candidate("b", status=measured(0.0, 0.02, mean_output=100))
    assert compare(query, a, b).candidate is b


def test_failures_weigh_and_are_forgiven_in_time(candidate, query):
    a = candidate("a", status=measured(1.0, 0.0, penalty=2.0, penalised_at=0.0))
    b = candidate("b", status=measured(1.5, 0.0))
    assert compare(query, a, b).candidate is b
    later = compare(query, a, b, now=20.0)
    assert later.candidate is a
    loads = dict(later.considered)
    assert loads["a"] / loads["b"] == pytest.approx((1 + 2 * math.exp(-2)) / 1.5)


def test_an_old_peak_fades_but_not_to_nothing(candidate, query):
    slow = candidate("slow", status=measured(3.0, 0.0, at=0.0))
    fast = candidate("fast", status=measured(1.0, 0.0, at=19.0))
    assert compare(query, slow, candidate("x", status=measured(1.0, 0.0))).candidate.id == "x"
    assert compare(query, slow, fast, now=20.0).candidate is slow
    old = compare(query, slow, fast, now=500.0)
    assert (old.candidate, old.score) == (fast, OLD_SHARE)


def test_an_unmeasured_candidate_gets_its_first_call_at_once(candidate, query):
    assert compare(query, candidate("new"), candidate("a", status=measured())).score == 0.0


def test_while_its_first_call_is_under_way_it_counts_as_no_faster_than_the_other(candidate, query):
    new, known = candidate("new", open=1), candidate("known", status=measured(), open=0)
    assert compare(query, new, known).candidate is known
    known.open = 2
    assert compare(query, new, known).candidate is new


def test_an_unmeasured_candidate_that_failed_is_not_the_first_choice(candidate, query):
    new = candidate("new", status={"penalty": 1.0, "penalised_at": 0.0})
    assert compare(query, new, candidate("known", status=measured())).candidate.id == "known"


def test_a_burst_does_not_fall_on_the_one_new_candidate(candidate, query):
    everyone = [candidate("new"), *(candidate(name, status=measured()) for name in "abcd")]
    strategy, rng, counts = strategy_of(*everyone), random.Random(3), Counter()
    for _ in range(100):
        one = strategy.pick(query(), rng).candidate
        one.open += 1
        counts[one.id] += 1
    assert counts["new"] > 0
    assert max(counts.values()) <= 30


def test_equal_loads_share_by_weight(candidate, picked, distance):
    weights = {"a": 1, "b": 2, "c": 3}
    strategy = strategy_of(
        *(candidate(name, weight=weight, status=measured()) for name, weight in weights.items())
    )
    counts = picked(strategy, random.Random(4), 6000)
    assert distance(counts, weights) < 25, "of two with equal loads the first drawn is taken"


def test_two_different_candidates_are_drawn_without_replacement(candidate, query):
    weights = {"a": 1, "b": 1, "c": 6}
    strategy = strategy_of(
        *(candidate(name, weight=weight, status=measured()) for name, weight in weights.items())
    )
    rng, pairs = random.Random(5), Counter()
    for _ in range(6000):
        considered = strategy.pick(query(), rng).considered
        pairs["".join(sorted(name for name, _ in considered))] += 1
    pairs.pop("", None)  # explored
    total = sum(pairs.values())
    # P(a then b) + P(b then a) = 2 · 1/8 · 1/7; the rest is split evenly between the pairs with c.
    assert pairs["ab"] / total == pytest.approx(2 / 56, abs=0.01)
    assert pairs["ac"] / total == pytest.approx(27 / 56, abs=0.025)
    assert set(pairs) == {"ab", "ac", "bc"}


def test_one_pick_in_a_hundred_explores_whatever_the_load_or_weight(candidate, picked):
    strategy = strategy_of(
        candidate("slow", weight=0, status=measured(99.0)),
        *(candidate(name, weight=1, status=measured()) for name in "ab"),
    )
    counts = picked(strategy, random.Random(6), 30_000)
    assert counts["slow"] / 30_000 == pytest.approx(EXPLORATION / 3, abs=0.001)


def test_the_last_one_admitted_is_taken_whatever_its_load(candidate, query):
    strategy = strategy_of(*(candidate(name, open=9, status=measured()) for name in "abc"))
    rng = random.Random(7)
    names = {strategy.pick(query(admits=lambda one: one.id == "b"), rng).candidate.id for _ in range(50)}
    assert names == {"b"}
