"""`order`: lower goes first; the next only when no lower one is eligible; under every strategy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.actors.model_group.roster import Picked
from turnout.messages.outcomes import MAX_LEFT_OUT
from turnout.messages.settings import STRATEGIES


class LastById:
    def pick(self, candidates, request, rng):
        return max(candidates, key=lambda candidate: candidate.id)


@pytest.mark.parametrize("strategy", [*STRATEGIES, LastById()], ids=str)
def test_the_lowest_order_goes_first_under_every_strategy(crew, strategy):
    crew = crew(strategy)
    crew.join("a", order=1).join("b", order=1).join("c", order=2).join("z", order=2)
    assert crew.picks() <= {"a", "b"}
    crew.out("a")
    assert crew.picks() == {"b"}
    crew.out("b")
    assert crew.picks() <= {"c", "z"}
    crew.back("a")
    assert crew.picks() == {"a"}


def test_weights_count_within_an_order_only(crew):
    crew = crew()
    crew.join("light", order=1, weight=0.01).join("heavy", order=2, weight=1000)
    assert crew.picks() == {"light"}


def test_those_without_an_order_go_last(crew):
    crew = crew()
    crew.join("any").join("first", order=7)
    assert crew.picks() == {"first"}
    crew.out("first")
    assert crew.pick() == "any"


def test_order_0_goes_before_order_1(crew):
    assert crew().join("b", order=1).join("a", order=0).picks() == {"a"}


def test_one_that_failed_in_this_request_makes_way_for_the_next_order(crew):
    crew = crew()
    crew.join("a", order=1).join("b", order=2)
    assert crew.pick(exclude=["a"]) == "b"
    assert crew.pick() == "a"


def test_a_strategy_that_a_request_names_goes_by_the_order_too(crew):
    crew = crew()
    crew.join("a", order=2).join("b", order=1)
    assert crew.picks(strategy="least-busy") == {"b"}


def test_an_order_that_joins_or_leaves_at_run_time_counts_from_then_on(crew):
    crew = crew("least-busy")
    crew.join("a", order=2).join("b", order=2)
    assert crew.picks() == {"a", "b"}
    crew.join("c", order=1)
    assert crew.picks() == {"c"}
    crew.leave("c")
    assert crew.picks() == {"a", "b"}


def test_the_decision_says_who_was_left_out_for_its_order(crew):
    crew = crew()
    crew.join("a", order=1).join("b", order=2).join("c", order=3)
    decision = crew.ask().decision
    assert (decision.deployment_id, decision.eligible) == ("a", 1)
    assert [(item.deployment_id, item.reason) for item in decision.left_out] == [
        ("b", "order"),
        ("c", "order"),
    ]
    crew.out("a")
    decision = crew.ask().decision
    reasons = [(item.deployment_id, item.reason) for item in decision.left_out]
    assert reasons == [("a", "cooling_down"), ("c", "order")]


def test_many_of_a_later_order_are_counted_not_listed(crew):
    crew = crew().join("a", order=1)
    for number in range(100):
        crew.join(f"d{number}", order=2)
    decision = crew.ask().decision
    assert len(decision.left_out) == MAX_LEFT_OUT
    assert decision.left_out_by_reason == {"order": 100 - MAX_LEFT_OUT}
    assert decision.eligible == 1


def test_one_that_failed_in_a_later_order_is_named_once(crew):
    crew = crew().join("a", order=1).join("b", order=2)
    decision = crew.ask(exclude=["b"]).decision
    assert [(item.deployment_id, item.reason) for item in decision.left_out] == [("b", "order")]
    assert decision.eligible == 1


def test_a_limit_of_the_requests_own_goes_by_the_order_too(crew):
    crew = crew()
    crew.join("late", order=2, max_parallel_requests=1).join("early", order=1, max_parallel_requests=1)
    for name in ("late", "early"):
        crew.out(name, "parallel")
    assert crew.pick(max_parallel_requests=5) == "early"


orders = st.sampled_from([None, 0, 1, 2])
moves = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["join", "leave", "out", "back"]), orders),
    max_size=40,
)


@settings(deadline=None, max_examples=80)
@given(moves, st.sampled_from(STRATEGIES), st.frozensets(st.sampled_from("abcdef"), max_size=2))
def test_the_order_is_that_of_a_scan(crew, script, strategy, failed):
    crew = crew(strategy)
    known, up = {}, set()
    for name, what, order in script:
        if what == "join":
            crew.join(name, order=order)
            known[name] = order
            up.add(name)
        elif name in known:
            {"leave": crew.leave, "out": crew.out, "back": crew.back}[what](name)
            if what == "leave":
                del known[name]
            (up.add if what == "back" else up.discard)(name)
        picked = crew.ask(exclude=failed)
        able = up - failed
        if not able:
            assert not isinstance(picked, Picked)
            continue
        place = {n: (known[n] is None, known[n] or 0) for n in known}
        best = min(place[n] for n in able)
        assert picked.candidate.id in {n for n in able if place[n] == best}
        decision = picked.decision
        later = {n for n in up if place[n] > best}
        told = {item.deployment_id for item in decision.left_out if item.reason == "order"}
        assert told == later
        same = [n for n in able if place[n] == best]
        assert decision.eligible == len(same)
        assert set(decision.candidates) == set(same)
        assert decision.eligible + len(decision.left_out) == len(known)


def test_a_router_keeps_to_the_order_and_comes_back_to_it(town):
    town = town(
        {"first": {"group": "gpt-4", "order": 1}, "second": {"group": "gpt-4", "order": 2}},
        {"first": [500]},
        allowed_fails=0,
        cooldown_time=5,
        num_retries=1,
    )
    route = town.ask().route
    assert [row.deployment_id for row in route.attempts] == ["first", "second"]
    assert town.ask().route.deployment_id == "second"
    town.clock.advance(5)
    assert town.ask().route.deployment_id == "first"
