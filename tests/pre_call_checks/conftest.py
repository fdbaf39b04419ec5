"""The town of the router's tests, with what is said of a model in its place."""

from __future__ import annotations

import pytest

from tests.choosing.conftest import crew, make
from tests.router.conftest import town

__all__ = ["crew", "make", "town"]


@pytest.fixture
def open_group(town):
    """A router with checks over deployments of "gpt-4", each a dict of its parameters."""

    def open_group(deployments, *args, **settings):
        entries = {name: {"group": "gpt-4", **params} for name, params in deployments.items()}
        return town(entries, *args, **{"enable_pre_call_checks": True, **settings})

    return open_group
