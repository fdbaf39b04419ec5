"""cost-based-routing, and the index of prices."""

from __future__ import annotations

import math
import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from turnout.actors.model_group.strategies.cost_based import CostBased
from turnout.actors.model_group.strategies.price_index import PriceIndex


def strategy_of(*candidates):
    strategy = CostBased()
    for one in candidates:
        strategy.add(one, 0.0)
    return strategy


@pytest.fixture(scope="session")
def priced(candidate):
    """A candidate that costs so many dollars per million tokens of input and of output."""

    def make(name, input_price, output_price, mean=256):
        return candidate(
            name,
            status={"mean_output": mean},
            input_cost_per_token=None if input_price is None else input_price / 1e6,
            output_cost_per_token=None if output_price is None else output_price / 1e6,
        )

    return make


def test_the_price_of_this_request_decides(priced, query):
    strategy = strategy_of(priced("long prompts", 1, 20), priced("long answers", 5, 4))
    rng = random.Random(1)
    pick = strategy.pick(query(input_tokens=10_000, output_tokens=100), rng)
    assert (pick.candidate.id, pick.score, pick.draw) == ("long prompts", pytest.approx(0.012), None)
    assert pick.considered[1] == ("long answers", pytest.approx(0.0504))
    assert strategy.pick(query(input_tokens=100, output_tokens=1000), rng).candidate.id == "long answers"


def test_without_a_maximum_the_learned_mean_output_is_expected(priced, query):
    brief, wordy = priced("brief", 1, 10, mean=100), priced("wordy", 1, 2, mean=1000)
    strategy = strategy_of(brief, wordy)
    rng = random.Random(1)
    assert strategy.pick(query(), rng).candidate is brief
    assert strategy.pick(query(output_tokens=100), rng).candidate is wordy
    wordy.status = replace(wordy.status, mean_output=400)
    strategy.update(wordy, 1.0)
    assert strategy.pick(query(), rng).candidate is wordy


def test_equal_prices_are_settled_at_random(priced, picked, distance):
    strategy = strategy_of(*(priced(name, 1, 2) for name in "abc"), priced("d", 3, 3))
    counts = picked(strategy, random.Random(2), 3000, output_tokens=10)
    assert distance(counts, {"a": 1, "b": 1, "c": 1, "d": 0}) < 25


def test_equal_costs_of_different_prices_are_settled_at_random(priced, picked, distance):
    strategy = strategy_of(priced("a", 1, 2), priced("b", 2, 1), priced("c", 2, 1), priced("d", 9, 9))
    counts = picked(strategy, random.Random(3), 3000, input_tokens=64, output_tokens=64)
    assert distance(counts, {"a": 1, "b": 1, "c": 1, "d": 0}) < 25


def test_unknown_prices_come_last_and_at_random(priced, picked, distance):
    strategy = strategy_of(priced("a", 9e9, 9e9), priced("b", None, 1), priced("c", 1, None))
    assert picked(strategy, random.Random(4), 20) == {"a": 20}
    counts = picked(strategy, random.Random(4), 2000, admits=lambda one: one.id != "a")
    assert distance(counts, {"a": 0, "b": 1, "c": 1}) < 25


def test_an_unknown_price_is_no_price_of_zero(priced, query):
    pick = strategy_of(priced("b", None, 1)).pick(query(), random.Random(1))
    assert (pick.candidate.id, pick.score) == ("b", None)


def test_embeddings_need_no_output_price(candidate, query):
    one = candidate("a", mode="embedding", input_cost_per_token=2e-6)
    pick = strategy_of(one).pick(query(output_tokens=0), random.Random(1))
    assert pick.score == pytest.approx(2e-4)


@pytest.mark.parametrize(
    "name", ["output_cost_per_image", "input_cost_per_character", "output_cost_per_second"]
)
def test_what_is_sold_by_the_piece_goes_by_the_price_of_one(candidate, picked, distance, name):
    def sold(one, price):
        return candidate(one, model_info={name: price})

    strategy = strategy_of(sold("a", 4), sold("b", 3), sold("c", 3), candidate("unknown"))
    counts = picked(strategy, random.Random(6), 2000)
    assert distance(counts, {"a": 0, "b": 1, "c": 1, "unknown": 0}) < 25
    assert picked(strategy, random.Random(6), 9, admits=lambda one: one.id in "a unknown") == {"a": 9}
    assert picked(strategy, random.Random(6), 9, admits=lambda one: one.id == "unknown") == {"unknown": 9}
    strategy.add(sold("a", 1), 0.0)
    assert picked(strategy, random.Random(6), 9) == {"a": 9}
    strategy.remove(sold("a", 1))
    assert set(picked(strategy, random.Random(6), 99)) == {"b", "c"}


