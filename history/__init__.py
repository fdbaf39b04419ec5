"""Looking back: journals read, checked and replayed, beside the router that writes them. Floor 4."""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from .diff import Difference, difference
    from .moments import Position
    from .replay import Moment, Replay

__all__ = ["Difference", "Moment", "Position", "Replay", "difference"]

_HOMES = {
    "Difference": ".diff",
    "Moment": ".replay",
    "Position": ".moments",
    "Replay": ".replay",
    "difference": ".diff",
}
"""Where the names live. To replay takes the settings of a router, which to read a time does not."""

if not typing.TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = globals()[name] = getattr(importlib.import_module(home, __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
