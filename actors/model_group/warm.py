"""Prompt-cache affinity: where the beginning of a prompt was seen last. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_WARM", "WARM", "WARM_SECONDS", "WarmPrefixes"]

MAX_WARM = 20_000
"""Beginnings of prompts a group remembers."""

WARM_SECONDS = 300.0
"""How long a provider is believed to keep one after it was last used: what most of them say."""

WARM = "prompt-cache"
"""What a decision gives as its strategy."""


class WarmPrefixes:
    """Which deployment has which beginning; the one that was not used for the longest goes first."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def heard(self, prefixes: tuple[int, ...], deployment_id: str, now: float) -> None:
        """A call that began like this went well there."""
        known = self._known
        for prefix in prefixes:
            known.pop(prefix, None)
            known[prefix] = (deployment_id, now + WARM_SECONDS)
        while len(known) > MAX_WARM:
            del known[next(iter(known))]

    def places(self, prefixes: tuple[int, ...], now: float) -> Iterator[str]:
        """The deployments that have one of these, the first prefix first; each once."""
        told = set()
        for prefix in prefixes:
            entry = self._known.get(prefix)
            if entry is None:
                continue
            deployment_id, until = entry
            if until <= now:
                del self._known[prefix]
            elif deployment_id not in told:
                told.add(deployment_id)
                yield deployment_id
