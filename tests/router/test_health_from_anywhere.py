"""health() answers whatever its actors are up to: deployments that come and go, actors that crash."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from turnout.messages.commands import SaveSnapshot
from turnout.supervisor.face.questions import answer_of, ask_deployments


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL + 1, logger="pykka")
    caplog.set_level(logging.CRITICAL + 1, logger="turnout")


def test_deployments_are_asked_while_others_come():
    """Another thread adds one between two questions."""
    deployments = {}

    class Ref:
        def is_alive(self):
            deployments["late"] = self
            return True

        def ask(self, message, *, block):
            return SimpleNamespace(get=lambda: {"asked": type(message).__name__})

    deployments["first"] = Ref()
    asked = ask_deployments(SimpleNamespace(deployments=deployments))
    assert {name: answer_of(future) for name, future in asked.items()} == {"first": {"asked": "Inspect"}}


@pytest.mark.parametrize("name", ["a", "cache", "treasury", "alerts", "supervisor"])
def test_an_actor_that_crashes_with_the_question_in_its_mail_is_passed_over(town, name):
    settings = {
        "cache_responses": True,
        "provider_budget_config": {"openai": {"max_budget": 5}},
        "alerting_config": {"webhook_url": "http://127.0.0.1:9/nobody"},
    }
    router = town({"a": "gpt-4", "b": "gpt-4"}, audit=False, **settings).router
    router.health()
    board = router._switchboard
    everyone = {**board.deployments, **board.services, "supervisor": board.supervisor}
    broken(everyone[name])
    health = router.health()
    assert (health["ok"], health["open_requests"], "b" in health["deployments"]) == (True, 0, True)
    after = router.health()
    assert set(after["deployments"]) >= {"b"}
    assert after["budgets"].keys() <= {"provider:openai"}


def broken(ref):
    """Have the actor crash at the next message, which waits already."""

    def crash(_message):
        raise RuntimeError("broken on purpose")

    ref._actor_weakref().message_handlers[SaveSnapshot] = crash
    ref.actor_inbox.post(SaveSnapshot())
