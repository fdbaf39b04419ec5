"""Which group next? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from ...messages.fallbacks import FallbackTable, FallbackTarget
from ...messages.problems import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ...messages.deployment import Deployment
    from .directory import Directory

__all__ = ["FallbackRules", "unknown_fallbacks"]

Targets = tuple[FallbackTarget, ...]

_KINDS = {
    "ContextWindowExceededError": "context_window",
    "ContentPolicyViolationError": "content_policy",
}


@frozen
class FallbackRules:
    """The fallbacks of a router, or those a request brought along.

    Attributes:
        given: the request said so itself, which no deployment's own list changes.
        own: by group, the deployment with fallbacks of its own that failed there in this request.
    """

    general: FallbackTable = field(factory=FallbackTable)
    context_window: FallbackTable = field(factory=FallbackTable)
    content_policy: FallbackTable = field(factory=FallbackTable)
    default: Targets = ()
    max_fallbacks: int = 5
    given: bool = False
    own: dict[str, Deployment] = field(factory=dict)

    def preferring(self, deployment: Deployment, group: str) -> FallbackRules:
        """These, with the deployment's own before those of the group it failed in."""
        has_own = deployment.fallbacks or deployment.context_window_fallbacks
        if self.given or not has_own or self.own.get(group) is deployment:
            return self
        return evolve(self, own={**self.own, group: deployment})

    def for_error(self, group: str, model: str | None, error: str) -> Targets:
        """The matching kind's list, else the general one; the deployment's own before the router's.

        `model` is the name that was asked for.
        """
        kind = _KINDS.get(error)
        own = self.own.get(group)
        if own is not None and own.context_window_fallbacks and kind == "context_window":
            return own.context_window_fallbacks
        if kind is not None:
            matching: FallbackTable = getattr(self, kind)
            targets = matching.for_group(group, model)
            if targets:
                return targets
        if own is not None and own.fallbacks:
            return own.fallbacks
        return self.general.for_group(group, model)

    def next_target(
        self,
        model: str,
        group_errors: Sequence[tuple[str, str]],
        tried: Sequence[str],
        group_of: Callable[[str], str | None],
    ) -> FallbackTarget | None:
        """The next group to try after these groups failed with these errors, `model` being asked.

        The first group's list comes first, in its order; lists of the fallbacks themselves follow;
        the default list serves when the first group has none. No group twice, whichever of its
        names is used: `group_of` gives the group behind a name, None when there is none.
        """
        if len(tried) > self.max_fallbacks:
            return None
        for target in self._all(model, group_errors):
            group = group_of(target.model)
            if group is not None and group not in tried:
                return target
        return None

    def _all(self, model: str, group_errors: Sequence[tuple[str, str]]) -> Iterator[FallbackTarget]:
        for position, (group, error) in enumerate(group_errors):
            targets = self.for_error(group, model if position == 0 else None, error)
            if position == 0 and not targets:
                targets = self.default
            yield from targets


def unknown_fallbacks(deployments: Iterable[Deployment], directory: Directory) -> Iterator[str]:
    """What to say of each group that deployments have for a fallback, and that there is none of."""
    said = set()
    for deployment in deployments:
        for target in (*deployment.fallbacks, *deployment.context_window_fallbacks):
            if target.model not in said and target.model not in directory:
                said.add(target.model)
                known = directory.names()
                hint = did_you_mean(target.model, known)
                yield f"fallbacks of deployment {deployment.id}: no model group {quoted(target.model)}{hint}"
