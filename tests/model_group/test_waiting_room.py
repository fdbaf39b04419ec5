"""The waiting room against a list that is sorted anew each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.model_group.waiting_room import MAX_GARBAGE, WaitingRoom
from turnout.messages.commands import Assign, Call
from turnout.messages.outcomes import Demand


def waiting(call_id, priority=0, deadline=100.0):
    return Assign(Call(call_id, call_id, 1, None, Demand(1), deadline), wait=True, priority=priority)


def drain(room):
    order = []
    while (taken := room.pop()) is not None:
        order.append(taken.assign.call.call_id)
    return order


steps = st.one_of(
    st.tuples(st.just("join"), st.integers(0, 2), st.integers(1, 3)),
    st.tuples(st.just("withdraw"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("pop"), st.just(0), st.just(0)),
    st.tuples(st.just("look"), st.integers(1, 3), st.just(0)),
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
        elif what == "pop":
            taken = room.pop()
            assert (taken and taken.assign.call.call_id) == (min(model)[3] if model else None)
            model = sorted(model)[1:]
        else:
            seen = [entry for _ in range(one) if (entry := room.pop()) is not None]
            for entry in seen:
                room.put_back(entry)
        assert len(room) == len(model)
    assert drain(room) == [entry[3] for entry in sorted(model)]


def test_a_full_room_takes_nobody_until_one_leaves():
    room = WaitingRoom(max_queue=2)
    assert [room.join(waiting(c)) for c in "abc"] == [True, True, False]
    assert room.full
    room.withdraw("a")
    assert room.join(waiting("c"))
    assert drain(room) == ["b", "c"]


def test_a_call_waits_once_even_in_a_full_room():
    room = WaitingRoom(max_queue=2)
    for call, priority in (("a", 0), ("b", 1), ("a", 2)):
        assert room.join(waiting(call, priority))
    assert drain(room) == ["b", "a"]


def test_withdrawn_calls_do_not_pile_up():
    room = WaitingRoom()
    for number in range(10_000):
        room.join(waiting(f"c{number}"))
        room.withdraw(f"c{number}")
    for number in range(1000):
        room.join(waiting("again", number))
    assert len(room) == 1
    assert len(room._heap) <= MAX_GARBAGE + 3


def test_a_call_put_back_keeps_its_place():
    room = WaitingRoom()
    for call in "ab":
        room.join(waiting(call))
    first = room.pop()
    room.join(waiting("c"))
    room.put_back(first)
    assert drain(room) == ["a", "b", "c"]
