"""`on_exhausted="wait"` and `priority`: who waits, in what order, and for how long at most."""

from __future__ import annotations

import pytest

from turnout import NoDeploymentsAvailable, Timeout
from turnout.actors.model_group.actor import ModelGroup
from turnout.messages.commands import CallRefused, DeploymentStatus
from turnout.messages.events import WaitStarted
from turnout.messages.outcomes import LeftOut
from turnout.testing import SimulatedProvider

BUSY = SimulatedProvider(latency=10.0)
NARROW = {"a": {"group": "gpt-4", "max_parallel_requests": 1}}


def served(place, futures):
    """The names under which these were asked, in the order of their answers."""
    order = []
    pending = dict(futures)
    while pending:
        place.clock.advance(1.0)
        for name in [name for name, future in pending.items() if future.done()]:
            order.append(name)
            del pending[name]
    return order


def test_by_default_nobody_waits(town):
    place = town(NARROW, default=BUSY)
    place.send()
    assert isinstance(place.error(), NoDeploymentsAvailable)
    assert place.passed == 0


def test_a_request_waits_for_a_limit_to_let_go(town):
    place = town({"a": {"group": "gpt-4", "rpm": 1}}, on_exhausted="wait")
    place.ask()
    answer = place.ask()
    assert place.passed == 60.0
    assert answer.route.waited == 60.0
    assert answer.route.attempts[0].wait == 60.0
    assert [event.until - place.start for event in place.found(WaitStarted)] == [60.0]


def test_a_request_waits_for_a_slot(town):
    place = town(NARROW, default=BUSY, on_exhausted="wait")
    place.send()
    answer = place.ask()
    assert (answer.route.waited, answer.route.seconds) == (10.0, 20.0)


def test_a_request_waits_for_a_cooldown_to_end(town):
    place = town({"a": "gpt-4"}, {"a": [500]}, allowed_fails=0, cooldown_time=4, on_exhausted="wait")
    place.error()
    assert place.ask().route.waited == 4.0


def test_a_request_with_a_priority_waits_though_the_router_fails(town):
    place = town(NARROW, default=BUSY)
    place.send()
    assert place.ask(priority=3).route.waited == 10.0


def test_a_default_priority_makes_all_requests_wait(town):
    place = town(NARROW, default=BUSY, default_priority=5)
    place.send()
    assert place.ask().route.waited == 10.0


def test_the_lower_priority_number_goes_first(town):
    place = town(NARROW, default=BUSY)
    first = place.send()
    futures = {name: place.send(priority=number) for name, number in [("c", 9), ("a", 0), ("b", 5)]}
    assert served(place, futures) == ["a", "b", "c"]
    assert first.done()


def test_of_equal_priority_the_earlier_deadline_goes_first(town):
    place = town(NARROW, default=BUSY, on_exhausted="wait")
    place.send()
    futures = {name: place.send(timeout=timeout) for name, timeout in [("late", 500), ("soon", 100)]}
    assert served(place, futures) == ["soon", "late"]


def test_of_equal_priority_and_deadline_the_first_to_come_goes_first(town):
    place = town(NARROW, default=BUSY, on_exhausted="wait")
    place.send()
    futures = {name: place.send(timeout=500) for name in "xyz"}
    assert served(place, futures) == ["x", "y", "z"]


def test_at_most_max_queue_wait_and_the_next_is_refused_at_once(town):
    place = town(NARROW, default=BUSY, on_exhausted="wait", max_queue=2)
    futures = [place.send() for _ in range(3)]
    assert isinstance(place.error(), NoDeploymentsAvailable)
    assert place.passed == 0
    place.clock.advance(30.0)
    assert all(future.done() for future in futures)


def test_a_wait_that_cannot_end_before_the_deadline_is_refused_at_once(town):
    """I7"""
    place = town({"a": {"group": "gpt-4", "rpm": 1}}, on_exhausted="wait")
    place.ask()
    error = place.error(timeout=59.0)
    assert isinstance(error, NoDeploymentsAvailable)
    assert error.retry_after == 60.0
    assert place.passed == 0


def test_who_waits_when_the_deadline_comes_gets_a_timeout(town):
    """I1"""
    place = town(NARROW, default=SimulatedProvider(hang=True), on_exhausted="wait", timeout=100)
    hanging = place.send()
    error = place.error(timeout=5.0)
    assert isinstance(error, Timeout)
    assert place.passed == 5.0
    place.clock.advance(100.0)
    assert hanging.done()


def test_who_waits_and_is_cancelled_leaves_the_queue(town):
    place = town(NARROW, default=BUSY, on_exhausted="wait", max_queue=1)
    place.send()
    waiting = place.send()
    place.clock.advance(1.0)
    waiting.cancel()
    place.clock.advance(0.0)
    assert place.story(f"request/{waiting.request_id}")[-1] == "request_cancelled"
    assert place.ask().route.waited == pytest.approx(9.0)


def test_who_waits_is_told_when_the_router_closes(town):
    place = town(NARROW, default=BUSY, on_exhausted="wait")
    futures = [place.send() for _ in range(2)]
    place.clock.advance(1.0)
    place.router.close()
    for future in futures:
        with pytest.raises(RuntimeError, match="closed"):
            future.get(timeout=0)


def test_the_first_assignment_waits_before_it_falls_back(town):
    """`on_exhausted` governs the first assignment: with "wait" it waits, and does not fall back."""
    place = town({**NARROW, "z": "backup"}, {"a": BUSY}, on_exhausted="wait", fallbacks=["backup"])
    place.send()
    assert place.ask().route.model_group == "gpt-4"


def test_a_wait_that_is_refused_falls_back(town):
    place = town(
        {**NARROW, "z": "backup"}, {"a": BUSY}, on_exhausted="wait", fallbacks=["backup"], max_queue=1
    )
    place.send()
    place.send()
    assert place.ask().route.model_group == "backup"


def test_a_call_that_comes_back_refused_when_its_caller_has_left_does_not_wait_again(town, monkeypatch):
    """It was with a deployment when the group was told to let it go."""
    assigned = []
    assign = ModelGroup._assign

    def noted(group, message):
        assigned.append(message)
        assign(group, message)

    monkeypatch.setattr(ModelGroup, "_assign", noted)
    place = town(NARROW, default=BUSY, on_exhausted="wait")
    place.send()
    future = place.send()
    future.cancel()
    group = place.router._switchboard.groups["gpt-4"]
    refused = LeftOut("a", "parallel")
    status = DeploymentStatus("a", seen=1, open=1, capacity=0, blocked=refused)
    group.tell(CallRefused(assigned[1], refused, status))
    place.clock.advance(30.0)
    assert place.calls == {"a": 1}
