"""The strategies: each an index over the eligible candidates of one group."""

from .base import Candidate, Pick, Query, Strategy
from .custom import CustomStrategy
from .factory import STRATEGY_NAMES, make_strategy

__all__ = [
    "STRATEGY_NAMES",
    "Candidate",
    "CustomStrategy",
    "Pick",
    "Query",
    "Strategy",
    "make_strategy",
]
