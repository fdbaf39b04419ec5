"""Testing what is built on Turnout: a fake clock, simulated providers, a kit for one actor.

Public. With `FakeClock` the whole router is a deterministic machine in one thread.
"""

from __future__ import annotations

from .fake_clock import FakeClock
from .kit import ActorTestKit
from .simulated import SimulatedProvider, SimulatedProviders, exponential, lognormal, uniform

__all__ = [
    "ActorTestKit",
    "FakeClock",
    "SimulatedProvider",
    "SimulatedProviders",
    "exponential",
    "lognormal",
    "uniform",
]
