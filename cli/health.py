"""`python -m turnout health config.yaml`: one little real call to every deployment, as a table."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from ..messages.errors import TurnoutError
from ..supervisor.face.metrics_table import NOTHING, Table, print_table, seconds
from ..supervisor.face.router import Router
from .config import read_config
from .failure import EXIT_FAILED, Failure
from .findings import examined

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]

HELP = "ask every deployment of a configuration how it is"
EPILOG = """\
These are real calls, of one token each where that can be said: they cost, and count in limits.

Exit code 0: all of them answer. 1: one does not, or the configuration is wrong.

examples:
  python -m turnout health config.yaml
  python -m turnout health config.yaml --model gpt-4
  python -m turnout health config.yaml --json | jq .unhealthy_count
"""

NOT_WANTED = frozenset(
    """
    alerting_config cache_kwargs cache_responses caching_groups callbacks health_check_interval
    provider_budget_config redis_host redis_password redis_port redis_url set_verbose tag_budget_config
    """.split()
)
"""Settings that a look from outside does without: it alerts nobody, and keeps nothing."""

_COLUMNS = ("deployment", "health", "latency", "asks", "error")
_SECTIONS = {
    "healthy_endpoints": "well",
    "unhealthy_endpoints": "not well",
    "unchecked_endpoints": "not asked",
}


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "health",
        help=HELP,
        description="Makes one minimal call to every deployment and prints who answers.",
        epilog=EPILOG,
    )
    parser.add_argument("config", metavar="CONFIG", help="a file in YAML; see `check`")
    parser.add_argument("--model", metavar="NAME", help="only this group, or this deployment (by its id)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print who answers."""
    report = _ask(arguments)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(_table(report))
    well = report["healthy_count"] and not report["unhealthy_count"]
    return 0 if well else EXIT_FAILED


def _ask(arguments: argparse.Namespace) -> dict[str, Any]:
    config = read_config(arguments.config)
    findings = examined(config)
    wrong = [*findings.errors, *(f"the environment variable {name} is not set" for name in findings.unset)]
    if wrong:
        more = f" (and {len(wrong) - 1} more: python -m turnout check)" if len(wrong) > 1 else ""
        msg = f"{arguments.config}: {wrong[0]}{more}"
        raise Failure(msg)
    resolved = config.resolved()
    settings = {name: value for name, value in resolved.settings.items() if name not in NOT_WANTED}
    count = len(findings.deployments)
    try:
        with Router(resolved.entries, **settings) as router:
            if sys.stderr.isatty():
                print(f"asking {count} deployment{'' if count == 1 else 's'} ...", file=sys.stderr)
            return router.health_check(arguments.model)
    except TurnoutError as error:
        raise Failure(str(error)) from None


def _table(report: dict[str, Any]) -> Table:
    rows = [_row(entry, health) for section, health in _SECTIONS.items() for entry in report[section]]
    counts = f"{report['healthy_count']} well, {report['unhealthy_count']} not"
    return Table(counts, _COLUMNS, rows)


def _row(entry: dict[str, Any], health: str) -> tuple[str, ...]:
    name = f"{entry.get('model_name', '')}/{entry['deployment_id']}"
    return (
        name,
        health,
        seconds(entry.get("latency")),
        entry.get("model", NOTHING),
        entry.get("error") or NOTHING,
    )
