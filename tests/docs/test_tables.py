"""The tables of the README say what the code says."""

import ast
import importlib
from typing import get_args

import attrs
import pytest

import turnout
from turnout import TurnoutError
from turnout.actors.deployment.cooldown import AT_ONCE, COUNTED
from turnout.messages.deployment import Deployment
from turnout.messages.fallbacks import FallbackTable
from turnout.messages.outcomes import Reason
from turnout.messages.settings import STRATEGIES, RouterSettings
from turnout.supervisor.planning.plan import NOT_RETRIED
from turnout.supervisor.request_state import OTHER_DEPLOYMENT_ONLY


def code(cell):
    """What stands between the code marks."""
    assert cell.startswith("`"), cell
    assert cell.endswith("`"), cell
    return cell[1:-1]


def shown(default):
    """A default as a user would write it."""
    if isinstance(default, FallbackTable):
        return default.public()
    return list(default) if isinstance(default, tuple) else default


def test_a_setting_in_the_table_has_its_default(readme_table):
    for name, default, meaning in readme_table("settings"):
        field = RouterSettings.model_fields[code(name)]
        assert ast.literal_eval(code(default)) == shown(field.default), name
        assert meaning, name


def test_a_parameter_of_a_deployment_in_the_table_has_its_default(readme_table):
    fields = {attribute.name: attribute for attribute in attrs.fields(Deployment)}
    for name, default, meaning in readme_table("deployment"):
        wanted = fields[code(name)].default
        if default == "required":
            assert wanted is attrs.NOTHING, name
        else:
            assert ast.literal_eval(code(default)) == shown(wanted), name
        assert meaning, name


def test_every_strategy_is_in_the_table(readme_table):
    assert tuple(ast.literal_eval(code(row[0])) for row in readme_table("strategies")) == STRATEGIES


def errors():
    public = (getattr(turnout, name) for name in turnout.__all__)
    return {e.__name__: e for e in public if isinstance(e, type) and issubclass(e, TurnoutError)}


def test_every_error_is_in_the_table_with_its_status(readme_table):
    known = errors()
    rows = {code(row[0]): row[1] for row in readme_table("errors")}
    assert set(rows) == set(known)
    for name, status in rows.items():
        assert status == str(getattr(known[name], "status_code", "")), name


def test_what_an_error_leads_to_is_as_the_table_says(readme_table):
    for cell, _, retried, cools, _ in readme_table("errors"):
        name = code(cell)
        if not retried:
            continue
        wanted = "no" if name in NOT_RETRIED else "elsewhere" if name in OTHER_DEPLOYMENT_ONLY else "yes"
        assert retried == wanted, name
        assert cools == ("at once" if name in AT_ONCE else "counts" if name in COUNTED else "no"), name


@pytest.mark.parametrize("document", ["readme_table", "design_table"])
def test_every_bound_is_what_the_code_says(document, request):
    rows = request.getfixturevalue(document)("limits")
    shown = {code(name): float(value) for name, value, _ in rows}
    assert shown == {name: constant(name) for name in shown}


def constant(name):
    """The value of `room.module.NAME` or `room.module.Class.NAME`."""
    parts = [part for part in name.split(".") if part[0].islower()]
    value = importlib.import_module(".".join(("turnout", *parts)))
    for part in name.split(".")[len(parts) :]:
        value = getattr(value, part)
    return value


def test_every_reason_for_being_left_out_is_explained(semantics_table):
    assert {code(row[0]) for row in semantics_table("reasons")} == set(get_args(Reason))
