"""A router's configuration in a YAML file, in the shape that the well-known proxy reads.

`model_list` and `router_settings` are what a Router takes; of `litellm_settings` what means the same is
taken over. What belongs to a proxy (`general_settings`, ...) is noted and left alone.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from ..messages.problems import did_you_mean, quoted
from .failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_CONFIG_BYTES", "MAX_VALUES", "Config", "read_config", "yaml_reader"]

MAX_CONFIG_BYTES = 16 * 1024 * 1024
"""Of a file; a list of 10,000 deployments has about four million."""

MAX_VALUES = 2_000_000
"""Values in it, those behind an anchor counted each time: a small file can stand for billions."""

PREFIX = "os.environ/"

TAKEN_OVER = {
    "allowed_fails": "allowed_fails",
    "content_policy_fallbacks": "content_policy_fallbacks",
    "context_window_fallbacks": "context_window_fallbacks",
    "default_fallbacks": "default_fallbacks",
    "fallbacks": "fallbacks",
    "num_retries": "num_retries",
    "request_timeout": "timeout",
    "set_verbose": "set_verbose",
}
"""What of `litellm_settings` is a setting of a router, and which."""

OF_A_PROXY = (
    "callback_settings", "credential_list", "files_settings", "finetune_settings", "general_settings",
    "guardrails", "mcp_servers", "prompts", "search_tools", "vector_store_registry",
)  # fmt: skip

SECTIONS = ("environment_variables", "litellm_settings", "model_list", "router_settings", *OF_A_PROXY)


@frozen
class Config:
    """What a file says.

    Attributes:
        entries: its `model_list`.
        settings: what a Router is told beside it.
        notes: what was read and has no effect, and why.
        wrong: what cannot be right whatever the rest says: sections nobody knows, or of a wrong kind.
        variables: what `os.environ/NAME` reads: the environment, and what the file itself sets.
    """

    entries: list[Any] = field(factory=list)
    settings: dict[str, Any] = field(factory=dict)
    notes: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)
    variables: dict[str, str] = field(factory=dict, repr=False)

    def unset(self) -> Iterator[tuple[str, str]]:
        """(path, variable) of every reference to a variable that is not set."""
        sections = {"model_list": self.entries, "router_settings": self.settings}
        for path, value in _walk(sections, ""):
            if isinstance(value, str) and value.startswith(PREFIX):
                name = value.removeprefix(PREFIX)
                if name not in self.variables:
                    yield path, name

    def resolved(self) -> Config:
        """The same with what the file itself sets in its place, and with settings that refer to nothing."""
        own = {name: value for name, value in self.variables.items() if os.environ.get(name) != value}
        settings = _with(self.settings, self.variables)
        return Config(_with(self.entries, own), settings, self.notes, self.wrong, self.variables)


def read_config(path: str) -> Config:
    """What the file at `path` says.

    Raises:
        Failure: it cannot be read, is no YAML, or no mapping of sections.
    """
    raw = _parse(_text(path), path)
    if raw is None:
        msg = f"{path} is empty: it should have a model_list"
        raise Failure(msg)
    if not isinstance(raw, dict):
        msg = f"{path} holds no sections: it should have a model_list, and perhaps router_settings"
        raise Failure(msg)
    _must_be_of_a_size(raw, path)
    return _config(raw)


def _must_be_of_a_size(raw: dict[Any, Any], path: str) -> None:
    try:
        values = sum(1 for _ in islice(_walk(raw, ""), MAX_VALUES + 1))
    except RecursionError:
        msg = f"{path} is nested too deep, or holds itself"
        raise Failure(msg) from None
    if values > MAX_VALUES:
        msg = f"{path} holds more than {MAX_VALUES:,} values"
        raise Failure(msg)


def _text(path: str) -> str:
    file = Path(path)
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            msg = f"{path} is larger than {MAX_CONFIG_BYTES // 1024 // 1024} MiB"
            raise Failure(msg)
        return file.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise Failure(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is no text in UTF-8"
        raise Failure(msg) from None


def yaml_reader() -> Any:
    """The module that reads YAML.

    Raises:
        Failure: it is not installed.
    """
    try:
        import yaml
    except ImportError:
        msg = 'reading YAML needs PyYAML: pip install PyYAML (the extra "cli" brings it)'
        raise Failure(msg) from None
    return yaml


def _parse(text: str, path: str) -> Any:
    yaml = yaml_reader()
    try:
        return yaml.load(text, _loader(yaml))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        msg = f"{path}{where}: {error.problem or error.context}"
        raise Failure(msg) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        msg = f"{path} is no YAML: {' '.join(str(error).split())[:200]}"
        raise Failure(msg) from None


def _loader(yaml: Any) -> type[Any]:
    """The safe loader, which minds a name that is given twice; YAML lets the last one win, silently."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  (its own)
            seen = set()
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:merge" and isinstance(key.value, str):
                    if key.value in seen:
                        problem = f"{quoted(key.value)} is given twice"
                        raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                    seen.add(key.value)
            return super().construct_mapping(node, deep=deep)

    return Loader


def _config(raw: dict[Any, Any]) -> Config:
    config = Config(variables=dict(os.environ))
    for name in raw:
        if name not in SECTIONS:
            config.wrong.append(f"unknown section {quoted(str(name))}{did_you_mean(str(name), SECTIONS)}")
        elif name in OF_A_PROXY:
            config.notes.append(f"{name} belongs to a proxy: ignored")
    config.variables.update(_variables(raw, config.wrong))
    config.entries.extend(_section(raw, "model_list", list, config.wrong))
    config.settings.update(_section(raw, "router_settings", dict, config.wrong))
    if not config.entries and "model_list" not in raw:
        config.wrong.append("model_list: required")
    _take_over(_section(raw, "litellm_settings", dict, config.wrong), config)
    return config


def _section(raw: Mapping[Any, Any], name: str, kind: type, wrong: list[str]) -> Any:
    value = raw.get(name)
    if value is not None and not isinstance(value, kind):
        wrong.append(f"{name} = ({type(value).__name__}): must be a {'list' if kind is list else 'mapping'}")
        value = None
    return kind() if value is None else value


def _variables(raw: Mapping[Any, Any], wrong: list[str]) -> dict[str, str]:
    values = _section(raw, "environment_variables", dict, wrong)
    return {str(name): str(value) for name, value in values.items()}


def _take_over(others: Mapping[Any, Any], config: Config) -> None:
    """What means the same to a router goes with its settings, unless those speak of it themselves."""
    for name, value in others.items():
        setting = TAKEN_OVER.get(name)
        if setting is None:
            config.notes.append(f"litellm_settings.{name} is no setting of a router: ignored")
        elif setting in config.settings:
            config.notes.append(f"litellm_settings.{name}: router_settings.{setting} goes before it")
        else:
            config.settings[setting] = value
            config.notes.append(f"litellm_settings.{name} is taken for router_settings.{setting}")


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value with its path, in the order of the file; what holds nothing is a value, too."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _walk(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            yield from _walk(item, f"{path}[{position}]")
    else:
        yield path, value


def _with(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _with(item, variables) for name, item in value.items()}
    if isinstance(value, list):
        return [_with(item, variables) for item in value]
    if isinstance(value, str) and value.startswith(PREFIX):
        return variables.get(value.removeprefix(PREFIX), value)
    return value
