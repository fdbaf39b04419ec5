"""Budgets that deployments share: of a provider and of a tag, kept by the Treasury."""

import pytest

from turnout import ConfigurationError, NoDeploymentsAvailable, Router
from turnout.actors.journal.memory import MemoryStore
from turnout.messages.commands import (
    AccountFor,
    Cancel,
    CancelCall,
    ReserveBudget,
    SaveSnapshot,
    SettleBudget,
    StartCall,
)
from turnout.messages.outcomes import LeftOut
from turnout.messages.values import replace

DAY = 86_400.0
PROVIDERS = {"openai": {"budget_limit": 1.0, "time_period": "1d"}}


def outcome(future):
    """Who answered a call, or why it failed."""
    try:
        return future.get(timeout=0).route.deployment_id
    except NoDeploymentsAvailable as error:
        return type(error).__name__


def group(town):
    return [town.entry("a"), town.entry("b"), town.entry("c", "groq/m")]


def test_a_providers_deployments_spend_one_budget(town):
    one = town([town.entry("a"), town.entry("b")], provider_budget_config=PROVIDERS)
    one.ask()
    one.ask()
    error = one.error()
    assert {item.reason for item in error.left_out} == {"budget"}
    assert {item.detail for item in error.left_out} == {"provider:openai"}
    assert {item.until for item in error.left_out} == {one.clock.now() // DAY * DAY + DAY}
    assert {item.deployment_id for item in error.left_out} == {"a", "b"}


def test_a_used_up_provider_leaves_the_others(town):
    one = town(group(town), provider_budget_config=PROVIDERS)
    served = [one.ask().route.deployment_id for _ in range(12)]
    assert sum(name in "ab" for name in served) == 2
    assert set(served[-6:]) == {"c"}


def test_ten_calls_at_once_do_not_overspend_a_provider(town):
    one = town([town.entry("a"), town.entry("b")], provider_budget_config=PROVIDERS)
    futures = [one.send() for _ in range(10)]
    one.clock.advance(3.0)
    outcomes = [outcome(future) for future in futures]
    assert outcomes.count("NoDeploymentsAvailable") == 8
    assert one.budgets()["provider:openai"]["spent"] == 1.0


def test_a_tags_budget_concerns_only_requests_with_the_tag(town):
    one = town(group(town), tag_budget_config={"team-a": {"max_budget": 0.5, "budget_duration": "1w"}})
    one.ask(tags=["team-a"])
    error = one.error(metadata={"tags": ["other", "team-a"]})
    assert {item.detail for item in error.left_out} == {"tag:team-a"}
    assert len(error.left_out) == 3
    assert one.ask(tags=["other"]).route.cost == 0.5
    assert one.ask().route.cost == 0.5


def test_a_call_may_concern_several_budgets_and_is_charged_to_all_or_none(town):
    one = town(
        [town.entry("a")],
        provider_budget_config={"openai": {"max_budget": 10}},
        tag_budget_config={"x": {"max_budget": 0.7}, "y": {"max_budget": 2}},
    )
    one.ask(tags=["x", "y"])
    one.error(tags=["x", "y"])
    one.ask(tags=["y"])
    spent = {name: budget["spent"] for name, budget in one.budgets().items()}
    assert spent == {"provider:openai": 1.0, "tag:x": 0.5, "tag:y": 1.0}


def test_a_call_that_one_budget_refuses_counts_in_no_other(town):
    """A group that knows another to be low has counted the call there when it sent it."""
    tags = {"team-a": {"max_budget": 0.6, "budget_duration": "1d"}}
    one = town([town.entry("a")], provider_budget_config=PROVIDERS, tag_budget_config=tags)
    one.ask(tags=["team-a"])
    assert one.error(max_tokens=9).left_out[0].detail == "provider:openai"
    assert one.error(tags=["team-a"], max_tokens=3).left_out[0].detail == "tag:team-a"
    assert one.ask().route.cost == 0.5


def test_a_deployments_own_refusal_releases_what_was_set_aside(town):
    one = town([town.entry("a")], provider_budget_config={"openai": {"max_budget": 10}})
    state = one.router._switchboard.deployments["a"]._actor_weakref().state
    admit = type(state).admit
    type(state).admit = lambda self, call, now: LeftOut("a", "parallel")
    try:
        one.error()
    finally:
        type(state).admit = admit
    budget = one.budgets()["provider:openai"]
    assert (budget["spent"], budget["reserved"]) == (0.0, 0.0)
    assert [e.cost for e in one.events("budget_settled")] == [0.0]


def test_a_cancelled_call_is_settled(town):
    one = town([town.entry("a")], provider_budget_config=PROVIDERS)
    future = one.send()
    future.cancel()
    one.clock.advance(0.1)
    budget = one.budgets()["provider:openai"]
    assert (budget["spent"], budget["reserved"]) == (0.1, 0.0)
    assert [e.reason for e in one.events("call_cancelled")] == ["caller left"]


def test_a_cancellation_does_not_overtake_its_call(town):
    one = town([town.entry("a")], provider_budget_config=PROVIDERS)
    board = one.router._switchboard
    treasury = board.services["treasury"]._actor_weakref()
    reserve = treasury.message_handlers[ReserveBudget]

    def later(message):
        treasury.message_handlers[ReserveBudget] = reserve
        board.supervisor.actor_inbox.post(Cancel(message.assign.call.request_id))
        board.services["treasury"].actor_inbox.post(message)

    treasury.message_handlers[ReserveBudget] = later
    one.send()
    one.clock.advance(5.0)
    assert [len(one.events(kind)) for kind in ("call_started", "call_cancelled", "call_succeeded")] == [
        1,
        1,
        0,
    ]


def test_one_that_waits_is_woken_when_a_call_leaves_enough(town):
    config = {"openai": {"budget_limit": 1.6, "time_period": "1d"}}
    one = town([town.entry("a")], text="a", on_exhausted="wait", provider_budget_config=config)
    first, second = one.send(max_tokens=14), one.send(max_tokens=12)
    one.clock.advance(1.0)
    assert (first.done(), second.done()) == (True, False)
    one.clock.advance(1.0)
    assert second.get(timeout=0).route.waited == 1.0


def test_those_that_wait_are_woken_at_the_release_and_do_not_ask_in_vain(town):
    config = {"openai": {"budget_limit": 1.0, "time_period": "1h"}}
    one = town([town.entry("a")], on_exhausted="wait", provider_budget_config=config)
    one.ask()
    one.ask()
    asked = count_reserves(one)
    waiting = [one.send(timeout=3 * 3600) for _ in range(20)]
    one.clock.advance(3000.0)
    assert asked() <= 1
    assert not any(future.done() for future in waiting)
    one.clock.advance(599.0)
    assert sum(future.done() for future in waiting) == 2
    assert asked() <= 60


def count_reserves(one):
    """How often the Treasury was asked from now on."""
    treasury = one.router._switchboard.services["treasury"]._actor_weakref()
    reserve, times = treasury.message_handlers[ReserveBudget], []
    treasury.message_handlers[ReserveBudget] = lambda message: (times.append(1), reserve(message))
    return lambda: len(times)


def test_a_rolling_budget_is_shared_too(town):
    config = {"openai": {"budget_limit": 1.0, "time_period": "1h", "reset": "rolling"}}
    one = town([town.entry("a")], provider_budget_config=config)
    start = one.clock.now()
    one.ask()
    one.clock.advance(1000.0)
    one.ask()
    assert one.error().left_out[0].until == start + 3600.0
    one.clock.advance(start + 3600.0 - one.clock.now())
    one.ask()


def test_a_call_of_unknown_price_is_not_limited(town):
    unknown = {"model_name": "g", "litellm_params": {"model": "openai/my-own"}}
    one = town([unknown], provider_budget_config={"openai": {"max_budget": 0.01}})
    assert one.ask().route.cost is None
    assert one.budgets()["provider:openai"]["spent"] == 0.0


def test_used_up_is_told_once_a_period(town):
    one = town([town.entry("a"), town.entry("b")], provider_budget_config=PROVIDERS)
    one.ask()
    one.ask()
    one.error()
    one.error()
    (told,) = one.events("budget_exhausted")
    assert (told.budget, told.limit, told.spent) == ("provider:openai", 1.0, 1.0)


def test_without_shared_budgets_there_is_no_treasury(town):
    one = town([town.entry("a", max_budget=5)])
    assert one.router._switchboard.services.get("treasury") is None
    assert one.events("budget_reserved") == []


def test_a_wrong_budget_is_refused_where_it_stands():
    with pytest.raises(ConfigurationError, match=r"provider_budget_config\.openai\.budget_duration"):
        Router([], provider_budget_config={"openai": {"budget_limit": 1, "time_period": "fortnight"}})
    with pytest.raises(ConfigurationError, match=r"tag_budget_config\.t\.max_budget"):
        Router([], tag_budget_config={"t": {"budget_limit": "much"}})


# -- crashes and restarts


def test_a_restarted_router_goes_on_with_what_was_spent(town, tmp_path):
    journal = f"sqlite:///{tmp_path}/j.db"
    one = town([town.entry("a")], journal=journal, provider_budget_config=PROVIDERS)
    one.ask()
    clock = one.clock
    one.close()
    two = town([town.entry("a")], journal=journal, clock=clock, provider_budget_config=PROVIDERS)
    assert two.budgets()["provider:openai"]["spent"] == 0.5
    two.ask()
    assert isinstance(two.error(), NoDeploymentsAvailable)


def test_calls_that_were_open_when_the_process_died_stay_charged(town):
    store = MemoryStore()
    store.close = lambda: None
    one = town([town.entry("a")], journal=store, provider_budget_config=PROVIDERS, latency=50.0)
    one.send()
    one.clock.advance(1.0)
    two = town([town.entry("a")], journal=store, clock=one.clock, provider_budget_config=PROVIDERS)
    two.clock.advance(0.1)
    budget = two.budgets()["provider:openai"]
    assert (budget["spent"], budget["reserved"]) == (0.5, 0.0)
    one.router._lifecycle.closed = True


def test_a_deployment_that_crashes_settles_its_calls_with_what_was_set_aside(town):
    one = town([town.entry("a")], provider_budget_config=PROVIDERS, latency=50.0)
    future = one.send()
    one.crash("a", CancelCall)
    future.cancel()
    one.clock.advance(1.0)
    budget = one.budgets()["provider:openai"]
    assert (budget["spent"], budget["reserved"]) == (0.5, 0.0)


def test_a_treasury_that_crashes_comes_back_with_its_books(town):
    one = town(group(town), provider_budget_config=PROVIDERS, num_retries=2)
    open_call = one.send()
    one.crash("treasury", ReserveBudget)
    futures = [one.send() for _ in range(4)]
    one.clock.advance(10.0)
    assert open_call.done()
    assert all(future.done() for future in futures)
    one.clock.advance(2.0)
    served = [one.ask().route.deployment_id for _ in range(8)]
    spent = one.budgets()["provider:openai"]
    assert spent["spent"] <= 1.0
    assert spent["reserved"] == 0.0
    assert set(served[-3:]) == {"c"}
    lines = one.router.health()["deployments"]
    assert all("0 open" in told["line"] for told in lines.values())


def test_a_treasury_that_is_gone_for_good_lets_nothing_it_limits_start(town):
    one = town([*group(town), town.entry("d", group="only-limited")], provider_budget_config=PROVIDERS)
    for _ in range(60):
        if one.router._switchboard.services.get("treasury") is not None:
            one.crash("treasury", ReserveBudget)
        one.send()
        one.clock.advance(1.1)
    assert not one.router.health()["ok"]
    assert {one.ask().route.deployment_id for _ in range(5)} == {"c"}
    error = one.error("only-limited")
    assert [(item.reason, item.detail) for item in error.left_out] == [("budget", "provider:openai")]


def test_a_treasury_that_crashes_while_its_journal_loses_events_does_not_take_their_versions_again(town):
    one = town([town.entry("a")], provider_budget_config=PROVIDERS)
    one.ask()
    # events that were recorded, and lost before they were written
    one.router._journal._versions["budgets"] += 3
    one.crash("treasury", SaveSnapshot)
    one.router._switchboard.services["treasury"].tell(SaveSnapshot())
    one.clock.advance(2.0)
    assert one.ask().route.deployment_id == "a"
    assert one.budgets()["provider:openai"]["spent"] == 1.0
    assert one.router.health()["ok"]


def test_a_call_that_a_treasury_let_pass_before_it_crashed_is_not_started_twice(town):
    one = town([town.entry("a"), town.entry("b")], provider_budget_config=PROVIDERS)
    actor = one.router._switchboard.services["treasury"]._actor_weakref()
    real = actor.message_handlers[ReserveBudget]

    def broken(message):
        real(message)
        raise RuntimeError("broken on purpose")

    actor.message_handlers[ReserveBudget] = broken
    assert one.ask().route.retries == 0
    assert len(one.events("call_started")) == 1
    assert len(one.events("deployment_picked")) == 1
    assert one.budgets()["provider:openai"]["reserved"] == 0.0


def test_a_call_that_was_refused_while_the_treasury_was_dead_is_paid_for_once(town):
    """What was set aside at first comes back; the answer to what became of that, too late, ends nothing."""
    one = town([town.entry("a")], provider_budget_config=PROVIDERS, on_exhausted="wait")
    deployment = one.router._switchboard.deployments["a"]._actor_weakref()
    start, account, asked = deployment._start_call, deployment._account_for, []

    def refuse_once(message):
        deployment.message_handlers[StartCall] = start
        start(replace(message, refused=LeftOut("a", "parallel")))

    deployment.message_handlers[StartCall] = refuse_once
    deployment.message_handlers[AccountFor] = asked.append
    one.crash("treasury", SettleBudget)
    future = one.send()
    one.clock.advance(0.5)
    account(*asked)
    one.clock.advance(0.1)
    assert one.budgets()["provider:openai"]["reserved"] == 0.5
    one.clock.advance(2.0)
    assert future.get(timeout=0).route.deployment_id == "a"
    budget = one.budgets()["provider:openai"]
    assert (budget["spent"], budget["reserved"]) == (0.5, 0.0)
    assert [event.cost for event in one.events("budget_settled")] == [0.0, 0.5]


def test_a_deployment_that_dies_over_what_the_treasury_asks_answers_all_the_same(town):
    """It is asked what became of its calls by a Treasury that did not hear of their end."""
    one = town([town.entry("a")], provider_budget_config=PROVIDERS)
    one.send()
    one.crash("treasury", SettleBudget)
    one.crash("a", AccountFor)
    one.clock.advance(6.0)
    budget = one.budgets()["provider:openai"]
    assert (budget["spent"], budget["reserved"]) == (0.5, 0.0)


def test_a_group_is_not_told_of_a_budget_that_it_waits_for_no_more(town):
    """Nobody would tell it again, and it would go by that for ever."""
    tags = {"team-a": {"max_budget": 0.6, "budget_duration": "1h"}}
    one = town([town.entry("a")], provider_budget_config=PROVIDERS, tag_budget_config=tags)
    one.ask(tags=["team-a"])
    assert one.error(tags=["team-a"]).left_out[0].detail == "tag:team-a"
    one.clock.advance(3600.0)
    assert one.error(tags=["team-a"], max_tokens=9).left_out[0].detail == "provider:openai"
    assert one.router._switchboard.groups["g"]._actor_weakref()._purses._low.keys() == {"provider:openai"}


def test_a_treasury_that_refused_a_call_before_it_crashed_has_it_refused_once(town):
    one = town([town.entry("a")], provider_budget_config=PROVIDERS, on_exhausted="fail")
    one.ask()
    one.ask()
    one.router._switchboard.groups["g"]._actor_weakref()._purses.heard("provider:openai", None)
    actor = one.router._switchboard.services["treasury"]._actor_weakref()
    real = actor.message_handlers[ReserveBudget]

    def broken(message):
        real(message)
        raise RuntimeError("broken on purpose")

    actor.message_handlers[ReserveBudget] = broken
    refused = []
    deployment = one.router._switchboard.deployments["a"]._actor_weakref()
    start = deployment.message_handlers[StartCall]
    deployment.message_handlers[StartCall] = lambda message: (refused.append(message.refused), start(message))
    assert isinstance(one.error(), NoDeploymentsAvailable)
    assert len(refused) == 1
