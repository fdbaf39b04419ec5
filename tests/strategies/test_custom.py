"""A user's own strategy."""

from __future__ import annotations

import random

import pytest

from turnout.actors.model_group.strategies import make_strategy
from turnout.messages.errors import ConfigurationError


class Mine:
    """Picks whatever `choose` says."""

    def __init__(self, choose):
        self.choose = choose
        self.asked = []

    def pick(self, candidates, request, rng):
        self.asked.append([one.id for one in candidates])
        return self.choose(candidates)


def strategy_of(mine, *candidates):
    strategy = make_strategy(mine)
    for one in candidates:
        strategy.add(one, 0.0)
    return strategy


def test_it_chooses_among_the_admitted_in_a_stable_order(candidate, query):
    everyone = [candidate(name) for name in "cab"]
    mine = Mine(lambda candidates: candidates[-1])
    strategy = strategy_of(mine, *everyone)
    pick = strategy.pick(query(admits=lambda one: one.id != "b"), random.Random(1))
    strategy.remove(everyone[0])
    strategy.add(everyone[0], 1.0)
    strategy.pick(query(), random.Random(1))
    assert (pick.candidate.id, mine.asked) == ("a", [["c", "a"], ["a", "b", "c"]])


def test_it_is_not_asked_when_nobody_is_admitted(candidate, query):
    mine = Mine(lambda candidates: candidates[0])
    strategy = strategy_of(mine, candidate("a"))
    assert strategy.pick(query(admits=lambda _: False), random.Random(1)) is None
    assert mine.asked == []


def test_it_can_do_no_harm_to_the_list_it_is_given(candidate, query):
    strategy = strategy_of(Mine(lambda candidates: candidates.pop()), *(candidate(name) for name in "ab"))
    assert [strategy.pick(query(), random.Random(1)).candidate.id for _ in range(2)] == ["b", "b"]


@pytest.mark.parametrize(
    ("answer", "told"), [(None, "None"), ("a", "a str"), (7, "a int")], ids=["None", "an id", "a number"]
)
def test_an_answer_that_is_no_candidate_is_one_clear_error(candidate, query, answer, told):
    strategy = strategy_of(Mine(lambda _: answer), candidate("a"))
    with pytest.raises(ConfigurationError, match=f"Mine: pick returned {told}, not one of the 1"):
        strategy.pick(query(), random.Random(1))


def test_a_candidate_it_was_not_given_is_refused(candidate, query):
    left_out = candidate("left out")
    strategy = strategy_of(Mine(lambda _: left_out), left_out, candidate("a"))
    with pytest.raises(ConfigurationError, match="Mine: pick returned a Candidate, not one of"):
        strategy.pick(query(admits=lambda one: one.id == "a"), random.Random(1))


def test_an_exception_becomes_a_typed_error_that_names_the_strategy_and_hides_keys(candidate, query):
    def fail(_):
        raise LookupError("no luck with sk-abcdef123456")

    mine = Mine(fail)
    mine.name = "cheapest-at-night"
    with pytest.raises(ConfigurationError, match="at-night: pick raised LookupError: no luck") as error:
        strategy_of(mine, candidate("a")).pick(query(), random.Random(1))
    assert "abcdef" not in str(error.value)
    assert isinstance(error.value.__cause__, LookupError)


class Async:
    async def pick(self, candidates, request, rng):
        return candidates[0]


def test_a_coroutine_is_no_pick(candidate, query):
    with pytest.raises(ConfigurationError, match="Async must be a plain function"):
        make_strategy(Async())
    hidden = strategy_of(Mine(lambda candidates: Async().pick(candidates, None, None)), candidate("a"))
    with pytest.raises(ConfigurationError, match="returned a coroutine"):
        hidden.pick(query(), random.Random(1))


@pytest.mark.parametrize("spec", [object(), 7, None, ["simple-shuffle"]])
def test_something_without_pick_is_no_strategy(spec):
    with pytest.raises(ConfigurationError, match=r"has no pick\(candidates, request, rng\)"):
        make_strategy(spec)


def test_the_class_is_not_its_instance():
    with pytest.raises(ConfigurationError, match="give an instance of Mine, not the class"):
        make_strategy(Mine)
