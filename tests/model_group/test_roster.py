"""The roster: who is eligible, who is picked, and what is said of the rest. Pure."""

from __future__ import annotations

import random

import pytest

from turnout.actors.model_group.left_out import MIN_WAIT_SECONDS
from turnout.actors.model_group.roster import NonePicked, Picked, Roster
from turnout.actors.model_group.views import MAX_OTHER_STRATEGIES
from turnout.messages.commands import UNLIMITED
from turnout.messages.errors import ConfigurationError
from turnout.messages.outcomes import MAX_CANDIDATES, MAX_LEFT_OUT, Demand, LeftOut

NOW = 1_000_000.0
RNG = random.Random(1)


@pytest.fixture
def roster(make):
    return Roster("gpt-4", make.First(), make.First)


def fill(roster, make, *names, limits=None, **facts):
    for name in names:
        roster.add(make.deployment(name, **(limits or {})), make.status(name, **facts), object(), NOW)


def take(roster, assign, now=NOW):
    """Pick and count, as the actor does."""
    picked = roster.pick(assign, now, RNG)
    assert isinstance(picked, Picked), picked
    roster.started(picked.candidate, assign.call.demand, now)
    return picked.candidate.id


def none(roster, assign, now=NOW):
    picked = roster.pick(assign, now, RNG)
    assert isinstance(picked, NonePicked), picked
    return picked


def cooling(name, until=None):
    return LeftOut(name, "cooling_down", until)


# -- counting


def test_a_pick_counts_before_the_deployment_has_heard_of_it(roster, make):
    fill(roster, make, "a", open=2, capacity=5, tokens_used=100)
    take(roster, make.assign(tokens=30, output=20))
    a = roster["a"]
    assert (a.open, a.capacity, a.tokens_used) == (3, 4, 150)


def test_a_status_is_believed_plus_what_is_still_on_the_way(roster, make):
    fill(roster, make, "a", capacity=5)
    for tokens in (10, 20, 30):
        take(roster, make.assign(tokens=tokens))
    roster.apply(make.status("a", seen=2, open=1, capacity=4, tokens_used=7), NOW)
    a = roster["a"]
    assert (a.open, a.capacity, a.tokens_used) == (2, 3, 37)
    roster.apply(make.status("a", seen=3, open=0, capacity=5, tokens_used=7), NOW)
    assert (a.open, a.capacity, a.tokens_used) == (0, 5, 7)


def test_a_demand_without_a_maximum_counts_the_learned_mean(roster, make):
    fill(roster, make, "a", mean_output=50)
    take(roster, make.assign(tokens=10, output=None))
    assert roster["a"].tokens_used == 60


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_parallel_requests": 2}, "parallel"),
        ({"rpm": 2}, "rpm"),
        ({"rpm": 2, "max_parallel_requests": 9}, "rpm"),
        ({"rpm": 9, "max_parallel_requests": 2}, "parallel"),
        ({}, "parallel"),
    ],
)
def test_a_candidate_whose_capacity_is_used_up_names_the_limit_that_binds(roster, make, limits, reason):
    fill(roster, make, "a", limits=limits, capacity=2)
    for _ in range(2):
        take(roster, make.assign())
    assert [i.reason for i in none(roster, make.assign()).left_out] == [reason]
    assert [i.reason for i in roster.left_out_at(NOW)] == [reason]


def test_the_word_of_the_deployment_beats_our_guess(roster, make):
    fill(roster, make, "a", limits={"rpm": 1}, capacity=1)
    take(roster, make.assign())
    roster.apply(make.status("a", seen=1, open=1, capacity=0, blocked=LeftOut("a", "rpm", NOW + 60)), NOW)
    assert none(roster, make.assign()).earliest == NOW + 60


# -- releases


def test_a_half_open_candidate_is_given_one_probe(roster, make):
    fill(roster, make, "a", capacity=0, blocked=cooling("a", NOW + 5))
    none(roster, make.assign(), NOW + 4.9)
    assert take(roster, make.assign(), NOW + 5) == "a"
    refused = none(roster, make.assign(), NOW + 5)
    assert refused.left_out == (cooling("a"),)
    assert refused.earliest is None
    assert refused.unknown


