"""`python -m turnout check config.yaml`: is this configuration right, and what does it mean?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..supervisor.face.metrics_table import NOTHING, Table, print_table
from .config import read_config
from .failure import EXIT_FAILED
from .findings import examined

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..messages.deployment import Deployment
    from .findings import Findings

__all__ = ["add_to"]

HELP = "validate a configuration and say what it means"
EPILOG = """\
The file has a model_list and router_settings, as the well-known proxy reads it; of its litellm_settings
what means the same to a router is taken over, what belongs to a proxy is noted. Nothing is called.

Exit code 0: a router can be made of it. 1: not (every reason is told), or a variable that it refers to
is not set (--ignore-environment: that is no reason).

examples:
  python -m turnout check config.yaml
  python -m turnout check config.yaml --ignore-environment
  python -m turnout check config.yaml --json | jq .errors
"""

_COLUMNS = ("deployment", "rpm", "tpm", "parallel", "weight", "timeout", "key", "asks")


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "check",
        help=HELP,
        description="Validates a configuration in YAML and prints what it understood.",
        epilog=EPILOG,
    )
    parser.add_argument("config", metavar="CONFIG", help="a file in YAML")
    parser.add_argument(
        "--ignore-environment", action="store_true", help="variables that are not set are no error"
    )
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine, and print what was found."""
    findings = examined(read_config(arguments.config))
    if arguments.json:
        print(json.dumps(_as_json(findings), indent=2))
    else:
        _show(findings)
    bad = bool(findings.errors) or (bool(findings.unset) and not arguments.ignore_environment)
    if not arguments.json:
        print(f"\n{arguments.config}: {'not right' if bad else 'right'}")
    return EXIT_FAILED if bad else 0


def _as_json(findings: Findings) -> dict[str, Any]:
    settings = findings.settings
    return {
        "groups": {group: [d.id for d in members] for group, members in findings.groups.items()},
        "deployments": {d.id: d.public_config() for d in findings.deployments},
        "settings": None if settings is None else settings.changed(),
        "errors": findings.errors,
        "unset": findings.unset,
        "notes": findings.notes,
    }


def _show(findings: Findings) -> None:
    rows = [_row(deployment) for deployment in findings.deployments]
    groups = findings.groups
    if rows:
        print_table(
            Table(f"{_many(len(rows), 'deployment')} in {_many(len(groups), 'group')}", _COLUMNS, rows)
        )
    if findings.settings is not None:
        print("\nsettings (all others have their defaults)")
        for name, value in findings.settings.changed().items():
            print(f"  {name} = {json.dumps(value, ensure_ascii=False)}")
    _list("notes", findings.notes)
    _list("not set in the environment", _unset(findings))
    _list("errors", findings.errors)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"\n{title}")
        for line in lines:
            print(f"  {line}")


def _unset(findings: Findings) -> list[str]:
    return [f"{name}: {', '.join(_first(paths))}" for name, paths in findings.unset.items()]


def _first(paths: list[str], shown: int = 3) -> Iterator[str]:
    yield from paths[:shown]
    if len(paths) > shown:
        yield f"and {len(paths) - shown} more"


def _row(deployment: Deployment) -> tuple[str, ...]:
    limits = (deployment.rpm, deployment.tpm, deployment.max_parallel_requests)
    others = (deployment.weight, deployment.timeout)
    where = f" at {deployment.public_config()['litellm_params']['api_base']}" if deployment.api_base else ""
    return (
        f"{deployment.model_name}/{deployment.id}",
        *(NOTHING if limit is None else f"{limit:,}" for limit in limits),
        *(NOTHING if value is None else f"{value:g}" for value in others),
        "no" if deployment.api_key is None else "yes",
        f"{deployment.provider}/{deployment.model}{where}",
    )
