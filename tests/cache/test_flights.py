"""Who leads and who follows, whatever order they come and go in."""

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.cache.flights import Flights

steps = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "fail", "land"]), st.sampled_from("ab"), st.integers(0, 9)),
    max_size=80,
)


@given(steps)
def test_while_anybody_waits_somebody_leads_and_nobody_is_forgotten(steps):
    flights = Flights()
    leads, waits = {}, {}
    number = 0
    for what, key, pick in steps:
        if what == "join":
            number += 1
            name = f"{key}{number}"
            led = flights.join(key, name)
            assert led == (not leads.get(key))
            (leads if led else waits).setdefault(key, []).append(name)
        elif what == "land":
            assert flights.land(key) == waits.pop(key, [])
            leads.pop(key, None)
        else:
            everybody = leads.get(key, []) + waits.get(key, [])
            if not everybody:
                continue
            name = everybody[pick % len(everybody)]
            promoted = flights.leave(name, failed=what == "fail")
            for group in (leads.get(key, []), waits.get(key, [])):
                if name in group:
                    group.remove(name)
            assert promoted == waits.get(key, [])[: len(promoted)]
            waits[key] = waits.get(key, [])[len(promoted) :]
            leads[key] = leads.get(key, []) + promoted
        for some in "ab":
            assert leads.get(some) or not waits.get(some), "someone waits for nobody"
            assert all(name in flights for name in leads.get(some, []) + waits.get(some, []))
    assert len(flights) == sum(bool(names) for names in leads.values())


def test_one_that_left_is_followed_by_one_and_one_that_failed_by_twice_as_many():
    flights = Flights()
    for name in "abcdefgh":
        flights.join("key", name)
    assert flights.leave("a", failed=False) == ["b"]
    assert flights.leave("b", failed=True) == ["c", "d"]
    assert flights.leave("c", failed=True) == ["e", "f", "g"]
    assert flights.leave("e", failed=False) == ["h"]


def test_a_stranger_who_leaves_is_no_error():
    assert Flights().leave("nobody", failed=True) == []
