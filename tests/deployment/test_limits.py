"""Rolling windows against a list that is counted by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.actors.deployment.limits import EXACT_BUCKETS, GRAIN_SECONDS, WINDOW_SECONDS, RollingWindow

starts = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 50)), max_size=40)


@given(starts)
def test_starts_and_tokens_are_those_of_the_last_sixty_seconds(entries):
    window, history, now = RollingWindow(), [], 0.0
    for quarter_seconds, tokens in entries:
        now += quarter_seconds / 4
        window.add(now, tokens)
        history.append((now, tokens))
        window.expire(now)
        recent = [(at, count) for at, count in history if at > now - WINDOW_SECONDS]
        assert (window.starts, window.tokens) == (len(recent), sum(count for _, count in recent))


@given(starts, st.integers(1, 10))
def test_a_start_is_free_at_the_first_moment_it_fits(entries, limit):
    window, now = RollingWindow(), 0.0
    for quarter_seconds, tokens in entries:
        now += quarter_seconds / 4
        window.add(now, tokens)
    window.expire(now)
    free_at = window.start_free_at(limit)
    if window.starts < limit:
        assert free_at is None
        return
    assert free_at > now
    before = [b for b in window._buckets if b.at + WINDOW_SECONDS > free_at - 0.01]
    assert sum(b.starts for b in before) >= limit
    window.expire(free_at)
    assert window.starts < limit


@given(starts, st.integers(1, 200), st.integers(1, 60))
def test_tokens_are_free_at_the_first_moment_they_fit(entries, limit, tokens):
    window, now = RollingWindow(), 0.0
    for quarter_seconds, used in entries:
        now += quarter_seconds / 4
        window.add(now, used)
    window.expire(now)
    free_at = window.tokens_free_at(limit, tokens)
    if free_at is None:
        assert window.tokens + tokens <= limit or tokens > limit
        return
    window.expire(free_at - 0.001)
    assert window.tokens + tokens > limit
    window.expire(free_at)
    assert window.tokens + tokens <= limit


def test_a_start_leaves_after_exactly_sixty_seconds():
    window = RollingWindow()
    window.add(100.0, 5)
    window.expire(159.999)
    assert window.starts == 1
    window.expire(160.0)
    assert (window.starts, window.tokens) == (0, 0)


def test_settling_corrects_the_tokens_of_the_start():
    window = RollingWindow()
    receipt = window.add(0.0, 100)
    window.settle(receipt, -40, 1.0)
    assert window.tokens == 60
    window.expire(60.0)
    assert window.tokens == 0


def test_settling_a_start_that_has_left_changes_nothing():
    window = RollingWindow()
    receipt = window.add(0.0, 100)
    window.settle(receipt, 900, 61.0)
    assert window.tokens == 0


def test_a_busy_window_is_bounded_and_never_counts_too_little():
    window = RollingWindow()
    for step in range(60_000):
        window.add(step / 1000, 1)
    window.expire(60.0)
    assert len(window) <= EXACT_BUCKETS + WINDOW_SECONDS / GRAIN_SECONDS + 1
    assert window.starts >= 59_999


def test_a_restored_window_is_the_same():
    window = RollingWindow()
    for at in (0.0, 0.001, 5.0):
        window.add(at, 7)
    again = RollingWindow.restore(window.snapshot())
    assert again.snapshot() == window.snapshot()
    assert (again.starts, again.tokens) == (3, 21)
    assert again.bucket_at(0.001).starts == 1


def test_starts_close_together_leave_each_at_its_own_moment():
    window = RollingWindow()
    window.add(0.0, 1)
    window.add(0.001, 1)
    assert window.start_free_at(2) == WINDOW_SECONDS
    window.expire(WINDOW_SECONDS)
    assert window.starts == 1
