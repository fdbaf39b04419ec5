"""Chance, the only source of it."""

from __future__ import annotations

import random

__all__ = ["Ids", "make_rng"]


def make_rng(seed: int | None) -> random.Random:
    """The router's source of chance; None draws a seed from the operating system."""
    return random.Random(seed)


class Ids:
    """Names for requests: unguessable without a seed, the same again with one.

    Apart from the router's own chance, since callers in any thread ask for names.

    Args:
        seed: None for names nobody can guess.
        start: where the journal stands, so that a restart with the same seed finds new names.
    """

    def __init__(self, seed: int | None, start: int = 0) -> None:
        self._bits = random.Random(None if seed is None else f"{seed}/{start}").getrandbits

    def next(self) -> str:
        """16 hexadecimal digits."""
        return self._bits(64).to_bytes(8, "big").hex()
