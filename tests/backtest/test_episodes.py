"""Episodes: stretches in which a deployment failed, found among what fails by chance."""

import itertools

import pytest

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.episodes import episodes
from turnout.backtest.failures import fit_failures


def failing(rng, many, rate):
    return [rng.random() < rate for _ in range(many)]


def test_failures_one_here_one_there_are_no_episode():
    for seed in range(20):
        assert episodes(failing(make_rng(seed), 2_000, 0.05)) == []


def test_nothing_is_found_in_nothing():
    assert episodes([]) == []
    assert episodes([False]) == []


def test_an_outage_is_found_to_the_call():
    rng = make_rng(1)
    calls = [False] * 300 + [True] * 6 + [False] * 200 + failing(rng, 50, 0.0)
    assert [(e.first, e.last, e.failed) for e in episodes(calls)] == [(300, 305, 6)]


def test_a_few_calls_are_enough_where_all_of_them_fail():
    assert [(e.first, e.last) for e in episodes([False] * 4 + [True] * 6 + [False] * 4)] == [(4, 9)]


def test_one_that_is_ill_for_a_while_is_told_from_one_that_is_well():
    rng = make_rng(2)
    calls = failing(rng, 400, 0.01) + failing(rng, 80, 0.5) + failing(rng, 400, 0.01)
    found = episodes(calls)
    assert len(found) == 1
    assert abs(found[0].first - 400) <= 5
    assert abs(found[0].last - 479) <= 5
    assert found[0].failed / found[0].calls == pytest.approx(0.5, abs=0.15)


def test_one_that_is_down_again_and_again_is_not_ill_for_all_that_time():
    calls = ([False] * 25 + [True] * 7) * 10
    assert [(e.first, e.calls, e.failed) for e in episodes(calls)] == [(25 + 32 * n, 7, 7) for n in range(10)]


def test_one_that_is_ill_is_not_down_now_and_then():
    for seed in range(20):
        found = episodes([False] * 300 + failing(make_rng(seed), 100, 0.5) + [False] * 300)
        assert len(found) <= 2
        assert sum(e.calls for e in found) == pytest.approx(100, abs=12)


def test_episodes_do_not_overlap_and_each_has_a_failure_at_either_end():
    for seed in range(30):
        rng = make_rng(seed)
        calls = [each for _ in range(12) for each in failing(rng, rng.randrange(1, 60), rng.random() ** 3)]
        found = episodes(calls)
        assert all(a.last < b.first for a, b in itertools.pairwise(found))
        assert all(calls[e.first] and calls[e.last] for e in found)
        assert all(e.failed == sum(calls[e.first : e.last + 1]) for e in found)


def test_a_spell_begins_and_ends_somewhere_between_two_calls(call):
    kinds = [None] * 5 + ["APIError"] * 6 + [None] * 5
    calls = [call(100.0 + 10 * place, error=kind) for place, kind in enumerate(kinds)]
    failures = fit_failures(calls, 100.0, 260.0)
    (spell,) = failures.spells
    assert (spell.begins, spell.ends, spell.calls) == ((140.0, 150.0), (200.0, 210.0), 6)
    assert failures.faults == ()
    rng = make_rng(1)
    for _ in range(20):
        weather = failures.drawn(rng)
        assert weather.fault(139.0, 0.0, lambda: 0.5) is None
        assert weather.fault(150.0, 0.99, lambda: 0.5) in spell.faults
        assert weather.fault(211.0, 0.0, lambda: 0.5) is None


def test_a_usual_rate_is_as_uncertain_as_few_calls_make_it(call):
    def rates(many):
        calls = [call(float(n), error="APIError" if n % 20 == 0 else None) for n in range(many)]
        failures, rng = fit_failures(calls, 0.0, float(many)), make_rng(3)
        drawn = [failures.drawn(rng) for _ in range(200)]
        return [
            sum(w.fault(float(many), d / 200, lambda: 0.0) is not None for d in range(200)) for w in drawn
        ]

    few, plenty = rates(100), rates(4_000)
    assert sum(few) / 200 == pytest.approx(10, abs=2)
    assert sum(plenty) / 200 == pytest.approx(10, abs=1)
    assert max(few) - min(few) > 2 * (max(plenty) - min(plenty))
