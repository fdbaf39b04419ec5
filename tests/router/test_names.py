"""How a name leads to a group, seen from outside."""

from __future__ import annotations

import pytest

from turnout import NotFoundError


def wild(group, model):
    return {"group": group, "model": model}


def test_a_deployment_id_goes_before_a_group_of_the_same_name(town):
    place = town({"claude": "gpt-4", "b": "claude"})
    assert place.ask("claude").route.deployment_id == "claude"


def test_an_alias_goes_before_a_group_of_the_same_name(town):
    place = town({"a": "gpt-4", "b": "claude"}, model_group_alias={"claude": "gpt-4"})
    assert place.ask("claude").route.model_group == "gpt-4"


def test_a_hidden_alias_works_and_is_not_listed(town):
    place = town({"a": "gpt-4"}, model_group_alias={"secret-name": {"model": "gpt-4", "hidden": True}})
    assert place.ask("secret-name").route.model_group == "gpt-4"
    assert "secret-name" not in str(place.error("nonsense"))


def test_an_exact_name_goes_before_a_wildcard(town):
    place = town({"w": wild("openai/*", "openai/*"), "e": "openai/gpt-4"})
    assert place.ask("openai/gpt-4").route.deployment_id == "e"


def test_the_most_specific_wildcard_goes_first_and_the_catch_all_last(town):
    place = town(
        {
            "all": wild("*", "openai/*"),
            "openai": wild("openai/*", "openai/*"),
            "four": wild("openai/gpt-4*", "openai/gpt-4*"),
        }
    )
    assert place.ask("openai/gpt-4-turbo").route.deployment_id == "four"
    assert place.ask("openai/o3").route.deployment_id == "openai"
    assert place.ask("whatever").route.deployment_id == "all"


def test_a_wildcard_matches_the_whole_name(town):
    place = town({"w": wild("openai/*-mini", "openai/*-mini")})
    assert place.ask("openai/gpt-4o-mini").route.deployment_id == "w"
    with pytest.raises(NotFoundError):
        place.ask("openai/gpt-4o-mini-2")


def test_what_the_wildcard_matched_is_the_model_that_is_asked(town):
    place = town({"w": {**wild("mine/*", "openai/gpt-*"), "mock_response": "hi"}}, mocks=True)
    assert place.ask("mine/4o").model == "gpt-4o"


def test_a_deployments_id_reaches_it_alone_even_when_it_fails(town):
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": [500, 500, 500]}, num_retries=2)
    error = place.error("a")
    assert {row.deployment_id for row in error.attempts} == {"a"}
    assert "b" not in place.calls


def test_a_deployment_asked_for_by_its_id_falls_back_like_its_group(town):
    place = town({"a": "gpt-4", "z": "backup"}, {"a": [500]}, fallbacks=[{"gpt-4": ["backup"]}])
    assert place.ask("a").route.model_group == "backup"


def test_a_deployment_asked_for_by_its_id_still_cools_down(town):
    place = town({"a": "gpt-4", "b": "gpt-4"}, {"a": [500]}, allowed_fails=0)
    place.error("a")
    assert place.error("a").left_out[0].reason == "cooling_down"


def test_a_router_without_deployments_knows_no_name(town):
    with pytest.raises(NotFoundError):
        town({}).ask("gpt-4")
