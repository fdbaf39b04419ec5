"""An auditor's own account of a cache: which answers it may give, told from what others were answered."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from .tolerances import ROUNDING
from .violation import Violation

if TYPE_CHECKING:
    from ....messages.events import CacheHit, RequestSucceeded
    from ..marks import Marks
    from .rulebook import Rulebook

__all__ = ["CacheBook"]

REMEMBERED = 64
"""Answers of each kind that are known, the latest."""

TTL_SECONDS = 600.0


class _Answer(NamedTuple):
    at: float
    deployment_id: str
    until: float


class CacheBook:
    """Answers by what was asked for, of whom, and in which shape."""

    def __init__(self, rules: Rulebook, marks: Marks) -> None:
        self.rules = rules
        self.marks = marks
        self._answers: dict[str, deque[_Answer]] = {}

    def __repr__(self) -> str:
        return f"<CacheBook {len(self._answers)} kinds of request>"

    @property
    def on(self) -> bool:
        """Whether there is a cache at all."""
        return bool(self.rules.settings.get("cache_responses"))

    def kind(self, fields: dict[str, Any]) -> str:
        """The same for requests that may have the same answer."""
        model = fields["model"]
        asked = (model, str(fields["messages"]), fields.get("max_tokens"), bool(fields.get("stream")))
        tags = sorted(fields.get("tags", ())) if self.rules.settings.get("enable_tag_filtering") else ()
        needs = [str(fields.get(name)) for name in ("tools", "response_format")]
        checks = self.rules.settings.get("enable_pre_call_checks")
        region = fields.get("allowed_model_region") if checks else None
        return repr((*asked, tags, needs, region))

    def shares(self, fields: dict[str, Any]) -> bool:
        """Whether a request may wait for the answer to an equal one."""
        controls = fields.get("cache", {})
        return (
            self.on and fields.get("caching") is not False and not controls.keys() & {"no-cache", "no-store"}
        )

    def answered(self, fields: dict[str, Any], event: RequestSucceeded, at: float) -> None:
        """A request had an answer of its own: is it kept?"""
        controls = fields.get("cache", {})
        if not self.on or event.fallbacks or fields.get("caching") is False or "no-store" in controls:
            return
        kept = self.rules.settings.get("cache_kwargs", {}).get("ttl", TTL_SECONDS)
        answers = self._answers.setdefault(self.kind(fields), deque(maxlen=REMEMBERED))
        answers.append(_Answer(at, event.deployment_id, at + controls.get("ttl", kept)))

    def hit(self, fields: dict[str, Any], event: CacheHit, at: float) -> None:
        """The cache answered.

        Raises:
            Violation: it had no such answer, or had to forget it, or was not to be asked.
        """
        controls = fields.get("cache", {})
        if not self.on or fields.get("caching") is False or "no-cache" in controls:
            self._wrong(event, "was not to be answered from the cache", at)
        if event.age > controls.get("s-maxage", event.age) + ROUNDING:
            self._wrong(event, f"wanted no answer as old as {event.age} s", at)
        told = at - event.age
        for answer in self._answers.get(self.kind(fields), ()):
            if answer.deployment_id == event.deployment_id and abs(answer.at - told) < ROUNDING:
                if at > answer.until + ROUNDING and not event.shared:
                    self._wrong(event, f"had an answer that was to be forgotten at {answer.until}", at)
                self.marks.sometimes("shared an open call" if event.shared else "answered from the cache")
                return
        self._wrong(event, f"had an answer of {event.deployment_id} that nobody was given at {told}", at)

    def _wrong(self, event: CacheHit, what: str, at: float) -> None:
        raise Violation("cache", f"request {event.request_id} {what}", at)
