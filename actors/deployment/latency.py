"""How fast a deployment has been, in the two ways the strategies ask. Pure."""

from __future__ import annotations

import math
from typing import Any

from attrs import define, field

__all__ = ["DECAY_SECONDS", "SAMPLES", "LatencyStats"]

SAMPLES = 10
"""Calls that latency-based routing averages over."""

_OTHERS = SAMPLES - 1
"""Calls that are kept beside a new one."""

DECAY_SECONDS = 10.0
"""τ of the peak-sensitive moving averages and of the failure penalty (Finagle's peak EWMA)."""

MEAN_OUTPUT_TOKENS = 256.0
"""Output tokens expected of a call that sets no maximum, until calls have taught us better."""

MEAN_WEIGHT = 50
"""Calls after which the learned mean moves at a constant rate."""


def _kept(then: float, at: float) -> float:
    """The share of a value of `then` that is left `at` a later time; all of it at an earlier one."""
    return math.exp((then - at) / DECAY_SECONDS) if then < at else 1.0


@define(eq=False)
class LatencyStats:
    """Recent latencies of one deployment; all in seconds."""

    samples: tuple[tuple[float, float], ...] = ()
    ttft: float = 0.0
    per_token: float = 0.0
    measured_at: float | None = None
    penalty: float = 0.0
    penalised_at: float = 0.0
    mean_output: float = MEAN_OUTPUT_TOKENS
    calls: int = 0
    expected_output: int = field(init=False)
    """Output tokens to set aside for a call that sets no maximum: the mean, in whole tokens."""

    def __attrs_post_init__(self) -> None:
        self.expected_output = round(self.mean_output)

    def succeeded(self, at: float, seconds: float, ttft: float | None, output_tokens: int) -> None:
        """Learn from a call that went well; `ttft` only of streams."""
        if ttft is None:
            self._sample(at, seconds / max(1, output_tokens))
            self._measure(at, seconds, 0.0)
        else:
            self._sample(at, ttft)
            self._measure(at, ttft, max(0.0, seconds - ttft) / max(1, output_tokens))
        self.calls = calls = self.calls + 1
        self.mean_output += (output_tokens - self.mean_output) / min(calls, MEAN_WEIGHT)
        self.expected_output = round(self.mean_output)

    def timed_out(self, at: float, seconds: float) -> None:
        """A time-out counts as its full length."""
        self._sample(at, seconds)
        self._measure(at, seconds, self.per_token)

    def _sample(self, at: float, value: float) -> None:
        """A new tuple, which those who are told of it share with us."""
        self.samples = (*self.samples[-_OTHERS:], (at, value))

    def failed(self, at: float) -> None:
        """Raise the penalty that `adaptive` weighs in."""
        self.penalty = self.penalty * _kept(self.penalised_at, at) + 1.0
        self.penalised_at = at

    def _measure(self, at: float, first: float, rest: float) -> None:
        """Move both averages: up at once, down slowly."""
        if self.measured_at is None:
            self.ttft, self.per_token = first, rest
        else:
            keep = _kept(self.measured_at, at)
            self.ttft = first if first > self.ttft else self.ttft * keep + first * (1.0 - keep)
            self.per_token = rest if rest > self.per_token else self.per_token * keep + rest * (1.0 - keep)
        self.measured_at = at

    def set_back(self, seconds: float) -> None:
        """The clock was set back: what was so long ago still is."""
        self.samples = tuple((at - seconds, value) for at, value in self.samples)
        self.penalised_at -= seconds
        if self.measured_at is not None:
            self.measured_at -= seconds

    def snapshot(self) -> dict[str, Any]:
        return {
            "samples": [list(sample) for sample in self.samples],
            "ttft": self.ttft,
            "per_token": self.per_token,
            "measured_at": self.measured_at,
            "penalty": self.penalty,
            "penalised_at": self.penalised_at,
            "mean_output": self.mean_output,
            "calls": self.calls,
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> LatencyStats:
        samples = tuple((at, value) for at, value in data["samples"][-SAMPLES:])
        return cls(**{**data, "samples": samples})
