"""The ModelGroup actor among fakes: it places, picks again, lets wait, and tells the Supervisor."""

from __future__ import annotations

import pytest

from turnout.actors.model_group.actor import LOOK_AHEAD
from turnout.messages.commands import (
    ActorCrashed,
    Assigned,
    CallRefused,
    Queued,
    RemoveMember,
    Unassigned,
    Withdraw,
)
from turnout.messages.outcomes import LeftOut

ONE = {"max_parallel_requests": 1}
FULL = {"open": 1, "capacity": 0}
FREE = {"open": 0, "capacity": 1}


def busy(name):
    """A member whose only slot is taken."""
    return (name, ONE, {**FULL, "blocked": LeftOut(name, "parallel")})


def cooling(name, until):
    return (name, {}, {"capacity": 0, "blocked": LeftOut(name, "cooling_down", until)})


# -- placing


def test_a_burst_of_nine_spreads_over_three_deployments(house, make):
    house.open("a", "b", "c")
    house.tell(*(make.assign(f"r{n}.1") for n in range(9)))
    assert [len(house.calls(name)) for name in "abc"] == [3, 3, 3]
    assert house.fates() == [(f"r{n}.1", "assigned") for n in range(9)]


def test_the_supervisor_hears_the_decision(house, make):
    house.open("a", cooling("b", make.START + 5), strategy="simple-shuffle")
    house.tell(make.assign())
    (assigned,) = house.heard(Assigned)
    decision = assigned.decision
    assert (decision.group, decision.strategy, decision.deployment_id) == ("gpt-4", "simple-shuffle", "a")
    assert decision.left_out == (LeftOut("b", "cooling_down", make.START + 5),)


def test_a_refusal_picks_again_without_the_one_that_refused(house, make):
    house.open("a", "b")
    for name in "ab":
        house.actor(name).refusals.append((LeftOut(name, "rpm", make.START + 9), {}))
    house.tell(make.assign())
    assert house.fates() == [("r.1", "assigned"), ("r.1", "assigned"), ("r.1", "unassigned")]
    (unassigned,) = house.heard(Unassigned)
    assert {item.deployment_id: item.reason for item in unassigned.left_out} == {"a": "rpm", "b": "rpm"}
    assert unassigned.earliest == make.START + 9


def test_a_refusal_corrects_the_roster(house, make):
    house.open("a", "b")
    blocked = LeftOut("a", "cooling_down", make.START + 5)
    house.actor("a").refusals.append((blocked, {"capacity": 0, "blocked": blocked}))
    house.tell(*(make.assign(f"r{n}.1") for n in range(4)))
    house.tell(*(make.assign(f"s{n}.1") for n in range(4)))
    assert house.line() == "<ModelGroup gpt-4 · 1 of 2 eligible · 0 waiting>"
    assert len(house.calls("a")) + len(house.calls("b")) == 8


def test_a_dead_deployment_is_passed_over_until_it_is_back(house, make):
    house.open("a", "b")
    house.deployments["a"].stop(block=False)
    house.dispatcher.run_now()
    house.tell(*(make.assign(f"r{n}.1") for n in range(4)))
    assert len(house.calls("b")) == 4
    assert house.inspect()["left_out_by_reason"] == {"unhealthy": 1}
    house.join("a")
    house.tell(make.assign("s.1"))
    assert house.calls("a") == ["s.1"]


def test_nobody_at_all_is_said_at_once(house, make):
    house.open()
    house.tell(make.assign())
    (unassigned,) = house.heard(Unassigned)
    assert (unassigned.group, unassigned.left_out, unassigned.earliest) == ("gpt-4", (), None)


def test_one_that_failed_is_offered_for_repetition(house, make):
    house.open("a")
    house.tell(make.assign(exclude=["a"]), make.assign(exclude=["a"], repeat=True))
    assert house.heard(Unassigned)[0].repeatable
    assert house.calls("a") == ["r.1"]


def test_a_strategy_nobody_knows_is_a_problem_of_the_request_alone(house, make):
    house.open("a")
    house.tell(make.assign("r.1", strategy="lest-busy"), make.assign("s.1"))
    assert house.fates() == [("r.1", "unassigned"), ("s.1", "assigned")]
    assert "lest-busy" in house.heard(Unassigned)[0].problem


