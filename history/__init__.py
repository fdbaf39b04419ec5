"""Looking back: journals read, checked and replayed, beside the router that writes them. Floor 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages.late import late as _late

if TYPE_CHECKING:
    from .diff import Difference, difference
    from .moments import Position
    from .replay import Moment, Replay

__all__ = ["Difference", "Moment", "Position", "Replay", "difference"]

_HOMES = {".diff": ("Difference", "difference"), ".moments": ("Position",), ".replay": ("Moment", "Replay")}
"""Where the names live. To replay takes the settings of a router, which to read a time does not."""

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = _late(globals(), _HOMES)
