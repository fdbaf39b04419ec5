"""The waiting room against a list that is sorted anew each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.model_group.waiting_room import WaitingRoom
from turnout.messages.commands import Assign, Call
from turnout.messages.outcomes import Demand


def waiting(call_id, priority=0, deadline=100.0):
    return Assign(Call(call_id, call_id, 1, None, Demand(1), deadline), wait=True, priority=priority)


def line(room):
    return [room[place].assign.call.call_id for place in range(len(room))]


steps = st.one_of(
    st.tuples(st.just("join"), st.integers(0, 2), st.integers(1, 3)),
    st.tuples(st.just("withdraw"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 3), st.just(0)),
)


@given(st.lists(steps, max_size=80))
def test_calls_leave_by_priority_then_deadline_then_arrival(script):
    room, model, arrivals = WaitingRoom(max_queue=12), [], 0
    for what, one, two in script:
        if what == "join":
            arrivals += 1
            name = f"c{arrivals}"
            assert room.join(waiting(name, one, float(two))) is (len(model) < 12)
            if len(model) < 12:
                model.append((one, two, arrivals, name))
        elif what == "withdraw":
            left = [entry for entry in model if entry[3] != f"c{one}"]
            assert room.withdraw(f"c{one}") is (len(left) < len(model))
            model = left
        elif one < len(model):
            room.leave(one)
            model.remove(sorted(model)[one])
        assert len(room) == len(model)
        assert line(room) == [entry[3] for entry in sorted(model)]


def test_a_full_room_takes_nobody_until_one_leaves():
    room = WaitingRoom(max_queue=2)
    assert [room.join(waiting(c)) for c in "abc"] == [True, True, False]
    assert room.full
    room.withdraw("a")
    assert room.join(waiting("c"))
    assert line(room) == ["b", "c"]


def test_a_call_waits_once_even_in_a_full_room():
    room = WaitingRoom(max_queue=2)
    for call, priority in (("a", 0), ("b", 1), ("a", 2)):
        assert room.join(waiting(call, priority))
    assert line(room) == ["b", "a"]


def test_withdrawn_calls_do_not_pile_up():
    room = WaitingRoom()
    for number in range(10_000):
        room.join(waiting(f"c{number}"))
        room.withdraw(f"c{number}")
    for number in range(1000):
        room.join(waiting("again", number))
    assert line(room) == ["again"]
    assert len(room._by_call) == 1


def test_taking_some_leaves_the_others_in_their_order():
    room = WaitingRoom()
    for number, call in enumerate("abcd"):
        room.join(waiting(call, priority=-number))
    taken = room.take(lambda each: each.assign.call.call_id in "ad")
    assert [each.assign.call.call_id for each in taken] == ["d", "a"]
    assert line(room) == ["c", "b"]


def test_a_call_put_back_keeps_its_place():
    room = WaitingRoom()
    for call in "ab":
        room.join(waiting(call))
    first = room[0]
    room.leave(0)
    room.join(waiting("c"))
    room.put_back(first)
    assert line(room) == ["a", "b", "c"]
    assert room.withdraw("a")
