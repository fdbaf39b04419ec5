"""The auditor's newer books: each lets what is right pass, and tells what is not."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest
from attrs import evolve

from turnout.actors.deployment.rules import Limits
from turnout.actors.deployment.state import DeploymentState
from turnout.messages.errors import NoDeploymentsAvailable
from turnout.messages.events import (
    CallFailed,
    CallStarted,
    CallSucceeded,
    CooldownStarted,
    LimitsObserved,
    RequestFailed,
)
from turnout.messages.outcomes import Decision, LeftOut, ProviderLimits
from turnout.testing.simulation.audit.account import Account, facts_of
from turnout.testing.simulation.audit.attempts import ABORTED_WITHIN, Attempts
from turnout.testing.simulation.audit.budgets import HedgeBudget, RetryBudget
from turnout.testing.simulation.audit.deployment_book import DeploymentBook
from turnout.testing.simulation.audit.replies import Replies
from turnout.testing.simulation.audit.rulebook import Rulebook
from turnout.testing.simulation.audit.shadow import Shadow
from turnout.testing.simulation.audit.strategy_book import StrategyBook
from turnout.testing.simulation.audit.violation import Violation
from turnout.testing.simulation.callers import SimulatedCaller
from turnout.testing.simulation.chance import SeededChance
from turnout.testing.simulation.marks import Marks
from turnout.testing.simulation.options import draw_options


def rulebook(settings=None, **deployments):
    """The rules of a group of such deployments."""
    entries = [
        {"model_name": "g", "litellm_params": {"model": "m", **params}, "model_info": {"id": name, **info}}
        for name, (params, info) in deployments.items()
    ]
    options = draw_options(SeededChance(1), 0.01)
    return Rulebook.of(evolve(options, model_list=entries, settings=settings or {}, groups=("g",)))


def books_of(rules):
    return {name: DeploymentBook(each, Marks()) for name, each in rules.deployments.items()}


def start(number, **more):
    return CallStarted(f"r{number}.1", f"r{number}", 10, **more)


def end(number, seconds, tokens=4, **more):
    return CallSucceeded(f"r{number}.1", f"r{number}", 3, tokens, None, seconds, None, **more)


def time_out(number, seconds):
    return CallFailed(f"r{number}.1", f"r{number}", "Timeout", 408, True, seconds, 3, 0, None, None)


def live_and_its_books(*steps):
    """A deployment's state and the books of it, after the same events."""
    state, book = (
        DeploymentState("a", Limits()),
        DeploymentBook(rulebook(a=({}, {})).deployments["a"], Marks()),
    )
    for event, at in steps:
        state.apply(event, at)
        book.apply(event, at, None)
    return state, book


# -- sums


def test_the_account_is_what_the_deployment_adds_up_to():
    state, book = live_and_its_books(
        (start(1), 0.0), (end(1, 2.0), 2.0), (start(2), 3.0), (time_out(2, 4.0), 7.0)
    )
    book.account.compare(state, "a", 7.0)
    book.account.compare_closely(state, book, 7.0)
    state.totals.prompt_tokens += 1
    with pytest.raises(Violation, match="books"):
        book.account.compare(state, "a", 7.0)


@pytest.mark.parametrize("forget", ["samples", "mean_output", "window"])
def test_what_a_deployment_forgets_is_told(forget):
    state, book = live_and_its_books((start(1), 0.0), (end(1, 2.0), 2.0))
    if forget == "samples":
        state.latency.samples = ()
    elif forget == "mean_output":
        state.latency.mean_output += 1.0
    else:
        state.window.settle(state.window.bucket_at(0.0), 1, 2.0)
    with pytest.raises(Violation, match="books"):
        book.account.compare_closely(state, book, 2.0)


def test_a_time_out_counts_as_its_whole_length_and_old_samples_count_no_more():
    account = Account()
    account.apply(end(1, 2.0), 2.0)
    account.apply(time_out(2, 4.0), 7.0)
    assert account.latency(7.0, 3600.0) == (0.5 + 4.0) / 2
    assert account.latency(10.0, 5.0) == 4.0
    assert account.latency(20.0, 5.0) is None


def test_a_snapshot_that_leaves_something_out_is_no_witness(monkeypatch):
    """I8"""
    state, _ = live_and_its_books()
    state.apply(CooldownStarted(9.0, 9.0, "Timeout", 2), 0.0)
    shadow = Shadow("a", Limits(), None)
    shadow.apply(CooldownStarted(9.0, 9.0, "Timeout", 2), 0.0)
    shadow.compare(state, 1.0)
    told = type(state.breaker).snapshot
    monkeypatch.setattr(type(state.breaker), "snapshot", lambda breaker: {**told(breaker), "trips": 0})
    assert shadow.state.snapshot(1.0) == state.snapshot(1.0)
    with pytest.raises(Violation, match="I8"):
        shadow.compare(state, 1.0)


