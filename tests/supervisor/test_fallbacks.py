"""Which group comes next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.messages.fallbacks import FallbackTable, FallbackTarget, parse_fallbacks, parse_targets
from turnout.supervisor.planning.fallbacks import FallbackRules


def rules(general=(), context=(), content=(), default=(), most=5):
    return FallbackRules(
        parse_fallbacks(list(general), "fallbacks"),
        parse_fallbacks(list(context), "context_window_fallbacks"),
        parse_fallbacks(list(content), "content_policy_fallbacks"),
        parse_targets(list(default), "default_fallbacks"),
        most,
    )


def walk(rules, error="Timeout", first="a", known=None):
    """The groups tried when every group fails with the same error."""
    errors, tried = [], (first,)
    while True:
        errors.append((tried[-1], error))
        target = rules.next_target(first, errors, tried, lambda m: m if known is None or m in known else None)
        if target is None:
            return list(tried[1:])
        tried += (target.model,)


def test_the_list_of_the_group_is_tried_in_order():
    assert walk(rules([{"a": ["b", "c"]}])) == ["b", "c"]


def test_a_plain_list_is_for_every_group():
    assert walk(rules(["b", "c"]), first="x") == ["b", "c"]


def test_the_matching_kind_goes_before_the_general_list():
    both = rules([{"a": ["g"]}], context=[{"a": ["big"]}], content=[{"a": ["lax"]}])
    assert walk(both, "ContextWindowExceededError") == ["big"]
    assert walk(both, "ContentPolicyViolationError") == ["lax"]
    assert walk(both, "RateLimitError") == ["g"]


def test_without_a_list_of_its_kind_an_error_goes_to_the_general_one():
    assert walk(rules([{"a": ["g"]}]), "ContextWindowExceededError") == ["g"]


def test_the_default_serves_groups_without_a_list():
    assert walk(rules([{"x": ["y"]}], default=["d"])) == ["d"]
    assert walk(rules([{"a": ["b"]}], default=["d"])) == ["b"]


def test_a_fallbacks_own_list_follows_the_first_groups():
    assert walk(rules([{"a": ["b", "c"]}, {"b": ["d"]}])) == ["b", "c", "d"]


def test_a_fallback_that_fails_for_another_reason_uses_that_reasons_list():
    table = rules([{"a": ["b"]}], context=[{"b": ["big"]}])
    errors = [("a", "Timeout"), ("b", "ContextWindowExceededError")]
    assert table.next_target("a", errors, ("a", "b"), str) == FallbackTarget("big")


def test_no_group_is_tried_twice():
    assert walk(rules([{"a": ["b"]}, {"b": ["a", "c"]}, {"c": ["b"]}])) == ["b", "c"]


def test_another_name_of_a_group_that_was_tried_is_passed_over():
    target = rules([{"a": ["alias-of-a", "b"]}]).next_target(
        "a", [("a", "Timeout")], ("a",), {"alias-of-a": "a", "b": "b"}.get
    )
    assert target == FallbackTarget("b")


def test_a_group_nobody_knows_is_passed_over():
    assert walk(rules([{"a": ["ghost", "b"]}]), known={"a", "b"}) == ["b"]


def test_at_most_max_fallbacks_groups_are_tried():
    many = [f"g{n}" for n in range(9)]
    assert walk(rules([{"a": many}])) == many[:5]
    assert walk(rules([{"a": many}], most=2)) == many[:2]
    assert walk(rules([{"a": many}], most=0)) == []


def test_without_fallbacks_there_is_no_next_group():
    assert walk(FallbackRules()) == []
    assert walk(FallbackRules(FallbackTable())) == []


names = st.sampled_from("abcdefg")


@given(st.dictionaries(names, st.lists(names, max_size=5), max_size=7), st.integers(0, 6))
def test_every_walk_ends_with_each_group_once_and_at_most_max(lists, most):
    table = FallbackTable({g: tuple(map(FallbackTarget, t)) for g, t in lists.items()})
    tried = walk(FallbackRules(table, max_fallbacks=most))
    assert len(tried) == len(set(tried)) <= most
    assert "a" not in tried
