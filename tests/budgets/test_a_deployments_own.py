"""`max_budget` and `budget_duration` of a deployment."""

from contextlib import suppress

import pytest

from turnout import ConfigurationError, NoDeploymentsAvailable, Router
from turnout.messages.commands import SaveSnapshot
from turnout.testing import FakeClock

DAY = 86_400.0


def outcome(future):
    """What a call cost, or why it failed."""
    try:
        return str(future.get(timeout=0).route.cost)
    except NoDeploymentsAvailable as error:
        return type(error).__name__


def test_a_budget_is_spent_and_then_the_deployment_is_left_out_until_midnight(town):
    one = town([town.entry(max_budget=1.0, budget_duration="1d")])  # 0.50 a call
    assert [one.ask().route.cost, one.ask().route.cost] == [0.5, 0.5]
    error = one.error()
    assert isinstance(error, NoDeploymentsAvailable)
    (left_out,) = error.left_out
    assert (left_out.reason, left_out.until) == ("budget", one.clock.now() // DAY * DAY + DAY)
    assert error.retry_after == pytest.approx(left_out.until - one.clock.now() + 2.0)
    assert "1 budget" in str(error)
    one.clock.advance(error.retry_after)
    assert one.ask().route.cost == 0.5


def test_ten_calls_at_once_do_not_overspend(town):
    one = town([town.entry(max_budget=2.2, budget_duration="1d")])
    futures = [one.send() for _ in range(10)]
    assert one.budgets()["deployment:d"]["reserved"] == 2.0
    one.clock.advance(5.0)
    assert sorted(map(outcome, futures)) == ["0.5"] * 4 + ["NoDeploymentsAvailable"] * 6
    assert one.budgets()["deployment:d"]["spent"] == 2.0


def test_another_deployment_takes_over(town):
    limited, other = town.entry("a", max_budget=0.5, budget_duration="1d"), town.entry("b")
    one = town([limited, other])
    served = [one.ask().route.deployment_id for _ in range(6)]
    assert served.count("a") == 1


def test_those_that_wait_for_tomorrow_are_served_tomorrow(town):
    one = town([town.entry(max_budget=1.6, budget_duration="1d")], text="a", on_exhausted="wait")
    patient = [one.send(max_tokens=14, timeout=3 * DAY) for _ in range(3)]  # 1.50 at most, 0.20 in truth
    hasty = one.send(max_tokens=14)
    one.clock.advance(20.0)
    assert [f.done() for f in patient] == [True, False, False]  # 1.50 more does not fit before tomorrow
    assert outcome(hasty) == "NoDeploymentsAvailable"  # and it has no time to wait for that
    one.clock.advance(DAY)
    assert [f.done() for f in patient] == [True, True, False]


def test_one_that_waits_is_woken_when_a_call_leaves_enough(town):
    one = town([town.entry(max_budget=1.6, budget_duration="1d")], text="a", on_exhausted="wait")
    first, second = one.send(max_tokens=14), one.send(max_tokens=12)  # 1.50 and 1.30, 0.20 in truth
    one.clock.advance(1.0)
    assert (first.done(), second.done()) == (True, False)
    one.clock.advance(1.0)
    assert second.done()
    assert second.get(timeout=0).route.waited == 1.0


def test_one_that_waits_is_woken_at_the_release(town):
    one = town([town.entry(max_budget=0.5, budget_duration="1h")], on_exhausted="wait")
    one.ask()
    waiting = one.send()
    one.clock.advance(3596.0)
    assert not waiting.done()
    one.clock.advance(3.0)
    assert waiting.get(timeout=0).route.waited == pytest.approx(3598.0, abs=0.01)


def test_one_that_can_never_fit_is_refused_at_once(town):
    one = town([town.entry(max_budget=0.5, budget_duration="1h")], on_exhausted="wait")
    error = one.error(max_tokens=50)
    (left_out,) = error.left_out
    assert (left_out.reason, left_out.until, left_out.need, left_out.has) == ("budget", None, 5.1, 0.5)


def test_a_budget_without_a_duration_is_for_good(town):
    one = town([town.entry(max_budget=0.5)], on_exhausted="wait")
    one.ask()
    assert one.error().left_out[0].until is None
    one.clock.advance(400 * DAY)
    assert isinstance(one.error(), NoDeploymentsAvailable)


def test_a_rolling_budget_releases_what_was_spent_a_period_ago(town):
    one = town([town.entry(max_budget=1.0, budget_duration="1h", budget_reset="rolling")])
    start = one.clock.now()
    one.ask()
    one.clock.advance(1000.0)
    one.ask()
    assert one.error().left_out[0].until == start + 3600.0
    one.clock.advance(start + 3600.0 - one.clock.now())
    assert one.ask().route.cost == 0.5
    assert isinstance(one.error(), NoDeploymentsAvailable)


def test_a_timed_out_call_costs_nobody_knows_what_but_the_budget_is_charged_the_estimate(town):
    entry = town.entry(max_budget=1.0, budget_duration="1d", timeout=0.5)
    one = town([entry], cooldown_time=0)
    one.error()
    (failed,) = one.events("call_failed")
    assert (failed.cost, failed.charged) == (None, 0.1)
    assert one.budgets()["deployment:d"]["spent"] == 0.1


def test_a_cancelled_call_is_settled(town):
    one = town([town.entry(max_budget=1.0, budget_duration="1d")])
    future = one.send()
    assert one.budgets()["deployment:d"]["reserved"] == 0.5
    future.cancel()
    one.clock.advance(0.1)
    assert one.budgets()["deployment:d"]["reserved"] == 0.0
    assert one.budgets()["deployment:d"]["spent"] == 0.1


def test_what_is_only_expected_does_not_keep_a_call_out_for_ever(town):
    one = town([town.entry(max_budget=1.0, budget_duration="1d")])  # 256 tokens of output are expected
    assert one.ask(max_tokens=None).route.cost == 0.5
    assert one.ask().route.cost == 0.5


def test_a_call_that_a_crash_left_open_stays_charged(town):
    one = town([town.entry(max_budget=2.0, budget_duration="1d")], latency=50.0)
    one.send()
    actor = one.router._switchboard.deployments["d"]._actor_weakref()
    actor.message_handlers[SaveSnapshot] = {}.__getitem__  # raises
    one.router._switchboard.deployments["d"].tell(SaveSnapshot())
    one.clock.advance(1.0)
    budget = one.budgets()["deployment:d"]
    assert (budget["spent"], budget["reserved"]) == (0.5, 0.0)
    assert len(one.events("call_abandoned")) == 1


def test_unknown_prices_are_not_limited_and_said_once(town, caplog):
    entry = {
        "model_name": "g",
        "litellm_params": {"model": "openai/my-own", "max_budget": 0.01},
        "model_info": {"id": "free"},
    }
    with caplog.at_level("WARNING", logger="turnout.supervisor"):
        one = town([entry])
    assert "free" in caplog.text
    assert one.ask().route.cost is None


def test_a_budget_that_is_used_up_is_told_once_a_period(town):
    one = town([town.entry(max_budget=1.0, budget_duration="1h")])
    one.ask()
    assert one.events("budget_exhausted") == []
    one.ask()
    for _ in range(3):
        one.error()
    (told,) = one.events("budget_exhausted")
    end = (one.clock.now() // 3600 + 1) * 3600
    assert (told.budget, told.limit, told.spent, told.until) == ("deployment:d", 1.0, 1.0, end)
    one.clock.advance(3600.0)
    one.ask()
    one.ask()
    assert len(one.events("budget_exhausted")) == 2


def test_health_shows_every_budget(town):
    one = town([town.entry(max_budget=2, budget_duration="1d")])
    one.ask()
    one.send()
    shown = one.budgets()["deployment:d"]
    assert shown == {
        "limit": 2.0,
        "spent": 0.5,
        "reserved": 0.5,
        "left": 1.0,
        "period": "1d",
        "reset": "calendar",
        "resets_at": one.clock.now() // DAY * DAY + DAY,
    }


def test_a_restarted_router_goes_on_with_what_was_spent(town, tmp_path):
    journal = f"sqlite:///{tmp_path}/j.db"
    entry = town.entry(max_budget=1.0, budget_duration="1d")
    one = town([entry], journal=journal)
    one.ask()
    clock = one.clock
    one.close()
    two = town([entry], journal=journal, clock=clock)
    assert two.budgets()["deployment:d"]["spent"] == 0.5
    two.ask()
    assert isinstance(two.error(), NoDeploymentsAvailable)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_budget": -1},
        {"max_budget": "much"},
        {"max_budget": 1, "budget_duration": "soon"},
        {"max_budget": 1, "budget_duration": "1d", "budget_reset": "never"},
    ],
)
def test_a_wrong_budget_is_refused(town, wrong):
    with pytest.raises(ConfigurationError, match="litellm_params"):
        Router([town.entry(**wrong)])


