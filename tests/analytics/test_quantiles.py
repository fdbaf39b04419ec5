"""Streaming quantiles: close to the truth, the same in any order, of bounded size."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.usage.quantiles import MAX_BINS, RELATIVE_ACCURACY, Quantiles

SECONDS = st.floats(min_value=0.001, max_value=6000)
SHARES = (0.0, 0.5, 0.95, 0.99, 1.0)


def taken(values):
    made = Quantiles()
    for value in values:
        made.add(value)
    return made


def answers(quantiles):
    return [quantiles.at(share) for share in SHARES]


@given(st.lists(SECONDS, min_size=1, max_size=300))
def test_a_quantile_is_within_one_percent_of_the_true_one(values):
    made = taken(values)
    ordered = sorted(values)
    for share in SHARES:
        true = ordered[math.floor(share * (len(values) - 1))]
        assert abs(made.at(share) - true) <= RELATIVE_ACCURACY * true * 1.0001


@given(st.lists(SECONDS, max_size=100), st.lists(SECONDS, max_size=100))
def test_two_of_them_add_up_to_one_that_has_seen_everything(some, others):
    both = taken(some)
    both.merge(taken(others))
    assert answers(both) == answers(taken(some + others))
    assert both.count == len(some) + len(others)


@given(st.lists(SECONDS, max_size=100), st.randoms())
def test_the_order_of_the_values_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    assert answers(taken(values)) == answers(taken(shuffled))


@given(st.lists(st.floats(min_value=0, max_value=1e5), max_size=100))
def test_one_that_was_written_down_is_the_same_again(values):
    made = taken(values)
    again = Quantiles.restore(json.loads(json.dumps(made.snapshot())))
    assert answers(again) == answers(made)
    assert (again.count, again.total, again.longest) == (made.count, made.total, made.longest)
    again.add(1.0)
    made.add(1.0)
    assert again.snapshot() == made.snapshot()


def test_the_mean_is_exact_and_nothing_is_longer_than_the_longest():
    made = taken([1.0, 2.0, 6.0])
    assert made.mean == 3.0
    assert made.at(1.0) <= made.longest == 6.0


def test_without_values_there_is_nothing_to_tell():
    assert Quantiles().at(0.5) is None
    assert Quantiles().mean is None


def test_what_took_no_time_counts():
    made = taken([0.0, 0.0, 0.0, 5.0])
    assert made.count == 4
    assert made.at(0.5) == 0.0


def test_at_the_bound_the_shortest_values_are_taken_together_and_the_longest_stay_exact():
    values = [10.0 ** (power / 10) for power in range(-59, 100)]  # 16 powers of ten
    made = taken(values * 3)
    bins = made.snapshot()[3]
    assert len(bins) // 2 <= MAX_BINS
    assert sum(bins[1::2]) == made.count == len(values) * 3
    assert abs(made.at(0.99) - sorted(values * 3)[math.floor(0.99 * (made.count - 1))]) < 0.011 * made.at(
        0.99
    )