def test_facts_are_read_field_by_field():
    state, _ = live_and_its_books((start(1), 0.0))
    assert facts_of(state)["open"]["r1.1"]["reserved"] == 10
    assert facts_of(state)["breaker"]["trips"] == 0


@pytest.mark.parametrize("event", [end(1, 1.5), time_out(1, 3.0)])
def test_a_call_took_as_long_as_it_took(event):
    book = books_of(rulebook(a=({}, {})))["a"]
    book.apply(start(1), 0.0, None)
    with pytest.raises(Violation, match="books"):
        book.apply(event, 2.0, None)


def test_what_a_provider_says_is_left_holds_where_it_is_less():
    book = books_of(rulebook(a=({"rpm": 10}, {})))["a"]
    book.apply(start(1), 0.0, None)
    book.foretell_limits(ProviderLimits(9), 1.0)
    book.settle_foretold(1.0)
    book.foretell_limits(ProviderLimits(4, None, 5.0), 1.0)
    book.apply(LimitsObserved(5, 0, 6.0), 1.0, None)
    book.settle_foretold(1.0)
    book.foretell_limits(ProviderLimits(2), 2.0)
    with pytest.raises(Violation, match="its provider's count"):
        book.settle_foretold(2.0)
    with pytest.raises(Violation, match="foretold"):
        book.apply(LimitsObserved(7, 0, 3.0), 2.0, None)


# -- times


@pytest.fixture
def attempts():
    """The attempts of one request, by a deployment with a timeout of 3 s and a stream_timeout of 1 s."""

    def make(**channel):
        rules = rulebook(a=({"timeout": 3.0, "stream_timeout": 1.0}, {}))
        fields = {f"r{number}": {"stream": True} for number in (1, 2)}
        channels = {"r1.1": SimpleNamespace(**channel)}
        kept = Attempts(rules, SimpleNamespace(fields=fields), SimpleNamespace(channels=channels))
        books = books_of(rules)
        books["a"].apply(start(1, stream=bool(channel)), 0.0, None)
        kept.started(start(1, stream=bool(channel)), "a", 0.0, books["a"])
        return kept, books

    return make


def test_a_call_that_goes_on_after_its_time_is_told(attempts):
    kept, books = attempts()
    kept.look(books, 3.0)
    with pytest.raises(Violation, match="times"):
        kept.look(books, 3.1)


def test_a_stream_is_overdue_when_it_is_silent_for_too_long(attempts):
    kept, books = attempts(full=False, last_put_at=0.0)
    kept.opened("r1.1", 0.5)
    kept._open["r1.1"].channel.last_put_at = 1.5
    kept.look(books, 1.6)
    with pytest.raises(Violation, match="times"):
        kept.look(books, 2.6)


def test_a_reader_who_is_slow_is_not_the_providers_fault(attempts):
    kept, books = attempts(full=True, last_put_at=0.0)
    kept.opened("r1.1", 0.5)
    kept.look(books, 2.9)


def test_nothing_times_out_too_soon(attempts):
    kept, _ = attempts()
    with pytest.raises(Violation, match="times"):
        kept.failed(time_out(1, 2.0), 60.0, 2.0)
    kept, _ = attempts()
    kept.failed(time_out(1, 3.0), 60.0, 3.0)
    kept, _ = attempts()
    kept.failed(time_out(1, 2.0), 2.0, 2.0)


def test_a_call_that_nobody_wants_is_given_up_soon(attempts):
    kept, books = attempts()
    kept.unwanted("r1.1", "a", 0.0)
    kept.look(books, ABORTED_WITHIN)
    with pytest.raises(Violation, match="stray"):
        kept.look(books, ABORTED_WITHIN + 0.1)


def test_no_call_begins_for_a_request_that_is_over(attempts):
    kept, books = attempts()
    kept.over("r2", 1.0)
    kept.started(start(2), "a", 1.0, books["a"])
    with pytest.raises(Violation, match="stray"):
        kept.started(start(2), "a", 2.0, books["a"])


# -- budgets


def test_retries_beyond_the_hundred_are_a_fifth_of_the_requests():
    budget = RetryBudget()
    for _ in range(100):
        budget.retry(1.0, 1.0)
    with pytest.raises(Violation, match="budget"):
        budget.retry(1.0, 1.0)
    for _ in range(1000):
        budget.request(20.0)
    for _ in range(200):
        budget.retry(20.0, 21.0)


def test_hedges_are_a_twentieth_of_the_requests():
    budget = HedgeBudget()
    for _ in range(20):
        budget.request()
    budget.hedge(1.0)
    budget.give_back()
    budget.hedge(1.0)
    with pytest.raises(Violation, match="budget"):
        budget.hedge(1.0)


