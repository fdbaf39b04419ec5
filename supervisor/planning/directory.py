"""Which model group does a name lead to? Pure.

In this order: deployment id · alias · model name · wildcard model name (most specific first) · the
catch-all `*`. The first three are one lookup each; a wildcard is found once and remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ...messages.errors import ConfigurationError, NotFoundError
from ...messages.problems import did_you_mean, listed, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...messages.settings import Deployment, GroupAlias

__all__ = ["MAX_REMEMBERED", "Directory", "Target"]

MAX_REMEMBERED = 4096
"""Names whose way past the exact ones is remembered, those that lead nowhere included."""

MAX_REMEMBERED_CHARS = 256
"""A longer name is looked for each time: callers choose names, and memory has a bound."""


@frozen(weakref_slot=False)
class Target:
    """Where a name leads.

    `only` is the one deployment that may serve, when its id was asked for; `wildcard` is what the
    `*` of the group's name matched.
    """

    group: str
    only: str | None = None
    wildcard: str | None = None


@frozen
class _Pattern:
    """A group's name with one `*` in it."""

    group: str
    head: str
    tail: str

    @classmethod
    def of(cls, group: str) -> _Pattern:
        head, _, tail = group.partition("*")
        return cls(group, head, tail)

    def match(self, name: str) -> str | None:
        """What `*` stands for (at least one character), when the whole name matches."""
        head, tail = self.head, self.tail
        if len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
            return name[len(head) : len(name) - len(tail)]
        return None


def _rank(pattern: _Pattern) -> tuple[int, int, str]:
    """More literal characters first; of equal ones the longer beginning, then by name."""
    return (1 - len(pattern.group), -len(pattern.head), pattern.group)


class Directory:
    """The names a router answers to. Written by the Supervisor only.

    Read from any thread: what a reader walks is replaced, not changed under it.

    A deployment whose own model holds a `*` is not reached by its id: nothing would say what the
    `*` stands for.
    """

    def __init__(
        self, deployments: Iterable[Deployment] = (), aliases: Mapping[str, GroupAlias] | None = None
    ) -> None:
        self._aliases = dict(aliases or {})
        self._group_of: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._by_id: dict[str, Target] = {}
        self._by_name: dict[str, Target] = {}
        self._patterns: list[_Pattern] = []
        self._remembered: dict[str, Target | None] = {}
        for deployment in deployments:
            self.add(deployment)

    def __repr__(self) -> str:
        groups, deployments = len(self._sizes), len(self._group_of)
        return f"<Directory {groups} groups · {deployments} deployments · {len(self._aliases)} aliases>"

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    @property
    def groups(self) -> tuple[str, ...]:
        """Every model group, in the order of its first deployment."""
        return tuple(self._sizes)

    def names(self) -> list[str]:
        """Groups and aliases as users may see them: hidden aliases are left out."""
        visible = (name for name, alias in self._aliases.items() if not alias.hidden)
        return list(dict.fromkeys((*self._sizes, *visible)))

    def add(self, deployment: Deployment) -> None:
        """Make a deployment known.

        Raises:
            ConfigurationError: its id is taken.
        """
        if deployment.id in self._group_of:
            msg = f"two deployments with the id {quoted(deployment.id)}"
            raise ConfigurationError(msg)
        group = deployment.model_name
        self._group_of[deployment.id] = group
        if "*" not in deployment.model:
            self._by_id[deployment.id] = Target(group, deployment.id)
        self.learn(group)

    def learn(self, group: str) -> None:
        """One deployment more in this group."""
        self._sizes[group] = self._sizes.get(group, 0) + 1
        if self._sizes[group] == 1:
            self._open(group)

    def remove(self, deployment_id: str) -> None:
        """Forget a deployment, and its group when it was the last. An unknown id is no error."""
        group = self._group_of.pop(deployment_id, None)
        if group is None:
            return
        self._by_id.pop(deployment_id, None)
        self._sizes[group] -= 1
        if not self._sizes[group]:
            self._close(group)

    def _open(self, group: str) -> None:
        if "*" in group:
            self._patterns = sorted([*self._patterns, _Pattern.of(group)], key=_rank)
        else:
            self._by_name[group] = Target(group)
        self._remembered = {}

    def _close(self, group: str) -> None:
        del self._sizes[group]
        self._by_name.pop(group, None)
        self._patterns = [pattern for pattern in self._patterns if pattern.group != group]
        self._remembered = {}

    def find(self, model: str) -> Target | None:
        """Where `model` leads; None when nowhere."""
        target = self._by_id.get(model)
        if target is not None:
            return target
        alias = self._aliases.get(model)
        name = model if alias is None else alias.model
        return self._by_name.get(name) or self._by_wildcard(name)

    def resolve(self, model: str) -> Target:
        """Where `model` leads.

        Raises:
            NotFoundError: nowhere; names the groups there are and the nearest spelling.
        """
        target = self.find(model)
        if target is None:
            raise self.unknown(model)
        return target

    def unknown(self, model: str) -> NotFoundError:
        """What to say of a name that leads nowhere."""
        names = self.names()
        hint = did_you_mean(model, names)
        shown = quoted(model)
        msg = f"no model {shown}{hint} (known: {listed(names)})"
        return NotFoundError(msg, model=shown[1:-1])

    def _by_wildcard(self, name: str) -> Target | None:
        if not self._patterns:
            return None
        remembered = self._remembered
        if name in remembered:
            return remembered[name]
        target = self._match(name)
        if len(name) <= MAX_REMEMBERED_CHARS:
            if len(remembered) >= MAX_REMEMBERED:
                del remembered[next(iter(remembered))]
            remembered[name] = target
        return target

    def _match(self, name: str) -> Target | None:
        for pattern in self._patterns:
            captured = pattern.match(name)
            if captured is not None:
                return Target(pattern.group, None, captured)
        return None
