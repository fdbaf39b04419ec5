"""What a router's models cost, and the budgets it keeps."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from ...actors.budget.state import TreasuryState
from ...actors.budget.treasury import STREAM, TREASURY, Treasury, TreasuryPorts
from ...actors.deployment.price_data import model_facts
from ...actors.deployment.pricing import prices_at
from ...messages.commands import Inspect
from ...messages.prices import PRICE_NAMES
from ...messages.problems import listed
from ..planning.compile_rules import shared_budgets
from .questions import answer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...actors.journal.store import Journal
    from ...actors.runtime.dispatcher import Dispatcher, EventLoopDispatcher, ManualDispatcher
    from ...actors.runtime.switchboard import Switchboard
    from ...actors.runtime.system import ActorSystem
    from ...messages.budgets import BudgetRule
    from ...messages.deployment import Deployment
    from ...messages.prices import Prices
    from ...messages.settings import RouterSettings
    from .wiring import Wiring

__all__ = ["Costs", "ask_treasury", "budgets_now", "cost_entry", "start_budgets"]

log = logging.getLogger("turnout.supervisor")


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


def start_budgets(wiring: Wiring, dispatcher: Dispatcher) -> None:
    """Start the keeper of the budgets that deployments share. A router without any has no such actor."""
    _warn_of_unpriced(wiring.deployments.values(), wiring.settings, dispatcher.clock.now())
    rules = shared_budgets(wiring.settings)
    if rules:
        ports = TreasuryPorts(dispatcher, wiring.journal, wiring.switchboard)
        make = partial(_start_treasury, wiring.system, ports, wiring.journal, rules)
        wiring.start_service(TREASURY, make)


def _start_treasury(
    system: ActorSystem, ports: TreasuryPorts, journal: Journal, rules: dict[str, BudgetRule]
) -> Any:
    """Start the Treasury where its journal ends. Versions of events that were lost are not given again."""
    snapshot = journal.snapshot(STREAM)
    if snapshot is None:
        state, version, position, at = TreasuryState(rules), 0, 0, 0.0
    else:
        state = snapshot.restored(partial(TreasuryState.restore, rules))
        version, position, at = snapshot.version, snapshot.position, snapshot.at
    last = journal.version(STREAM)
    if last > version:
        for recorded in journal.read(STREAM, position):
            at = recorded.at
            state.apply(recorded.event, at)
    set_back = max(0.0, at - ports.dispatcher.clock.now())
    return system.start(Treasury, ports, state, max(version, last), set_back)


def ask_treasury(board: Switchboard) -> Any:
    """A future of what the Treasury says; None when there is none, or it is being restarted."""
    treasury = board.services.get(TREASURY)
    return None if treasury is None or not treasury.is_alive() else treasury.ask(Inspect(), block=False)


def budgets_now(deployments: dict[str, Any], treasury: Any) -> dict[str, Any]:
    """Every budget by its name: limit, spent, reserved, left, resets_at."""
    own = {f"deployment:{name}": told["budget"] for name, told in deployments.items() if "budget" in told}
    shared = None if treasury is None else answer_of(treasury)
    return own if shared is None else {**shared["budgets"], **own}


def _warn_of_unpriced(deployments: Iterable[Deployment], settings: RouterSettings, now: float) -> None:
    """Say once of which deployments no budget can know what they cost."""
    shared = settings.provider_budget_config
    limited = (
        d
        for d in deployments
        if d.max_budget is not None or d.provider in shared or settings.tag_budget_config
    )
    unpriced = [d.id for d in limited if "*" not in d.model and model_facts(d, now).prices is None]
    if unpriced:
        named = listed(unpriced)
        log.warning("no budget limits what these deployments cost, for their prices are unknown: %s", named)


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
