"""Reads a scenario from its file; what is wrong there is told with the line and the key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...messages.errors import ConfigurationError
from ...messages.problems import quoted
from .model import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["load_scenario", "located"]

_OWNER = r"(?:Deployment|Incident|Latency|Traffic)"
_INSIDE = re.compile(rf": {_OWNER}\.")
_WHOLE = re.compile(rf": {_OWNER} = \(dict\): ")
_KEY = re.compile(r"[a-z]\w*(?:\.\w+|\[\d+\])*(?=:| =)")
_UNKNOWN = re.compile(r"unknown setting '([^']+)'(?: of \w+)?")
_TEXT = "tag:yaml.org,2002:str"


def load_scenario(path: Path) -> Scenario:
    """Read a scenario.

    Raises:
        ConfigurationError: the file is not YAML, or something in it is wrong; it names the line and the key.
        OSError: it cannot be read.
        ImportError: PyYAML is not installed (the `cli` extra).
    """
    root = _composed(path)
    for key in _strange_keys(root, set()):
        msg = (
            f"{path.name}, line {key.start_mark.line + 1}: {quoted(key.value)} is given twice, or is no text"
        )
        raise ConfigurationError(msg)
    raw = None if root is None else _constructed(path)
    if not isinstance(raw, dict):
        msg = f"{path.name}: must be a mapping with `deployments` in it"
        raise ConfigurationError(msg)
    try:
        return Scenario(**raw)
    except ConfigurationError as error:
        said = _plain(str(error))
        msg_0 = f"{path.name}{_line(root, said)}: {said}"
        raise ConfigurationError(msg_0) from None


def located(path: Path, said: str) -> str:
    """What a router says of a scenario, with the file and the line; settings under the key they stand in."""
    root = _composed(path)
    if not said.startswith(("deployments[", "traffic[")):
        said = f"router.{said}" if _KEY.match(said) else f"router: {said}"
        said = _UNKNOWN.sub(r"unknown key '\1'", said)
    return f"{path.name}{_line(root, said)}: {said}"


def _composed(path: Path) -> Any:
    """The file's nodes, which know their lines."""
    import yaml  # noqa: PLC0415  (an extra)

    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if _holds_itself(root, set(), set()):
            msg = f"{path.name}: something in it holds itself"
            raise ConfigurationError(msg)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f", line {mark.line + 1}"
        msg = f"{path.name}{where}: this is not YAML: {error.problem}"
        raise ConfigurationError(msg) from None
    except RecursionError:
        msg = f"{path.name} is nested too deep"
        raise ConfigurationError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path.name} is no text in UTF-8"
        raise ConfigurationError(msg) from None
    except yaml.YAMLError as error:
        msg = f"{path.name} is not YAML: {error}"
        raise ConfigurationError(msg) from None
    return root


def _constructed(path: Path) -> Any:
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # a tag that nobody knows, a day that is none
        msg = f"{path.name} is not YAML: {error}"
        raise ConfigurationError(msg) from None


def _holds_itself(node: Any, around: set[int], known: set[int]) -> bool:
    """Whether an anchor is used within what it names. What many use is looked at once: it may be billions."""
    if node is None or node.id == "scalar" or id(node) in known:
        return False
    known.add(id(node))
    around.add(id(node))
    inside = node.value if node.id == "sequence" else [each for pair in node.value for each in pair]
    found = any(id(each) in around or _holds_itself(each, around, known) for each in inside)
    around.remove(id(node))
    return found


def _strange_keys(node: Any, known: set[int]) -> Iterator[Any]:
    """Keys that are there already, the last of which would win in silence, or are numbers and the like."""
    if node is None or node.id == "scalar" or id(node) in known:
        return
    known.add(id(node))
    if node.id == "sequence":
        for item in node.value:
            yield from _strange_keys(item, known)
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.id == "scalar" and (key.tag != _TEXT or key.value in seen) and key.value != "<<":
            yield key
        seen.add(str(key.value))
        yield from _strange_keys(value, known)


def _plain(said: str) -> str:
    """`deployments[1].latency.p50 = 0: ...`, without the names of our classes."""
    said = said.removeprefix("Scenario = (dict): ").removeprefix("Scenario.")
    said = _WHOLE.sub(": ", _INSIDE.sub(".", said))
    return _UNKNOWN.sub(r"unknown key '\1'", said)


def _line(root: Any, said: str) -> str:
    """Where the key stands of which something is said, or what it is in."""
    key, unknown = _KEY.match(said), re.search(r"unknown key '([^']+)'", said)
    steps = re.findall(r"\w+", key[0]) if key else []
    node, found = root, root
    for step in [*steps, *([unknown[1]] if unknown else [])]:
        node = _inside(node, step)
        if node is None:
            break
        found = node[0]
        node = node[1]
    return f", line {found.start_mark.line + 1}"


def _inside(node: Any, step: str) -> tuple[Any, Any] | None:
    """The key and the value of a name or a number in a node."""
    if node.id == "sequence":
        item = node.value[int(step)] if step.isdecimal() and int(step) < len(node.value) else None
        return None if item is None else (item, item)
    if node.id == "mapping":
        return next(((key, value) for key, value in node.value if key.value == step), None)
    return None