def test_a_candidate_that_proved_itself_is_not_probing_any_more(roster, make):
    fill(roster, make, "a", capacity=0, blocked=cooling("a", NOW + 5))
    take(roster, make.assign(), NOW + 5)
    roster.apply(make.status("a", seen=1, capacity=1), NOW + 6)
    take(roster, make.assign(), NOW + 6)
    assert [i.reason for i in none(roster, make.assign(), NOW + 6).left_out] == ["parallel"]


def test_a_late_word_of_an_old_call_gives_no_second_probe(roster, make):
    fill(roster, make, "a", capacity=0, blocked=cooling("a", NOW + 5))
    take(roster, make.assign(), NOW + 5)
    roster.apply(make.status("a", seen=0, open=0, capacity=1), NOW + 5)
    none(roster, make.assign(), NOW + 5)


def test_a_released_candidate_is_presumed_to_have_its_whole_limit(roster, make):
    fill(roster, make, "a", limits={"rpm": 3}, capacity=0, blocked=LeftOut("a", "rpm", NOW + 5))
    for _ in range(3):
        take(roster, make.assign(), NOW + 5)
    none(roster, make.assign(), NOW + 5)


def test_a_release_does_not_forget_the_calls_that_are_open(roster, make):
    limits = {"rpm": 9, "max_parallel_requests": 2}
    fill(roster, make, "a", limits=limits, open=2, capacity=0, blocked=LeftOut("a", "rpm", NOW + 5))
    assert [i.reason for i in none(roster, make.assign(), NOW + 5).left_out] == ["parallel"]


def test_a_release_that_is_past_when_it_is_heard_of_does_not_spin(roster, make):
    fill(roster, make, "a")
    roster.apply(make.status("a", capacity=0, blocked=cooling("a", NOW - 1e-9)), NOW)
    assert none(roster, make.assign(), NOW).earliest == NOW + MIN_WAIT_SECONDS
    take(roster, make.assign(), NOW + MIN_WAIT_SECONDS)


def test_the_earliest_release_is_the_first_of_all(roster, make):
    for name, until in (("a", NOW + 9), ("b", NOW + 3), ("c", None)):
        fill(roster, make, name, capacity=0, blocked=cooling(name, until))
    picked = none(roster, make.assign())
    assert picked.earliest == NOW + 3
    assert picked.can_end_before(NOW + 1), "nobody knows when c is free"
    roster.remove("c", NOW)
    assert not none(roster, make.assign()).can_end_before(NOW + 3)
    assert none(roster, make.assign()).can_end_before(NOW + 3.1)


def test_the_release_of_a_deployment_that_is_never_taken_is_no_hope(roster, make):
    fill(roster, make, "a", capacity=0, blocked=cooling("a", NOW + 3))
    fill(roster, make, "b", capacity=0, blocked=cooling("b", NOW + 9))
    assert none(roster, make.assign(never=["a"])).earliest == NOW + 9
    assert none(roster, make.assign()).earliest == NOW + 3
    assert none(roster, make.assign(never=["a", "b"])).hopeless


# -- tokens


def test_a_request_larger_than_what_is_left_waits_for_tokens_to_leave_the_window(roster, make):
    facts = {"tokens_left": 100, "tokens_until": NOW + 7}
    fill(roster, make, "a", limits={"tpm": 1000}, **facts)
    big = make.assign(tokens=90, output=11)
    picked = none(roster, big)
    assert picked.left_out == (LeftOut("a", "tpm", NOW + 7, 101, 100),)
    assert picked.earliest == NOW + 7
    assert take(roster, make.assign(tokens=90, output=10)) == "a"
    assert take(roster, big, NOW + 7) == "a", "from then on only the deployment knows"


def test_tokens_on_the_way_are_not_left(roster, make):
    fill(roster, make, "a", limits={"tpm": 1000}, tokens_left=100, tokens_until=NOW + 7)
    take(roster, make.assign(tokens=60))
    assert none(roster, make.assign(tokens=60)).left_out == (LeftOut("a", "tpm", NOW + 7, 60, 40),)


