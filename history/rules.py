"""The limits a deployment had, from what the journal says of its configuration. Pure.

A journal holds no keys, and its router may have been told of strategies and callbacks that only its own
program knows. What limits and budgets depend on is all there, and nothing else is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..messages.deployments import parse_deployment
from ..messages.entries import completed, usable
from ..messages.errors import TurnoutError
from ..messages.settings import RouterSettings
from ..supervisor.planning.compile_rules import limits_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..actors.deployment.state import Limits
    from ..supervisor.fleet.fleet import Listing

__all__ = ["limits_in", "settings_in"]

LIMITING = (
    "allowed_fails",
    "allowed_fails_policy",
    "cooldown_time",
    "default_max_parallel_requests",
    "disable_cooldowns",
    "provider_budget_config",
    "tag_budget_config",
)
"""Settings that decide what a deployment, or a budget, admits."""


class _Something(dict[str, str]):
    """An environment in which everything is set, since what it was is not recorded."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "https://not-recorded.invalid"

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


_SOMETHING = _Something()


def settings_in(recorded: Mapping[str, Any]) -> RouterSettings:
    """What of a `RouterStarted` limits depend on; the defaults where this version cannot read it."""
    try:
        return RouterSettings(**{name: recorded[name] for name in LIMITING if name in recorded})
    except TurnoutError:
        return RouterSettings()


def limits_in(
    name: str, listing: Listing, settings: RouterSettings, defaults: Mapping[str, Any]
) -> Limits | None:
    """The limits of a deployment; None when this version cannot make it out.

    `defaults` are the router's `default_litellm_params`, as recorded.
    """
    try:
        entry, _ = usable(completed(listing.config, listing.withheld, None))
        path = f"deployment {name}"
        return limits_of(parse_deployment(entry, path, defaults=defaults, env=_SOMETHING), settings)
    except (TurnoutError, KeyError, TypeError, ValueError):
        return None
