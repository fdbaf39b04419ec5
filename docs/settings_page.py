"""Writes docs/settings.md from the settings models: what they take, what they default to, what it means.

The words stand in the models, below each field, and nowhere else. `make settings` in a checkout;
`python -m docs.settings_page --check` tells whether the page is as it would be written.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin

import attrs
from pydantic import BaseModel, SecretStr

from turnout import Router
from turnout.messages.deployment import Deployment
from turnout.messages.fallbacks import FallbackTable
from turnout.messages.policies import AlertingConfig, AllowedFailsPolicy, RetryPolicy
from turnout.messages.settings import RouterSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_name("settings.md")
POLICIES = (RetryPolicy, AllowedFailsPolicy, AlertingConfig)
MADE = "made"

TOP = """\
# Settings

Every argument, setting and deployment parameter. This page is written by `make settings` from the
settings models; what it says stands there. A wrong or unknown name is one `ConfigurationError`, with its
path, what was given, what is allowed and the nearest known name. Times are in seconds.
"""
DEPLOYMENTS = """\
One entry of `model_list` is `{"model_name": ..., "litellm_params": {...}, "model_info": {...}}`; `params`
may be written for `litellm_params`. `rpm`, `tpm`, `weight`, `max_parallel_requests`, `order`, `tags`,
`timeout`, `stream_timeout` and `region_name` may stand at the top, in `litellm_params` or in `model_info`.
Any text may be `"os.environ/NAME"`. Whatever is not listed goes to the provider with every call
(`temperature`, `extra_headers`, `extra_body`, `organization`, ...).
"""


class Row(NamedTuple):
    """One line of a table, under the `section` its model puts it in."""

    section: str
    name: str
    default: str
    takes: str
    meaning: str


def page() -> str:
    """The whole page."""
    parts = [TOP, heading("What a router is made of"), marked("arguments", argument_rows())]
    sections: dict[str, list[Row]] = {}
    for row in model_rows(RouterSettings):
        sections.setdefault(row.section, []).append(row)
    for section, rows in sections.items():
        parts += [heading(section), marked(f"settings-{slug(section)}", rows)]
    for policy in POLICIES:
        parts += [heading(policy.__name__), intro(policy), marked(slug(policy.__name__), model_rows(policy))]
    parts += [heading("Deployments"), DEPLOYMENTS, marked("deployment", deployment_rows())]
    return "\n".join(parts)


def model_rows(model: type[BaseModel]) -> list[Row]:
    """The rows of a pydantic model, in its order."""
    rows = []
    for section, name, meaning in described(model):
        field = model.model_fields[name]
        default = "required" if field.is_required() else code(shown(field.get_default()))
        rows.append(Row(section, name, default, takes(field.annotation, field.metadata), meaning))
    return rows


def deployment_rows() -> list[Row]:
    """The rows of a deployment. What it takes is checked by the parser, so the table does not say."""
    fields = {field.name: field for field in attrs.fields(Deployment)}
    return [
        Row(section, name, deployment_default(fields[name]), "", meaning)
        for section, name, meaning in described(Deployment)
    ]


def deployment_default(field: attrs.Attribute[Any]) -> str:
    if field.name in ("id", "provider") or isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        return MADE
    return "required" if field.default is attrs.NOTHING else code(shown(field.default))


def argument_rows() -> list[Row]:
    """The arguments of a router other than settings, from its docstring."""
    said = re.split(r"^    (\w+): ", args_of(Router), flags=re.MULTILINE)[1:]
    meanings = dict(zip(said[::2], said[1::2], strict=True))
    parameters = inspect.signature(Router).parameters.values()
    return [
        Row("", one.name, code(one.default), "", sentence(meanings[one.name]))
        for one in parameters
        if one.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def args_of(cls: type) -> str:
    """The `Args:` of a class's docstring."""
    match = re.search(r"^Args:\n(.*?)\n\n", inspect.getdoc(cls) or "", re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


# -- what the sources say ------------------------------------------------------------------------


def described(cls: type) -> Iterator[tuple[str, str, str]]:
    """(section, field, what stands below it) for every field of a class.

    Raises:
        SystemExit: a field says nothing of itself.
    """
    source = textwrap.dedent(inspect.getsource(cls))
    lines, section, seen = source.splitlines(), "", 0
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.ClassDef)
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        titles = [line.removeprefix("    # -- ") for line in lines[seen : node.lineno] if "    # -- " in line]
        section, seen = titles[-1] if titles else section, node.lineno
        yield section, node.target.id, text_of(following, f"{cls.__name__}.{node.target.id}")


def text_of(node: ast.stmt | None, name: str) -> str:
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        return sentence(node.value.value)
    msg = f'{name} says nothing of itself: put """what it means""" below it'
    raise SystemExit(msg)


def sentence(text: str) -> str:
    """On one line, as the cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").rstrip(".")


def intro(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n\nRaises:")[0] + "\n"


# -- what a field takes --------------------------------------------------------------------------

WORDS = {
    bool: "`True` or `False`",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text (secret)",
}
LISTED = {FallbackTable: "list", dict: "dict", tuple: "list", list: "list"}


def takes(annotation: Any, metadata: Any = ()) -> str:
    """A type and its bounds in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return takes(arguments[0], (*metadata, *annotation.__metadata__))
    if origin in (Union, types.UnionType):
        kinds = [takes(one, metadata) for one in arguments if one is not type(None)]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if origin is Literal:
        return ", ".join(code(value) for value in arguments)
    kind = LISTED.get(origin or annotation) or WORDS.get(annotation)
    if kind is None:
        kind = f"[{annotation.__name__}](#{slug(annotation.__name__)})" if annotation in POLICIES else ""
    return f"{kind} {bounds(metadata)}".strip()


def bounds(metadata: Any) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    flat = [one for each in metadata for one in getattr(each, "metadata", (each,))]
    found = [f"{signs[name]} {getattr(one, name)}" for one in flat for name in signs if hasattr(one, name)]
    return ", ".join(found)


def shown(default: Any) -> Any:
    """A default as a user would write it."""
    if isinstance(default, FallbackTable):
        return default.public()
    return list(default) if isinstance(default, tuple) else default


# -- Markdown ------------------------------------------------------------------------------------


def code(value: Any) -> str:
    """A value as Python, with the quotes that this project uses."""
    return f'`"{value}"`' if isinstance(value, str) else f"`{value!r}`"


def heading(title: str) -> str:
    return f"## {title}\n"


def slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def marked(name: str, rows: list[Row]) -> str:
    """A table that tests find by its name; its column "takes" only where one row has something there."""
    wide = any(row.takes for row in rows)
    columns = ["name", "default", *(["takes"] if wide else []), "meaning"]
    lines = [f"<!-- table: {name} -->", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [f"`{row.name}`", row.default, *([row.takes] if wide else []), row.meaning]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or with --check only tell whether it is up to date."""
    text = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print("docs/settings.md is up to date" if current else "docs/settings.md is old: run `make settings`")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
