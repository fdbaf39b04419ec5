"""The page for those who move over speaks of things that are there."""

from __future__ import annotations

import importlib
import re

from turnout import Router
from turnout.messages.settings import RouterSettings


def names(rows):
    return [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]


def test_every_parameter_is_one_of_the_router(migrate_table):
    unknown = set(names(migrate_table("parameters"))) - {"model_list", *RouterSettings.model_fields}
    assert unknown == set()


def test_every_method_is_there(migrate_table):
    methods = names(migrate_table("methods"))
    assert [name for name in methods if not callable(getattr(Router, name, None))] == []


def test_every_import_works(migrate_table):
    lines = [row[1] for row in migrate_table("imports") if "from turnout" in row[1]]
    for line in lines:
        module, imported = re.fullmatch(r"`from ([\w.]+) import ([\w, ]+)`", line).groups()
        for name in imported.split(", "):
            assert hasattr(importlib.import_module(module), name), line
