"""A deployment whose budget is changed, given or taken away while the router runs."""

import pytest

from turnout import NoDeploymentsAvailable
from turnout.messages.commands import SaveSnapshot


def test_a_raised_budget_counts_what_was_spent(town):
    one = town([town.entry(max_budget=0.5, budget_duration="1d")])
    one.ask()
    assert isinstance(one.error(), NoDeploymentsAvailable)
    one.router.update_deployment("d", max_budget=1.0)
    one.ask()
    assert isinstance(one.error(), NoDeploymentsAvailable)
    assert one.budgets()["deployment:d"]["spent"] == 1.0


def test_a_budget_that_is_given_begins_with_nothing_spent(town):
    one = town([town.entry()])
    one.ask()
    one.router.update_deployment("d", max_budget=0.5, budget_duration="1h")
    one.ask()
    assert isinstance(one.error(), NoDeploymentsAvailable)


def test_a_call_that_is_open_meanwhile_is_settled(town):
    one = town([town.entry(max_budget=2.0, budget_duration="1d")], text="a")
    future = one.send(max_tokens=10)
    one.router.update_deployment("d", max_budget=3.0)
    assert one.budgets()["deployment:d"]["reserved"] == pytest.approx(1.1)
    one.clock.advance(1.0)
    assert future.done()
    assert one.budgets()["deployment:d"]["spent"] == pytest.approx(0.2)


def test_another_price_is_charged_from_then_on(town):
    one = town([town.entry()], provider_budget_config={"openai": {"max_budget": 10.0}})
    one.ask()
    one.router.update_deployment("d", output_cost_per_token=0.2)
    assert one.ask().route.cost == 0.9
    assert one.budgets()["provider:openai"]["spent"] == pytest.approx(1.4)


def test_a_raised_budget_is_used_up_anew_also_when_its_deployment_has_crashed_meanwhile(town):
    one = town([town.entry(max_budget=0.5, budget_duration="1d")])
    one.ask()
    one.error()
    one.router.update_deployment("d", max_budget=1.0)
    one.crash("d", SaveSnapshot)
    one.router._switchboard.deployments["d"].tell(SaveSnapshot())
    one.clock.advance(1.0)
    one.ask()
    one.error()
    assert [event.limit for event in one.events("budget_exhausted")] == [0.5, 1.0]


def test_a_call_of_a_period_that_is_over_is_in_none_when_its_deployment_comes_back(town):
    one = town([town.entry(max_budget=2.0, budget_duration="1h")], latency=7200.0)
    one.send(timeout=9000.0)
    one.clock.advance(3600.0)
    second = one.send(timeout=9000.0)
    assert one.budgets()["deployment:d"]["reserved"] == 0.5
    one.crash("d", SaveSnapshot)
    one.router._switchboard.deployments["d"].tell(SaveSnapshot())
    one.clock.advance(1.0)
    one.clock.advance(60.0)
    assert second.done()
    assert one.budgets()["deployment:d"]["spent"] == 0.5
