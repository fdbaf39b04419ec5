"""What a configuration comes to: the deployments and settings it makes, and all that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ..actors.providers.codecs import codec_for
from ..actors.providers.mock import has_mock
from ..messages.deployments import parse_deployment
from ..messages.errors import ConfigurationError
from ..messages.health_rules import ON_DEMAND, is_checked
from ..messages.settings import RouterSettings
from ..supervisor.planning.directory import Directory
from ..supervisor.planning.fallbacks import unknown_fallbacks

if TYPE_CHECKING:
    from ..messages.deployment import Deployment
    from .config import Config

__all__ = ["Findings", "examined"]

NO_ADDRESS = "https://not-set.invalid"
"""Stands for an address that is to come from the environment."""


@frozen
class Findings:
    """What was understood, and what was not.

    Attributes:
        deployments: those that could be made.
        settings: all that are right; None when the rest of them do not go together.
        errors: what a Router would refuse, each with its path.
        unset: {variable: paths} of variables that are referred to and not set.
        notes: what has no effect, or not yet.
    """

    deployments: list[Deployment] = field(factory=list)
    settings: RouterSettings | None = None
    errors: list[str] = field(factory=list)
    unset: dict[str, list[str]] = field(factory=dict)
    notes: list[str] = field(factory=list)

    @property
    def groups(self) -> dict[str, list[Deployment]]:
        """The deployments by group."""
        found: dict[str, list[Deployment]] = {}
        for deployment in self.deployments:
            found.setdefault(deployment.model_name, []).append(deployment)
        return found


def examined(config: Config) -> Findings:
    """Everything that can be said of a configuration without calling anybody."""
    unset: dict[str, list[str]] = {}
    for path, name in config.unset():
        unset.setdefault(name, []).append(path)
    resolved = config.resolved()
    errors = [*config.wrong]
    settings = _settings(resolved.settings, errors)
    defaults = {} if settings is None else settings.default_litellm_params
    deployments = _deployments(resolved, defaults, errors)
    findings = Findings(deployments, settings, errors, unset, [*config.notes])
    if settings is not None:
        _look_around(findings, settings, _named(resolved.entries))
    return findings


def _settings(given: dict[str, Any], errors: list[str]) -> RouterSettings | None:
    """The settings that are right by themselves, together; what is wrong is found one by one."""
    right = {}
    for name, value in given.items():
        try:
            RouterSettings(**{name: value})
        except ConfigurationError as error:
            if name == "routing_strategy_args" and "routing_strategy" in given:
                right[name] = value  # it may need its strategy beside it
                continue
            errors.extend(f"router_settings: {problem}" for problem in error.problems)
        else:
            right[name] = value
    try:
        return RouterSettings(**right)
    except ConfigurationError as error:
        errors.append(f"router_settings: {error}")
        return None


def _deployments(config: Config, defaults: dict[str, Any], errors: list[str]) -> list[Deployment]:
    made: list[Deployment] = []
    taken: dict[str, str] = {}
    known = dict(config.variables)
    for position, entry in enumerate(config.entries):
        path = f"model_list[{position}]"
        try:
            kept = _without_unset(entry, known)
            deployment = parse_deployment(
                kept, path, defaults=_without_unset(defaults, known), env=known, taken=taken
            )
            if not has_mock(deployment):
                codec_for(deployment)
        except ConfigurationError as error:
            errors.extend(error.problems)
        else:
            taken[deployment.id] = path
            made.append(deployment)
    return made


def _without_unset(value: Any, variables: dict[str, str]) -> Any:
    """Without the references that lead nowhere: they are told by themselves.

    An address stays one, since much hangs on there being one.
    """
    if isinstance(value, dict):
        value = {name: _address(name, item, variables) for name, item in value.items()}
        return {
            name: _without_unset(item, variables)
            for name, item in value.items()
            if not _unset(item, variables)
        }
    if isinstance(value, list):
        return [_without_unset(item, variables) for item in value if not _unset(item, variables)]
    return value


def _address(name: str, value: Any, variables: dict[str, str]) -> Any:
    return NO_ADDRESS if name in ("api_base", "base_url") and _unset(value, variables) else value


def _unset(value: Any, variables: dict[str, str]) -> bool:
    return isinstance(value, str) and value.startswith("os.environ/") and value[11:] not in variables


def _named(entries: list[Any]) -> frozenset[str]:
    """The groups that the entries name, also those that are wrong: what is wrong with them is told once."""
    names = (entry.get("model_name") for entry in entries if isinstance(entry, dict))
    return frozenset(name for name in names if isinstance(name, str))


def _look_around(findings: Findings, settings: RouterSettings, named: frozenset[str]) -> None:
    """What only the deployments and the settings together can tell."""
    directory = Directory(findings.deployments, settings.model_group_alias)
    names = directory.names()

    def known(name: str) -> bool:
        return name in named or name in directory

    try:
        settings.check_groups(known, names)
    except ConfigurationError as error:
        findings.errors.append(f"router_settings: {error}")
    if settings.health_check_interval is not None:
        findings.notes.extend(_paid_for(findings.deployments, settings.health_check_interval))
    unknown = [*settings.unknown_fallbacks(known, names)]
    unknown += unknown_fallbacks(findings.deployments, directory)
    findings.notes.extend(f"{problem}; it is passed over until there is one" for problem in unknown)


def _paid_for(deployments: list[Deployment], interval: float) -> list[str]:
    """Health checks that cost more than one would think."""
    return [
        f"{deployment.model_name}/{deployment.id}: health_check_interval buys an image every {interval:g} s "
        f"without an answer of it; model_info.health_check: {ON_DEMAND} leaves that to health_check()"
        for deployment in deployments
        if deployment.mode == "image_generation" and is_checked(deployment.model_info, in_background=True)
    ]