def test_what_is_sold_by_the_token_comes_before_it(candidate, priced, picked):
    strategy = strategy_of(
        candidate("piece", model_info={"output_cost_per_image": 1e-9}), priced("token", 9, 9)
    )
    assert picked(strategy, random.Random(7), 9) == {"token": 9}


def test_requests_without_output_go_by_the_input_price(priced, query):
    strategy = strategy_of(priced("a", 2, 0), priced("b", 1, 50))
    assert strategy.pick(query(output_tokens=0), random.Random(1)).candidate.id == "b"
    assert strategy.pick(query(input_tokens=0, output_tokens=0), random.Random(1)).candidate.id == "b"
    assert strategy.pick(query(input_tokens=0, output_tokens=5), random.Random(1)).candidate.id == "a"


prices = st.one_of(st.none(), st.integers(0, 4), st.floats(0.01, 1000))
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "remove", "learn"]),
        st.integers(0, 14),
        prices,
        prices,
        st.integers(0, 4000),
    ),
    min_size=1,
    max_size=40,
)
demands = st.tuples(st.integers(0, 10**6), st.one_of(st.none(), st.integers(0, 10**6)))


def real_cost(one, input_tokens, output_tokens):
    deployment = one.deployment
    if deployment.input_cost_per_token is None or deployment.output_cost_per_token is None:
        return math.inf
    output = one.status.mean_output if output_tokens is None else output_tokens
    return input_tokens * deployment.input_cost_per_token + output * deployment.output_cost_per_token


@settings(max_examples=300, deadline=None)
@given(steps, st.lists(demands, min_size=1, max_size=4))
def test_candidates_come_in_the_order_of_what_they_really_cost(priced, query, changes, requests):
    strategy, eligible = CostBased(), {}
    rng = random.Random(5)
    for number, (what, name, input_price, output_price, mean) in enumerate(changes):
        if what == "add":
            eligible[name] = priced(name, input_price, output_price, mean)
            strategy.add(eligible[name], 0.0)
        elif what == "learn" and name in eligible:
            eligible[name].status = replace(eligible[name].status, mean_output=mean)
            strategy.update(eligible[name], 0.0)
        elif what == "remove" and name in eligible:
            strategy.remove(eligible.pop(name))
        input_tokens, output_tokens = requests[number % len(requests)]
        taken = _all_in_order(strategy, query, rng, input_tokens, output_tokens)
        assert sorted(one.id for one in taken) == sorted(one.id for one in eligible.values())
        costs = [real_cost(one, max(1, input_tokens), output_tokens) for one in taken]
        assert costs == sorted(costs)


def _all_in_order(strategy, query, rng, input_tokens, output_tokens):
    """Pick, refuse what was picked, pick again, until nobody is left."""
    taken = []
    gone = set()
    while True:
        asked = query(
            input_tokens=input_tokens, output_tokens=output_tokens, admits=lambda one: one.id not in gone
        )
        pick = strategy.pick(asked, rng)
        if pick is None:
            return taken
        gone.add(pick.candidate.id)
        taken.append(pick.candidate)


def test_ten_thousand_price_lists_are_not_looked_at_one_by_one(priced):
    rng, index = random.Random(6), PriceIndex()
    everyone = [priced(number, rng.uniform(0, 10), rng.uniform(0, 40)) for number in range(10_000)]
    for one in everyone:
        index.put(one, (one.deployment.input_cost_per_token, one.deployment.output_cost_per_token))
    looked_at = 0
    for _ in range(100):
        demand = rng.randrange(1, 10_000), rng.choice([None, rng.randrange(1, 10_000)])
        compared = index.cheapest(*demand)
        assert min(compared)[0] == min(real_cost(one, *demand) for one in everyone)
        looked_at += len(compared)
    assert looked_at < 1000


def test_the_order_holds_while_means_rise_and_fall(priced):
    rng, index = random.Random(8), PriceIndex()
    everyone = [priced(number, rng.uniform(1, 3), rng.uniform(1, 9)) for number in range(300)]
    for one in everyone:
        index.put(one, (one.deployment.input_cost_per_token, one.deployment.output_cost_per_token))
    for _ in range(200):
        one = rng.choice(everyone)
        one.status = replace(one.status, mean_output=rng.randrange(1, 2000))
        index.update(one)
        demand = rng.randrange(1, 3000), rng.choice([None, rng.randrange(1, 3000)])
        costs = sorted(real_cost(one, *demand) for one in everyone)
        assert min(index.cheapest(*demand))[0] == costs[0]
        assert [tier.cost for tier in islice(index.ascending(*demand), 20)] == costs[:20]
