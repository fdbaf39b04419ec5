"""Sticky sessions: weighted rendezvous hashing; a session moves only when its deployment is out."""

from __future__ import annotations

import hashlib
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import BadRequestError
from turnout.actors.model_group import rendezvous
from turnout.actors.model_group.rendezvous import MAX_LINE, MAX_SESSIONS, SHORTLIST
from turnout.messages.settings import STRATEGIES

NAMES = "abcdefgh"


def hashed(text):
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def by_scan(session, group, able):
    """Whom rendezvous hashing chooses: {name: (order, weight)} of all, and the names of who is able."""
    orders = {name: math.inf if order is None else order for name, (order, _) in group.items()}
    lowest = min(orders[name] for name in able)
    tier = [name for name in group if orders[name] == lowest]
    weighed = any(group[name][1] is not None for name in tier)

    def drawn(name):
        weight = (group[name][1] or 0) if weighed else 1
        number = -math.log(rendezvous.uniform(hashed(session), hashed(name)))
        return (not weight, number / (weight or 1))

    return min((name for name in tier if name in able), key=drawn)


def fill(crew, names=NAMES, **fields):
    for name in names:
        crew.join(name, **fields)
    return crew


def homes(crew, sessions=200):
    return {f"s{n}": crew.pick(session_id=f"s{n}") for n in range(sessions)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_session_stays_where_it_is_under_every_strategy(crew, strategy):
    crew = fill(crew(strategy))
    assert len(crew.picks(session_id="mine")) == 1
    assert len(crew.picks(session_id="mine", strategy="least-busy")) == 1


def test_sessions_spread_by_weight(crew):
    crew = crew().join("one", weight=1).join("three", weight=3).join("none", weight=0)
    counts = Counter(homes(crew, 4000).values())
    assert counts["none"] == 0
    assert 2800 < counts["three"] < 3200


def test_sessions_spread_evenly_without_weights(crew):
    counts = Counter(homes(fill(crew()), 4000).values())
    assert all(400 < counts[name] < 600 for name in NAMES)


def test_only_the_sessions_of_one_that_is_out_move_and_they_move_back(crew):
    crew = fill(crew())
    before = homes(crew)
    crew.out("c")
    meanwhile = homes(crew)
    moved = {session for session in before if meanwhile[session] != before[session]}
    assert moved == {session for session, home in before.items() if home == "c"}
    assert len({meanwhile[session] for session in moved}) > 4, "they spread over the others"
    crew.back("c")
    assert homes(crew) == before


def test_a_deployment_that_joins_takes_only_its_own_share(crew):
    crew = fill(crew())
    before = homes(crew)
    crew.join("new")
    after = homes(crew)
    moved = {session for session in before if after[session] != before[session]}
    assert {after[session] for session in moved} == {"new"}
    assert 5 < len(moved) < 50
    crew.leave("new")
    assert homes(crew) == before


def test_a_session_goes_on_where_a_retry_may(crew):
    crew = fill(crew())
    home = crew.pick(session_id="mine")
    second = crew.pick(session_id="mine", exclude=[home])
    assert second != home
    assert crew.pick(session_id="mine") == home
    crew.out(home)
    assert crew.pick(session_id="mine") == second, "the same in every case"


def test_the_decision_says_what_held_it(crew):
    decision = fill(crew()).ask(session_id="mine").decision
    assert decision.strategy == "sticky-session"
    (first, lowest), (_, second) = decision.considered
    assert (first, lowest) == (decision.deployment_id, decision.score)
    assert lowest < second
    assert decision.eligible == len(NAMES)


def test_the_session_may_stand_in_the_metadata(crew):
    crew = fill(crew())
    own = homes(crew, 20)
    assert {name: crew.pick(metadata={"session_id": name}) for name in own} == own
    assert crew.pick(session_id="s1", metadata={"session_id": "s2"}) == own["s1"]


def test_the_user_is_a_session_only_where_a_setting_says_so(crew):
    by_user = fill(crew(sticky_sessions="user"))
    assert len(by_user.picks(user="me")) == 1
    assert by_user.pick(user="me", session_id="s1") == by_user.pick(session_id="s1")
    assert len(fill(crew()).picks(user="me")) > 1


def test_sessions_can_be_switched_off(crew):
    assert len(fill(crew(sticky_sessions="off")).picks(session_id="mine")) > 1


def test_a_session_keeps_to_its_tags_and_to_the_order(crew):
    crew = fill(crew(enable_tag_filtering=True), "abcd", tags=("x",), order=2)
    fill(crew, "efgh", tags=("y",), order=1)
    assert homes(crew).keys() == {f"s{n}" for n in range(200)}
    assert set(homes(crew).values()) == set("efgh")
    assert {crew.pick(session_id=f"s{n}", tags=["x"]) for n in range(50)} == set("abcd")


def test_sessions_that_were_not_heard_of_for_the_longest_are_forgotten_and_find_home(crew, monkeypatch):
    monkeypatch.setattr(rendezvous, "MAX_SESSIONS", 5)
    crew = fill(crew())
    before = homes(crew, 50)
    assert len(crew.roster.affinity.sessions) == 5
    assert homes(crew, 50) == before
    assert MAX_SESSIONS == 10_000


def test_a_session_is_drawn_once_and_again_only_when_it_has_to_move(crew, monkeypatch):
    crew = fill(crew(), [f"d{n}" for n in range(200)])
    drawn = []
    in_line = rendezvous.in_line
    monkeypatch.setattr(rendezvous, "in_line", lambda *args: drawn.append(args[2]) or in_line(*args))
    home = crew.pick(session_id="mine")
    crew.picks(session_id="mine")
    assert drawn == [SHORTLIST]
    for _ in range(SHORTLIST - 1):
        crew.out(crew.pick(session_id="mine"))
    crew.picks(session_id="mine")
    assert drawn == [SHORTLIST]
    crew.out(crew.pick(session_id="mine"))
    crew.picks(session_id="mine")
    assert drawn == [SHORTLIST, 4 * SHORTLIST]
    crew.back(home)
    assert crew.pick(session_id="mine") == home
    crew.leave("d0" if home != "d0" else "d1")
    crew.picks(session_id="mine")
    assert drawn == [SHORTLIST, 4 * SHORTLIST, SHORTLIST]


def test_with_all_that_are_remembered_out_the_line_goes_on(crew):
    names = [f"d{n}" for n in range(MAX_LINE + 20)]
    crew = fill(crew(), names)
    line = []
    for _ in names:
        line.append(crew.pick(session_id="mine"))
        crew.out(line[-1])
    assert sorted(line) == sorted(names)
    group = dict.fromkeys(names, (None, None))
    assert line[-3:] == [by_scan("mine", group, set(names) - set(line[:k])) for k in (-3, -2, -1)]


members = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([None, 0, 1, 5]), st.booleans()),
    min_size=1,
)


