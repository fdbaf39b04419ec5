"""least-busy, and its buckets."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.actors.model_group.strategies.count_buckets import CountBuckets
from turnout.actors.model_group.strategies.least_busy import LeastBusy


def least_busy(*candidates):
    strategy = LeastBusy()
    for one in candidates:
        strategy.add(one, 0.0)
    return strategy


def test_a_burst_of_nine_spreads_over_three_deployments(candidate, query):
    strategy = least_busy(*(candidate(name) for name in "abc"))
    counts, rng = Counter(), random.Random(1)
    for _ in range(9):
        one = strategy.pick(query(), rng).candidate
        one.open += 1
        strategy.update(one, 0.0)
        counts[one.id] += 1
    assert counts == {"a": 3, "b": 3, "c": 3}


def test_ties_are_settled_at_random(candidate, picked, distance):
    strategy = least_busy(candidate("busy", open=1), *(candidate(name) for name in "abc"))
    assert distance(picked(strategy, random.Random(2), 3000), {"a": 1, "b": 1, "c": 1}) < 25


def test_the_next_busiest_is_picked_when_the_least_busy_is_refused(candidate, query):
    strategy = least_busy(*(candidate(name, open=calls) for name, calls in (("a", 0), ("b", 2), ("c", 5))))
    pick = strategy.pick(query(admits=lambda one: one.id != "a"), random.Random(3))
    assert (pick.candidate.id, pick.score, pick.considered) == ("b", 2, (("b", 2),))


def test_a_pick_is_explained_with_the_next_best(candidate, query):
    strategy = least_busy(*(candidate(name, open=calls) for name, calls in (("a", 4), ("b", 2), ("c", 5))))
    pick = strategy.pick(query(), random.Random(3))
    assert (pick.considered, pick.draw) == ((("b", 2), ("a", 4)), None)


steps = st.lists(
    st.tuples(st.sampled_from(["put", "move", "drop"]), st.integers(0, 8), st.integers(0, 40)), max_size=80
)


@settings(deadline=None)
@given(steps)
def test_buckets_hold_what_a_plain_dict_holds(candidate, changes):
    buckets, plain = CountBuckets(), {}
    known = [candidate(name) for name in range(9)]
    for what, name, count in changes:
        if what == "put":
            buckets.put(known[name], count)
            plain[str(name)] = count
        elif what == "move":
            buckets.move(str(name), count)
            plain.update({str(name): count} if str(name) in plain else {})
        else:
            buckets.drop(known[name])
            plain.pop(str(name), None)
        rows = [(place.count, place.candidate.id) for bucket in buckets.ascending() for place in bucket]
        assert [count for count, _ in rows] == sorted(plain.values())
        assert {name: count for count, name in rows} == plain
        assert len(buckets) == len(plain)
