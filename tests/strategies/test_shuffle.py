"""simple-shuffle, and the urn that it draws from."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.actors.model_group.strategies.shuffle import SimpleShuffle
from turnout.actors.model_group.strategies.urn import MAX_REDRAWS, Urn

LIKELY = 30.0
"""Chi-square that fewer than one run in 10,000 exceeds, for up to 7 degrees of freedom."""


def shuffle_of(*candidates):
    strategy = SimpleShuffle()
    for one in candidates:
        strategy.add(one, 0.0)
    return strategy


def test_without_weights_every_candidate_is_as_likely(candidate, picked, distance):
    strategy = shuffle_of(*(candidate(name) for name in "abcdef"))
    counts = picked(strategy, random.Random(1), 6000)
    assert distance(counts, dict.fromkeys("abcdef", 1)) < LIKELY


def test_weights_are_the_odds(candidate, picked, distance):
    weights = {"a": 1, "b": 2.5, "c": 0.5, "d": 6}
    strategy = shuffle_of(*(candidate(name, weight=weight) for name, weight in weights.items()))
    assert distance(picked(strategy, random.Random(2), 8000), weights) < LIKELY


@pytest.mark.parametrize(
    ("configured", "odds"),
    [
        ([{"weight": 1, "rpm": 90}, {"weight": 3, "tpm": 5}], {"0": 1, "1": 3}),
        ([{"rpm": 100, "tpm": 7}, {"rpm": 900}], {"0": 100, "1": 900}),
        ([{"tpm": 2000}, {"tpm": 1000}], {"0": 2, "1": 1}),
        ([{"weight": 2}, {"rpm": 900}], {"0": 1, "1": 0}),
        ([{"weight": 0}, {"rpm": 900}], {"0": 1, "1": 1}),
    ],
    ids=["weight before rpm", "rpm before tpm", "tpm", "unset counts 0", "nothing but zeros is even"],
)
def test_the_first_setting_that_any_has_gives_the_odds(candidate, picked, distance, configured, odds):
    strategy = shuffle_of(*(candidate(name, **some) for name, some in enumerate(configured)))
    assert distance(picked(strategy, random.Random(3), 2000), odds) < LIKELY


def test_only_eligible_candidates_decide_which_setting_counts(candidate, picked, distance):
    heavy = candidate("w", weight=5)
    strategy = shuffle_of(heavy, candidate("a", rpm=100), candidate("b", rpm=300))
    assert picked(strategy, random.Random(4), 50) == {"w": 50}
    strategy.remove(heavy)
    assert distance(picked(strategy, random.Random(4), 2000), {"a": 1, "b": 3}) < LIKELY
    strategy.add(heavy, 0.0)
    assert picked(strategy, random.Random(4), 50) == {"w": 50}


def test_a_refused_candidate_leaves_its_share_to_the_others_by_weight(candidate, picked, distance):
    weights = {"a": 10, "b": 1, "c": 2, "d": 4}
    strategy = shuffle_of(*(candidate(name, weight=weight) for name, weight in weights.items()))
    counts = picked(strategy, random.Random(5), 4000, admits=lambda one: one.id != "a")
    assert distance(counts, {**weights, "a": 0}) < LIKELY
    assert distance(picked(strategy, random.Random(6), 4000), weights) < LIKELY, "weights are put back"


def test_a_weight_of_zero_is_a_last_resort_and_no_limit(candidate, picked, distance):
    strategy = shuffle_of(candidate("a", weight=1), candidate("b", weight=0), candidate("c"))
    assert picked(strategy, random.Random(7), 200) == {"a": 200}
    counts = picked(strategy, random.Random(7), 2000, admits=lambda one: one.id != "a")
    assert distance(counts, {"b": 1, "c": 1}) < LIKELY


@pytest.mark.parametrize("weighted", [True, False])
def test_the_few_that_are_admitted_in_a_large_group_share_by_weight(candidate, picked, distance, weighted):
    last = 20 * MAX_REDRAWS
    strategy = shuffle_of(
        *(candidate(number, weight=number if weighted else None) for number in range(1, last + 1))
    )
    few = {"1", "2", str(last)}
    counts = picked(strategy, random.Random(8), 600, admits=lambda one: one.id in few)
    odds = {"1": 1, "2": 2, str(last): last} if weighted else dict.fromkeys(few, 1)
    assert distance(counts, odds) < LIKELY


def test_weights_are_put_back_when_the_question_itself_fails(candidate):
    strategy = shuffle_of(*(candidate(name, weight=1) for name in "abc"))
    asked = []

    def admits(one):
        asked.append(one.id)
        if len(asked) == 2:
            raise ZeroDivisionError
        return False

    urn = strategy._urn
    with pytest.raises(ZeroDivisionError):
        urn.draw_other([0], admits=lambda one: admits(one) or admits(one), rng=random.Random(1))
    assert urn.weights.total == 3


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.sampled_from([None, 0, 1, 5])), max_size=60))
def test_an_urn_holds_what_a_plain_dict_holds(candidate, steps):
    urn, plain = Urn(), {}
    for add, name, weight in steps:
        one = candidate(name, weight=weight, rpm=name or None)
        if add:
            urn.add(one)
            plain[one.id] = one
        else:
            urn.remove(one)
            plain.pop(one.id, None)
        _assert_same(urn, plain)


def _assert_same(urn, plain):
    assert sorted(one.id for one in urn.items) == sorted(plain)
    for setting in ("weight", "rpm"):
        if any(getattr(one.deployment, setting) is not None for one in plain.values()):
            expected = {name: getattr(one.deployment, setting) or 0 for name, one in plain.items()}
            break
    else:
        expected = {}
    if sum(expected.values()):
        assert {one.id: urn.weights[position] for position, one in enumerate(urn.items)} == expected
        assert urn.weights.total == sum(expected.values())
    else:
        assert urn.weights is None


def test_a_lone_candidate_needs_no_chance(candidate, query):
    rng = random.Random(1)
    state = rng.getstate()
    pick = shuffle_of(candidate("a", weight=0)).pick(query(), rng)
    assert (pick.candidate.id, pick.draw, rng.getstate() == state) == ("a", None, True)


def test_the_recorded_draw_is_the_number_that_decided(candidate, query):
    strategy = shuffle_of(*(candidate(name) for name in "abcd"))
    rng, again = random.Random(9), random.Random(9)
    picks = [strategy.pick(query(), rng) for _ in range(20)]
    assert [pick.draw for pick in picks] == [again.random() for _ in range(20)]
    assert [pick.candidate.id for pick in picks] == ["abcd"[int(pick.draw * 4)] for pick in picks]
    assert len(Counter(pick.candidate.id for pick in picks)) == 4
