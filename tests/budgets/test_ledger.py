"""The account of one budget, against an oracle that adds everything up each time."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import ConfigurationError
from turnout.actors.budget.ledger import MAX_ENTRIES, Ledger, dollars, units
from turnout.messages.budgets import budget_of, parse_budgets

DAY = 86_400.0


def rule(limit=1.0, period="1d", reset=None):
    return budget_of(limit, period, reset, "here")


def at(*moment):
    return datetime(*moment, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "now", "end"),
    [
        ("1h", at(2026, 3, 5, 13, 59, 59), at(2026, 3, 5, 14)),
        ("1d", at(2026, 3, 5, 0, 0), at(2026, 3, 6)),
        ("1w", at(2026, 3, 5, 12), at(2026, 3, 9)),
        ("7d", at(2026, 3, 9), at(2026, 3, 16)),
        ("1mo", at(2026, 2, 28, 23), at(2026, 3, 1)),
        ("1mo", at(2026, 12, 31, 23), at(2027, 1, 1)),
        ("3mo", at(2026, 5, 1), at(2026, 7, 1)),
        ("30s", 65.0, 90.0),
    ],
)
def test_a_calendars_period_ends_where_a_bill_would(period, now, end):
    assert rule(period=period).end_of(now) == end


def test_thirty_cents_hold_three_calls_of_ten():
    ledger = Ledger(rule(0.3))
    for _ in range(3):
        assert ledger.admits(units(0.1), 0.0)
        ledger.add(0.0, units(0.1))
    assert not ledger.admits(1, 0.0)


def test_what_is_given_back_leaves_nothing_behind():
    ledger = Ledger(rule(1.0))
    for cost in (0.1, 0.7, 1e-9, 0.123456789):
        entry = ledger.add(5.0, units(cost))
        ledger.settle(entry, units(cost), 0, 6.0)
    assert (ledger.total, ledger.set_aside) == (0, 0)


def test_a_call_is_charged_to_the_period_it_began_in():
    ledger = Ledger(rule())
    entry = ledger.add(DAY - 1, units(0.4))
    ledger.expire(DAY)
    assert ledger.total == 0
    ledger.settle(entry, units(0.4), units(0.9), DAY + 1)
    assert ledger.total == 0


def test_what_is_only_expected_is_no_more_than_the_whole_budget():
    ledger = Ledger(rule(1.0))
    assert ledger.amount_for(5.0, 0.2) == units(1.0)
    assert ledger.amount_for(5.0, 5.0) == units(5.0)
    assert ledger.free_at(units(5.0)) is None


def test_a_budget_without_a_period_never_resets():
    ledger = Ledger(budget_of(1.0, None, None, "here"))
    ledger.add(0.0, units(1.0))
    ledger.expire(1e12)
    assert ledger.total == units(1.0)
    assert ledger.purse(1e12).until is None


def test_a_rolling_ledger_is_bounded():
    ledger = Ledger(rule(1e6, "1d", "rolling"))
    for step in range(10 * MAX_ENTRIES):
        ledger.add(step * DAY / (5 * MAX_ENTRIES), 1)
    assert len(ledger) <= MAX_ENTRIES + 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "end", "abandon"]),
        st.floats(0, 40_000),
        st.floats(0, 0.6),
        st.floats(0, 1.2),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from(["calendar", "rolling"]), st.booleans())
def test_spent_and_set_aside_never_pass_the_limit_by_more_than_estimates_missed(steps, reset, exact):
    limit, period = 1.0, DAY
    ledger = Ledger(rule(limit, "1d", reset))
    now, calls, opened = 0.0, [], []
    for what, seconds, cost, miss in steps:
        now += seconds
        if what == "start":
            amount = ledger.amount_for(cost, cost)
            if ledger.admits(amount, now):
                call = {"at": now, "amount": amount, "set": amount, "entry": ledger.add(now, amount)}
                calls.append(call)
                opened.append(call)
            else:
                until = ledger.free_at(amount)
                assert until is None or until > now
        elif opened:
            call = opened.pop(0)
            used = call["set"] if exact or what == "abandon" else round(call["set"] * miss)
            ledger.settle(call["entry"], call["set"], used, now)
            call["amount"] = used
        ledger.expire(now)
        counted = [c for c in calls if counts(c["at"], now, period, reset)]
        missed = sum(max(0, c["amount"] - c["set"]) for c in counted)
        brute = sum(c["amount"] for c in counted)
        assert brute <= units(limit) + missed
        if exact:
            assert brute <= units(limit)
        if reset == "calendar":
            assert ledger.total == brute
        else:  # an entry may be kept a thousandth of the period longer
            assert ledger.total >= brute
        again = Ledger.restore(ledger.rule, json.loads(json.dumps(ledger.snapshot())))
        assert (again.total, again.set_aside, again.snapshot()) == (
            ledger.total,
            ledger.set_aside,
            ledger.snapshot(),
        )


def counts(start, now, period, reset):
    return start // period == now // period if reset == "calendar" else start + period > now


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 20_000), st.floats(0.01, 0.5)), min_size=1, max_size=30),
    st.floats(0.01, 1),
)
def test_the_release_is_the_first_moment_at_which_the_call_fits(starts, need):
    ledger = Ledger(rule(1.0, "1d", "rolling"))
    now = 0.0
    for seconds, cost in starts:
        now += seconds
        if ledger.admits(units(cost), now):
            ledger.settle(ledger.add(now, units(cost)), units(cost), units(cost), now)
    amount = units(need)
    if ledger.admits(amount, now):
        return
    until = ledger.free_at(amount)
    assert until is not None
    assert not ledger.admits(amount, until - 1e-3)
    assert ledger.admits(amount, until)


def test_dollars_and_units_are_one_thing():
    assert dollars(units(0.000_012_5)) == 0.000_012_5


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"openai": 5}, "provider_budget_config.openai"),
        ({"openai": {"budget_limit": -1}}, "max_budget"),
        ({"openai": {"budget_limit": 1, "time_period": "1y"}}, "budget_duration"),
        ({"openai": {"budget_limit": 1, "time_period": "0d"}}, "budget_duration"),
        ({"openai": {"budget_limit": 1, "time_period": "999999d"}}, "budget_duration"),
        ({"openai": {"budget_limt": 1}}, "did you mean 'budget_limit'"),
        ({"openai": {"budget_limit": 1, "reset": "daily"}}, "reset"),
        ({"": {"budget_limit": 1}}, "no name"),
        ([], "must be a dict"),
    ],
)
def test_a_wrong_budget_is_one_clear_error(config, said):
    with pytest.raises(ConfigurationError, match=said):
        parse_budgets(config, "provider_budget_config")


def test_both_names_of_limit_and_period_are_taken():
    one = parse_budgets({"openai": {"budget_limit": 100, "time_period": "1d"}}, "p")
    assert one == parse_budgets({"openai": {"max_budget": 100, "budget_duration": "1d"}}, "p")


@pytest.mark.parametrize("rolling", [False, True])
def test_a_clock_that_is_set_back_takes_what_was_spent_with_it(rolling):
    ledger = Ledger(rule(1.0, "1m", "rolling" if rolling else None))
    entry = ledger.add(600.0, units(1.0))
    ledger.set_back(500.0, 100.0)
    assert not ledger.admits(1, 100.0)
    ledger.settle(entry, units(1.0), units(0.5), 101.0)
    assert ledger.spent == units(0.5)
    assert ledger.admits(units(1.0), 160.0 if rolling else 120.0)
    assert ledger.entry_at(100.0) is None


def test_a_day_whose_first_call_falls_into_the_day_before_is_not_begun_anew():
    """The clock is set back at noon by more than has passed between midnight and the day's first call."""
    day = 86_400.0
    ledger = Ledger(rule(1.0, "1d"))
    ledger.add(2 * day + 60.0, units(1.0))
    ledger.set_back(500.0, 2.5 * day - 500.0)
    assert not ledger.admits(1, 2.5 * day)
    assert ledger.free_at(1) == 3 * day
    rows = ledger.snapshot()
    assert Ledger.restore(ledger.rule, rows).snapshot() == rows


@pytest.mark.parametrize("rolling", [False, True])
def test_what_has_left_its_period_stays_gone_when_the_clock_is_set_back(rolling):
    ledger = Ledger(rule(1.0, "1m", "rolling" if rolling else None))
    entry = ledger.add(600.0, units(0.5))
    assert ledger.admits(units(1.0), 660.0)
    ledger.set_back(500.0, 160.0)
    ledger.settle(entry, units(0.5), units(0.25), 161.0)
    assert (ledger.total, ledger.set_aside) == (0, 0)


def test_a_ledger_that_was_set_back_is_what_its_snapshot_gives_back():
    ledger = Ledger(rule(1.0, "30s", "rolling"))
    ledger.add(2.0609385102713875, 1)
    ledger.set_back(2.0609385102713875 + 1e-15, 0.0)
    rows = ledger.snapshot()
    assert Ledger.restore(ledger.rule, rows).snapshot() == rows
    ledger.set_back(1.8067900687116722, 0.0)
    rows = ledger.snapshot()
    assert Ledger.restore(ledger.rule, rows).snapshot() == rows