def test_a_users_strategy_that_raises_is_a_problem_of_the_request_alone(house, make):
    class Broken:
        def pick(self, candidates, request, rng):
            raise ZeroDivisionError

    house.open("a", strategy=Broken())
    house.tell(make.assign())
    assert "Broken" in house.heard(Unassigned)[0].problem
    assert house.group.is_alive()


# -- half-open


def test_half_open_gives_one_probe(house, make):
    house.open(cooling("a", make.START + 5))
    house.clock.advance(5)
    house.tell(*(make.assign(f"r{n}.1") for n in range(3)))
    assert house.calls("a") == ["r0.1"]
    assert house.fates()[1:] == [("r1.1", "unassigned"), ("r2.1", "unassigned")]


def test_after_a_good_probe_all_may_come(house, make):
    house.open(cooling("a", make.START + 5))
    house.tell(*(make.assign(f"r{n}.1", wait=True) for n in range(3)))
    house.clock.advance(5)
    assert house.calls("a") == ["r0.1"]
    house.say("a", open=0, capacity=100, blocked=None)
    assert house.calls("a") == ["r0.1", "r1.1", "r2.1"]


# -- waiting


def test_a_freed_slot_wakes_the_first_that_waits(house, make):
    house.open(busy("a"))
    house.tell(make.assign("r.1", wait=True), make.assign("s.1", wait=True))
    assert house.fates() == [("r.1", "queued"), ("s.1", "queued")]
    house.say("a", **FREE, blocked=None)
    assert house.calls("a") == ["r.1"]
    assert house.line() == "<ModelGroup gpt-4 · 0 of 1 eligible · 1 waiting>"


def test_waiting_for_a_slot_sets_no_timer(house, make):
    house.open(busy("a"))
    house.tell(make.assign("r.1", wait=True))
    assert house.clock.next_timer() is None


def test_the_clock_wakes_those_that_wait_once_and_does_not_poll(house, make):
    house.open(cooling("a", make.START + 5))
    house.tell(make.assign("r.1", wait=True))
    assert house.heard(Queued)[0].until == make.START + 5
    assert house.clock.next_timer() == make.START + 5
    house.clock.advance(4.999)
    assert house.calls("a") == []
    house.clock.step()
    assert house.calls("a") == ["r.1"]
    assert house.clock.next_timer() is None


def test_the_timer_follows_the_news(house, make):
    house.open(cooling("a", make.START + 5))
    house.tell(make.assign("r.1", wait=True))
    for until in (make.START + 50, make.START + 2):
        house.say("a", blocked=LeftOut("a", "cooling_down", until))
        assert house.clock.next_timer() == until
    house.say("a", blocked=LeftOut("a", "cooling_down"))
    assert house.clock.next_timer() is None


def test_the_last_to_leave_the_room_takes_the_timer_along(house, make):
    house.open(cooling("a", make.START + 5))
    house.tell(make.assign("r.1", wait=True))
    house.tell(Withdraw("r.1"))
    assert house.clock.next_timer() is None
    house.clock.advance(10)
    assert house.calls("a") == []


def test_tokens_that_leave_the_window_wake_who_waits_for_them(house, make):
    tokens = {"tokens_left": 10, "tokens_until": make.START + 7}
    house.open(("a", {"tpm": 100}, tokens))
    house.tell(make.assign("r.1", tokens=50, wait=True), make.assign("s.1", tokens=5, wait=True))
    assert house.calls("a") == ["s.1"], "a call that fits is not held up by one that does not"
    assert house.clock.next_timer() == make.START + 7
    house.clock.step()
    assert house.calls("a") == ["s.1", "r.1"]


def test_priority_then_deadline_then_arrival(house, make):
    house.open(busy("a"))
    for name, how in {
        "late": {"deadline": make.START + 90},
        "first": {"deadline": make.START + 50},
        "second": {"deadline": make.START + 50},
        "urgent": {"priority": -1, "deadline": make.START + 99},
        "idle": {"priority": 5, "deadline": make.START + 10},
    }.items():
        house.tell(make.assign(f"{name}.1", wait=True, **how))
    for _ in range(5):
        house.say("a", **FREE, blocked=None)
    assert [call.split(".")[0] for call in house.calls("a")] == ["urgent", "first", "second", "late", "idle"]


