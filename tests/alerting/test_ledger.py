"""What is sent when: alike alerts once in a period, many in one message, nothing without a bound."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.alerting import ledger as module
from turnout.actors.alerting.alerts import Alert
from turnout.actors.alerting.ledger import GATHER_SECONDS, PERIOD_SECONDS, AlertLedger


def alert(kind="exception", subject="eu", text="eu failed"):
    return Alert(kind, subject, text)


def test_the_first_alert_is_due_after_a_moment_in_which_others_can_join_it():
    ledger = AlertLedger()
    ledger.note(alert(), 10.0)
    ledger.note(alert("slow", "us", "us is slow"), 10.5)
    assert ledger.next_at() == 10.0 + GATHER_SECONDS
    assert ledger.take(10.9) is None
    assert ledger.take(11.0) == "*Turnout*\n• eu failed\n• us is slow"
    assert ledger.take(99.0) is None


def test_alike_alerts_are_told_once_in_a_period_and_then_counted():
    ledger = AlertLedger()
    for number in range(42):
        ledger.note(alert(text=f"eu failed {number}"), number * 1.0)
    assert ledger.take(2.0) == "*Turnout*\n• eu failed 0"
    ledger.roll(PERIOD_SECONDS)
    text = ledger.take(PERIOD_SECONDS + GATHER_SECONDS)
    assert text == "*Turnout*\n• eu failed 41 (and 41 more like it in the last 5 minutes)"


def test_a_period_without_another_alert_ends_silently_and_the_next_is_told_at_once():
    ledger = AlertLedger()
    ledger.note(alert(), 0.0)
    assert ledger.take(1.0)
    ledger.roll(PERIOD_SECONDS)
    assert ledger.next_at() is None
    ledger.note(alert(), PERIOD_SECONDS + 1)
    assert ledger.take(PERIOD_SECONDS + 2) == "*Turnout*\n• eu failed"


def test_a_summary_begins_a_period_of_its_own():
    ledger = AlertLedger()
    ledger.note(alert(), 0.0)
    ledger.note(alert(), 1.0)
    ledger.roll(PERIOD_SECONDS)
    ledger.note(alert(), PERIOD_SECONDS + 1)
    assert ledger.take(PERIOD_SECONDS + 2).count("•") == 2  # the first, and the summary


def test_a_message_has_so_many_lines_and_the_rest_goes_into_the_next():
    ledger = AlertLedger()
    for number in range(module.MAX_LINES + 3):
        ledger.note(alert(subject=str(number)), 0.0)
    assert ledger.take(1.0).count("•") == module.MAX_LINES
    assert ledger.take(1.0).count("•") == 3
    assert ledger.take(1.0) is None


def test_what_waits_is_bounded_and_what_does_not_fit_is_counted():
    ledger = AlertLedger()
    for number in range(module.MAX_LINES_WAITING + 7):
        ledger.note(alert(subject=str(number)), 0.0)
    assert len(ledger) == module.MAX_LINES_WAITING
    messages = []
    while (text := ledger.take(9.0)) is not None:
        messages.append(text)
    assert messages[-1].endswith("• and 7 alerts more")


def test_kinds_are_bounded_and_what_does_not_fit_is_counted(monkeypatch):
    monkeypatch.setattr(module, "MAX_KINDS", 5)
    ledger = AlertLedger()
    for number in range(8):
        ledger.note(alert(subject=str(number)), 0.0)
    assert ledger.take(1.0).endswith("• and 3 alerts more")
    ledger.roll(PERIOD_SECONDS)
    assert ledger.next_at() is None


def test_at_the_end_what_was_suppressed_is_told_without_delay():
    ledger = AlertLedger()
    for _ in range(4):
        ledger.note(alert(), 0.0)
    ledger.finish(0.1)
    assert ledger.take(0.1) == (
        "*Turnout*\n• eu failed\n• eu failed (and 3 more like it in the last 5 minutes)"
    )


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["eu", "us"]), st.floats(0, 400)), max_size=60)
)
def test_no_alert_is_lost_and_none_is_told_twice(rows):
    """Lines and counts together are as many as there were alerts, key by key."""
    ledger, now, sent = AlertLedger(), 0.0, []
    for kind, subject, pause in rows:
        now += pause
        ledger.note(alert(kind, subject, f"{kind}/{subject}"), now)
        sent.append((now, ledger.take(now)))
    ledger.finish(now)
    while (text := ledger.take(now)) is not None:
        sent.append((now, text))
    told, firsts = Counter(), Counter()
    for _, text in sent:
        for line in (text or "").splitlines()[1:]:
            key, more = re.fullmatch(r"• (\w/\w\w)(?: \(and (\d+) more .*\))?", line).groups()
            told[key] += int(more) if more else 1
            firsts[key] += not more
    assert told == Counter(f"{kind}/{subject}" for kind, subject, _ in rows)
    assert all(count <= 1 + now / PERIOD_SECONDS for count in firsts.values())
