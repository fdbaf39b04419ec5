"""What would have been: recorded traffic under other settings, in simulated time.

::

    found = Backtest("turnout.db").run({"adaptive": {"routing_strategy": "adaptive"}})
    print(found.table())
"""

from __future__ import annotations

from .backtest import Backtest
from .comparison import Comparison

__all__ = ["Backtest", "Comparison"]