def test_a_withdrawn_call_is_not_placed(house, make):
    house.open(busy("a"))
    house.tell(make.assign("r.1", wait=True), make.assign("s.1", wait=True), Withdraw("r.1"))
    house.say("a", **FREE, blocked=None)
    assert house.calls("a") == ["s.1"]


def test_a_call_whose_deadline_has_passed_is_not_placed(house, make):
    house.open(busy("a"))
    house.tell(make.assign("r.1", wait=True, deadline=make.START + 1))
    house.clock.advance(1)
    house.say("a", **FREE, blocked=None)
    assert house.calls("a") == []
    assert house.line() == "<ModelGroup gpt-4 · 1 of 1 eligible · 0 waiting>"


def test_a_full_room_says_so(house, make):
    house.open(busy("a"), max_queue=2)
    house.tell(*(make.assign(f"r{n}.1", wait=True) for n in range(3)))
    assert house.fates() == [("r0.1", "queued"), ("r1.1", "queued"), ("r2.1", "unassigned")]
    assert house.heard(Unassigned)[0].full


def test_a_wait_that_cannot_end_before_the_deadline_is_refused_at_once(house, make):
    house.open(cooling("a", make.START + 5), cooling("b", make.START + 6))
    house.tell(make.assign("r.1", wait=True, deadline=make.START + 5))
    house.tell(make.assign("s.1", wait=True, deadline=make.START + 5.1))
    assert house.fates() == [("r.1", "unassigned"), ("s.1", "queued")]
    assert house.heard(Unassigned)[0].earliest == make.START + 5


def test_a_wait_that_may_end_at_any_time_is_not_refused(house, make):
    house.open(cooling("a", make.START + 50), busy("b"))
    house.tell(make.assign("r.1", wait=True, deadline=make.START + 5))
    assert house.fates() == [("r.1", "queued")]


def test_a_call_that_fits_nobody_ever_does_not_wait(house, make):
    house.open(("a", {"tpm": 100}, {"tokens_left": 100}))
    house.tell(make.assign("r.1", tokens=101, wait=True))
    assert house.fates() == [("r.1", "unassigned")]


def test_a_waiting_call_that_turns_out_to_fit_nobody_is_told(house, make):
    house.open(cooling("a", make.START + 5))
    house.tell(make.assign("r.1", tokens=101, wait=True))
    house.join("b", {"tpm": 100}, {"tokens_left": 100})
    house.tell(RemoveMember("a"))
    assert house.fates() == [("r.1", "queued"), ("r.1", "unassigned")]


def test_a_call_with_needs_of_its_own_holds_up_nobody(house, make):
    house.open(busy("a"), busy("b"))
    house.tell(make.assign("r.1", wait=True, only="a"), make.assign("s.1", wait=True))
    house.say("b", **FREE, blocked=None)
    assert house.calls("b") == ["s.1"]
    house.say("a", **FREE, blocked=None)
    assert house.calls("a") == ["r.1"]


def test_only_so_many_waiting_calls_are_tried_for_one_slot(house, make):
    house.open(busy("a"), busy("b"))
    house.tell(*(make.assign(f"r{n}.1", wait=True, only="a") for n in range(LOOK_AHEAD)))
    house.tell(make.assign("s.1", wait=True))
    house.say("b", **FREE, blocked=None)
    assert house.calls("b") == []
    house.tell(Withdraw("r0.1"))
    assert house.calls("b") == ["s.1"]


def test_a_new_call_does_not_overtake_those_beyond_the_look_ahead(house, make):
    house.open(busy("a"), busy("b"))
    house.tell(*(make.assign(f"r{n}.1", wait=True, only="a") for n in range(LOOK_AHEAD)))
    house.tell(make.assign("s.1", wait=True))
    house.say("b", **FREE, blocked=None)
    house.tell(make.assign("t.1", wait=True))
    assert house.fates()[-1] == ("t.1", "queued")
    house.tell(make.assign("u.1"))
    assert house.calls("b") == ["u.1"], "one that cannot wait takes what the room could not use"