def test_a_demand_larger_than_the_tpm_never_fits(roster, make):
    fill(roster, make, "a", limits={"tpm": 1000}, tokens_left=1000)
    picked = none(roster, make.assign(tokens=1001))
    assert picked.left_out == (LeftOut("a", "tpm", None, 1001, 1000),)
    assert picked.hopeless
    assert not picked.can_end_before(NOW + 1e9)


def test_one_who_may_come_back_is_hope_enough(roster, make):
    fill(roster, make, "a", limits={"tpm": 1000}, tokens_left=1000)
    fill(roster, make, "b", capacity=0, blocked=cooling("b"))
    picked = none(roster, make.assign(tokens=1001))
    assert not picked.hopeless
    assert picked.can_end_before(NOW + 1)


def test_a_refusal_for_tokens_that_are_due_is_not_asked_again_at_once(roster, make):
    fill(roster, make, "a", limits={"tpm": 1000}, tokens_left=5, tokens_until=NOW)
    roster.apply(make.status("a", tokens_left=5, tokens_until=NOW), NOW)
    assert none(roster, make.assign(tokens=10)).earliest == NOW + MIN_WAIT_SECONDS


def test_a_request_may_allow_fewer_open_calls_than_the_deployment(roster, make):
    request = make.assign().call.request.overridden({"max_parallel_requests": 1})
    fill(roster, make, "a", "b", limits={"max_parallel_requests": 9}, capacity=9)
    assert [take(roster, make.assign(request=request)) for _ in range(2)] == ["a", "b"]
    assert none(roster, make.assign(request=request)).left_out[0] == LeftOut("a", "parallel", None, 2, 1)
    take(roster, make.assign())


# -- what the request has been through


def test_one_that_failed_is_not_taken_while_another_is_eligible(roster, make):
    fill(roster, make, "a", "b")
    picked = roster.pick(make.assign(exclude=["a"], repeat=True), NOW, RNG)
    assert picked.candidate.id == "b"
    assert picked.decision.left_out == (LeftOut("a", "failed_in_this_request"),)
    assert picked.decision.eligible == 1


def test_one_that_failed_is_taken_again_only_when_asked_to(roster, make):
    fill(roster, make, "a", "b")
    picked = none(roster, make.assign(exclude=["b", "a"]))
    assert picked.repeatable
    assert [i.deployment_id for i in picked.left_out] == ["a", "b"]
    assert take(roster, make.assign(exclude=["a", "b"], repeat=True)) == "a"


def test_one_that_failed_and_is_not_eligible_is_not_repeatable(roster, make):
    fill(roster, make, "a", capacity=0, blocked=cooling("a", NOW + 1))
    assert not none(roster, make.assign(exclude=["a"])).repeatable


def test_one_that_is_never_to_be_taken_is_not_repeatable(roster, make):
    fill(roster, make, "a")
    for repeat in (False, True):
        picked = none(roster, make.assign(exclude=["a"], never=["a"], repeat=repeat))
        assert (picked.repeatable, picked.hopeless) == (False, True)


def test_one_that_refused_this_call_is_passed_over_for_its_own_reason(roster, make):
    fill(roster, make, "a", "b")
    reason = LeftOut("a", "rpm", NOW + 5)
    assign = make.assign(left_out=(reason,))
    picked = roster.pick(assign, NOW, RNG)
    assert (picked.candidate.id, picked.decision.left_out) == ("b", (reason,))
    roster.remove("b", NOW)
    assert none(roster, assign).earliest == NOW + 5


def test_the_named_deployment_is_taken_or_none(roster, make):
    fill(roster, make, "a", "b")
    fill(roster, make, "c", capacity=0, blocked=cooling("c", NOW + 5))
    picked = roster.pick(make.assign(only="b"), NOW, RNG)
    assert (picked.candidate.id, picked.decision.eligible) == ("b", 1)
    picked = none(roster, make.assign(only="c"))
    assert (picked.left_out, picked.earliest) == ((cooling("c", NOW + 5),), NOW + 5)
    assert none(roster, make.assign(only="x")).left_out == (LeftOut("x", "removed"),)


