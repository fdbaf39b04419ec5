"""The one source of chance of a simulated world.

Every draw, of whatever kind, comes down to `below(n)`: a whole number under `n`, where 0 is the
dullest. A seed decides them all; so does a tape of numbers, and so does Hypothesis, which is how a
long history that went wrong becomes a short one.

A world says what it draws for: which turn has come, which request it is about. Most sources do not
care; one that shortens a history takes single turns out of it, and finds the draws of all others in
their place (`PartedChance`).
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from ...actors.runtime.chance import make_rng

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "FINE",
    "MAX_TAPE",
    "Chance",
    "DrawnChance",
    "Named",
    "Part",
    "PartedChance",
    "SeededChance",
    "TapedChance",
]

T = TypeVar("T")

Part = tuple[int, str]
"""What draws are for: the turn, from 0, and what in it; -1 is the end, when nobody comes any more."""

FINE = 1 << 16
"""Steps between 0 and 1 in a draw of a fraction."""

MAX_TAPE = 4_000
"""Draws that Hypothesis can take over to make shorter."""


class Chance:
    """Draws of every kind; a subclass says where `below` comes from."""

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1; the smaller, the duller the history."""
        raise NotImplementedError

    def begin(self, turn: int) -> None:
        """What is drawn from here on belongs to another turn."""

    def part(self, _name: str) -> Chance:
        """The draws for one thing, in whichever turn it is."""
        return self

    def of(self, _request_id: str) -> Chance:
        """The draws for one request, which belong to the turn that it came in."""
        return self

    @contextmanager
    def asking(self, _number: int) -> Iterator[None]:
        """Caller `_number` of this turn asks: a request that shows up meanwhile is the caller's."""
        yield

    def asked(self, _number: int, _request_id: str) -> None:
        """That caller's request has this id."""

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

    def pick(self, _what: str, names: Sequence[str]) -> str:
        """One of them; a history that is shortened finds it by its name, whoever else is gone."""
        return names[self.below(len(names))]

    def surely(self) -> bool:
        """True, whatever the seed; a history that is shortened may have it otherwise."""
        return self.below(2) == 1

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
    """All draws follow from a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = make_rng(seed).random

    def __repr__(self) -> str:
        return f"<SeededChance {self.seed}>"

    def below(self, n: int) -> int:
        return int(self._random() * n) if n > 1 else 0

    def surely(self) -> bool:
        return True


class TapedChance(Chance):
    """Draws that were written down; when the tape is at its end every draw is 0."""

    def __init__(self, tape: Sequence[int]) -> None:
        self._given = tape
        self.tape: list[int] = []

    def __repr__(self) -> str:
        return f"<TapedChance at {len(self.tape)} of {len(self._given)}>"

    def below(self, n: int) -> int:
        if n < 2:
            return 0
        at = len(self.tape)
        drawn = min(self._given[at], n - 1) if at < len(self._given) else 0
        self.tape.append(drawn)
        return drawn


class Named(int):
    """A draw of one among some names: which place it had, and the name.

    Attributes:
        what: what the names are of: "group".
        name: that was drawn.
    """

    what: str
    name: str

    @classmethod
    def of(cls, place: int, what: str, name: str) -> Named:
        """The draw of `name`, which stood at this place."""
        drawn = cls(place)
        drawn.what, drawn.name = what, name
        return drawn


@define
class _Notes:
    """What was drawn: in its order, and by what it was for."""

    tape: list[int] = field(factory=list)
    parts: dict[Part, list[int]] = field(factory=dict)
    turn: int = 0
    came: dict[str, PartedChance] = field(factory=dict)
    newcomers: int = 0
    asking: int | None = None


class PartedChance(Chance):
    """Notes what each draw was for. From a seed, or from such notes of another history.

    A part whose notes are at their end goes on with 0; what a history has no use for is passed over.
    So a turn can be left out, and every other one finds its own draws.

    Attributes:
        tape: all draws, in their order: a `TapedChance` repeats them.
        parts: the same draws by what they were for.
    """

    def __init__(self, source: int | Mapping[Part, Sequence[int]]) -> None:
        self._draw: _Draw = _SeededDraw(source) if isinstance(source, int) else _NotedDraw(source)
        self._notes = _Notes()
        self._turn: int | None = None
        self._name = ""
        self._parts: dict[str, PartedChance] = {}

    def __repr__(self) -> str:
        return f"<PartedChance {self._name!r} in turn {self._notes.turn} · {len(self.tape)} draws>"

    @property
    def tape(self) -> list[int]:
        return self._notes.tape

    @property
    def parts(self) -> dict[Part, list[int]]:
        return self._notes.parts

    def begin(self, turn: int) -> None:
        self._notes.turn = turn
        self._notes.newcomers = 0

    def part(self, name: str) -> PartedChance:
        known = self._parts.get(name)
        if known is None:
            known = self._parts[name] = self._child(name, None)
        return known

    def of(self, request_id: str) -> PartedChance:
        notes = self._notes
        known = notes.came.get(request_id)
        if known is None and notes.asking is not None:
            known = self._came(request_id, f"request of {notes.asking}")
        elif known is None:  # nobody's: a health check
            notes.newcomers += 1
            known = self._came(request_id, f"newcomer {notes.newcomers}")
        return known

    @contextmanager
    def asking(self, number: int) -> Iterator[None]:
        self._notes.asking = number
        try:
            yield
        finally:
            self._notes.asking = None

    def asked(self, number: int, request_id: str) -> None:
        if request_id not in self._notes.came:
            self._came(request_id, f"request of {number}")

    def _came(self, request_id: str, name: str) -> PartedChance:
        came = self._notes.came[request_id] = self._child(name, self._notes.turn)
        return came

    def _child(self, name: str, turn: int | None) -> PartedChance:
        child = PartedChance({})
        child._draw, child._notes, child._name, child._turn = self._draw, self._notes, name, turn
        return child

    def randrange(self, n: int) -> int:
        return self.part("order").below(n)

    def below(self, n: int) -> int:
        if n < 2:
            return 0
        part = self._part()
        return self._note(part, self._draw.below(part, n))

    def pick(self, what: str, names: Sequence[str]) -> str:
        part = self._part()
        place = self._draw.place(part, what, names)
        if len(names) > 1:
            self._note(part, Named.of(place, what, names[place]))
        return names[place]

    def surely(self) -> bool:
        part = self._part()
        return self._note(part, self._draw.surely(part)) == 1

    def _part(self) -> Part:
        return self._notes.turn if self._turn is None else self._turn, self._name

    def _note(self, part: Part, drawn: int) -> int:
        self._notes.parts.setdefault(part, []).append(drawn)
        self._notes.tape.append(int(drawn))
        return drawn


class _SeededDraw:
    """The draws of a `SeededChance`."""

    def __init__(self, seed: int) -> None:
        self._random = make_rng(seed).random

    def below(self, _part: Part, n: int) -> int:
        return int(self._random() * n)

    def surely(self, _part: Part) -> int:
        return 1

    def place(self, part: Part, _what: str, names: Sequence[str]) -> int:
        return self.below(part, len(names)) if len(names) > 1 else 0


class _NotedDraw:
    """Those of another history. Where there is one name left, the draw among several is passed over."""

    def __init__(self, notes: Mapping[Part, Sequence[int]]) -> None:
        self._notes = notes
        self._read: dict[Part, int] = {}

    def _next(self, part: Part) -> int | None:
        given, at = self._notes.get(part, ()), self._read.get(part, 0)
        return given[at] if at < len(given) else None

    def _take(self, part: Part) -> None:
        self._read[part] = self._read.get(part, 0) + 1

    def below(self, part: Part, n: int) -> int:
        given = self._next(part)
        self._take(part)
        return 0 if given is None else min(given, n - 1)

    def surely(self, part: Part) -> int:
        return self.below(part, 2)

    def place(self, part: Part, what: str, names: Sequence[str]) -> int:
        given = self._next(part)
        if isinstance(given, Named) and given.what == what:
            self._take(part)
            return names.index(given.name) if given.name in names else 0
        return self.below(part, len(names)) if len(names) > 1 else 0


_Draw = _SeededDraw | _NotedDraw


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
