"""What is said of plays: intervals, differences, verdicts, and what nobody can know."""

import math

import pytest

from turnout.actors.runtime.chance import make_rng
from turnout.backtest.comparison import Column, Comparison
from turnout.backtest.figures import Figures, figures_of, quantile
from turnout.backtest.intervals import estimate
from turnout.backtest.outcomes import Row
from turnout.backtest.record import MAX_REQUESTS, Record
from turnout.backtest.report import report, table, verdicts
from turnout.backtest.unknown import unknown

START = 1_767_225_600.0


def figures(**values):
    return Figures({"requests": 100.0, "p50": 1.0, "errors": 0.0, "bill": 1.0, **values}, ())


def column(name, *p50):
    return Column(name, tuple(figures(p50=value) for value in p50))


def comparison(*columns, recorded=None, unknown=()):
    return Comparison(START, START + 60, 100, recorded or figures(), columns, unknown)


def row(at=0.0, seconds=1.0, **more):
    return Row(START + at, stream=more.pop("stream", False), seconds=seconds, ended=True, **more)


def test_an_interval_holds_one_more_play_95_times_in_100():
    rng, held = make_rng(1), 0
    for _ in range(4_000):
        *plays, another = (rng.gauss(10.0, 2.0) for _ in range(7))
        held += estimate(plays).holds(another)
    assert held / 4_000 == pytest.approx(0.95, abs=0.012)


def test_one_play_says_nothing_of_another():
    assert estimate([3.0]) == (3.0, -math.inf, math.inf)
    assert not estimate([3.0]).differs


def test_what_is_rare_may_come_another_time():
    assert estimate([0.0] * 5).high == 0.0
    counted = estimate([0.0] * 5, unit=1.0)
    assert counted.holds(1.0)
    assert not counted.holds(4.0)
    assert estimate([9.0, 9.0, 9.0, 9.0], unit=1.0).holds(14.0)


def test_what_is_off_by_a_share_may_rather_be_twice_as_much_than_nothing():
    rng, held, above, below = make_rng(1), 0, 0, 0
    for _ in range(2_000):
        *plays, another = (rng.lognormvariate(0.0, 0.5) for _ in range(12))
        told = estimate(plays, by_share=True)
        held += told.holds(another)
        above += another > told.high
        below += another < told.low
    assert held / 2_000 == pytest.approx(0.95, abs=0.015)
    assert above == pytest.approx(below, abs=30)
    assert estimate([0.0, 1.0, 2.0], by_share=True) == estimate([0.0, 1.0, 2.0])
    assert math.isfinite(estimate([1e-300, 1e300], by_share=True).high)


def test_what_is_rare_comes_by_chance_and_what_is_not_may_be_kept_even():
    at_the_bound, beyond = (estimate([many] * 30, unit=1.0) for many in (5.0, 500.0))
    assert at_the_bound.high - at_the_bound.mean == pytest.approx(beyond.high - beyond.mean)
    fewer = estimate([4.0] * 30, unit=1.0)
    assert fewer.high - fewer.mean < at_the_bound.high - at_the_bound.mean
    nobody = Column("x", tuple(figures(**{"share of eu": 0.0}) for _ in range(5)))
    assert nobody.estimate("share of eu").holds(0.01)
    bill = column("x", 1.0, 2.0, 3.0).estimate("bill")  # of 100 requests, 1.00 $ in every play
    assert bill.holds(1.04)
    assert not bill.holds(1.3)


def test_a_difference_is_known_better_than_what_differs():
    slow = column("slow", 1.0, 2.0, 3.0, 4.0)
    fast = column("fast", 0.79, 1.8, 2.81, 3.8)
    assert fast.estimate("p50").holds(slow.estimate("p50").mean)
    off = fast.difference("p50", slow)
    assert off.differs
    assert off.mean == pytest.approx(-0.2)
    assert not slow.difference("p50", slow).differs