# -- strategies

RANKED = (
    "simple-shuffle",
    "least-busy",
    "usage-based-routing",
    "latency-based-routing",
    "cost-based-routing",
)


def decided(name, strategy="simple-shuffle", **more):
    return Decision("g", strategy, name, 2, **more)


@pytest.mark.parametrize("strategy", ["least-busy", "adaptive", "cost-based-routing"])
def test_of_the_numbers_told_the_lowest_is_picked(strategy):
    kept = StrategyBook(rulebook(), {})
    kept.consistent(decided("a", strategy, score=1.0, considered=(("a", 1.0), ("b", 2.0))), 0.0)
    with pytest.raises(Violation, match="choice"):
        kept.consistent(decided("a", strategy, score=3.0, considered=(("a", 3.0), ("b", 2.0))), 0.0)


def test_who_should_have_been_picked_by_the_books():
    rules = rulebook(
        a=({"weight": 0}, {"input_cost_per_token": 2.0, "output_cost_per_token": 2.0}),
        b=({"weight": 1}, {"input_cost_per_token": 1.0, "output_cost_per_token": 2.0}),
    )
    books = books_of(rules)
    for number in range(300):
        books["a"].apply(start(number), 0.0, None)
    books["b"].account.apply(end(1, 1.0), 1.0)
    books["a"].account.apply(end(1, 4.0), 1.0)
    kept = StrategyBook(rules, books)
    for strategy in RANKED:
        assert kept.better(strategy, {}, "a", ["b"], 2.0) == ["b"], strategy
        assert kept.better(strategy, {}, "b", ["a"], 2.0) == [], strategy
    assert kept.better("adaptive", {}, "a", ["b"], 2.0) == []


def test_shares_come_out_as_the_weights_say():
    kept = StrategyBook(rulebook(a=({"weight": 1}, {}), b=({"weight": 3}, {})), {})
    for number in range(1000):
        kept.drawn(decided("b" if number % 4 else "a", candidates=("a", "b")), 0.0)
    kept = StrategyBook(rulebook(a=({"weight": 1}, {}), b=({"weight": 3}, {})), {})
    draws = [decided("ab"[number % 2], candidates=("a", "b")) for number in range(1000)]
    with pytest.raises(Violation, match="shares"):
        deque((kept.drawn(each, 0.0) for each in draws), maxlen=0)


@pytest.mark.parametrize(
    ("settings", "retry_after", "failed", "bounds"),
    [
        ({}, None, 1, (0.0, 0.5)),
        ({}, None, 9, (0.0, 8.0)),
        ({"retry_after": 2.0}, 3.0, 1, (3.0, 3.0)),
        ({"retry_policy": {"jitter": False, "base_delay": 1.0}}, None, 2, (2.0, 2.0)),
    ],
)
def test_a_pause_has_a_least_and_a_most(settings, retry_after, failed, bounds):
    rules = rulebook(settings, a=({}, {}))
    assert rules.pause("RateLimitError", retry_after, failed) == bounds
    assert rules.pause("Timeout", retry_after, failed)[0] == rules.pause("Timeout", retry_after, failed)[1]


# -- replies


def turned_away(retry_after, *untils, **more):
    """A caller is told at 100 s to come again so much later, and each deployment is out until then."""
    left_out = tuple(LeftOut(f"d{i}", "rpm", until=until) for i, until in enumerate(untils))
    more = {"fallbacks": 0, **more}
    error = NoDeploymentsAvailable("nobody", model="g", retry_after=retry_after)
    caller = SimulatedCaller("r1", 100.0, {}, None, error=error, ended=True)
    callers = SimpleNamespace(fields={}, gone=set(), early=[], just_ended=[caller])
    replies = Replies(callers, SimpleNamespace(sent={}), Marks())
    event = RequestFailed(
        "r1", "NoDeploymentsAvailable", 429, 0, 0, waited=0.0, seconds=0.0, left_out=left_out, **more
    )
    replies.recorded("r1", event, 100.0)
    replies.are_there({}, 101.0)


def test_who_is_turned_away_hears_when_the_first_is_free():
    turned_away(5.0, 130.0, 105.0, None)
    turned_away(None, None)
    turned_away(0.0, 99.0)


@pytest.mark.parametrize(
    ("retry_after", "untils"), [(65.0, (105.0,)), (30.0, (130.0, 105.0)), (None, (105.0,)), (5.0, (None,))]
)
def test_another_time_than_that_is_told(retry_after, untils):
    with pytest.raises(Violation, match="was told to come again in"):
        turned_away(retry_after, *untils)


def test_no_time_is_foretold_from_some_of_them_or_from_long_ago():
    turned_away(5.0, 130.0, left_out_by_reason={"rpm": 1})
    turned_away(5.0, 130.0, fallbacks=1)
