"""usage-based-routing, and its mirror of what the deployments have used."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from turnout.actors.deployment.limits import RollingWindow
from turnout.actors.model_group.strategies import make_strategy
from turnout.actors.model_group.strategies.token_mirror import EXACT_CALLS, TokenMirror
from turnout.messages.commands import DeploymentStatus


class Owner:
    """A deployment as it really is: the oracle. It hears of a call only when told to look."""

    def __init__(self, candidate, mirror):
        self.candidate = candidate
        self.mirror = mirror
        self.window = RollingWindow()
        self.inbox = []
        self.calls = []
        mirror.follow(candidate, 0.0)

    def send(self, tokens, now):
        self.inbox.append((tokens, now))
        self.candidate.open += 1
        self.candidate.tokens_used += tokens
        self.mirror.started(self.candidate.id, tokens, now)

    def read(self, count, now):
        """Handle that many of the calls under way to it."""
        for tokens, at in self.inbox[:count]:
            self.calls.append((self.window.add(at, tokens), tokens))
        del self.inbox[:count]
        self.speak(now)

    def end(self, position, used, now):
        bucket, reserved = self.calls.pop(position)
        self.window.settle(bucket, used - reserved, now)
        self.speak(now)

    def speak(self, now, **more):
        self.window.expire(now)
        one = self.candidate
        one.status = DeploymentStatus(one.id, open=len(self.calls), tokens_used=self.window.tokens, **more)
        one.open = len(self.calls) + len(self.inbox)
        one.tokens_used = self.window.tokens + sum(tokens for tokens, _ in self.inbox)
        self.mirror.update(one, now)

    def truth(self, now):
        self.window.expire(now)
        return self.window.tokens + sum(tokens for tokens, at in self.inbox if at > now - 60)

    def believed(self, now):
        self.mirror.expire(now)
        return self.mirror.used(self.candidate.id)


def owner(candidate):
    heard = {}
    one = Owner(candidate("a"), TokenMirror(heard.__setitem__))
    one.heard = heard
    return one


moves = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "read", "end", "rest"]), st.integers(0, 900), st.integers(1, 9)
    ),
    max_size=60,
)


def play(one, steps, *, in_order):
    """Go through the steps; yields the time after each, and whether the owner has just spoken."""
    now = 0.0
    for number, (what, size, small) in enumerate(steps):
        now += small / 8  # never two calls in one bucket of the owner's window
        spoke = False
        if what == "send":
            one.send(size, now)
        elif what == "read" and one.inbox:
            one.read(small, now)
            spoke = True
        elif what == "end" and one.calls:
            one.end(0 if in_order else size % len(one.calls), (size * 7 + number) % 1000, now)
            spoke = True
        elif what == "rest":
            now += small * 3
        yield now, spoke


@settings(max_examples=300, deadline=None)
@given(moves)
def test_calls_that_end_in_the_order_they_began_are_mirrored_exactly_at_every_moment(candidate, steps):
    one = owner(candidate)
    for now, _ in play(one, steps, in_order=True):
        if all(bucket.at > now - 60 for bucket, _ in one.calls):
            assert one.believed(now) == one.truth(now)
        else:
            one.mirror.expire(now)


@settings(max_examples=300, deadline=None)
@given(moves)
def test_whatever_the_order_the_sum_is_exact_at_every_status_and_never_negative(candidate, steps):
    one = owner(candidate)
    now = 0.0
    for now, spoke in play(one, steps, in_order=False):
        assert one.believed(now) >= 0
        if spoke:
            assert one.believed(now) == one.truth(now)
        assert one.heard.get("a", 0) == one.believed(now), "whoever ranks by it has heard"
    assert one.believed(now + 60.0) == 0


def test_a_call_sent_but_not_yet_seen_survives_a_status_that_does_not_know_it(candidate):
    one = owner(candidate)
    one.send(100, 1.0)
    one.send(30, 2.0)
    one.read(1, 3.0)
    assert one.believed(3.0) == 130


def test_a_refused_call_is_taken_back(candidate):
    one = owner(candidate)
    one.send(100, 1.0)
    one.inbox.clear()
    one.speak(1.0)
    assert one.believed(1.0) == 0


def test_tokens_leave_sixty_seconds_after_the_start_and_not_before(candidate):
    one = owner(candidate)
    one.send(100, 5.0)
    assert (one.believed(64.99), one.believed(65.0)) == (100, 0)


def test_a_restart_brings_the_window_along(candidate):
    one = owner(candidate)
    one.send(100, 50.0)
    status = DeploymentStatus("a", tokens_used=70, window=((10.0, 30), (40.0, 40)))
    one.candidate.status, one.candidate.open = status, 0
    one.mirror.update(one.candidate, 55.0)
    assert [one.believed(at) for at in (55.0, 69.9, 70.0, 100.0, 200.0)] == [70, 70, 40, 0, 0]


def test_what_the_provider_counts_beyond_our_count_is_believed_for_a_window(candidate):
    one = owner(candidate)
    one.candidate.status = replace(one.candidate.status, tokens_used=500)
    one.mirror.update(one.candidate, 7.0)
    assert [one.believed(at) for at in (7.0, 66.9, 67.0)] == [500, 500, 0]


def test_many_calls_at_once_share_entries_and_lose_no_token(candidate):
    one = owner(candidate)
    for number in range(3 * EXACT_CALLS):
        one.send(2, 1.0 + number * 1e-6)
    assert one.believed(1.1) == 6 * EXACT_CALLS
    assert len(one.mirror._calls) <= EXACT_CALLS + 2
    one.inbox.clear()
    one.speak(2.0)
    assert (one.believed(2.0), one.believed(61.1)) == (0, 0)


def test_a_deployment_that_left_is_forgotten_when_its_window_is_empty(candidate):
    one = owner(candidate)
    one.send(10, 1.0)
    one.mirror.release("a")
    assert len(one.mirror) == 1
    one.mirror.expire(61.0)
    assert len(one.mirror) == 0


def strategy_of(*candidates):
    strategy = make_strategy("usage-based-routing")
    for one in candidates:
        strategy.add(one, 0.0)
    return strategy


def test_the_fewest_tokens_win_and_picks_count_at_once(candidate, query):
    strategy = strategy_of(*(candidate(name) for name in "abc"))
    rng, names = random.Random(1), []
    for _ in range(6):
        one = strategy.pick(query(), rng).candidate
        one.open += 1
        strategy.started(one, 100, 1.0)
        strategy.update(one, 1.0)
        names.append(one.id)
    assert sorted(names[:3]) == sorted(names[3:]) == ["a", "b", "c"]


def test_usage_counts_while_a_candidate_is_not_eligible(candidate, query):
    a, b = candidate("a"), candidate("b")
    strategy = strategy_of(a, b)
    strategy.remove(a)
    a.open += 1
    a.tokens_used += 100
    strategy.started(a, 100, 1.0)
    strategy.started(b, 50, 1.0)
    strategy.add(a, 2.0)
    pick = strategy.pick(query(2.0), random.Random(1))
    assert pick.considered == (("b", 50), ("a", 100))


def test_an_index_that_a_request_asks_for_counts_calls_that_began_before_it(candidate, query):
    """A deployment without limits says nothing until one of them ends."""
    busy, idle = candidate("busy", open=3), candidate("idle", status={"tokens_used": 50})
    busy.tokens_used = 300
    strategy = strategy_of(busy, idle)
    assert strategy.pick(query(1.0), random.Random(1)).considered == (("idle", 50), ("busy", 300))


def test_old_usage_is_forgotten_when_the_pick_is_made(candidate, query):
    a, b = candidate("a"), candidate("b")
    strategy = strategy_of(a, b)
    strategy.started(a, 100, 0.0)
    strategy.started(b, 50, 30.0)
    assert strategy.pick(query(59.0), random.Random(1)).candidate is b
    assert strategy.pick(query(60.0), random.Random(1)).candidate is a


def test_ties_are_settled_at_random(candidate, picked, distance):
    strategy = strategy_of(*(candidate(name) for name in "abcd"))
    assert distance(picked(strategy, random.Random(2), 4000), dict.fromkeys("abcd", 1)) < 25


def test_version_two_is_the_same_under_its_own_name():
    one, two = make_strategy("usage-based-routing"), make_strategy("usage-based-routing-v2")
    assert type(one) is type(two)
    assert (one.name, two.name) == ("usage-based-routing", "usage-based-routing-v2")