def test_a_verdict_says_what_differs_and_by_how_much():
    found = comparison(
        column("usual", 2.0, 2.1, 1.9), column("fast", 1.0, 1.1, 0.9), column("same", 2.0, 2.2, 1.8)
    )
    fast, same = verdicts(found)
    assert fast == "fast: p50 1.00 s instead of 2.00 s (−50 %, −50 to −50 %)"
    assert same == "same: no difference that this record can show"


def test_a_table_has_the_record_first_and_intervals_that_can_be():
    found = comparison(column("usual", 0.5, 1.9, 1.0, 1.1), recorded=figures(p50=9.0))
    lines = table(found).splitlines()
    assert lines[0].split() == ["recorded", "usual"]
    assert lines[1].split() == ["p50", "9.00", "s", "1.12", "s", "(0.14–7.10)"]
    assert "does not come out the same in: p50" in report(found)
    assert found.off() == ["p50"]


def test_a_share_is_at_most_all():
    plays = tuple(figures(**{"share of eu": share}) for share in (0.2, 0.9, 1.0))
    assert "(0.0–100.0)" in table(comparison(Column("usual", plays)))


def test_figures_of_rows():
    rows = [row(n, 1.0 + n, deployment="eu", cost=0.5, retries=1) for n in range(4)]
    rows += [row(4, None, error="Timeout", failed_attempts=2), row(5, None, left=True), row(600)]
    found = figures_of(rows, START, START + 100)
    assert found.values["requests"] == 5
    assert found.values["errors"] == pytest.approx(0.2)
    assert (found.values["p50"], found.values["bill"], found.values["retries"]) == (2.5, 2.0, 4)
    assert found.values["failed attempts"] == 2
    assert found.get("share of eu") == 1.0
    assert found.get("share of nobody") == 0.0
    assert found.get("first token p50") is None
    assert quantile([1.0, 2.0], 0.75) == 1.75
    assert sum(step.served.get("eu", 0) for step in found.steps) == 4


def test_first_tokens_are_those_of_streams():
    rows = [row(n, 3.0, stream=True, ttft=0.5) for n in range(30)]
    assert figures_of(rows, START, START + 100).values["first token p95"] == 0.5


class Known:
    """A model of deployments that answered so often."""

    def __init__(self, **answers):
        self.behaviours = {
            name: type("B", (), {"answers": many, "borrowed": ("us",), "alike": True})
            for name, many in answers.items()
        }


def test_what_a_record_cannot_say_is_said(call):
    record = Record(calls={"eu": [call(0.0, error="Timeout", cut=True)] * 20}, more=True, since=START, lost=7)
    record.settings = [(START, {"num_retries": 1}), (START + 9, {})]
    record.limits = {"eu": [(START, 3, 0, START + 60)]}
    record.left_out["of kind speech"] = 12
    play = Figures({"requests": 10.0, "share of new": 0.4}, (), {"eu": 90, "new": 5})
    said = "\n".join(unknown(record, Known(eu=100, new=3, idle=0), [Column("B", (play, play))]))
    for words in (
        "how new does: it answered 3 requests in the record, and is taken to be like us (the same model)",
        "under B it gives 40.0 %",
        "whether eu can take 90 calls a minute, as under B: it never had more than 20",
        "how long 20 calls would have taken",
        "12 requests of kind speech",
        "who else uses the same keys",
        "retention removed",
        "7 events that the journal lost",
        "started with others",
        "after the first 0 requests",
    ):
        assert words in said
    assert "idle" not in said  # nobody would ask it
    assert list(unknown(Record(), Known(eu=100), [Column("B", (figures(),))])) == []
    assert MAX_REQUESTS == 100_000


def test_plain_data_has_no_infinity():
    found = comparison(column("usual", 1.0), column("other", 2.0), unknown=("x",)).as_dict()
    assert found["columns"][0]["figures"]["p50"] == {"mean": 1.0, "low": None, "high": None}
    assert found["unknown"] == ["x"]
