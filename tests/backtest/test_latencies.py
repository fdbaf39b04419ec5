"""Latencies: by size, by time, by load, with the spread that was seen; and what was cut off."""

import math

import pytest

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.crowding import evidence, growths
from turnout.backtest.latencies import NEVER, fit_latencies
from turnout.backtest.segments import change_points
from turnout.backtest.sizes import fit_line


def points(rng, many=800, base=0.5, by_prompt=0.001, by_output=0.02, spread=0.3):
    made = []
    for _ in range(many):
        prompt, output = rng.uniform(50, 2_000), rng.uniform(10, 500)
        line = base + by_prompt * prompt + by_output * output
        made.append((prompt, output, line * rng.lognormvariate(0, spread)))
    return made


@pytest.mark.parametrize("odd", [0.0, 0.1])
def test_a_line_is_found_whatever_one_call_in_ten_does(odd):
    rng = make_rng(1)
    made = [(p, o, s * (20 if rng.random() < odd else 1)) for p, o, s in points(rng)]
    line = fit_line(made)
    assert line.by_prompt == pytest.approx(0.001, rel=0.25)
    assert line.by_output == pytest.approx(0.02, rel=0.1)
    assert line.at(1_000, 200) == pytest.approx(5.5, rel=0.1)


def test_a_size_that_never_varies_explains_nothing():
    line = fit_line([(100.0, 50.0, 1.0 + 0.1 * (n % 3)) for n in range(50)])
    assert (line.by_prompt, line.by_output) == (0.0, 0.0)
    assert line.at(100, 50) == pytest.approx(1.1, abs=0.05)


def test_nothing_gets_faster_by_being_longer():
    line = fit_line([(float(n), 10.0, 10.0 - n / 100) for n in range(1, 500)])
    assert line.by_prompt == 0.0
    assert fit_line([]).at(1, 1) > 0


def test_changes_of_level_are_found_and_spread_is_none():
    rng = make_rng(2)
    noise = [rng.gauss(0, 0.5) for _ in range(900)]
    assert change_points(noise) == []
    bimodal = [1.5 if rng.random() < 0.1 else 0.0 for _ in range(900)]
    assert change_points(bimodal) == []
    slow = [value + (1.0 if 300 <= place < 420 else 0.0) for place, value in enumerate(noise)]
    found = change_points(slow)
    assert len(found) == 2
    assert abs(found[0] - 300) < 8
    assert abs(found[1] - 420) < 8
    assert change_points([0.0] * 5) == []


def test_a_deployment_that_slows_down_under_load_is_told_from_one_that_is_slow_for_a_while():
    rng = make_rng(3)
    busy = [rng.randrange(12) for _ in range(1_500)]
    crowded = [rng.gauss(0, 0.3) + math.log(1 + 0.1 * open_calls) for open_calls in busy]
    assert growths([evidence(crowded, busy, (0,))]).likely == pytest.approx(0.1, rel=0.35)
    # calls pile up in a slow time, and are not slow because they do
    slow = [1.0 if 500 <= place < 800 else 0.0 for place in range(1_500)]
    piled = [round(4 * math.exp(level)) + rng.randrange(3) for level in slow]
    idle = [rng.gauss(0, 0.3) + level for level in slow]
    found = growths([evidence(idle, piled, (0, *change_points(idle)))])
    assert found.likely == 0.0
    assert found.weights[0] > 0.8


def seconds(moments, at, many=400):
    drawn = [sum(moments.seconds(at, 100, 50, 0, n / many, 0.5)) for n in range(many)]
    return sorted(drawn)


def test_a_slow_evening_is_slow_again_and_only_then(call):
    rng = make_rng(4)
    calls = [
        call(float(n), (3.0 if 300 <= n < 500 else 1.0) * rng.lognormvariate(0, 0.2)) for n in range(800)
    ]
    moments = fit_latencies(calls)[0].drawn(make_rng(1))
    assert seconds(moments, 100.0)[200] == pytest.approx(1.0, rel=0.2)
    assert seconds(moments, 400.0)[200] == pytest.approx(3.0, rel=0.2)
    assert seconds(moments, 700.0)[200] == pytest.approx(1.0, rel=0.2)


def test_the_spread_is_that_of_the_record(call):
    rng = make_rng(5)
    calls = [call(float(n), 10.0 if rng.random() < 0.1 else 1.0) for n in range(2_000)]
    moments = fit_latencies(calls)[0].drawn(make_rng(1))
    drawn = [each for at in range(0, 2_000, 40) for each in seconds(moments, float(at), 40)]
    assert sum(each > 5 for each in drawn) / len(drawn) == pytest.approx(0.1, abs=0.03)


def test_streams_have_a_beginning_and_a_rest(call):
    calls = [call(float(n), 0.4 + 0.01 * (50 + n), ttft=0.4, output=50 + n) for n in range(200)]
    moments = fit_latencies(calls)[1].drawn(make_rng(1))
    first, rest = moments.seconds(100.0, 100, 100, 0, 0.5, 0.5)
    assert (first, rest) == (pytest.approx(0.4, rel=0.05), pytest.approx(1.0, rel=0.05))


def test_what_was_given_up_stands_for_what_took_longer(call):
    calls = [call(float(n), 1.0 + n % 10) for n in range(100)]
    calls += [call(100.0 + n, 4.5, cut=True, output=0) for n in range(100)]
    moments = fit_latencies(calls)[0].drawn(make_rng(1))
    assert min(seconds(moments, 150.0)) > 4.5
    assert moments.after(9.5, 100, 50, 0.0) == pytest.approx(10.0, rel=0.05)
    assert moments.after(10.5, 100, 50, 0.5) == NEVER


def test_nobody_knows_how_fast_one_is_that_never_answered(call):
    assert fit_latencies([])[:2] == (None, None)
    assert fit_latencies([call(cut=True)])[:2] == (None, None)


def test_what_load_does_is_told_by_whole_answers_and_streams_together_and_drawn_as_it_is_known(call):
    rng = make_rng(6)
    calls = []
    for n in range(300):
        busy = rng.randrange(8)
        seconds = (1 + 0.1 * busy) * rng.lognormvariate(0, 0.25)
        calls.append(call(float(n), seconds, busy=busy, ttft=seconds if n % 2 else None))
    whole, stream, found = fit_latencies(calls)
    assert found.likely == pytest.approx(0.1, rel=0.5)
    assert whole.growth == stream.growth == found.likely
    drawn = {found.drawn(make_rng(seed)) for seed in range(40)}
    assert len(drawn) > 1
    assert 0.03 < min(drawn) < max(drawn) < 0.3
    as_it_was = [
        sum(
            whole.drawn(make_rng(1), growth).seconds(150.0, 100, 50, n % 8, n / 400, 0.5)[0]
            for n in range(400)
        )
        for growth in (0.05, 0.2)
    ]
    assert as_it_was[0] == pytest.approx(as_it_was[1], rel=0.1)  # whatever made it so


def test_a_line_through_calls_that_were_all_busy_does_not_take_the_crowd_for_size(call):
    rng = make_rng(7)
    calls, busy = [], 15
    for n in range(600):
        busy = min(30, max(0, busy + rng.choice((-2, -1, 1, 2))))
        output = rng.randrange(50, 400)
        seconds = (0.5 + 0.01 * output) * (1 + 0.18 * busy) * rng.lognormvariate(0, 0.1)
        calls.append(call(float(n), seconds, busy=busy, output=output))
    whole, _, found = fit_latencies(calls)
    assert found.likely == pytest.approx(0.18, rel=0.25)
    assert whole.first.by_output == pytest.approx(0.01, rel=0.25)
