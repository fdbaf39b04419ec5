"""What happened when, in a fixed number of steps: a step grows as the story gets longer. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["MAX_STEPS", "SERIES", "Timeline"]

MAX_STEPS = 60
"""Steps of a timeline. When they are full, two become one, so a journal of a year has steps of days."""

SERIES = ("requests", "failures", "tokens", "cost")


class Timeline:
    """Requests accepted, requests failed, tokens used and dollars spent, step by step.

    Attributes:
        start: router time at which the first step begins; None before anything happened.
        step: seconds in one step; a power of two.
    """

    __slots__ = ("_current", "_end", "_past", "start", "step")

    def __init__(self) -> None:
        self.start: float | None = None
        self.step = 1.0
        self._past: dict[str, list[float]] = {name: [] for name in SERIES}
        self._current = dict.fromkeys(SERIES, 0.0)
        self._end = 0.0

    def __repr__(self) -> str:
        return f"<Timeline · {self.steps} steps of {self.step:g} s>"

    @property
    def steps(self) -> int:
        """How many there are, the one that is going on included."""
        return 0 if self.start is None else len(self._past["requests"]) + 1

    def add(self, name: str, amount: float, at: float) -> None:
        """Something happened at router time `at`. What comes late is taken into the step that goes on."""
        if at >= self._end:
            self._go_on(at)
        self._current[name] += amount

    def used(self, tokens: int, cost: float, at: float) -> None:
        """The same for what a call used."""
        if at >= self._end:
            self._go_on(at)
        current = self._current
        current["tokens"] += tokens
        current["cost"] += cost

    def _go_on(self, at: float) -> None:
        if self.start is None:
            self.start = at - at % self.step
            self._end = self.start + self.step
            if at < self._end:
                return
        past = self._past
        for name, values in past.items():
            values.append(self._current[name])
            self._current[name] = 0.0
        index = int((at - self.start) / self.step)
        while index >= MAX_STEPS:
            self._halve()
            index = int((at - self.start) / self.step)
        for values in past.values():
            values.extend([0.0] * (index - len(values)))
        self._end = self.start + (index + 1) * self.step

    def _halve(self) -> None:
        self.step *= 2
        for name, values in self._past.items():
            values.append(0.0)  # for a last step without a partner
            self._past[name] = [a + b for a, b in zip(values[::2], values[1::2], strict=False)]

    def reset_cost(self) -> None:
        """Count money from nothing again."""
        self._past["cost"] = [0.0] * len(self._past["cost"])
        self._current["cost"] = 0.0

    def series(self) -> dict[str, list[float]]:
        """Every series, all of the same length."""
        if self.start is None:
            return {name: [] for name in SERIES}
        return {name: [*values, self._current[name]] for name, values in self._past.items()}

    def snapshot(self) -> list[Any]:
        """JSON-able."""
        return [self.start, self.step, self._end, self._past, self._current]

    @classmethod
    def restore(cls, state: list[Any]) -> Timeline:
        """What `snapshot` gave."""
        made = cls()
        made.start, made.step, made._end, past, current = state
        made._past = {name: list(past[name]) for name in SERIES}
        made._current = {name: current[name] for name in SERIES}
        return made