def test_the_named_deployment_skips_no_limit(roster, make):
    fill(roster, make, "a", limits={"tpm": 10}, tokens_left=10)
    assert none(roster, make.assign(only="a", tokens=11)).hopeless
    assert none(roster, make.assign(only="a", exclude=["a"])).repeatable
    assert take(roster, make.assign(only="a", exclude=["a"], repeat=True)) == "a"
    assert none(roster, make.assign(only="a", never=["a"], repeat=True)).hopeless


# -- the record


def test_the_record_names_32_and_counts_the_rest(roster, make):
    fill(roster, make, "ok")
    for number in range(40):
        name = f"d{number}"
        reason = "rpm" if number % 2 else "cooling_down"
        fill(roster, make, name, capacity=0, blocked=LeftOut(name, reason, NOW + 5))
    decision = roster.pick(make.assign(), NOW, RNG).decision
    assert [i.deployment_id for i in decision.left_out] == [f"d{n}" for n in range(MAX_LEFT_OUT)]
    assert decision.left_out_by_reason == {"cooling_down": 4, "rpm": 4}
    assert decision.eligible == 1


def test_what_the_request_rules_out_comes_first_in_the_record(roster, make):
    fill(roster, make, "z", "ok")
    for number in range(MAX_LEFT_OUT):
        fill(roster, make, f"d{number}", capacity=0, blocked=cooling(f"d{number}", NOW + 5))
    decision = roster.pick(make.assign(exclude=["z"]), NOW, RNG).decision
    assert decision.left_out[0] == LeftOut("z", "failed_in_this_request")
    assert len(decision.left_out) == MAX_LEFT_OUT
    assert decision.left_out_by_reason == {"cooling_down": 1}


def test_many_that_are_too_small_are_counted_not_listed(roster, make):
    for number in range(100):
        fill(roster, make, f"d{number}", limits={"tpm": 10}, tokens_left=10)
    picked = none(roster, make.assign(tokens=11))
    assert len(picked.left_out) == MAX_LEFT_OUT
    assert picked.more == {"tpm": 100 - MAX_LEFT_OUT}
    assert picked.hopeless


def test_a_pick_looks_at_nobody_who_is_left_out(make):
    strategy = make.First()
    roster = Roster("gpt-4", strategy, make.First)
    for number in range(2000):
        name = f"d{number}"
        fill(roster, make, name, capacity=0, blocked=cooling(name, NOW + 5 + number))
    fill(roster, make, "ok")
    first = roster.pick(make.assign(), NOW, RNG).decision
    second = roster.pick(make.assign(exclude=["x"]), NOW, RNG).decision
    assert strategy.asked == 2
    assert first.left_out is second.left_out, "summed up once"
    roster.remove("ok", NOW)
    assert none(roster, make.assign()).earliest == NOW + 5
    assert strategy.asked == 2


def test_a_record_does_not_change_when_the_group_does(roster, make):
    fill(roster, make, "ok")
    for number in range(MAX_LEFT_OUT + 1):
        fill(roster, make, f"d{number}", capacity=0, blocked=cooling(f"d{number}", NOW + 5))
    decision = roster.pick(make.assign(), NOW, RNG).decision
    roster.remove("d0", NOW)
    assert (len(decision.left_out), decision.left_out_by_reason) == (MAX_LEFT_OUT, {"cooling_down": 1})
    later = roster.pick(make.assign(), NOW, RNG).decision
    assert (later.left_out[0].deployment_id, later.left_out_by_reason) == ("d1", {})


# -- strategies that requests name


def test_a_strategy_that_a_request_names_is_built_once_and_kept_current(make):
    built = []

    def build(name):
        built.append(make.First(name))
        return built[-1]

    roster = Roster("gpt-4", make.First(), build)
    fill(roster, make, "a", "b", capacity=1)
    fill(roster, make, "c", capacity=0, blocked=cooling("c"))
    picked = roster.pick(make.assign(strategy="other"), NOW, RNG)
    assert picked.decision.strategy == "other"
    assert take(roster, make.assign(), NOW) == "a"
    assert take(roster, make.assign(strategy="other"), NOW) == "b"
    roster.apply(make.status("c", capacity=1), NOW)
    assert list(built[0].index) == ["c"]
    assert built[0].starts == [("a", 10), ("b", 10)]
    assert len(built) == 1


