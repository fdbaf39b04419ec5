"""What a router of a play is made from: what was recorded, and what is tried in its place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from ..messages.deployments import parse_model_list
from ..messages.entries import completed, usable
from ..messages.errors import ConfigurationError
from ..messages.problems import given, quoted
from ..messages.settings import RouterSettings
from ..supervisor.fleet.fleet import Listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .record import Record

__all__ = ["NOT_PLAYED", "Setup", "as_recorded", "check", "from_config", "with_settings"]

OWN = frozenset({"caller", "clock", "journal", "model_list", "seed", "transport"})
"""What a router is told by who plays the record."""

NOT_PLAYED = frozenset(
    {
        "alerting_config",
        "cache_kwargs",
        "cache_responses",
        "caching_groups",
        "callbacks",
        "client_ttl",
        "debug_level",
        "journal_max_age",
        "journal_max_bytes",
        "redis_host",
        "redis_password",
        "redis_port",
        "redis_url",
        "redis_username",
        "set_verbose",
    }
)
"""Settings that a play cannot tell anything of, and goes without."""

_NOT_NEEDED = frozenset({"api_base", "api_key", "api_version", "base_url"})


@frozen
class Setup:
    """One candidate.

    Attributes:
        name: what its column is called.
        settings: of the router.
        entries: its deployments at the beginning, by id.
        changes: (at, id, entry) of those that come, change and go later; None for one that goes.
    """

    name: str
    settings: dict[str, Any]
    entries: dict[str, dict[str, Any]]
    changes: tuple[tuple[float, str, dict[str, Any] | None], ...] = ()

    def listings(self) -> dict[str, Listing]:
        """Its deployments, as a journal would list them."""
        every = {**self.entries, **{name: entry for _, name, entry in self.changes if entry is not None}}
        return {name: Listing(entry["model_name"], _normal(entry)) for name, entry in every.items()}


def from_config(name: str, entries: Sequence[Any], settings: Mapping[str, Any]) -> Setup:
    """A whole other configuration; a deployment that has an id of the record's is taken for that one.

    Args:
        name: what its column is called.
        entries: a `model_list`.
        settings: what a router is told beside it.

    Raises:
        ConfigurationError: an entry is wrong, or there is none.
    """
    if not entries:
        msg = "a configuration to try must have a model_list"
        raise ConfigurationError(msg)
    played = _playable(settings)
    defaults = played.get("default_litellm_params")
    deployments = parse_model_list(entries, defaults=defaults, env=_Environment(os.environ))
    return Setup(
        name,
        played,
        {each.id: playable(entry, each.id) for each, entry in zip(deployments, entries, strict=True)},
    )


class _Environment(dict[str, str]):
    """Where a variable that is not set has some value: nobody is really called."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "https://not-played.invalid"

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


def as_recorded(record: Record, name: str = "unchanged") -> Setup:
    """The settings and deployments of the record; of several settings the last."""
    entries = {deployment_id: entry_of(deployment_id, of) for deployment_id, of in record.fleet.items()}
    changes = tuple(
        (c.at, c.deployment_id, None if c.listing is None else entry_of(c.deployment_id, c.listing))
        for c in record.changes
    )
    recorded = record.settings[-1][1] if record.settings else {}
    return Setup(name, _playable(recorded), entries, changes)


def _playable(recorded: Mapping[str, Any]) -> dict[str, Any]:
    settings = {name: value for name, value in recorded.items() if name not in NOT_PLAYED}
    if "default_litellm_params" in settings:
        settings["default_litellm_params"] = _without_address(settings["default_litellm_params"])
    return settings


def with_settings(setup: Setup, name: str, changed: Mapping[str, Any]) -> Setup:
    """The same with some settings changed; they are checked as a router checks them.

    Raises:
        ConfigurationError: one is unknown, wrong, or nothing that a play can tell of.
    """
    for setting in changed:
        if setting in OWN:
            msg = f"{quoted(setting)} is the play's own, and no setting to change: leave it out"
            raise ConfigurationError(msg)
        if setting in NOT_PLAYED:
            msg = f"{quoted(setting)} cannot be backtested: a record holds no prompts, answers or callbacks"
            raise ConfigurationError(msg)
    settings = {**setup.settings, **changed}
    check(settings)
    return evolve(setup, name=name, settings=settings)


def check(settings: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for settings that a router would not take."""
    strategy = settings.get("routing_strategy")
    if isinstance(strategy, str) and strategy.startswith("<"):
        msg = (
            f"the record was routed by a strategy of your own, {given(strategy)}, which is not in it: "
            "name another one with routing_strategy=..."
        )
        raise ConfigurationError(msg)
    RouterSettings(**settings)


def entry_of(deployment_id: str, listing: Listing) -> dict[str, Any]:
    """A `model_list` entry that can be played: keys and addresses are neither there nor needed."""
    entry, _ = usable(completed(listing.config, listing.withheld, None))
    return playable(entry, deployment_id)


def _normal(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "litellm_params": entry.get("litellm_params") or entry.get("params") or {}}


def playable(entry: Mapping[str, Any], deployment_id: str) -> dict[str, Any]:
    """The entry of a deployment that nobody will really call."""
    section = "litellm_params" if "litellm_params" in entry else "params"
    params = {**_without_address(entry[section]), "api_key": "not-needed"}
    return {**entry, section: params, "model_info": {**(entry.get("model_info") or {}), "id": deployment_id}}


def _without_address(params: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in params.items() if k not in _NOT_NEEDED and not k.startswith("mock_")}
    for name in ("api_base", "base_url"):  # that there is one says what the model's name means
        if name in params:
            kept["api_base"] = "https://not-played.invalid"
    return kept
