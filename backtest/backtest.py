"""A record played again under other settings: `Backtest("turnout.db").run({"adaptive": {...}})`."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from ..actors.runtime.chance import make_rng
from ..history.replay import Replay
from ..messages.errors import ConfigurationError
from ..messages.problems import did_you_mean, listed, quoted
from .comparison import Column, Comparison
from .figures import Figures, figures_of
from .play import directory_of, play, requests_of
from .providers import fit_model
from .record import MAX_REQUESTS, Record, read_record
from .setups import Setup, as_recorded, check, with_settings
from .sharers import Sharers
from .unknown import unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from ..history.replay import When
    from .play import Asking
    from .providers import Model

__all__ = ["MAX_SEEDS", "SEEDS", "Backtest", "compare"]

SEEDS = 20
"""Plays of each candidate."""

MAX_SEEDS = 1_000

WARM_UP_SECONDS = 300.0
"""Before a stretch in the midst of a record, that are played and not counted."""


class Backtest:
    """What would have become of a journal's requests under other settings.

    Args:
        journal: the file; it is only read, and may be in use.
        since, until: the stretch to play: what `Replay.at` takes; all of it by default.
        max_requests: requests that are read at most; of more, the first ones.

    Raises:
        ConfigurationError: no journal, a moment that is gone, or nothing to play.
    """

    def __init__(
        self,
        journal: str | os.PathLike[str],
        since: When | None = None,
        until: When | None = None,
        *,
        max_requests: int = MAX_REQUESTS,
        tick: Callable[[int], object] | None = None,
    ) -> None:
        with Replay(journal) as replay:
            self.record, self._counts_from = _read(replay, since, until, max_requests, tick)
        if not any(arrival.at >= self._counts_from for arrival in self.record.arrivals):
            where = _stretch(since, until)
            msg = f"journal {str(journal)!r}: no request in it{where} can be played again{_why(self.record)}"
            raise ConfigurationError(msg)

    def __repr__(self) -> str:
        return f"<Backtest of {len(self.record.arrivals):,} requests>"

    def run(
        self,
        candidates: dict[str, Mapping[str, Any]] | Sequence[Setup] = (),
        *,
        seeds: int = SEEDS,
        progress: Callable[[str, int], object] | None = None,
    ) -> Comparison:
        """Play the record under its own settings, and under each candidate's.

        Args:
            candidates: by name, the settings that are changed.
            seeds: how often each is played.
            progress: told a candidate's name and how many more requests of it were played; 0 when it begins.

        Raises:
            ConfigurationError: a setting is unknown or wrong, or so many seeds are not possible.
        """
        if not 1 <= seeds <= MAX_SEEDS:
            msg = f"seeds = {seeds}: must be 1 to {MAX_SEEDS}"
            raise ConfigurationError(msg)
        usual = as_recorded(self.record)
        check(usual.settings)
        setups = (
            [with_settings(usual, name, changed) for name, changed in candidates.items()]
            if isinstance(candidates, dict)
            else list(candidates)
        )
        return compare(self.record, [usual, *setups], seeds, self._counts_from, progress)


def _read(
    replay: Replay,
    since: When | None,
    until: When | None,
    max_requests: int,
    tick: Callable[[int], object] | None,
) -> tuple[Record, float]:
    """The stretch of the journal, with a little before it to warm up."""
    position, at = replay.beginning()
    trimmed = at if position else 0.0
    counts_from = 0.0
    if since is not None:
        counts_from = replay.place(since)[1]
        early = replay.place(max(at, counts_from - WARM_UP_SECONDS))
        position, at = max((position, at), early)
    fleet = replay.world_at(position, at).fleet if position else None
    record = read_record(
        replay.events(position),
        fleet,
        max_requests=max_requests,
        until=math.inf if until is None else replay.place(until)[1],
        tick=tick,
    )
    record.since = trimmed if counts_from < trimmed else 0.0
    return record, counts_from


def _stretch(since: When | None, until: When | None) -> str:
    words = "" if since is None else f" from {since}"
    return words if until is None else f"{words} to {until}"


def _why(record: Record) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in record.left_out.most_common())
    return f" ({reasons})" if reasons else ""


def compare(
    record: Record,
    setups: Sequence[Setup],
    seeds: int,
    counts_from: float = 0.0,
    progress: Callable[[str, int], object] | None = None,
    model: Model | None = None,
    first: int = 1,
) -> Comparison:
    """Play each setup with each seed from `first` on; the first setup is the one others are compared with."""
    listings = record.listings
    for setup in setups:
        listings = {**setup.listings(), **listings}
    model = model or fit_model(record, listings)
    for setup in setups[1:]:
        _must_serve(setup, setups[0], record)
    asking = requests_of(record.arrivals, record.usual_timeout)
    began = max(counts_from, record.arrivals[0].at)
    ended = record.arrivals[-1].at
    plays: list[list[Figures]] = [[] for _ in setups]
    for seed in range(first, first + seeds):
        for place, setup in enumerate(setups):
            plays[place].append(_played(asking, setup, model, seed, (began, ended), progress))
    columns = tuple(Column(setup.name, tuple(each)) for setup, each in zip(setups, plays, strict=True))
    recorded = figures_of(record.rows, began, ended, record.busiest)
    counted = int(recorded.values["requests"])
    return Comparison(began, ended, counted, recorded, columns, tuple(unknown(record, model, columns)))


def _must_serve(setup: Setup, usual: Setup, record: Record) -> None:
    """What is asked for in the record must lead somewhere, where it did there."""
    here, there = (directory_of(each) for each in (setup, usual))
    asked = Counter(arrival.model for arrival in record.arrivals)
    for model, count in asked.most_common():
        if model in there and model not in here:
            known = here.names()
            msg = (
                f"{setup.name}: no model {quoted(model)}{did_you_mean(model, known)} (known: "
                f"{listed(known)}), which {count:,} requests of the record ask for; "
                "model_group_alias can give it another name"
            )
            raise ConfigurationError(msg)


def _played(
    asking: Sequence[Asking],
    setup: Setup,
    model: Model,
    seed: int,
    counted: tuple[float, float],
    progress: Callable[[str, int], object] | None,
) -> Figures:
    providers = model.drawn(seed, make_rng(seed))
    tick = None if progress is None else partial(progress, setup.name)
    if tick is not None:
        tick(0)
    played = play(asking, setup, providers, seed, tick, sharers=Sharers(model.told))
    return figures_of(played.rows, *counted, played.busiest)
