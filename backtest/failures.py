"""How often a deployment fails, and when: a usual rate, and episodes with a beginning and an end. Pure.

An episode in which some calls fail is drawn as it was seen. In one in which it was down, and around it, each
play draws when it was down between the calls that saw it (`turns`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve, frozen

from .episodes import episodes
from .record import Arrival, Call
from .turns import Sight, turns_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from .episodes import Episode
    from .turns import Turns

__all__ = ["Failures", "Spell", "Weather", "fit_failures"]

BORROWED_CALLS = 20.0
"""So many calls of another deployment count for one that is likened to it."""

DOWN = 0.8
"""Share of calls of an episode that fail from which on it was down, and not ill."""

UNSEEN = 0.5
"""Of these so many are taken to have failed though none did: that one is perfect nobody knows yet."""


@frozen
class Spell:
    """An episode: it began between two moments, and ended between two; so many calls of `calls` failed."""

    begins: tuple[float, float]
    ends: tuple[float, float]
    calls: int
    faults: tuple[Call, ...]

    @property
    def down(self) -> bool:
        """Rather than ill."""
        return len(self.faults) >= DOWN * self.calls


@frozen
class Failures:
    """One deployment's.

    Attributes:
        spells: its episodes, in order.
        calls: how many it had outside of them, and `failed` how many of those failed.
        faults: failed calls outside of them, to fail like.
        turns: when it was down, of one that was; `lasted` from when until when it was watched.
    """

    spells: tuple[Spell, ...]
    calls: float
    failed: float
    faults: tuple[Call, ...]
    turns: Turns | None = None
    lasted: tuple[float, float] = (0.0, 0.0)

    def beside(self, like: Failures) -> Failures:
        """These, of one that is taken to fail as another does until so many calls of its own say how."""
        if self.calls >= BORROWED_CALLS:
            return self
        share = min(1.0, BORROWED_CALLS / max(1.0, like.calls))
        return evolve(
            self,
            calls=self.calls + share * like.calls,
            failed=self.failed + max(UNSEEN, share * like.failed),
            faults=self.faults or like.faults or (_SOME_FAULT,),
        )

    def drawn(self, rng: random.Random) -> Weather:
        """As it may have been: each rate as likely as the record makes it, each border somewhere between."""
        usual = _rate(rng, self.failed, self.calls) if self.failed else 0.0
        spells = []
        for spell in self.spells:
            if self.turns is not None and spell.down:
                continue
            begins = spell.begins[0] + (spell.begins[1] - spell.begins[0]) * rng.random()
            ends = spell.ends[0] + (spell.ends[1] - spell.ends[0]) * rng.random()
            failed = len(spell.faults)
            rate = 1.0 if failed == spell.calls else _rate(rng, failed, spell.calls)
            spells.append(_Drawn(begins, ends, rate, spell.faults))
        if self.turns is not None:
            spells += self._outages(rng, self.turns, spells)
            spells.sort(key=lambda spell: spell.begins)
        return Weather(usual, self.faults, tuple(spells))

    def _outages(self, rng: random.Random, turns: Turns, ill: Sequence[_Drawn]) -> list[_Drawn]:
        """When it was down, save where it was ill."""
        known = [spell for spell in self.spells if spell.down]
        found, place = [], 0
        for begins, ends in turns.drawn(rng, *self.lasted):
            if any(each.begins < ends and begins < each.ends for each in ill):
                continue
            while place + 1 < len(known) and known[place].ends[0] < begins:
                place += 1
            found.append(_Drawn(begins, ends, 1.0, known[place].faults))
        return found


_SOME_FAULT = Call(
    0.0, Arrival(0.0, "", "", stream=False, timeout=0.0, input_tokens=0), 0, 0.1, error="APIError", status=500
)
"""How one fails where nobody ever did."""


def _rate(rng: random.Random, failed: float, calls: float) -> float:
    return rng.betavariate(failed, max(0.5, calls - failed))


class _Drawn(NamedTuple):
    begins: float
    ends: float
    rate: float
    faults: tuple[Call, ...]


class Weather:
    """Failures in one play."""

    def __init__(self, usual: float, faults: tuple[Call, ...], spells: tuple[_Drawn, ...]) -> None:
        self._usual = usual
        self._faults = faults
        self._spells = spells
        self._next = 0

    def fault(self, at: float, draw: float, which: Callable[[], float]) -> Call | None:
        """The call of the record that this one fails like; None when it does not fail.

        Moments may only go forward. `draw` decides, in [0, 1), and `which` draws the kind.
        """
        spells = self._spells
        while self._next < len(spells) and spells[self._next].ends <= at:
            self._next += 1
        rate, faults = self._usual, self._faults
        if self._next < len(spells) and spells[self._next].begins <= at:
            _, _, rate, faults = spells[self._next]
        if draw >= rate or not faults:
            return None
        return faults[int(which() * len(faults))]


def fit_failures(calls: Sequence[Call], began: float, ended: float) -> Failures:
    """From the calls of a deployment that say something of it, in the order of their starts."""
    found = episodes([call.error is not None for call in calls])
    spells, inside = [], 0
    outside: list[Call] = []
    place = 0
    for episode in found:
        first, last = calls[episode.first], calls[episode.last]
        before = calls[episode.first - 1].at if episode.first else began
        after = calls[episode.last + 1].at if episode.last + 1 < len(calls) else max(ended, last.at)
        faults = tuple(c for c in calls[episode.first : episode.last + 1] if c.error is not None)
        spells.append(Spell((before, first.at), (last.at, after), episode.calls, faults))
        outside.extend(calls[place : episode.first])
        place = episode.last + 1
        inside += episode.calls
    outside.extend(calls[place:])
    faults = tuple(call for call in outside if call.error is not None)
    return Failures(
        tuple(spells), len(outside), len(faults), faults, _turns(calls, found, spells), (began, ended)
    )


def _turns(calls: Sequence[Call], found: Sequence[Episode], spells: Sequence[Spell]) -> Turns | None:
    """What each call saw: a failure outside of an outage is one of those that come now and then."""
    down = [False] * len(calls)
    for episode, spell in zip(found, spells, strict=True):
        if spell.down:
            for index in range(episode.first, episode.last + 1):
                down[index] = calls[index].error is not None
    if not any(down):
        return None
    return turns_of([Sight(call.at, bad) for call, bad in zip(calls, down, strict=True)])
