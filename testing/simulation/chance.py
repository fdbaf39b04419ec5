"""The one source of chance of a simulated world.

Every draw, of whatever kind, comes down to `below(n)`: a whole number under `n`, where 0 is the
dullest. A seed decides them all; so does a tape of numbers, and so does Hypothesis, which is how a
long history that went wrong becomes a short one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from ...actors.runtime.chance import make_rng

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FINE", "Chance", "DrawnChance", "SeededChance", "TapedChance"]

T = TypeVar("T")

FINE = 1 << 16
"""Steps between 0 and 1 in a draw of a fraction."""

MAX_TAPE = 4_000
"""Draws that Hypothesis can take over to make shorter."""


class Chance:
    """Draws of every kind; a subclass says where `below` comes from."""

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1; the smaller, the duller the history."""
        raise NotImplementedError

    def randrange(self, n: int) -> int:
        """The name by which a dispatcher draws which of the actors with mail runs next."""
        return self.below(n)

    def fraction(self) -> float:
        """At least 0, below 1."""
        return self.below(FINE) / FINE

    def one_in(self, n: int) -> bool:
        """True once in `n` draws."""
        return self.below(n) == n - 1

    def percent(self, share: float) -> bool:
        """True in so many of a hundred draws."""
        return self.below(1000) >= 1000 - share * 10

    def choice(self, options: Sequence[T]) -> T:
        """One of them; the first is the dullest."""
        return options[self.below(len(options))]

    def between(self, low: float, high: float) -> float:
        """Evenly between two numbers."""
        return low + (high - low) * self.fraction()

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def exponential(self, mean: float) -> float:
        """Exponential with this mean; 0 is the dullest."""
        return -mean * math.log1p(-self.fraction())

    def log_between(self, low: float, high: float) -> float:
        """Between two positive numbers, each order of magnitude as likely as the next."""
        return low * math.pow(high / low, self.fraction())

    def subset(self, options: Sequence[T]) -> list[T]:
        """Each of them in half of the draws, in their order."""
        return [option for option in options if self.below(2)]


class SeededChance(Chance):
    """All draws follow from a seed; the first `max_tape` of them are kept on a tape."""

    def __init__(self, seed: int, max_tape: int = 0) -> None:
        self.seed = seed
        self._max_tape = max_tape
        self.draws = 0
        self.tape: list[int] = []
        self._random = make_rng(seed).random

    def __repr__(self) -> str:
        return f"<SeededChance {self.seed} · {self.draws} draws>"

    def below(self, n: int) -> int:
        if n < 2:
            return 0
        self.draws += 1
        drawn = int(self._random() * n)
        if self.draws <= self._max_tape:
            self.tape.append(drawn)
        return drawn


class TapedChance(Chance):
    """Draws that were written down; when the tape is at its end every draw is 0."""

    def __init__(self, tape: Sequence[int]) -> None:
        self._given = tape
        self.tape: list[int] = []

    def below(self, n: int) -> int:
        if n < 2:
            return 0
        at = len(self.tape)
        drawn = min(self._given[at], n - 1) if at < len(self._given) else 0
        self.tape.append(drawn)
        return drawn


class DrawnChance(Chance):
    """Hypothesis draws: `data` is what its `st.data()` gives to a test.

    Attributes:
        stopped: what Hypothesis raised when it wanted to hear no more; from then on every draw is 0, and
            whoever runs the world raises it at the end, where no actor mistakes it for a bug of its own.
    """

    def __init__(self, data: Any) -> None:
        self._data = data
        self.tape: list[int] = []
        self.stopped: BaseException | None = None

    def below(self, n: int) -> int:
        from hypothesis import strategies as st  # noqa: PLC0415  (only who shrinks needs it)

        if n < 2 or self.stopped is not None:
            return 0
        try:
            drawn: int = self._data.draw(st.integers(0, n - 1))
        except BaseException as stop:  # noqa: BLE001  (raised again by whoever looks at `stopped`)
            self.stopped = stop
            return 0
        self.tape.append(drawn)
        return drawn
