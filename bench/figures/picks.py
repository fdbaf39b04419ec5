"""How much dearer one pick gets from 10 deployments in a group to 10,000 (see `bench.picks`)."""

from __future__ import annotations

from .. import picks
from ..progress import say
from ..report import Figure

GOAL = 3.0
TIGHTER_GOAL = 2.0
TIGHTER = ("simple-shuffle", "least-busy")
"""The strategies held to it; a name in the table of picks may say more after the strategy's."""


def measure(*, quick: bool = False) -> list[Figure]:
    say(f"picks: {len(picks.NAMES)} strategies, groups of {picks.SIZES[0]} to {picks.SIZES[-1]:,}")
    rows = picks.measure(picks=2_000, repeat=1) if quick else picks.measure()
    return [
        Figure(
            what=f"one pick, {picks.SIZES[0]} to {picks.SIZES[-1]:,} deployments: {row.strategy}",
            measured=row.growth,
            goal=TIGHTER_GOAL if row.strategy.startswith(TIGHTER) else GOAL,
            detail=f"{row.microseconds[0]:.2f} us, then {row.microseconds[-1]:.2f} us",
        )
        for row in rows
    ]
