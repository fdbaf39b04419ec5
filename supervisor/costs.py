"""What a router's models cost: `get_model_cost_map()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actors.deployment.price_data import model_facts
from ..actors.deployment.pricing import prices_at
from ..messages.prices import PRICE_NAMES

if TYPE_CHECKING:
    from ..actors.runtime.dispatcher import EventLoopDispatcher, ManualDispatcher
    from ..messages.deployment import Deployment
    from ..messages.prices import Prices
    from .wiring import Wiring

__all__ = ["Costs", "cost_entry"]


class Costs:
    """The part of :class:`.router.Router` that speaks of money."""

    if TYPE_CHECKING:
        _wiring: Wiring
        _dispatcher: EventLoopDispatcher | ManualDispatcher

    def get_model_cost_map(self) -> dict[str, Any]:
        """Prices and context window of every deployment, by its id; plain JSON-able data.

        The names are those of the public price file, in US dollars; what nobody knows is None for the
        prices of input and output and for `max_input_tokens`, and is left out otherwise. `source` says
        who knew: "deployment", "genai-prices" or None.
        """
        now = self._dispatcher.clock.now()
        deployments = tuple(self._wiring.deployments.values())
        return {deployment.id: cost_entry(deployment, now) for deployment in deployments}


def cost_entry(deployment: Deployment, now: float) -> dict[str, Any]:
    """One deployment's entry, with the prices that hold at router time `now`."""
    facts = model_facts(deployment, now)
    prices = prices_at(facts, now)
    return {
        "model_name": deployment.model_name,
        "model": deployment.model,
        "base_model": deployment.base_model,
        "litellm_provider": deployment.provider,
        "mode": deployment.mode,
        "max_input_tokens": facts.max_input_tokens,
        "source": facts.source,
        "input_cost_per_token": None,
        "output_cost_per_token": None,
        **({} if prices is None else _named(prices)),
    }


def _named(prices: Prices) -> dict[str, float]:
    """The prices under their well-known names, those of its tiers included."""
    named = _known(prices)
    for tier in prices.tiers:
        suffix = f"_above_{tier.above // 1000}k_tokens"
        named.update((name + suffix, value) for name, value in _known(tier.prices).items())
    return named


def _known(prices: Prices) -> dict[str, float]:
    named: dict[str, float] = {}
    taken = set()
    for name, field in PRICE_NAMES.items():
        value = getattr(prices, field)
        if value is not None and field not in taken:
            taken.add(field)
            named[name] = value
    return named
