"""Rate limits that a provider showed, told from other errors by what it had taken when it refused."""

import pytest

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.refusals import Limit, Load, find_limit


def tokens(call):
    return float(call.prompt_tokens + call.output_tokens)


def refusing(call, *, of, seconds, most, many=1_500, rate=2.0):
    """Calls of a provider that has this limit, under a load that goes up and down."""
    rng, load, at, calls = make_rng(7), Load(of, seconds), 0.0, []
    for number in range(many):
        at += rng.expovariate(rate * (0.3 if number // 150 % 2 else 1.5))
        one = call(at, busy=rng.randrange(12), prompt=rng.randrange(10, 2_000))
        if load.before(at, one.open) >= most:
            one.status, one.error, one.seconds = 429, "RateLimitError", 0.05
        else:
            load.take(at, tokens(one))
        calls.append(one)
    return calls


@pytest.mark.parametrize(
    ("of", "seconds", "most"),
    [("calls", 60.0, 80), ("calls", 10.0, 20), ("calls", 1.0, 3), ("tokens", 60.0, 80_000), ("open", 0.0, 9)],
)
def test_a_limit_is_found_as_it_is(call, of, seconds, most):
    calls = refusing(call, of=of, seconds=seconds, most=most)
    assert 20 < sum(c.status == 429 for c in calls) < len(calls) / 2
    found = find_limit(calls, tokens)
    assert (found.of, found.seconds) == (of, seconds)
    assert found.most == pytest.approx(most, rel=0.03)
    assert found.fit > 0.98


def test_refusals_that_come_at_any_load_are_no_limit(call):
    rng, at, calls = make_rng(8), 0.0, []
    for _ in range(1_000):
        at += rng.expovariate(2.0)
        refused = rng.random() < 0.1
        calls.append(call(at, busy=rng.randrange(10), status=429 if refused else 0))
    assert find_limit(calls, tokens) is None


def test_an_outage_that_says_429_is_no_limit(call):
    calls = [call(float(n), status=429 if 300 <= n < 330 else 0) for n in range(600)]
    assert find_limit(calls, tokens) is None


def test_a_few_refusals_prove_nothing(call):
    assert find_limit([call(float(n), status=429 if n > 96 else 0) for n in range(100)], tokens) is None
    assert find_limit([], tokens) is None


def test_a_window_forgets():
    load = Load("calls", 10.0)
    for at in (0.0, 1.0, 2.0):
        load.take(at, 5.0)
    assert load.before(9.9, 0) == 3
    assert load.before(11.5, 0) == 1
    assert Load("open", 0.0).before(0.0, 7) == 7
    assert Limit("open", 0.0, 7).fit == 1.0
