"""What changed between two moments. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from .facts import COUNTS, as_data

if TYPE_CHECKING:
    from .replay import Moment

__all__ = ["Difference", "difference"]

Change = tuple[Any, Any]


@frozen
class Difference:
    """What became otherwise between two moments, the first of which may be the later one.

    Attributes:
        positions, times: of both moments.
        added, removed: ids of deployments that only the second has, or only the first.
        deployments: of those that both have: by id, what changed, as (before, after).
        counted: by id, by how much a deployment's counts went up: calls, tokens, cost.
        requests_ended, requests_begun: ids of requests open at the first moment only, or the second.
        requests: of those open at both: by id, what changed, as (before, after).
        budgets: by name, what is spent, as (before, after).
    """

    positions: tuple[int, int]
    times: tuple[float, float]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    deployments: dict[str, dict[str, Change]]
    counted: dict[str, dict[str, float]]
    requests_ended: tuple[str, ...]
    requests_begun: tuple[str, ...]
    requests: dict[str, dict[str, Change]]
    budgets: dict[str, Change]

    def __bool__(self) -> bool:
        return any(
            (
                self.added,
                self.removed,
                self.deployments,
                self.counted,
                self.requests_ended,
                self.requests_begun,
                self.requests,
                self.budgets,
            )
        )

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self, recurse=False)


def difference(before: Moment, after: Moment) -> Difference:
    """Hold two moments of one journal against each other."""
    one, other = as_data(before), as_data(after)
    first, second = one["deployments"], other["deployments"]
    both = [name for name in first if name in second]
    open_before, open_after = one["requests"], other["requests"]
    return Difference(
        (before.position, after.position),
        (before.at, after.at),
        tuple(name for name in second if name not in first),
        tuple(name for name in first if name not in second),
        _changes(first, second, (*COUNTS, "budget")),
        {name: counts for name in both if (counts := _counts(first[name], second[name]))},
        tuple(name for name in open_before if name not in open_after),
        tuple(name for name in open_after if name not in open_before),
        _changes(open_before, open_after, ("seconds",)),
        _spent(one, other),
    )


def _changes(
    first: dict[str, Any], second: dict[str, Any], left_out: tuple[str, ...]
) -> dict[str, dict[str, Change]]:
    changes = {}
    for name, facts in first.items():
        if name in second:
            changed = {
                fact: (value, second[name][fact])
                for fact, value in facts.items()
                if fact not in left_out and value != second[name][fact]
            }
            if changed:
                changes[name] = changed
    return changes


def _counts(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    return {name: second[name] - first[name] for name in COUNTS if second[name] != first[name]}


def _spent(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Change]:
    spent: dict[str, Change] = {}
    first, second = _budgets(one), _budgets(other)
    for name in dict.fromkeys((*first, *second)):
        if first.get(name) != second.get(name):
            spent[name] = (first.get(name), second.get(name))
    return spent


def _budgets(data: dict[str, Any]) -> dict[str, float]:
    own = {
        f"deployment:{name}": facts["budget"]["spent"]
        for name, facts in data["deployments"].items()
        if facts["budget"] is not None
    }
    return {**{name: budget["spent"] for name, budget in data["budgets"].items()}, **own}
