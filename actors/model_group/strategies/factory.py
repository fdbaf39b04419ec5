"""Strategies by name, with their arguments checked. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....messages.errors import ConfigurationError
from ....messages.problems import did_you_mean, given, listed, quoted
from .adaptive import Adaptive
from .cost_based import CostBased
from .custom import Custom
from .latency_based import DEFAULT_TTL, LatencyBased
from .least_busy import LeastBusy
from .shuffle import SimpleShuffle
from .usage_based import UsageBased

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import Strategy
    from .custom import CustomStrategy

__all__ = ["STRATEGY_NAMES", "make_strategy"]

_PATH = "routing_strategy_args"


def make_strategy(
    spec: str | CustomStrategy = SimpleShuffle.name, args: Mapping[str, Any] | None = None
) -> Strategy:
    """A new, empty strategy.

    Args:
        spec: one of `STRATEGY_NAMES`, or the user's own object.
        args: `routing_strategy_args`. latency-based-routing: `ttl` (seconds, 3600) and
            `lowest_latency_buffer` (a fraction, 0). cost-based-routing: `substitutes`
            (`{group: [groups]}`; checked here, their deployments join the group). Others take none.

    Raises:
        ConfigurationError: an unknown name or argument, or a wrong value; it names the nearest
            known spelling and what is allowed.
    """
    if not isinstance(spec, str):
        _check_names("a custom strategy", args or {}, ())
        return Custom(spec)
    make = _MAKERS.get(spec)
    if make is None:
        known = listed(STRATEGY_NAMES)
        msg = f"routing_strategy = {quoted(spec)}: must be one of {known}{did_you_mean(spec, _MAKERS)}"
        raise ConfigurationError(msg)
    if args is not None and not isinstance(args, Mapping):
        msg = f"{_PATH} = {given(args)}: must be a mapping"
        raise ConfigurationError(msg)
    _check_names(spec, args or {}, _ARGUMENTS.get(spec, ()))
    return make(args or {})


def _check_names(strategy: str, args: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in args:
        if name not in known:
            msg = (
                f"{_PATH}: unknown argument {quoted(str(name))} of {strategy} "
                f"(known: {listed(known)}){did_you_mean(str(name), known)}"
            )
            raise ConfigurationError(msg)


def _number(args: Mapping[str, Any], name: str, default: float, *, above_zero: bool) -> float:
    value = args.get(name, default)
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0 or (above_zero and value == 0):
        wanted = "a number above 0" if above_zero else "a number, 0 or more"
        msg = f"{_PATH}.{name} = {given(value)}: must be {wanted}"
        raise ConfigurationError(msg)
    return float(value)


def _latency_based(args: Mapping[str, Any]) -> Strategy:
    return LatencyBased(
        ttl=_number(args, "ttl", DEFAULT_TTL, above_zero=True),
        buffer=_number(args, "lowest_latency_buffer", 0.0, above_zero=False),
    )


def _cost_based(args: Mapping[str, Any]) -> Strategy:
    substitutes = args.get("substitutes", {})
    good = isinstance(substitutes, Mapping) and all(
        isinstance(group, str)
        and isinstance(others, (list, tuple))
        and all(isinstance(other, str) for other in others)
        for group, others in substitutes.items()
    )
    if not good:
        msg = f"{_PATH}.substitutes = {given(substitutes)}: must map a group to a list of groups"
        raise ConfigurationError(msg)
    return CostBased()


_ARGUMENTS: dict[str, tuple[str, ...]] = {
    LatencyBased.name: ("ttl", "lowest_latency_buffer"),
    CostBased.name: ("substitutes",),
}

_MAKERS: dict[str, Callable[[Mapping[str, Any]], Strategy]] = {
    SimpleShuffle.name: lambda _: SimpleShuffle(),
    LeastBusy.name: lambda _: LeastBusy(),
    "usage-based-routing": lambda _: UsageBased(),
    "usage-based-routing-v2": lambda _: UsageBased("usage-based-routing-v2"),
    LatencyBased.name: _latency_based,
    CostBased.name: _cost_based,
    Adaptive.name: lambda _: Adaptive(),
}

STRATEGY_NAMES: tuple[str, ...] = tuple(_MAKERS)
"""Every strategy that can be asked for by name."""
