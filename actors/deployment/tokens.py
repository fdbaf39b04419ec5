"""How many tokens a byte of prompt is, learned from what the provider says it used. Pure."""

from __future__ import annotations

from attrs import define

__all__ = ["MAX_RATIO", "MIN_LEARNED_BYTES", "MIN_RATIO", "TokenRatio"]

MIN_LEARNED_BYTES = 200
"""Shorter prompts teach nothing: what the provider adds to each of them is more than their text."""

RATIO_WEIGHT = 50
"""Calls after which the ratio moves at a constant rate."""

MIN_RATIO = 1 / 32
"""Tokens per byte below this, and above `MAX_RATIO`, are not believed: no vocabulary is like that."""

MAX_RATIO = 2.0


@define(eq=False)
class TokenRatio:
    """A moving average over calls; None until there was one."""

    value: float | None = None
    calls: int = 0

    def learn(self, prompt_tokens: int, text_bytes: int, fixed_tokens: int) -> None:
        """A call with so many bytes of text, and `fixed_tokens` beside them, was `prompt_tokens`."""
        if text_bytes < MIN_LEARNED_BYTES:
            return
        seen = (prompt_tokens - fixed_tokens) / text_bytes
        if not MIN_RATIO <= seen <= MAX_RATIO:
            return
        self.calls += 1
        before = self.value
        self.value = seen if before is None else before + (seen - before) / min(self.calls, RATIO_WEIGHT)
