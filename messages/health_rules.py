"""What `model_info` says of a deployment's health checks. Pure.

| name | is |
|---|---|
| `health_check` | True (as without it), False: never, or `"on_demand"`: not in the background |
| `health_check_model` | the model to ask where the deployment's is a wildcard |
| `health_check_voice` | the voice to ask for where it speaks |
| `health_check_params` | fields of the request in place of ours, such as `{"size": "512x512"}` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .problems import given

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ON_DEMAND", "is_checked", "wrong_health_rules"]

ON_DEMAND = "on_demand"

_NOT_OURS = frozenset({"model", "stream"})
"""A check is of this deployment, and its answer comes whole."""


def is_checked(info: Mapping[str, Any], *, in_background: bool) -> bool:
    """Whether the deployment wants to be checked, now that somebody asks or that it is time."""
    wanted = info.get("health_check", True)
    return wanted is True or (wanted == ON_DEMAND and not in_background)


def wrong_health_rules(info: Mapping[str, Any], path: str) -> Iterator[str]:
    """What is wrong with them, with what is allowed."""
    wanted = info.get("health_check", True)
    if not isinstance(wanted, bool) and wanted != ON_DEMAND:
        yield f"{path}.health_check = {given(wanted)}: must be True, False or {ON_DEMAND!r}"
    for name in ("health_check_model", "health_check_voice"):
        if name in info and (not isinstance(info[name], str) or not info[name]):
            yield f"{path}.{name} = {given(info[name])}: must be a text"
    params = info.get("health_check_params", {})
    if not isinstance(params, dict) or not all(isinstance(name, str) for name in params):
        yield f"{path}.health_check_params = {given(params)}: must be a dict with names as keys"
        return
    for name in sorted(_NOT_OURS & params.keys()):
        yield f"{path}.health_check_params.{name}: is not for the check to say; leave it out"
