"""What only some worlds have: budgets, rounds of checks, regions. Drawn last: all else is as without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chance import Chance

__all__ = [
    "ABILITIES",
    "GUESTS_BUDGETS",
    "PARTICULARS",
    "PRICES",
    "REGIONS",
    "draw_budget",
    "draw_particulars",
]

PARTICULARS = "particulars"
"""For what it is drawn which of them there are, and how they are set."""

PRICES = (
    {"input_cost_per_token": 1e-5, "output_cost_per_token": 2e-5},
    {"input_cost_per_token": 3e-5, "output_cost_per_token": 6e-5},
)
"""A call that is expected to give 256 tokens is set half a cent aside for, or a cent and a half."""

REGIONS = (None, "eu", "eu-west-1", "eu-west-2", "us", "eastus")
ABILITIES = ("function_calling", "response_schema", "vision")

_PROVIDERS = ("openai", "mistral")
_TAGS = ("paid", "fast")
_PERIODS = ("1d", "10s", "30s", "1m", None)

_SMALL = (0.5, 0.1, 0.02, 0.05, 0.005)
_LARGE = (5.0, 1.0, 0.2, 0.05)
GUESTS_BUDGETS = _SMALL
"""US dollars: a few calls' worth, or less than one's."""


def draw_particulars(
    chance: Chance, model_list: list[dict[str, Any]], settings: dict[str, Any]
) -> frozenset[str]:
    """Which there are; what they need is put into the deployments and the settings."""
    its = chance.part(PARTICULARS)
    drawn = set()
    if its.one_in(3):
        drawn.add("budgets")
        _draw_budgets(chance, model_list, settings)
    if its.one_in(4):
        drawn.add("rounds")
        settings["health_check_interval"] = its.choice((20.0, 5.0, 60.0))
        for entry in model_list:
            if chance.part(entry["model_info"]["id"]).one_in(8):
                entry["model_info"]["health_check"] = "on_demand"
    if its.one_in(4):
        drawn.add("regions")
        settings["enable_pre_call_checks"] = True
        for entry in model_list:
            _draw_abilities(chance.part(entry["model_info"]["id"]), entry)
    return frozenset(drawn)


def _draw_abilities(its: Chance, entry: dict[str, Any]) -> None:
    """Where it is, and what it says that it cannot do."""
    region = its.choice(REGIONS)
    if region is not None:
        entry["litellm_params"]["region_name"] = region
    for ability in ABILITIES:
        if its.one_in(4):
            entry["model_info"][f"supports_{ability}"] = False
    if its.one_in(6):
        entry["litellm_params"]["drop_params"] = True


def draw_budget(chance: Chance, limits: tuple[float, ...], reset: str = "budget_reset") -> dict[str, Any]:
    """How much, in which time, counted how."""
    budget: dict[str, Any] = {"max_budget": chance.choice(limits)}
    period = chance.choice(_PERIODS)
    if period is not None:
        budget["budget_duration"] = period
        if chance.below(2):
            budget[reset] = "rolling"
    return budget


def _draw_budgets(chance: Chance, model_list: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Most deployments have known prices then, and every other one a budget of its own."""
    for entry in model_list:
        its = chance.part(entry["model_info"]["id"])
        priced = its.below(4)
        if priced:
            entry["model_info"] |= PRICES[priced % 2]
        if its.below(2):
            entry["litellm_params"] |= draw_budget(its, _SMALL)
        if its.below(2):
            entry["litellm_params"]["model"] = "mistral/simulated"
    its = chance.part(PARTICULARS)
    for setting, names, limits in (
        ("provider_budget_config", _PROVIDERS, _LARGE),
        ("tag_budget_config", _TAGS, _SMALL),
    ):
        budgets = {name: draw_budget(its, limits, "reset") for name in its.subset(names)}
        if budgets:
            settings[setting] = budgets
