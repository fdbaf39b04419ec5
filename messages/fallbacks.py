"""Where a request goes when its group cannot answer, in the one form everything else reads.

Users write `["a", "b"]` (for every group) or `[{"gpt-4": ["a", {"model": "b", "messages": [...]}]}]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from .errors import ConfigurationError
from .problems import given, quoted
from .redaction import public

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ANY_GROUP",
    "FallbackTable",
    "FallbackTarget",
    "parse_fallback_dict",
    "parse_fallbacks",
    "parse_targets",
]

_FIXED = frozenset({"timeout", "stream"})

ANY_GROUP = "*"
"""The key under which the targets of every group are written."""


@frozen
class FallbackTarget:
    """One group to try. `overrides` replace parameters of the request (they may hold a prompt)."""

    model: str
    overrides: dict[str, Any] | None = field(default=None, repr=False)

    def public(self) -> str | dict[str, Any]:
        """As it was written, without secrets and without content."""
        return self.model if self.overrides is None else public({"model": self.model, **self.overrides})


@frozen
class FallbackTable:
    """Fallbacks by group, each in the order to be tried.

    `every` serves the groups that have no list of their own. A group that stands in `every` is not
    its own fallback.
    """

    by_group: dict[str, tuple[FallbackTarget, ...]] = field(factory=dict)
    every: tuple[FallbackTarget, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_group or self.every)

    def for_group(self, group: str, model: str | None = None) -> tuple[FallbackTarget, ...]:
        """What follows `group`, asked for as `model` (an alias, or a name that a wildcard matched).

        A list under the name the caller used is the more specific one and comes first.
        """
        own = self.by_group.get(model) if model is not None and model != group else None
        if own is None:
            own = self.by_group.get(group)
        if own is not None:
            return own
        return tuple(target for target in self.every if target.model not in (group, model))

    def public(self) -> list[Any]:
        """As it was written, without secrets and without content."""
        rows: list[Any] = [{g: [t.public() for t in targets]} for g, targets in self.by_group.items()]
        if self.every:
            rows.append({ANY_GROUP: [target.public() for target in self.every]})
        return rows

    def mentioned(self) -> Iterator[str]:
        """Every group named in it, on either side."""
        for group, targets in self.by_group.items():
            yield group
            yield from (target.model for target in targets)
        yield from (target.model for target in self.every)


def parse_fallbacks(raw: Any, path: str = "") -> FallbackTable:
    """The table for what a user wrote.

    A group listed as its own fallback is an error: no group is tried twice in a request, so it would
    do nothing; what is meant is `num_retries`. In a list for every group it is simply passed over.

    Raises:
        ConfigurationError: with the path of what is wrong.
    """
    by_group: dict[str, tuple[FallbackTarget, ...]] = {}
    every: list[FallbackTarget] = []
    for position, row in enumerate(_list(raw, path)):
        where = f"{path}[{position}]"
        if not _is_map(row):
            every.append(_target(row, where))
            continue
        for group, targets in row.items():
            _add(by_group, every, group, parse_targets(targets, f"{where}.{_short(group)}"), where)
    return FallbackTable(by_group, tuple(every))


def parse_fallback_dict(raw: Any, path: str = "") -> FallbackTable:
    """The table for `{"gpt-3.5-turbo": "gpt-3.5-turbo-16k"}`; a list of names will do as well.

    Raises:
        ConfigurationError: with the path of what is wrong.
    """
    if not isinstance(raw, dict):
        msg = f"{path} = {given(raw)}: must be a dict {{model: larger model}}"
        raise ConfigurationError(msg)
    by_group: dict[str, tuple[FallbackTarget, ...]] = {}
    every: list[FallbackTarget] = []
    for group, targets in raw.items():
        listed = targets if isinstance(targets, (list, tuple)) else [targets]
        _add(by_group, every, group, parse_targets(listed, f"{path}.{_short(group)}"), path)
    return FallbackTable(by_group, tuple(every))


def parse_targets(raw: Any, path: str = "") -> tuple[FallbackTarget, ...]:
    """A plain list of targets."""
    return tuple(_target(item, f"{path}[{position}]") for position, item in enumerate(_list(raw, path)))


def _add(
    by_group: dict[str, tuple[FallbackTarget, ...]],
    every: list[FallbackTarget],
    group: Any,
    targets: tuple[FallbackTarget, ...],
    path: str,
) -> None:
    if not isinstance(group, str) or not group:
        msg = f"{path}: {given(group)} must be the name of a group"
        raise ConfigurationError(msg)
    if group == ANY_GROUP:
        every.extend(targets)
        return
    if group in by_group:
        msg = f"{path}: the fallbacks of {quoted(group)} are given twice; write one list"
        raise ConfigurationError(msg)
    if any(target.model == group for target in targets):
        msg = f"{path}: {quoted(group)} cannot be its own fallback; to try it again set num_retries"
        raise ConfigurationError(msg)
    by_group[group] = targets


def _list(raw: Any, path: str) -> list[Any] | tuple[Any, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, (list, tuple)):
        msg = f"{path} = {given(raw)}: must be a list"
        raise ConfigurationError(msg)
    return raw


def _is_map(row: Any) -> bool:
    """`{"gpt-4": [...], ...}`, and not the target `{"model": "gpt-4", ...}`."""
    return isinstance(row, dict) and not isinstance(row.get("model"), str)


def _target(raw: Any, path: str) -> FallbackTarget:
    if isinstance(raw, str) and raw:
        return FallbackTarget(raw)
    if isinstance(raw, dict):
        return _target_with_overrides(raw, path)
    msg = f'{path} = {given(raw)}: must be the name of a group or {{"model": name, "messages": [...]}}'
    raise ConfigurationError(msg)


def _target_with_overrides(raw: Mapping[str, Any], path: str) -> FallbackTarget:
    model = raw.get("model")
    if not isinstance(model, str) or not model:
        msg = f"{path}.model = {given(model)}: must be the name of a group"
        raise ConfigurationError(msg)
    for name in _FIXED & raw.keys():
        msg = f"{path}.{name}: a fallback cannot change it; it belongs to the whole request"
        raise ConfigurationError(msg)
    overrides = {name: value for name, value in raw.items() if name != "model"}
    return FallbackTarget(model, overrides or None)


def _short(group: Any) -> str:
    return quoted(str(group))[1:-1]
