"""Common random numbers: the same request at the same deployment draws the same, whatever the settings. Pure.

What is compared differs then by the settings, and hardly by luck. A draw is a hash of what it is for, so
that one that is made under one setting and not under the other moves no other.
"""

from __future__ import annotations

__all__ = ["Draws"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_UNIT = 2.0**-64


def _mixed(word: int) -> int:
    """The finaliser of splitmix64: every bit of the word moves every bit of the outcome."""
    word = ((word ^ (word >> 30)) * _FIRST) & _MASK
    word = ((word ^ (word >> 27)) * _SECOND) & _MASK
    return word ^ (word >> 31)


class Draws:
    """Numbers in [0, 1), each named by what it is for."""

    def __init__(self, seed: int) -> None:
        self._seed = _mixed((seed * _GOLDEN + _GOLDEN) & _MASK)

    def of(self, number: int, place: int, nth: int, what: int) -> float:
        """For request `number` at the deployment in `place`, the `nth` time, as draw `what`."""
        word = self._seed ^ ((number * _GOLDEN + (place << 20) + (nth << 8) + what + 1) & _MASK)
        return _mixed((_mixed(word) + _GOLDEN) & _MASK) * _UNIT
