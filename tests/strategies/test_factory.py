"""Strategies by name, and what may be said about them."""

from __future__ import annotations

import pytest

from turnout.actors.model_group.strategies import STRATEGY_NAMES, make_strategy
from turnout.messages.errors import ConfigurationError


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_every_strategy_goes_by_its_name(name):
    assert make_strategy(name).name == name


def test_without_a_word_it_is_a_shuffle():
    assert make_strategy().name == "simple-shuffle"


def test_an_unknown_name_is_told_with_the_known_ones_and_the_nearest():
    with pytest.raises(ConfigurationError) as error:
        make_strategy("leest-busy")
    assert str(error.value) == (
        "routing_strategy = 'leest-busy': must be one of simple-shuffle, least-busy, usage-based-routing, "
        "usage-based-routing-v2, latency-based-routing, cost-based-routing, adaptive"
        "; did you mean 'least-busy'?"
    )


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("latency-based-routing", {"tll": 5}, "unknown argument 'tll'.*did you mean 'ttl'"),
        ("latency-based-routing", {"ttl": 0}, r"args.ttl = 0: must be a number above 0"),
        ("latency-based-routing", {"ttl": True}, r"args.ttl = True: must be a number above 0"),
        ("latency-based-routing", {"ttl": "60"}, r"args.ttl = '60': must be a number above 0"),
        ("latency-based-routing", {"ttl": float("nan")}, r"args.ttl = nan: must be a number"),
        ("latency-based-routing", {"lowest_latency_buffer": -1}, "buffer = -1: must be a number, 0 or more"),
        ("cost-based-routing", {"substitute": {}}, "did you mean 'substitutes'"),
        ("cost-based-routing", {"substitutes": ["gpt-4"]}, "must map a group to a list of groups"),
        ("cost-based-routing", {"substitutes": {"gpt-4": "gpt-3.5"}}, "must map a group to a list of groups"),
        ("least-busy", {"ttl": 5}, r"unknown argument 'ttl' of least-busy \(known: none\)"),
        ("adaptive", [1], r"routing_strategy_args = \(list\): must be a mapping"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(name, args, message):
    with pytest.raises(ConfigurationError, match=message):
        make_strategy(name, args)


def test_right_arguments_are_taken():
    assert make_strategy("latency-based-routing", {"ttl": 60, "lowest_latency_buffer": 0.5})._buffer == 0.5
    assert make_strategy("cost-based-routing", {"substitutes": {"gpt-4": ["gpt-3.5-turbo"]}})
