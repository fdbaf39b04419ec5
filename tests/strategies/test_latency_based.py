"""latency-based-routing."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from turnout.actors.model_group.strategies.latency_based import LatencyBased
from turnout.actors.model_group.strategies.ranking import Ranking


def strategy_of(*candidates, now=0.0, **arguments):
    strategy = LatencyBased(**arguments)
    for one in candidates:
        strategy.add(one, now)
    return strategy


def samples(*seconds, at=0.0):
    return {"latency": tuple((at, value) for value in seconds)}


def test_the_lowest_mean_wins(candidate, query):
    a = candidate("a", status=samples(0.1, 0.9))
    b = candidate("b", status=samples(0.3, 0.4, 0.2))
    pick = strategy_of(a, b).pick(query(), random.Random(1))
    assert (pick.candidate, pick.draw) == (b, None)
    assert pick.considered == (("b", pytest.approx(0.3)), ("a", 0.5))


def test_a_new_status_moves_its_candidate(candidate, query):
    a, b = candidate("a", status=samples(0.1)), candidate("b", status=samples(0.3))
    strategy = strategy_of(a, b)
    a.status = replace(a.status, latency=((0.0, 0.1), (1.0, 9.0)))
    strategy.update(a, 1.0)
    assert strategy.pick(query(1.0), random.Random(1)).candidate is b


def test_unseen_candidates_come_first_at_random(candidate, picked, distance):
    known = candidate("known", status=samples(0.001))
    strategy = strategy_of(known, *(candidate(name) for name in "abc"))
    counts = picked(strategy, random.Random(2), 3000)
    assert distance(counts, {"known": 0, "a": 1, "b": 1, "c": 1}) < 25


def test_a_burst_spreads_over_the_unseen(candidate, query):
    strategy = strategy_of(candidate("known", status=samples(0.001)), *(candidate(name) for name in "abc"))
    rng, names = random.Random(3), []
    for _ in range(9):
        one = strategy.pick(query(), rng).candidate
        one.open += 1
        strategy.update(one, 0.0)
        names.append(one.id)
    assert sorted(names) == sorted("abc" * 3)


def test_within_the_buffer_chance_decides(candidate, picked, distance):
    latencies = {"a": 1.0, "b": 1.2, "c": 1.25, "d": 1.3}
    strategy = strategy_of(
        *(candidate(name, status=samples(value)) for name, value in latencies.items()), buffer=0.25
    )
    counts = picked(strategy, random.Random(4), 3000)
    assert distance(counts, {"a": 1, "b": 1, "c": 1, "d": 0}) < 25


def test_the_buffer_starts_at_the_lowest_that_is_admitted(candidate, picked, distance):
    latencies = {"a": 1.0, "b": 2.0, "c": 2.4, "d": 2.6}
    strategy = strategy_of(
        *(candidate(name, status=samples(value)) for name, value in latencies.items()), buffer=0.25
    )
    counts = picked(strategy, random.Random(5), 2000, admits=lambda one: one.id != "a")
    assert distance(counts, {"a": 0, "b": 1, "c": 1, "d": 0}) < 25


def test_a_latency_older_than_the_ttl_counts_no_longer(candidate, query):
    a = candidate("a", status={"latency": ((0.0, 1.0), (90.0, 3.0))})
    b = candidate("b", status={"latency": ((95.0, 2.5),)})
    strategy = strategy_of(a, b, now=95.0, ttl=100.0)
    rng = random.Random(6)
    assert strategy.pick(query(99.9), rng).candidate is a  # (1 + 3) / 2
    assert strategy.pick(query(100.0), rng).candidate is b  # 3 alone
    assert strategy.pick(query(190.0), rng).candidate is a  # unseen again


def test_candidates_that_come_and_go_leave_nothing_behind(candidate, query):
    strategy = strategy_of(ttl=100.0)
    one = candidate("a", status=samples(1.0))
    for moment in range(50):
        strategy.add(one, float(moment))
        strategy.remove(one)
    assert (len(strategy._expiries), len(strategy._timings)) == (1, 1)
    assert strategy.pick(query(200.0), random.Random(1)) is None
    assert (len(strategy._expiries), len(strategy._timings)) == (0, 0)


latencies = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "sample", "wait"]), st.integers(0, 5), st.integers(1, 40)),
    max_size=50,
)


@settings(deadline=None)
@given(latencies, st.sampled_from([0.0, 0.3]))
def test_a_pick_is_always_near_the_lowest_mean_of_a_plain_list(candidate, query, steps, buffer):
    strategy, known, eligible = LatencyBased(ttl=60.0, buffer=buffer), {}, {}
    now, rng = 0.0, random.Random(7)
    for number in range(6):
        known[number] = candidate(number)
    for what, number, size in steps:
        one = known[number]
        if what == "add" and number not in eligible:
            eligible[number] = one
            strategy.add(one, now)
        elif what == "remove":
            eligible.pop(number, None)
            strategy.remove(one)
        elif what == "sample":
            one.status = replace(one.status, latency=(*one.status.latency[-9:], (now, size / 8)))
            if number in eligible:
                strategy.update(one, now)
        else:
            now += size
        _assert_near_the_lowest(strategy.pick(query(now), rng), eligible, now, buffer)


def _assert_near_the_lowest(pick, eligible, now, buffer):
    if not eligible:
        assert pick is None
        return
    means = {one.id: _mean(one, now) for one in eligible.values()}
    unseen = {name for name, mean in means.items() if mean is None}
    if unseen:
        assert pick.candidate.id in unseen
    else:
        assert means[pick.candidate.id] == pytest.approx(pick.score)
        assert pick.score <= min(means.values()) * (1 + buffer) + 1e-12


def _mean(one, now):
    values = [seconds for at, seconds in one.status.latency if at > now - 60.0]
    return fmean(values) if values else None


rows = st.lists(st.tuples(st.sampled_from(["put", "move", "drop"]), st.integers(0, 9), st.integers(0, 6)))


@settings(deadline=None)
@given(rows)
def test_a_ranking_is_a_sorted_list(changes):
    ranking, plain = Ranking(), {}
    for what, name, key in changes:
        if what == "put":
            ranking.put(name, key, str(name))
            plain[name] = key
        elif what == "move":
            assert ranking.move(name, key) is (name in plain and plain[name] != key)
            plain.update({name: key} if name in plain else {})
        else:
            ranking.drop(name)
            plain.pop(name, None)
        assert [(row[0], int(row[2])) for row in ranking] == sorted(
            ((key, name) for name, key in plain.items()), key=lambda row: (row[0], _order(ranking, row[1]))
        )
        assert ranking.end_of(3) == sum(key <= 3 for key in plain.values())
        assert [ranking[index] for index in range(len(ranking))] == list(ranking)


def _order(ranking, name):
    return next(row[1] for row in ranking if row[2] == str(name))


def test_a_sample_that_is_due_is_gone_however_its_age_is_rounded(candidate, query):
    """That it counts and when it is due were reckoned apart, and where they fell apart no pick ended."""
    at, now = 9.264240958109847, 19.264240958109845
    assert at + 10.0 <= now
    assert at > now - 10.0
    a = candidate("a", status=samples(0.5, at=at))
    strategy = strategy_of(a, now=at, ttl=10.0)
    pick = strategy.pick(query(now), random.Random(1))
    assert pick.candidate is a
    assert strategy._expiries == []
