"""Callbacks of one router, and of the process: `turnout.callbacks`."""

from __future__ import annotations

import pytest

import turnout
from turnout import ConfigurationError, RateLimitError, Router
from turnout.testing import FakeClock

MESSAGES = [{"role": "user", "content": "Hello"}]


def ask(router, **fields):
    return router.completion("gpt-4", MESSAGES, **fields)


def test_a_routers_callbacks_hear_of_its_own_requests_only(kit, make_router):
    mine, others = kit.Sync(), kit.Sync()
    router = make_router(clock=FakeClock(), callbacks=[mine])
    make_router(clock=FakeClock(), callbacks=[others])
    ask(router)
    assert mine.story == ["pre", "post", "success"]
    assert others.story == []


def test_the_modules_callbacks_hear_of_every_router_also_of_those_made_before(kit, make_router):
    routers = [make_router(clock=FakeClock()), make_router(clock=FakeClock())]
    seen = kit.Sync()
    turnout.callbacks = [seen]
    for router in routers:
        ask(router)
    assert len(seen.of("success")) == 2


def test_they_may_be_appended_to_and_taken_away_again(kit, make_router):
    router = make_router(clock=FakeClock())
    seen = kit.Sync()
    turnout.callbacks.append(seen)
    ask(router)
    turnout.callbacks.remove(seen)
    ask(router)
    assert len(seen.of("success")) == 1


def test_others_may_take_their_place(kit, make_router):
    router = make_router(clock=FakeClock())
    first, second = kit.Sync(), kit.Sync()
    for seen in (first, second):
        turnout.callbacks = [seen]
        ask(router)
    assert (len(first.of("success")), len(second.of("success"))) == (1, 1)


def test_the_modules_callbacks_and_the_routers_are_both_told(kit, make_router):
    mine, wide = kit.Sync(), kit.Sync()
    turnout.callbacks = [wide]
    ask(make_router(clock=FakeClock(), callbacks=[mine]))
    assert mine.story == wide.story == ["pre", "post", "success"]


def test_success_and_failure_callbacks_hear_of_one_outcome(make_router):
    told = []
    turnout.success_callback = [lambda *args: told.append("success")]
    turnout.failure_callback = [lambda *args: told.append("failure")]
    router = make_router(clock=FakeClock())
    ask(router)
    with pytest.raises(RateLimitError):
        ask(router, mock_response=RateLimitError("slow"))
    assert told == ["success", "failure"]


def test_a_closed_router_leaves_nothing_in_the_module(kit):
    with Router([kit.entry()], clock=FakeClock(), callbacks=[kit.Sync()]) as router:
        ask(router)
    assert turnout.callbacks == turnout.success_callback == turnout.failure_callback == []


def test_what_is_no_callback_in_the_module_is_logged_and_passed_over(kit, make_router, caplog):
    seen = kit.Sync()
    turnout.callbacks = ["langfuse", seen]
    router = make_router(clock=FakeClock())
    ask(router)
    ask(router)
    assert len(seen.of("success")) == 2
    assert [r.getMessage() for r in caplog.records] == ["turnout.callbacks holds a str, which is no callback"]


def test_none_and_a_single_callback_are_taken_for_what_they_mean(kit, make_router):
    router = make_router(clock=FakeClock())
    turnout.callbacks = None
    ask(router)
    seen = kit.Sync()
    turnout.callbacks = seen
    ask(router)
    assert len(seen.of("success")) == 1


@pytest.mark.parametrize("wrong", ["langfuse", ["langfuse"], [dict], [3], {"a": 1}])
def test_a_router_refuses_what_is_no_callback(kit, wrong):
    with pytest.raises(ConfigurationError, match="callbacks"):
        Router([kit.entry()], callbacks=wrong)


def test_a_router_needs_no_base_class(make_router):
    class Duck:
        def __init__(self):
            self.costs = []

        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            self.costs.append(kwargs["response_cost"])

    duck = Duck()
    ask(make_router(clock=FakeClock(), callbacks=[duck]))
    assert len(duck.costs) == 1


def test_a_method_set_on_the_object_counts(make_router):
    told = []
    logger = turnout.integrations.custom_logger.CustomLogger()
    logger.log_success_event = lambda *args: told.append(1)
    ask(make_router(clock=FakeClock(), callbacks=[logger]))
    assert told == [1]


def test_the_import_paths_of_the_documents_work():
    from turnout.integrations.custom_logger import CustomLogger
    from turnout.router import AlertingConfig, AllowedFailsPolicy, RetryPolicy
    from turnout.router import Router as TheRouter

    assert TheRouter is Router is turnout.Router
    assert (AlertingConfig, AllowedFailsPolicy, RetryPolicy) == (
        turnout.AlertingConfig,
        turnout.AllowedFailsPolicy,
        turnout.RetryPolicy,
    )
    assert CustomLogger().log_success_event({}, None, None, None) is None
