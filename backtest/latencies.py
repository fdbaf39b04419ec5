"""How long a deployment takes: by size, by the time of the record, with the spread it showed. Pure.

A call at a moment takes what the line says for its size, times what one of the calls of that time was off
by. So whatever the spread looks like, and however it changed over the day, it is had again; and a call that
was given up stands for one of those that took longer (the Kaplan-Meier way).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve, frozen

from .crowding import NO_EVIDENCE, Growths, evidence, growths
from .segments import change_points
from .sizes import Line, fit_line

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from .record import Call

__all__ = ["Latencies", "Moments", "Off", "fit_latencies"]

NEIGHBOURS = 40
"""Calls around a moment among which one is drawn, within the stretch of one level."""

ROUNDS = 4
"""In which lines through sizes and the growth by load find each other."""

NEVER = math.inf


class Off(NamedTuple):
    """By what one call was off the line: `ttft` and `rest` of a stream, all in `ttft` else."""

    ttft: float
    rest: float
    cut: bool

    def times(self, factor: float) -> Off:
        return self if factor == 1.0 else Off(self.ttft * factor, self.rest * factor, self.cut)


@frozen
class Latencies:
    """One deployment's, of streams or of whole answers; see `drawn` for one play's view of it.

    Attributes:
        first: seconds to the first content of a stream, or to the whole answer.
        rest: seconds from there to a stream's end; None for whole answers.
        growth: by what share it is slower for each other call under way, as the lines take it.
        times: when the calls started, in order; `offs` by what each was off, and `busy` how many others were
            open then.
        levels: indexes at which another level begins; the first is 0.
        longest: of calls that ended, by what they were off, in order.
    """

    first: Line
    rest: Line | None
    growth: float
    times: tuple[float, ...]
    offs: tuple[Off, ...]
    busy: tuple[int, ...]
    levels: tuple[int, ...]
    longest: tuple[float, ...]

    def slowed(self, factor: float) -> Latencies:
        """Those of one that takes so many times as long."""
        return evolve(
            self,
            first=self.first.slowed(factor),
            rest=None if self.rest is None else self.rest.slowed(factor),
        )

    def off(self, call: Call) -> float:
        """By what all of a call was off."""
        return _Sizes(self.first, self.rest, self.growth).off(call)

    def drawn(self, rng: random.Random, growth: float | None = None) -> Moments:
        """As it may have been: calls drawn among their neighbours, levels changing somewhere between.

        `growth` is the one of this play: a call that was slow because of others would have been less slow
        without them.
        """
        growth = self.growth if growth is None else growth
        borders = []
        for index in self.levels[1:]:
            early, late = self.times[index - 1], self.times[index]
            borders.append(early + (late - early) * rng.random())
        picked: list[Off] = []
        for low, high in pairwise((*self.levels, len(self.times))):
            for index in range(low, high):
                start, end = _around(index, low, high)
                which = start + int(rng.random() * (end - start))
                others = self.busy[which]
                picked.append(self.offs[which].times((1.0 + self.growth * others) / (1.0 + growth * others)))
        return Moments(self, tuple(borders), picked, growth)


def _around(index: int, low: int, high: int) -> tuple[int, int]:
    start = max(low, min(index - NEIGHBOURS // 2, high - NEIGHBOURS))
    return start, min(high, start + NEIGHBOURS)


class Moments:
    """Latencies in one play."""

    def __init__(
        self, of: Latencies, borders: tuple[float, ...], picked: Sequence[Off], growth: float
    ) -> None:
        self._of = of
        self._growth = growth
        self._borders = borders
        self._picked = picked
        self._ends = (*of.levels, len(of.times))

    def seconds(
        self, at: float, prompt: float, output: float, busy: int, draw: float, tail: float
    ) -> tuple[float, float]:
        """Seconds to the first content, and from there to the end (0 of a whole answer).

        Args:
            at: when the call starts.
            prompt: its tokens.
            output: those of its answer.
            busy: other calls under way.
            draw: which of the calls of that time it is like, in [0, 1).
            tail: should that one have been given up, which of those that took longer.
        """
        of = self._of
        level = bisect_right(self._borders, at)
        low, high = self._ends[level], self._ends[level + 1]
        start, end = _around(bisect_right(of.times, at, low, high), low, high)
        off = self._picked[start + int(draw * (end - start))]
        slower = 1.0 + self._growth * busy
        first = slower * (of.first.at(prompt, output) if of.rest is None else of.first.at(prompt, 0.0))
        rest = 0.0 if of.rest is None else slower * of.rest.at(0.0, output)
        if off.cut:
            longer = self.longer(off.ttft, tail)
            return first * longer, rest * longer if rest else 0.0
        return first * off.ttft, rest * off.rest

    def longer(self, off: float, tail: float) -> float:
        """Off by more than `off`, as those were that ended; for ever when none of them was."""
        longest = self._of.longest
        place = bisect_right(longest, off)
        return longest[place + int(tail * (len(longest) - place))] if place < len(longest) else NEVER

    def after(self, cut_at: float, prompt: float, output: float, tail: float) -> float:
        """Seconds of a call that was given up after `cut_at` seconds: more than that."""
        of = self._of
        line = of.first.at(prompt, output) + (of.rest.at(0.0, output) if of.rest is not None else 0.0)
        return line * self.longer(cut_at / line, tail)


def fit_latencies(
    calls: Sequence[Call],
) -> tuple[Latencies | None, Latencies | None, Growths]:
    """Of whole answers, of streams, and how their load slows both down.

    `calls` were answered or given up, in the order of their starts. What there is no answer of is None.
    """
    kinds = [[call for call in calls if call.arrival.stream is stream] for stream in (False, True)]
    ended = [[call for call in of if not call.cut] for of in kinds]
    slower = Growths()
    for _ in range(ROUNDS):
        sizes = [_Sizes.of(of, slower.likely, stream=bool(place)) for place, of in enumerate(ended)]
        before, slower = slower.likely, growths([_crowded(*each) for each in zip(ended, sizes, strict=True)])
        if slower.likely == before:
            break
    sizes = [_Sizes.of(of, slower.likely, stream=bool(place)) for place, of in enumerate(ended)]
    whole, stream = (
        _fitted(of, under) if any(not call.cut for call in of) else None
        for of, under in zip(kinds, sizes, strict=True)
    )
    return whole, stream, slower


def _crowded(ended: Sequence[Call], sizes: _Sizes) -> tuple[float, ...]:
    """What these calls tell of how load slows them down, as far as this line through sizes is right.

    The line and the levels are found under the growth of the round before: a line through calls that were
    all busy takes the crowd for size, and a crowd that comes and goes looks like another level.
    """
    if not ended:
        return NO_EVIDENCE
    busy = [call.open for call in ended]
    even = [math.log(sizes.off(call)) for call in ended]
    logs = [log + math.log1p(sizes.growth * others) for log, others in zip(even, busy, strict=True)]
    return evidence(logs, busy, (0, *change_points(even)))


def _fitted(calls: Sequence[Call], sizes: _Sizes) -> Latencies:
    levels = change_points([math.log(sizes.off(call)) for call in calls])
    return Latencies(
        sizes.first,
        sizes.rest,
        sizes.growth,
        tuple(call.at for call in calls),
        tuple(sizes.parts(call) for call in calls),
        tuple(call.open for call in calls),
        (0, *levels),
        tuple(sorted(sizes.off(call) for call in calls if not call.cut)),
    )


class _Sizes(NamedTuple):
    """What a call should take by its size, and by how busy its deployment was."""

    first: Line
    rest: Line | None
    growth: float

    @staticmethod
    def of(ended: Sequence[Call], growth: float, *, stream: bool) -> _Sizes:
        alone = [1.0 + growth * call.open for call in ended]
        if not stream:
            return _Sizes(
                fit_line(
                    [
                        (call.prompt_tokens, call.output_tokens, call.seconds / slower)
                        for call, slower in zip(ended, alone, strict=True)
                    ]
                ),
                None,
                growth,
            )
        first, rest = [], []
        for call, slower in zip(ended, alone, strict=True):
            opened = _opened(call)
            first.append((float(call.prompt_tokens), 0.0, opened / slower))
            rest.append((0.0, float(call.output_tokens), (call.seconds - opened) / slower))
        return _Sizes(fit_line(first), fit_line(rest), growth)

    def off(self, call: Call) -> float:
        """By what all of a call was off."""
        prompt, output = _tokens(call)
        if self.rest is None:
            line = self.first.at(prompt, output)
        else:
            line = self.first.at(prompt, 0.0) + self.rest.at(0.0, output)
        return max(1e-6, call.seconds / (line * (1.0 + self.growth * call.open)))

    def parts(self, call: Call) -> Off:
        """By what its beginning was off, and the rest."""
        if call.cut or self.rest is None:
            return Off(self.off(call), 1.0, call.cut)
        slower, opened = 1.0 + self.growth * call.open, _opened(call)
        prompt, output = _tokens(call)
        return Off(
            opened / (self.first.at(prompt, 0.0) * slower),
            max(0.0, call.seconds - opened) / (self.rest.at(0.0, output) * slower),
            cut=False,
        )


def _opened(call: Call) -> float:
    return call.seconds if call.ttft is None else call.ttft


def _tokens(call: Call) -> tuple[int, int]:
    """Of a call that was cut: what its request was answered elsewhere, or the least it can be."""
    answered = call.arrival.answered_by
    if not call.cut or answered is None:
        return call.prompt_tokens or call.arrival.input_tokens, call.output_tokens
    return answered[1], answered[2]
