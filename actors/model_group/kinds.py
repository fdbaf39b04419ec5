"""From a request to its kind: the suit that names its view. Pure.

A suit holds only what makes a difference in this group. A prompt that fits the smallest context window,
an image where nobody is known to be blind, a parameter that everyone supports ask for nothing special.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...messages.capabilities import lacking, listed_params, needs_of, optional_params
from ...messages.encodings import encoding_of
from ...messages.wishes import NOT_TAG
from .near_limit import countable
from .suitable import EVERYONE, Suit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...messages.commands import Call
    from ...messages.outcomes import Demand
    from ...messages.settings import RouterSettings
    from .strategies.base import Candidate

__all__ = ["Kinds", "Rules", "rules_of"]


MAX_SUITS = 256
"""Suits that are remembered by what they are made of; then it is begun anew."""

_Checked = tuple[
    str | None, tuple[str, ...], tuple[str, ...], bool | None, tuple[tuple[str | None, int], ...]
]


@frozen
class Rules:
    """What the settings say about who suits.

    Attributes:
        tags: whether tags count.
        every: whether all of a request's tags must be there.
        checks: whether context window, region and capabilities are looked at before a call.
        exact: whether tokens can be counted.
    """

    tags: bool = False
    every: bool = False
    checks: bool = False
    exact: bool = False

    @property
    def plain(self) -> Suit:
        """The kind of a request that asks for nothing."""
        return Suit(by_tags=True, every=self.every) if self.tags else EVERYONE


def rules_of(settings: RouterSettings, *, exact: bool = False) -> Rules:
    """What a group goes by; `exact`: tokens can be counted."""
    return Rules(
        settings.enable_tag_filtering,
        settings.enable_tag_filtering and not settings.tag_filtering_match_any,
        settings.enable_pre_call_checks,
        exact,
    )


class Kinds:
    """Knows what makes a difference among the deployments of one group."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._suits: dict[Any, Suit] = {}
        self.matters = rules.checks
        """Whether a request without wishes may be special, too."""
        self._plain = rules.plain
        self._windows: dict[str | None, list[int]] = {}
        """The sizes of context windows by yardstick, each once, smallest first."""
        self._with_window: Counter[tuple[str | None, int]] = Counter()
        self._unable: Counter[str] = Counter()
        self._lists = 0
        self._listed: Counter[str] = Counter()
        self._yardsticks: Counter[str] = Counter()
        """How many deployments have a limit by each vocabulary: a context window that is looked at, a tpm."""

    def join(self, candidate: Candidate) -> None:
        window = candidate.facts.max_input_tokens
        yardstick = self._yardstick(candidate)
        candidate.mirror.yardstick = yardstick
        if yardstick is not None:
            self._yardsticks[yardstick] += 1
        if window is not None and self._rules.checks:
            if not self._with_window[yardstick, window]:
                insort(self._windows.setdefault(yardstick, []), window)
            self._with_window[yardstick, window] += 1
        self._unable.update(lacking(candidate.deployment))
        listed = listed_params(candidate.deployment)
        if listed is not None:
            self._lists += 1
            self._listed.update(listed)

    def leave(self, candidate: Candidate) -> None:
        window = candidate.facts.max_input_tokens
        yardstick = candidate.mirror.yardstick
        if yardstick is not None:
            self._yardsticks[yardstick] -= 1
            self._yardsticks = +self._yardsticks
        if window is not None and self._rules.checks:
            self._with_window[yardstick, window] -= 1
            if not self._with_window[yardstick, window]:
                del self._with_window[yardstick, window]
                windows = self._windows[yardstick]
                del windows[bisect_left(windows, window)]
        self._unable.subtract(lacking(candidate.deployment))
        self._unable = +self._unable
        listed = listed_params(candidate.deployment)
        if listed is not None:
            self._lists -= 1
            self._listed.subtract(listed)
            self._listed = +self._listed

    def of(self, call: Call) -> Suit:
        """The kind of this call's request."""
        wishes = call.wishes
        tags = wishes.tags if wishes is not None and self._rules.tags else ()
        if self._rules.checks:
            return self._known(tags, *self._checked(call))
        return self._known(tags) if tags else self._plain

    def _yardstick(self, candidate: Candidate) -> str | None:
        """By which vocabulary a prompt is counted for it, should it come to that."""
        if not self._rules.exact:
            return None
        limited = self._rules.checks and candidate.facts.max_input_tokens is not None
        return encoding_of(candidate.deployment) if limited or candidate.deployment.tpm is not None else None

    @property
    def yardsticks(self) -> tuple[str, ...]:
        """Every vocabulary by which a limit of this group is reached. A prompt is counted by all, once."""
        return tuple(self._yardsticks)

    def window_decides(self, demand: Demand) -> bool:
        """Whether bounds do not settle into which context windows this prompt fits."""
        if not countable(demand):
            return False
        least, most = demand.input_bounds()
        for yardstick, windows in self._windows.items():
            if yardstick is not None:
                position = bisect_left(windows, least)
                if position < len(windows) and windows[position] < most:
                    return True
        return False

    def _too_small(self, demand: Demand) -> Iterator[tuple[str | None, int]]:
        """The largest context window that is too small, by each yardstick by which one is."""
        for yardstick, windows in self._windows.items():
            tokens = demand.input_by(yardstick)
            if windows and tokens > windows[0]:
                yield yardstick, windows[bisect_left(windows, tokens) - 1]

    def checked(self, call: Call) -> Suit:
        """The kind of a request as if tags did not count."""
        if not self._rules.checks:
            return EVERYONE
        region, needs, params, drops, beyond = self._checked(call)
        return Suit(region=region, needs=needs, params=params, drops=drops, beyond=beyond)

    def _known(self, tags: tuple[str, ...], *checked: Any) -> Suit:
        """The suit made of these, the same object as the last time."""
        if not tags and not any(checked):
            return self._plain
        key = (tags, checked)
        suit = self._suits.get(key)
        if suit is None:
            if len(self._suits) >= MAX_SUITS:
                self._suits.clear()
            suit = self._suits[key] = self._made(tags, *checked)
        return suit

    def _made(
        self,
        tags: tuple[str, ...],
        region: str | None = None,
        needs: tuple[str, ...] = (),
        params: tuple[str, ...] = (),
        drops: bool | None = None,  # noqa: FBT001  (a request's own word)
        beyond: tuple[tuple[str | None, int], ...] = (),
    ) -> Suit:
        without = frozenset(tag.lstrip(NOT_TAG) for tag in tags if tag.startswith(NOT_TAG))
        wanted = frozenset(tag for tag in tags if not tag.startswith(NOT_TAG))
        rules = self._rules
        return Suit(rules.tags, wanted, without, rules.every, region, needs, params, drops, beyond)

    def _checked(self, call: Call) -> _Checked:
        """Region, needs, parameters, whether these are dropped, and the windows that are too small."""
        region = None if call.wishes is None else call.wishes.region
        beyond = tuple(self._too_small(call.demand))
        needs: tuple[str, ...] = ()
        if self._unable:
            needs = tuple(need for need in needs_of(call.request) if need in self._unable)
        params: tuple[str, ...] = ()
        if self._lists:
            given = optional_params(call.request)
            params = tuple(name for name in given if self._listed[name] < self._lists)
        drops = call.request.drop_params if needs or params else None
        return region, needs, params, drops, beyond