@settings(deadline=None, max_examples=200)
@given(st.lists(members, min_size=1, max_size=4), st.text(min_size=1, max_size=8).filter(str.isprintable))
def test_the_choice_is_that_of_rendezvous_hashing_by_scan(crew, steps, session):
    crew = crew()
    for group in steps:
        for candidate in tuple(crew.roster):
            crew.leave(candidate.id)
        for name, (order, weight, up) in group.items():
            crew.join(name, order=order, weight=weight)
            (crew.back if up else crew.out)(name)
        able = {name for name, (_, _, up) in group.items() if up}
        for failed in ((), sorted(able)[:1]):
            left = able - set(failed)
            if left:
                expected = by_scan(session, {n: (o, w) for n, (o, w, _) in group.items()}, left)
                assert crew.pick(session_id=session, exclude=failed) == expected


# -- in a router


def test_a_session_holds_in_a_router_and_its_name_is_written_nowhere(town):
    town = town(dict.fromkeys(NAMES, "gpt-4"))
    assert len({town.ask(session_id="somebody's session").route.deployment_id for _ in range(20)}) == 1
    assert len({town.ask().route.deployment_id for _ in range(20)}) > 1
    assert town.ask(session_id="x").route.strategy == "sticky-session"
    assert "somebody" not in repr([recorded.event for recorded in town.router.events()])


def test_the_same_session_is_in_the_same_place_after_a_restart(town):
    places = set()
    for seed in (1, 2, 3):
        opened = town(dict.fromkeys(NAMES, "gpt-4"), seed=seed)
        places.add(opened.ask(session_id="mine").route.deployment_id)
    assert len(places) == 1


def test_a_session_without_a_name_is_refused(hello):
    with pytest.raises(BadRequestError, match="session_id"):
        hello(session_id="")
