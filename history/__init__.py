"""Looking back: journals read, checked and replayed, beside the router that writes them. Floor 4."""

from __future__ import annotations

from .diff import Difference, difference
from .moments import Position
from .replay import Moment, Replay

__all__ = ["Difference", "Moment", "Position", "Replay", "difference"]
