"""Which group a name leads to."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.messages.errors import ConfigurationError, NotFoundError
from turnout.messages.settings import Deployment, GroupAlias
from turnout.supervisor.planning.directory import MAX_REMEMBERED, MAX_REMEMBERED_CHARS, Directory, Target


def deployment(group: str, name: str | None = None, model: str = "m") -> Deployment:
    return Deployment(id=name or f"id of {group}", model_name=group, provider="openai", model=model)


def directory(*groups: str, aliases: dict[str, GroupAlias] | None = None) -> Directory:
    return Directory([deployment(group) for group in groups], aliases)


def test_an_id_goes_before_an_alias_before_a_name_before_a_wildcard() -> None:
    names = Directory(
        [deployment("a", "x"), deployment("x", "1"), deployment("y", "2"), deployment("*", "3")],
        {"x": GroupAlias("a"), "y": GroupAlias("a")},
    )
    assert names.resolve("x") == Target("a", only="x")
    names.remove("x")
    names.add(deployment("a", "4"))
    assert names.resolve("x") == Target("a")
    assert names.resolve("y") == Target("a")
    assert names.resolve("a") == Target("a")
    assert names.resolve("z") == Target("*", wildcard="z")


def test_the_most_specific_wildcard_wins() -> None:
    names = directory("*", "openai/*", "openai/gpt-*", "*-mini", "openai/*-mini")
    assert names.resolve("openai/o1") == Target("openai/*", wildcard="o1")
    assert names.resolve("openai/gpt-4") == Target("openai/gpt-*", wildcard="4")
    assert names.resolve("openai/gpt-4-mini") == Target("openai/*-mini", wildcard="gpt-4")
    assert names.resolve("azure/gpt-4-mini") == Target("*-mini", wildcard="azure/gpt-4")
    assert names.resolve("azure/gpt-4") == Target("*", wildcard="azure/gpt-4")


def test_a_wildcard_matches_the_whole_name_and_at_least_one_character() -> None:
    names = directory("openai/*", "a*a")
    assert names.find("my-openai/gpt") is None
    assert names.find("openai/") is None
    assert names.find("aa") is None
    assert names.find("a") is None
    assert names.find("aXa") == Target("a*a", wildcard="X")


@given(
    groups=st.lists(st.from_regex(r"[ab/.]{0,4}\*[ab/.]{0,4}", fullmatch=True), max_size=6, unique=True),
    name=st.text("ab/.", min_size=1, max_size=10),
)
def test_a_wildcard_is_found_as_a_slow_reading_of_the_rule_finds_it(groups: list[str], name: str) -> None:
    def captured(group: str) -> str | None:
        pattern = re.escape(group).replace(r"\*", "(.+)")
        found = re.fullmatch(pattern, name)
        return found and found.group(1)

    names = directory(*groups)
    found = names.find(name)
    matching = [group for group in groups if captured(group)]
    assert (found is None) == (not matching)
    if found is not None:
        assert found.wildcard == captured(found.group)
        assert fnmatch.fnmatchcase(name, found.group)
        assert len(found.group) == max(map(len, matching))
        assert found.group.replace("*", found.wildcard or "") == name
    assert names.find(name) is found  # remembered


def test_the_choice_among_equal_wildcards_does_not_depend_on_their_order() -> None:
    one, other = directory("a*", "*b"), directory("*b", "a*")
    assert one.resolve("axb") == other.resolve("axb") == Target("a*", wildcard="xb")


def test_an_alias_may_lead_to_what_a_wildcard_matches() -> None:
    names = directory("openai/*", aliases={"fast": GroupAlias("openai/o1")})
    assert names.resolve("fast") == Target("openai/*", wildcard="o1")


def test_a_deployment_of_a_wildcard_model_is_not_reached_by_its_id() -> None:
    names = Directory([deployment("openai/*", "me", model="*")])
    assert names.find("me") is None


def test_a_new_group_is_found_although_its_name_was_not_before() -> None:
    names = directory("*x")
    assert names.find("ab") is None
    names.add(deployment("a*"))
    assert names.resolve("ab") == Target("a*", wildcard="b")
    names.add(deployment("ab"))
    assert names.resolve("ab") == Target("ab")
    names.remove("id of ab")
    names.remove("id of a*")
    assert names.find("ab") is None


def test_a_group_lives_as_long_as_its_last_deployment() -> None:
    names = Directory([deployment("a", "1"), deployment("a", "2")])
    names.remove("1")
    assert names.groups == ("a",)
    assert names.find("1") is None
    names.remove("2")
    names.remove("2")
    assert not names.names()
    assert "a" not in names


def test_an_id_can_be_taken_once() -> None:
    names = directory("a")
    with pytest.raises(ConfigurationError, match="two deployments with the id 'id of a'"):
        names.add(deployment("b", "id of a"))
    assert names.groups == ("a",)


def test_an_unknown_name_is_told_with_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(NotFoundError) as caught:
        directory("gpt-4", "claude", aliases={"gpt": GroupAlias("gpt-4")}).resolve("clade")
    assert str(caught.value) == "no model 'clade'; did you mean 'claude'? (known: gpt-4, claude, gpt)"
    assert caught.value.model == "clade"
    assert caught.value.status_code == 404


def test_a_hidden_alias_works_and_is_not_told() -> None:
    names = directory("gpt-4", aliases={"secret-one": GroupAlias("gpt-4", hidden=True)})
    assert names.resolve("secret-one") == Target("gpt-4")
    with pytest.raises(NotFoundError) as caught:
        names.resolve("secret-on")
    assert "secret-one" not in str(caught.value)


def test_many_known_names_are_counted() -> None:
    with pytest.raises(NotFoundError, match=r"\(known: group0, .*, group9 and 290 more\)"):
        directory(*(f"group{n}" for n in range(300))).resolve("zzzzzz")


def test_a_key_or_a_book_sent_as_a_name_is_not_repeated() -> None:
    for name in ("sk-abcdefgh12345678", "x" * 100_000):
        with pytest.raises(NotFoundError) as caught:
            directory("a").resolve(name)
        assert name not in str(caught.value)
        assert len(str(caught.value)) < 300
        assert len(caught.value.model or "") < 100


def test_what_is_remembered_has_a_bound() -> None:
    names = directory("a/*")
    for number in range(MAX_REMEMBERED + 100):
        names.find(f"a/{number}")
        names.find("b" * 1000 + str(number))
    assert len(names._remembered) == MAX_REMEMBERED
    assert max(map(len, names._remembered)) <= MAX_REMEMBERED_CHARS
    assert names.find("a/0") == Target("a/*", wildcard="0")


def test_its_repr_says_what_it_holds() -> None:
    names = Directory([deployment("a", "1"), deployment("a", "2")], {"x": GroupAlias("a")})
    assert repr(names) == "<Directory 1 groups · 2 deployments · 1 aliases>"
