"""What would happen if: a router in simulated time under the load, limits, prices and outages of a file.

`load_scenario` reads it, `play` runs it with and without what happens in it, `table` and `chart` show it.
"""

from __future__ import annotations

from .chart import chart
from .model import Scenario
from .play import Figures, play
from .reading import load_scenario, located
from .report import table

__all__ = ["Figures", "Scenario", "chart", "load_scenario", "located", "play", "table"]
