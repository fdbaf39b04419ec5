"""Which group next? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from ..messages.fallbacks import FallbackTable, FallbackTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["FallbackRules"]

Targets = tuple[FallbackTarget, ...]

_KINDS = {
    "ContextWindowExceededError": "context_window",
    "ContentPolicyViolationError": "content_policy",
}


@frozen
class FallbackRules:
    """The fallbacks of a router, or those a request brought along (`own`)."""

    general: FallbackTable = field(factory=FallbackTable)
    context_window: FallbackTable = field(factory=FallbackTable)
    content_policy: FallbackTable = field(factory=FallbackTable)
    default: Targets = ()
    max_fallbacks: int = 5

    def for_error(self, group: str, model: str | None, error: str) -> Targets:
        """The matching kind's list, else the general one. `model` is the name that was asked for."""
        kind = _KINDS.get(error)
        if kind is not None:
            matching: FallbackTable = getattr(self, kind)
            targets = matching.for_group(group, model)
            if targets:
                return targets
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
