"""The shapes fallbacks are written in, and the one form they are read in."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.messages.errors import ConfigurationError
from turnout.messages.fallbacks import FallbackTable, FallbackTarget, parse_fallbacks, parse_targets


def models(table: FallbackTable, group: str, model: str | None = None) -> list[str]:
    return [target.model for target in table.for_group(group, model)]


def test_a_list_by_group_serves_that_group_in_its_order() -> None:
    table = parse_fallbacks([{"a": ["b", "c"]}, {"d": ["a"]}])
    assert models(table, "a") == ["b", "c"]
    assert models(table, "d") == ["a"]
    assert models(table, "b") == []


def test_a_plain_list_serves_every_group_but_leaves_out_itself() -> None:
    table = parse_fallbacks(["a", "b"])
    assert models(table, "x") == ["a", "b"]
    assert models(table, "a") == ["b"]


def test_a_groups_own_list_goes_before_the_one_for_every_group() -> None:
    table = parse_fallbacks([{"a": ["b"]}, {"*": ["c"]}])
    assert models(table, "a") == ["b"]
    assert models(table, "x") == ["c"]


def test_a_list_under_the_name_that_was_asked_goes_first() -> None:
    table = parse_fallbacks([{"openai/*": ["b"]}, {"openai/gpt-4": ["c"]}])
    assert models(table, "openai/*", "openai/gpt-4") == ["c"]
    assert models(table, "openai/*", "openai/o3") == ["b"]


def test_an_empty_list_is_a_list_of_its_own() -> None:
    assert models(parse_fallbacks([{"a": []}, "b"]), "a") == []


def test_a_target_may_override_parameters() -> None:
    messages = [{"role": "user", "content": "other"}]
    table = parse_fallbacks([{"a": ["b", {"model": "c", "messages": messages}]}])
    plain, other = table.for_group("a")
    assert plain == FallbackTarget("b")
    assert other == FallbackTarget("c", {"messages": messages})
    assert other.overrides is not None
    assert other.overrides["messages"] is messages
    assert "other" not in repr(table) + str(table.public())


def test_a_group_may_be_called_model() -> None:
    assert models(parse_fallbacks([{"model": ["b"]}]), "model") == ["b"]


def test_a_group_cannot_be_its_own_fallback() -> None:
    with pytest.raises(ConfigurationError, match=r"^fallbacks\[0\]: 'a' cannot be its own fallback"):
        parse_fallbacks([{"a": ["b", "a"]}], "fallbacks")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a", "f = 'a': must be a list"),
        ({"a": ["b"]}, "f = (dict): must be a list"),
        ([3], "f[0] = 3: must be the name of a group"),
        ([""], "f[0] = '': must be the name of a group"),
        ([{"a": "b"}], "f[0].a = 'b': must be a list"),
        ([{"a": [None]}], "f[0].a[0] = None: must be"),
        ([{"a": [{"messages": []}]}], "f[0].a[0].model = None: must be"),
        ([{"a": ["b"]}, {"a": ["c"]}], "f[1]: the fallbacks of 'a' are given twice"),
        ([{3: ["b"]}], "f[0]: 3 must be the name of a group"),
    ],
)
def test_another_shape_is_an_error_with_its_path(raw: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_fallbacks(raw, "f")
    assert text in str(caught.value)


def test_nothing_is_no_fallback() -> None:
    assert not parse_fallbacks(None)
    assert parse_targets(None) == ()
    assert parse_fallbacks(["a"])