@pytest.mark.parametrize("wait", [True, False])
def test_a_slot_that_comes_free_by_the_clock_goes_to_who_waits_not_to_who_comes(house, make, wait):
    house.open(cooling("a", make.START + 5))
    house.tell(make.assign("r.1", wait=True))
    house.clock._now = make.START + 5  # the time has come, and the new call is handled before the timer
    house.tell(make.assign("s.1", wait=wait, priority=-1))
    assert house.calls("a") == ["r.1"]


def test_those_who_wait_are_served_by_a_deployment_that_joins(house, make):
    house.open()
    house.tell(make.assign("r.1", wait=True))
    assert house.fates() == [("r.1", "queued")]
    house.join("a")
    house.dispatcher.run_now()
    assert house.calls("a") == ["r.1"]


def test_those_who_wait_go_on_waiting_when_the_last_deployment_leaves(house, make):
    house.open(busy("a"))
    house.tell(make.assign("r.1", wait=True), RemoveMember("a"))
    assert house.line() == "<ModelGroup gpt-4 · 0 of 0 eligible · 1 waiting>"
    house.join("b")
    house.dispatcher.run_now()
    assert house.calls("b") == ["r.1"]


def test_a_refused_call_waits_again_and_may_be_served_by_who_refused(house, make):
    house.open("a")
    blocked = LeftOut("a", "rpm", make.START + 5)
    house.actor("a").refusals.append((blocked, {"capacity": 0, "blocked": blocked}))
    house.tell(make.assign("r.1", wait=True))
    assert house.fates() == [("r.1", "assigned"), ("r.1", "queued")]
    house.clock.advance(5)
    assert house.calls("a") == ["r.1"]


def test_a_refusal_that_contradicts_the_status_does_not_go_round_in_circles(house, make):
    house.open("a")
    house.actor("a").refusals.extend([(LeftOut("a", "budget", sooner=True), {})] * 3)
    house.tell(make.assign("r.1", wait=True))
    house.tell(make.assign("s.1", wait=True))
    assert len(house.actor("a").refusals) == 1, "each asked once at this moment"
    house.clock.advance(1)
    assert sorted(house.calls("a")) == ["r.1", "s.1"]


# -- the end


def test_a_crash_is_told_and_leaves_no_timer(house, make):
    house.open(cooling("a", make.START + 5))
    house.tell(make.assign("r.1", wait=True))
    house.tell(make.assign("s.1", request=None))
    (crashed,) = house.heard(ActorCrashed)
    assert (crashed.role, crashed.name) == ("group", "gpt-4")
    assert house.clock.next_timer() is None


def test_a_refused_call_is_not_lost_with_its_group(house, make):
    house.open("a")
    refused = CallRefused(make.assign("r.1"), LeftOut("a", "rpm", make.START + 5), make.status("a"))
    house.group.tell(make.assign("s.1", request=None))
    house.group.tell(refused)
    house.dispatcher.run_now()
    (unassigned,) = house.heard(Unassigned)
    assert (unassigned.call_id, unassigned.stranded) == ("r.1", True)


def test_a_refused_call_that_kills_the_group_is_not_lost(house, make):
    house.open("a")
    house.tell(CallRefused(make.assign("r.1"), LeftOut("a", "rpm"), None))
    assert [type(m) for m in house.heard()] == [Unassigned, ActorCrashed]


def test_a_stopped_group_leaves_no_timer(house, make):
    house.open(cooling("a", make.START + 5))
    house.tell(make.assign("r.1", wait=True))
    house.group.stop(block=False)
    house.dispatcher.run_now()
    assert house.clock.next_timer() is None


def test_the_state_can_be_read(house, make):
    house.open("a", cooling("b", make.START + 4.25))
    house.tell(make.assign("r.1"))
    seen = house.inspect()
    assert seen["line"] == "<ModelGroup gpt-4 · 1 of 2 eligible · 0 waiting>"
    assert seen["lines"] == ["a · eligible · 1 open", "b · cooling_down 4.2s · 0 open"]
