"""`os.environ/NAME` in configuration: a reference to a variable, so that no key stands in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError
from .problems import quoted

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

__all__ = ["resolve"]

PREFIX = "os.environ/"
MAX_DEPTH = 16
"""Configuration nested deeper than this is refused (and cannot loop)."""


def resolve(
    section: Mapping[str, Any], path: str, env: Mapping[str, str], untouched: Container[str] = ()
) -> dict[str, Any]:
    """A new dict without the entries that are None, every reference at every depth replaced.

    What holds no reference is shared, not copied. Values under the names in `untouched` pass as
    they are.

    Raises:
        ConfigurationError: a variable is not set; names it and where it was asked for.
    """
    resolved = {}
    for name, value in section.items():
        if value is None:
            continue
        if isinstance(value, (str, dict, list)) and name not in untouched:
            value = _resolved(value, path, name, env, 0)  # noqa: PLW2901
        resolved[name] = value
    return resolved


def _resolved(value: Any, path: str, name: str | int, env: Mapping[str, str], depth: int) -> Any:
    if isinstance(value, str):
        return _variable(value, path, name, env) if value.startswith(PREFIX) else value
    if not isinstance(value, (dict, list)):
        return value
    path = f"{path}{_step(name)}"
    if depth >= MAX_DEPTH:
        msg = f"{path}: nested deeper than {MAX_DEPTH} levels"
        raise ConfigurationError(msg)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    changed = {}
    for key, item in items:
        new = _resolved(item, path, key, env, depth + 1)
        if new is not item:
            changed[key] = new
    if not changed:
        return value
    if isinstance(value, dict):
        return {**value, **changed}
    return [changed.get(position, item) for position, item in enumerate(value)]


def _variable(reference: str, path: str, name: str | int, env: Mapping[str, str]) -> str:
    variable = reference[len(PREFIX) :]
    value = env.get(variable)
    if value is None:
        where = f"{path}{_step(name)}"
        msg = f"{where}: the environment variable {quoted(variable)} is not set"
        raise ConfigurationError(msg)
    return value


def _step(name: str | int) -> str:
    return f"[{name}]" if isinstance(name, int) else f".{quoted(str(name))[1:-1]}"