def test_a_budget_with_too_little_left_for_a_call_is_told_as_used_up_once_a_period():
    """The group knows that nothing fits and asks nobody; the deployment records it all the same."""
    params = {"model": "openai/a", "mock_response": "Hello", "max_budget": 60, "budget_duration": "1h"}
    prices = {"input_cost_per_token": 1, "output_cost_per_token": 1}
    entry = {"model_name": "a", "litellm_params": params | prices, "model_info": {"id": "dear"}}
    clock = FakeClock(start=0)
    with Router([entry], clock=clock) as router:

        def asked_until_refused() -> int:
            with suppress(NoDeploymentsAvailable):
                for number in range(20):
                    router.completion("a", [{"role": "user", "content": f"Question {number}"}], max_tokens=2)
                pytest.fail("nothing was refused")
            return sum(recorded.event.TYPE == "budget_exhausted" for recorded in router.events())

        assert asked_until_refused() == 1
        assert asked_until_refused() == 1
        clock.advance(3600)
        assert asked_until_refused() == 2


def test_a_call_that_costs_just_what_is_left_is_taken(town):
    """10 · 1e-5 + 2 · 2e-5 is a little more than 14e-5, as a float."""
    prices = {"input_cost_per_token": 1e-5, "output_cost_per_token": 2e-5}
    one = town([town.entry("a", max_budget=32e-5, **prices)])
    one.ask(max_tokens=4)
    future = one.send(max_tokens=2)
    one.clock.advance(0.1)
    assert not future.done()
    assert one.budgets()["deployment:a"]["left"] == 0.0
