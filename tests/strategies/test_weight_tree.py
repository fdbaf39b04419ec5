"""The tree of weights against a plain list."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.actors.model_group.strategies.weight_tree import WeightTree

weights = st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 9)), max_size=60)
fractions = st.lists(
    st.tuples(st.integers(0, 1500), st.one_of(st.just(0.0), st.floats(1e-9, 1e9))), min_size=1, max_size=60
)


@settings(deadline=None)
@given(weights, st.data())
def test_a_share_falls_where_the_running_sum_of_a_list_says(changes, data):
    tree, plain = WeightTree(), [0] * 1501
    for position, weight in changes:
        tree[position] = weight
        plain[position] = weight
    assert tree.total == sum(plain)
    assert all(tree[position] == weight for position, weight in enumerate(plain))
    if tree.total:
        share = data.draw(st.integers(0, sum(plain) - 1))
        expected = next(position for position, upto in enumerate(accumulate(plain)) if share < upto)
        assert tree.find(share) == expected


@settings(deadline=None)
@given(fractions, st.floats(0, 1, exclude_max=True))
def test_nothing_of_weight_zero_is_found_whatever_rounding_does(changes, draw):
    tree = WeightTree()
    for position, weight in changes:
        tree[position] = weight
    if tree.total > 0:
        assert tree[tree.find(draw * tree.total)] > 0
        assert tree[tree.find(tree.total)] > 0


@settings(deadline=None)
@given(fractions)
def test_hiding_a_weight_and_bringing_it_back_leaves_every_sum_as_it_was(changes):
    tree = WeightTree()
    for position, weight in changes:
        tree[position] = weight
    before = tree.total
    for position, _ in changes:
        weight = tree[position]
        tree[position] = 0
        tree[position] = weight
        assert tree.total == before
