"""Tags: any or all of them, `!tag`, and deployments tagged "default"."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import BadRequestError, NoDeploymentsAvailable
from turnout.actors.model_group.roster import Picked
from turnout.actors.model_group.views import MAX_VIEWS
from turnout.messages.settings import STRATEGIES, RouterSettings
from turnout.messages.wishes import MAX_TAGS


def tagged(crew, **settings):
    crew = crew(enable_tag_filtering=True, **settings)
    return crew.join("free", tags=("free", "eu")).join("paid", tags=("paid", "eu")).join("none")


def test_a_request_goes_to_a_deployment_with_one_of_its_tags(crew):
    crew = tagged(crew)
    assert crew.picks(tags=["paid"]) == {"paid"}
    assert crew.picks(tags=["free", "paid"]) == {"free", "paid"}
    assert crew.picks(tags=["eu", "unheard of"]) == {"free", "paid"}


def test_all_tags_must_be_there_where_any_is_not_enough(crew):
    crew = tagged(crew, tag_filtering_match_any=False)
    assert crew.picks(tags=["eu", "paid"]) == {"paid"}
    assert crew.picks(tags=["eu"]) == {"free", "paid"}
    assert crew.nobody(tags=["free", "paid"]).hopeless


def test_a_tag_with_an_exclamation_mark_must_not_be_there(crew):
    crew = tagged(crew)
    assert crew.picks(tags=["eu", "!free"]) == {"paid"}
    assert crew.picks(tags=["!free"]) == {"paid", "none"}
    assert crew.picks(tags=["!eu"]) == {"none"}


def test_without_tags_and_without_defaults_everyone_will_do(crew):
    assert tagged(crew).picks() == {"free", "paid", "none"}


def test_deployments_tagged_default_serve_requests_without_tags(crew):
    crew = tagged(crew).join("usual", tags=("default",))
    assert crew.picks() == {"usual"}
    assert crew.picks(tags=["!default"]) == {"free", "paid", "none"}
    crew.out("usual")
    assert [i.reason for i in crew.nobody().left_out] == ["cooling_down", "tags", "tags", "tags"]
    crew.leave("usual")
    assert crew.picks() == {"free", "paid", "none"}


def test_deployments_tagged_default_serve_tags_that_nobody_has(crew):
    crew = tagged(crew).join("usual", tags=("default",))
    assert crew.picks(tags=["gold"]) == {"usual"}
    crew.join("golden", tags=("gold",))
    assert crew.picks(tags=["gold"]) == {"golden"}
    crew.out("golden")
    assert crew.nobody(tags=["gold"]).left_out[0].reason == "cooling_down", "who pays is not served by others"
    crew.leave("golden")
    assert crew.picks(tags=["gold"]) == {"usual"}


def test_tags_of_the_metadata_count_like_the_requests_own(crew):
    crew = tagged(crew)
    assert crew.picks(metadata={"tags": ["paid"]}) == {"paid"}
    assert crew.picks(metadata={"tags": ["paid"]}, tags=["free"]) == {"free", "paid"}
    assert crew.picks(metadata={"team": "blue"}) == {"free", "paid", "none"}


def test_tags_say_nothing_while_filtering_is_off(crew):
    crew = crew().join("a", tags=("x",)).join("b")
    assert crew.picks(tags=["y"]) == {"a", "b"}
    assert len(crew.roster._views) == 1


def test_both_spellings_of_the_setting_switch_it_on():
    assert RouterSettings(tag_filtering=True).enable_tag_filtering
    assert RouterSettings(enable_tag_filtering=True).enable_tag_filtering


@pytest.mark.parametrize("wrong", ["paid", [1], ["!"], [""], [f"t{n}" for n in range(MAX_TAGS + 1)]])
def test_wrong_tags_are_one_clear_error(hello, wrong):
    with pytest.raises(BadRequestError, match="tags"):
        hello(tags=wrong)
    with pytest.raises(BadRequestError, match=r"metadata.*tags"):
        hello(metadata={"tags": wrong})


def test_the_decision_names_who_was_left_out_for_its_tags(crew):
    decision = tagged(crew).ask(tags=["paid"]).decision
    assert decision.eligible == 1
    told = [(item.deployment_id, item.reason, item.detail) for item in decision.left_out]
    assert told == [("free", "tags", "free, eu"), ("none", "tags", None)]


def test_a_view_that_was_not_used_for_the_longest_makes_room(crew):
    crew = tagged(crew)
    for number in range(MAX_VIEWS + 10):
        crew.pick(tags=["paid", f"t{number}"])
        crew.pick(tags=["eu"])
    assert len(crew.roster._views) == 1 + MAX_VIEWS
    assert len(crew.roster["paid"].mirror.views) == 1 + MAX_VIEWS
    assert len(crew.roster["none"].mirror.views) == 1
    assert crew.pick(tags=["paid", "t0"]) == "paid"


def test_a_view_hears_what_happens_to_its_deployments(crew):
    crew = tagged(crew)
    assert crew.picks(tags=["eu"]) == {"free", "paid"}
    crew.out("free", until=crew.NOW + 5)
    assert crew.picks(tags=["eu"]) == {"paid"}
    assert crew.nobody(tags=["free"]).earliest == crew.NOW + 5
    assert crew.pick(tags=["free"], now=crew.NOW + 5) == "free"


def test_a_release_that_helps_only_others_is_no_hope(crew):
    crew = tagged(crew)
    crew.out("free", until=crew.NOW + 1)
    crew.out("paid", until=crew.NOW + 60)
    assert crew.nobody(tags=["paid"]).earliest == crew.NOW + 60


TAGS = ("a", "b", "default")
deployments = st.dictionaries(
    st.sampled_from([f"d{n}" for n in range(6)]),
    st.tuples(st.frozensets(st.sampled_from(TAGS)), st.booleans(), st.sampled_from([None, 1, 2])),
    max_size=6,
)
asked = st.lists(st.sampled_from(["a", "b", "!a", "!b", "!default", "c"]), max_size=3)


def by_scan(tags_of, wanted, *, match_any):
    """Who suits, by looking at everybody."""
    forbidden = {tag[1:] for tag in wanted if tag[0] == "!"}
    needed = {tag for tag in wanted if tag[0] != "!"}
    left = {name: tags for name, tags in tags_of.items() if not tags & forbidden}
    has = (lambda tags: bool(tags & needed)) if match_any else (lambda tags: tags >= needed)
    matching = {name for name, tags in left.items() if needed and has(tags)}
    default = {name for name, tags in left.items() if "default" in tags}
    return matching or default or (set() if needed else set(left))


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(deployments, asked), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(STRATEGIES),
)
def test_who_suits_is_what_a_scan_finds(crew, steps, match_any, strategy):
    crew = crew(strategy, enable_tag_filtering=True, tag_filtering_match_any=match_any)
    for group, wanted in steps:
        for candidate in tuple(crew.roster):
            if candidate.id not in group:
                crew.leave(candidate.id)
        for name, (tags, up, order) in group.items():
            if name not in crew.roster or crew.roster[name].deployment.tags != tuple(sorted(tags)):
                crew.join(name, tags=tuple(sorted(tags)), order=order)
            (crew.back if up else crew.out)(name)
        for query in (wanted, [], wanted):
            suited = by_scan({n: tags for n, (tags, _, _) in group.items()}, query, match_any=match_any)
            able = {n for n in suited if group[n][1]}
            picked = crew.ask(tags=query)
            told = {
                i.deployment_id for i in (picked.decision if able else picked).left_out if i.reason == "tags"
            }
            assert (picked.decision.left_out_by_reason if able else picked.more) == {}
            assert told == set(group) - suited
            if able:
                assert isinstance(picked, Picked)
                assert picked.candidate.id in able
            else:
                assert picked.hopeless is (bool(group) and not suited)
        for view in crew.roster._views:
            for name in view.members:
                assert view in crew.roster[name].mirror.views
        assert all(len(set(c.mirror.views)) == len(c.mirror.views) for c in crew.roster)


# -- in a router


def group(**tags):
    return {name: {"group": "gpt-4", "tags": list(words)} for name, words in tags.items()}


def test_a_router_serves_by_tags_and_says_why_not(town):
    town = town(group(free=["free"], paid=["paid"]), enable_tag_filtering=True)
    assert town.ask(tags=["paid"]).route.deployment_id == "paid"
    assert town.ask(metadata={"tags": ["free"]}).route.deployment_id == "free"
    error = town.error(tags=["gold"])
    assert type(error) is NoDeploymentsAvailable
    assert "2 tags" in str(error)


def test_a_request_whose_tags_nobody_has_does_not_wait(town):
    town = town(group(free=["free"]), enable_tag_filtering=True, on_exhausted="wait")
    assert type(town.error(tags=["gold"])) is NoDeploymentsAvailable
    assert town.passed == 0


def test_a_retry_stays_within_the_tags(town):
    town = town(
        group(free=["free"], paid=["paid"], paid2=["paid"]),
        {"paid": [500], "paid2": [500]},
        enable_tag_filtering=True,
        num_retries=3,
    )
    route = town.ask(tags=["paid"]).route
    assert {row.deployment_id for row in route.attempts} == {"paid", "paid2"}


def test_tags_and_metadata_stay_here(hello):
    assert set(hello(tags=["a"], metadata={"tags": ["b"], "x": object()}).wire_params()) == {"messages"}


def test_a_deployment_that_is_asked_by_its_id_needs_no_tag(town):
    town = town(group(free=["free"], paid=["paid"]), enable_tag_filtering=True)
    assert town.ask("paid", tags=["free"]).route.deployment_id == "paid"
