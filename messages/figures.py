"""Figures as people read them, in errors, stories, tables and alerts."""

from __future__ import annotations

import math

__all__ = ["dollars", "in_seconds", "millionths", "spent"]


def in_seconds(value: float) -> str:
    """Three digits of a short time, whole seconds of a long one: `0.0312 s`, `86400 s`."""
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def dollars(amount: float) -> str:
    """Small sums with what is needed to see them."""
    if amount < 0:
        return f"-{dollars(-amount)}"
    if not amount or amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.3g}" if amount >= 1e-4 else _tiny(amount)


def millionths(amount: float) -> str:
    """What one request costs, which is seldom a cent: `$0.000020`."""
    return f"${amount:.6f}" if not amount or amount >= 1e-6 else _tiny(amount)


def _tiny(amount: float) -> str:
    """Two digits of it, behind as many zeros as it takes: `$0.000055`; below a billionth in powers of ten."""
    if amount < 1e-9:
        return f"${amount:.1e}"
    return f"${amount:.{1 - math.floor(math.log10(amount))}f}"


def spent(cost: float | None, charged: float | None) -> str:
    """What a call cost, or what it is charged where nobody told: `about $0.000020`; empty if unknown."""
    if cost is not None:
        return millionths(cost)
    return "" if charged is None else f"about {millionths(charged)}"
