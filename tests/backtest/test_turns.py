"""When a deployment was down between the calls that saw it: drawn, and never against what was seen."""

import itertools

import pytest

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.turns import MEAN_DOWN, MEAN_UP, Sight, turns_of


def a_day(rng, up, down, lasts=5_000.0):
    """Outages of a deployment that goes down and comes back."""
    found, at = [], rng.expovariate(1.0 / up)
    while at < lasts:
        back = at + rng.expovariate(1.0 / down)
        found.append((at, back))
        at = back + rng.expovariate(1.0 / up)
    return found


def seen(outages, moments):
    return [Sight(at, any(begins <= at < ends for begins, ends in outages)) for at in moments]


def is_down(outages, at):
    return any(begins <= at < ends for begins, ends in outages)


def test_what_was_seen_is_so_in_every_play():
    rng = make_rng(1)
    sights = seen(a_day(rng, 60.0, 15.0), sorted(rng.uniform(0.0, 5_000.0) for _ in range(400)))
    turns = turns_of(sights)
    for seed in range(20):
        drawn = turns.drawn(make_rng(seed), 0.0, 5_000.0)
        assert all(begins < ends for begins, ends in drawn)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(drawn))
        assert all(is_down(drawn, at) == down for at, down in sights)


def test_two_failures_long_apart_are_two_outages_of_one_that_flaps_and_one_of_one_that_does_not():
    """Both were last seen for a while before and after; what is asked is what was in the midst of the gap."""
    rng = make_rng(2)
    flaps = seen(a_day(rng, 40.0, 8.0, 3_000.0), [float(at) for at in range(0, 3_000, 2)])
    long = [Sight(float(at), 1_000 <= at < 2_000) for at in range(0, 3_000, 2)]
    gap = [Sight(3_050.0, True), Sight(3_150.0, True), Sight(3_250.0, False)]
    down = []
    for sights in (flaps, long):
        turns = turns_of([*sights, *gap])
        plays = [turns.drawn(make_rng(seed), 0.0, 3_250.0) for seed in range(100)]
        down.append(sum(is_down(play, 3_100.0) for play in plays))
    assert down[0] < 50
    assert down[1] > 90


def test_where_nobody_looked_it_was_down_as_often_as_else():
    rng = make_rng(3)
    moments = [float(at) for at in range(0, 6_000, 3) if not 2_000 < at < 4_000]
    turns = turns_of(seen(a_day(rng, 60.0, 20.0, 6_000.0), moments))
    plays = [turns.drawn(make_rng(seed), 0.0, 6_000.0) for seed in range(40)]
    shares = [sum(is_down(play, float(at)) for at in range(2_100, 3_900, 10)) / 180 for play in plays]
    assert sum(shares) / 40 == pytest.approx(0.25, abs=0.1)


def test_before_the_first_call_and_after_the_last():
    turns = turns_of([Sight(100.0, True), Sight(101.0, True)])
    for seed in range(20):
        drawn = turns.drawn(make_rng(seed), 50.0, 200.0)
        assert 50.0 <= drawn[0][0] <= 100.0
        assert drawn[-1][1] > 101.0
    alone = turns_of([Sight(5.0, True)]).drawn(make_rng(1), 5.0, 5.0)
    assert is_down(alone, 5.0)
    assert (len(MEAN_UP), len(MEAN_DOWN)) == (12, 12)