def test_the_default_strategy_is_not_built_again_for_a_request_that_names_it(make):
    def build(name):
        pytest.fail(f"built {name}")

    roster = Roster("gpt-4", make.First(), build)
    fill(roster, make, "a")
    take(roster, make.assign(strategy="first"))


def test_only_so_many_strategies_are_kept(roster, make):
    fill(roster, make, "a")
    for number in range(MAX_OTHER_STRATEGIES + 5):
        take(roster, make.assign(strategy=f"s{number}"))
    assert len(roster._views.base.strategies) == 1 + MAX_OTHER_STRATEGIES


def test_a_strategy_nobody_knows_leaves_the_roster_as_it_was(make):
    def build(name):
        raise ConfigurationError(name)

    roster = Roster("gpt-4", make.First(), build)
    fill(roster, make, "a")
    with pytest.raises(ConfigurationError):
        roster.pick(make.assign(strategy="x"), NOW, RNG)
    take(roster, make.assign())


# -- members


def test_a_restarted_deployment_has_nothing_on_its_way(roster, make):
    fill(roster, make, "a", capacity=2)
    take(roster, make.assign())
    fill(roster, make, "a", capacity=2)
    assert (roster["a"].open, roster["a"].capacity, len(roster)) == (0, 2, 1)


def test_a_deployment_that_only_says_hello_again_keeps_what_is_on_its_way(roster, make):
    ref, a = object(), make.deployment("a")
    roster.add(a, make.status("a", seen=40, capacity=5), ref, NOW)
    take(roster, make.assign())
    roster.add(a, make.status("a", seen=40, capacity=5), ref, NOW)
    assert (roster["a"].open, roster["a"].capacity) == (1, 4)


def test_an_unreachable_one_is_out_until_it_joins_again(roster, make):
    fill(roster, make, "a")
    roster.unreachable(roster["a"])
    assert none(roster, make.assign()).left_out == (LeftOut("a", "unhealthy"),)
    fill(roster, make, "a")
    take(roster, make.assign())


def test_news_of_a_stranger_is_no_error(roster, make):
    roster.apply(make.status("gone"), NOW)
    roster.remove("gone", NOW)
    picked = none(roster, make.assign())
    assert (picked.left_out, picked.hopeless, picked.can_end_before(NOW + 1)) == ((), False, True)


def test_an_unlimited_candidate_never_runs_out(roster, make):
    fill(roster, make, "a")
    for _ in range(1000):
        take(roster, make.assign())
    assert roster["a"].capacity == UNLIMITED - 1000


def test_tokens_under_way_are_forgotten_as_they_are_seen(roster, make):
    fill(roster, make, "a")
    for _ in range(100):
        roster.started(roster["a"], Demand(5, 0), NOW)
    roster.apply(make.status("a", seen=100, open=100), NOW)
    assert len(roster["a"].mirror.under_way) == 0
    assert roster["a"].tokens_used == 0


def test_a_decision_names_those_it_chose_from_and_not_those_that_are_out(roster, make):
    fill(roster, make, "a", "b", "c", "d")
    roster.apply(make.status("b", capacity=0, blocked=cooling("b", NOW + 5)), NOW)
    assert roster.pick(make.assign(), NOW, RNG).decision.candidates == ("a", "c", "d")
    assert roster.pick(make.assign(exclude={"c"}), NOW, RNG).decision.candidates == ("a", "d")
    assert roster.pick(make.assign(), NOW + 6, RNG).decision.candidates == ("a", "b", "c", "d")


def test_a_decision_names_nobody_where_there_are_too_many_to_name(roster, make):
    fill(roster, make, *(f"d{number}" for number in range(MAX_CANDIDATES)))
    assert len(roster.pick(make.assign(), NOW, RNG).decision.candidates) == MAX_CANDIDATES
    fill(roster, make, "one more")
    decision = roster.pick(make.assign(), NOW, RNG).decision
    assert (decision.eligible, decision.candidates) == (MAX_CANDIDATES + 1, ())
