"""A router on a journal whose snapshots are damaged says so in one error of ours, and lets go of the file."""

import json
import sqlite3

import pytest

from turnout import Router
from turnout.actors.journal.ports import UnreadableEventError
from turnout.testing import FakeClock, SimulatedProviders

ENTRY = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "eu"}}
SETTINGS = {"tag_budget_config": {"team": {"max_budget": 5, "budget_duration": "1d"}}}


def opened(file):
    return Router(
        [ENTRY], journal=f"sqlite:///{file}", clock=FakeClock(), caller=SimulatedProviders(), **SETTINGS
    )


@pytest.fixture
def file(tmp_path):
    with opened(tmp_path / "j.db") as router:
        router.completion("gpt-4", [{"role": "user", "content": "Hello"}], tags=["team"])
    return tmp_path / "j.db"


def change(file, stream, state):
    database = sqlite3.connect(file)
    with database:
        database.execute("UPDATE snapshots SET state = ? WHERE stream = ?", (state, stream))
    database.close()


def state_of(file, stream):
    database = sqlite3.connect(file)
    ((state,),) = database.execute("SELECT state FROM snapshots WHERE stream = ?", (stream,)).fetchall()
    database.close()
    return state


@pytest.mark.parametrize(
    ("stream", "without", "why"),
    [
        ("deployment/eu", "window", "it lacks 'window'"),
        ("deployment/eu", "totals", "it lacks 'totals'"),
        ("budgets", None, "damaged"),
        ("deployment/eu", None, "damaged"),
    ],
)
def test_a_damaged_snapshot_is_one_error_that_names_it(file, stream, without, why):
    whole = state_of(file, stream)
    state = json.loads(whole)
    spoilt = {key: value for key, value in state.items() if key != without} if without else [1]
    change(file, stream, json.dumps(spoilt))
    with pytest.raises(UnreadableEventError) as caught:
        opened(file)
    assert f"the snapshot of {stream!r}" in str(caught.value)
    assert why in str(caught.value)
    change(file, stream, whole)
    with opened(file) as router:  # nobody holds the file any more
        assert router.health()["ok"]
