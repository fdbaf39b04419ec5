"""How a `model_list` entry becomes a deployment, or one clear error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .deployment import Deployment
from .deployment_fields import ALIASES, MOCKS, NOT_HERE, READ_ANYWHERE, renamed
from .environment import resolve
from .errors import ConfigurationError
from .modes import mode_of
from .problems import given, quoted
from .provider_names import split_model
from .raw_entry import DEFAULTS_PATH, RawEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .fallbacks import FallbackTable, FallbackTarget

__all__ = [
    "ALIASES",
    "NOT_HERE",
    "READ_ANYWHERE",
    "Deployment",
    "parse_deployment",
    "parse_model_list",
    "renamed",
]


def parse_model_list(
    entries: Any,
    *,
    defaults: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    path: str = "model_list",
) -> tuple[Deployment, ...]:
    """Every entry of a `model_list`, in its order. None is an empty list.

    Entries that are equal but for their keys are deployments of their own: the second and later get
    `-2`, `-3`, ... behind the id they share, in the order of the list.

    Raises:
        ConfigurationError: an entry is wrong, or two were given the same id.
    """
    if entries is None:
        return ()
    if not isinstance(entries, (list, tuple)):
        msg = f"{path} = {given(entries)}: must be a list of deployments"
        raise ConfigurationError(msg)
    env = os.environ if env is None else env
    defaults = _default_params(defaults, env)
    taken: dict[str, str] = {}
    deployments = []
    for position, entry in enumerate(entries):
        where = f"{path}[{position}]"
        deployment = _deployment(RawEntry(entry, where, defaults, env), taken)
        taken[deployment.id] = where
        deployments.append(deployment)
    return tuple(deployments)


def parse_deployment(
    raw: Any,
    path: str,
    *,
    defaults: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    taken: Mapping[str, str] | None = None,
) -> Deployment:
    """The deployment for one `model_list` entry.

    Args:
        raw: `{"model_name", "litellm_params" (or "params"), "model_info"}`; it is not changed.
        path: where it stands, for errors.
        defaults: `default_litellm_params`; the entry's own parameters go before them.
        env: what `os.environ/NAME` reads; None is the environment of the process.
        taken: {id: path} of the deployments there are.

    Raises:
        ConfigurationError: something is wrong; names its path, what was given and what is allowed.
    """
    env = os.environ if env is None else env
    return _deployment(RawEntry(raw, path, _default_params(defaults, env), env), taken or {})


def _deployment(entry: RawEntry, taken: Mapping[str, str]) -> Deployment:
    values, wrong = entry.values(), entry.wrong
    written, provider, model = _model(entry, has_api_base="api_base" in values)
    checked = entry.checked(values, provider)
    name = entry.identity(taken)
    wrong.tell()
    checked.setdefault("mode", mode_of(checked.get("base_model") or model))
    larger = checked.pop("context_window_fallback_dict", None)
    if larger is not None:
        checked["context_window_fallbacks"] = _larger(larger, entry.group, written, model)
    return Deployment(
        id=name,
        model_name=entry.group,
        provider=provider,
        model=model,
        wire=entry.params,
        model_info=entry.info,
        **checked,
    )


def _model(entry: RawEntry, *, has_api_base: bool) -> tuple[str, str, str]:
    """The model as it was written, the provider, and what the provider calls it."""
    written = provider = model = ""
    stated = None
    with entry.wrong:
        stated = entry.stated_provider()
    with entry.wrong:
        written = entry.text("model")
        provider, model = split_model(written, stated, has_api_base=has_api_base, path=entry.params_path)
    if "*" in model and "*" not in entry.group:
        entry.wrong.add(f"{entry.params_path}.model = {quoted(model)}: a '*' needs one in model_name as well")
    return written, provider, model


def _larger(table: FallbackTable, *names: str) -> tuple[FallbackTarget, ...]:
    """What the table says of the deployment: under its group's name, or its model's."""
    return next((found for name in names if (found := table.by_group.get(name))), table.every)


def _default_params(defaults: Mapping[str, Any] | None, env: Mapping[str, str]) -> dict[str, Any]:
    return renamed(resolve(defaults or {}, DEFAULTS_PATH, env, MOCKS))
