"""From a request to its kind: the suit that names its view. Pure.

A suit holds only what makes a difference in this group. A prompt that fits the smallest context window,
an image where nobody is known to be blind, a parameter that everyone supports ask for nothing special.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from ...messages.capabilities import lacking, listed_params, needs_of, optional_params
from ...messages.wishes import NOT_TAG
from .suitable import EVERYONE, Suit

if TYPE_CHECKING:
    from ...messages.commands import Call
    from ...messages.settings import RouterSettings
    from ...messages.wishes import Wishes
    from .strategies.base import Candidate

__all__ = ["Kinds", "Rules", "rules_of"]


@frozen
class Rules:
    """What the settings say about who suits.

    Attributes:
        tags: whether tags count.
        every: whether all of a request's tags must be there.
        checks: whether context window, region and capabilities are looked at before a call.
    """

    tags: bool = False
    every: bool = False
    checks: bool = False

    @property
    def plain(self) -> Suit:
        """The kind of a request that asks for nothing."""
        return Suit(by_tags=True, every=self.every) if self.tags else EVERYONE


def rules_of(settings: RouterSettings) -> Rules:
    """What a group goes by."""
    return Rules(
        settings.enable_tag_filtering,
        settings.enable_tag_filtering and not settings.tag_filtering_match_any,
        settings.enable_pre_call_checks,
    )


class Kinds:
    """Knows what makes a difference among the deployments of one group."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.matters = rules.checks
        """Whether a request without wishes may be special, too."""
        self._plain = rules.plain
        self._windows: list[int] = []
        """The sizes of context windows, each once, smallest first."""
        self._with_window: Counter[int] = Counter()
        self._unable: Counter[str] = Counter()
        self._lists = 0
        self._listed: Counter[str] = Counter()

    def join(self, candidate: Candidate) -> None:
        window = candidate.facts.max_input_tokens
        if window is not None:
            if not self._with_window[window]:
                insort(self._windows, window)
            self._with_window[window] += 1
        self._unable.update(lacking(candidate.deployment))
        listed = listed_params(candidate.deployment)
        if listed is not None:
            self._lists += 1
            self._listed.update(listed)

    def leave(self, candidate: Candidate) -> None:
        window = candidate.facts.max_input_tokens
        if window is not None:
            self._with_window[window] -= 1
            if not self._with_window[window]:
                del self._with_window[window]
                del self._windows[bisect_left(self._windows, window)]
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
        suit = self._plain
        if wishes is not None and wishes.tags and self._rules.tags:
            suit = _tagged(suit, wishes)
        return self._checked(suit, call) if self._rules.checks else suit

    def checked(self, call: Call) -> Suit:
        """The kind of a request as if tags did not count."""
        return self._checked(EVERYONE, call) if self._rules.checks else EVERYONE

    def _checked(self, suit: Suit, call: Call) -> Suit:
        region = None if call.wishes is None else call.wishes.region
        windows, tokens = self._windows, call.demand.input_tokens
        beyond = 0
        if windows and tokens > windows[0]:
            beyond = windows[bisect_left(windows, tokens) - 1]
        needs: tuple[str, ...] = ()
        if self._unable:
            needs = tuple(need for need in needs_of(call.request) if need in self._unable)
        params: tuple[str, ...] = ()
        if self._lists:
            given = optional_params(call.request)
            params = tuple(name for name in given if self._listed[name] < self._lists)
        if not (beyond or needs or params or region):
            return suit
        drops = call.request.drop_params if needs or params else None
        return evolve(suit, region=region, needs=needs, params=params, drops=drops, beyond=beyond)


def _tagged(plain: Suit, wishes: Wishes) -> Suit:
    without = frozenset(tag.lstrip(NOT_TAG) for tag in wishes.tags if tag.startswith(NOT_TAG))
    wanted = frozenset(tag for tag in wishes.tags if not tag.startswith(NOT_TAG))
    return evolve(plain, tags=wanted, without=without)
