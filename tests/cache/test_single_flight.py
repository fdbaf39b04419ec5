"""Identical requests that are open at the same time share one call; nobody fails for a stranger's sake."""

import pytest

from turnout import InternalServerError, RequestError, Timeout
from turnout.messages.events import CacheHit
from turnout.testing import SimulatedProvider


def test_a_hundred_identical_concurrent_requests_make_one_call(house):
    home = house()
    futures = [home.send() for _ in range(100)]
    answers = [future.get() for future in futures]
    assert home.calls == 1
    assert len({answer.id for answer in answers}) == 1
    assert [answer.route.cache_hit for answer in answers] == [False] + [True] * 99
    hits = [r.event for r in home.router.events() if isinstance(r.event, CacheHit)]
    assert all(hit.shared and hit.age == 0 for hit in hits)
    assert home.health()["shared"] == 99


def test_each_of_those_who_wait_is_given_an_answer_of_their_own(house):
    home = house()
    first, second, third = (future.get() for future in [home.send() for _ in range(3)])
    second.choices[0].message.content = "changed"
    assert first.choices[0].message.content == third.choices[0].message.content != "changed"


def test_different_requests_share_nothing(house):
    home = house()
    futures = [home.send(f"question {number}") for number in range(5)]
    assert len({future.get().id for future in futures}) == 5
    assert home.calls == 5


def test_when_the_leader_is_cancelled_a_follower_takes_over(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    leader, *followers = [home.send() for _ in range(4)]
    home.clock.advance(1)
    leader.cancel()
    with pytest.raises(RequestError, match="cancelled"):
        leader.get()
    assert len({future.get().id for future in followers}) == 1
    assert home.calls == 2


def test_a_follower_that_leaves_disturbs_nobody(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    leader, leaving, staying = [home.send() for _ in range(3)]
    leaving.cancel()
    assert leader.get().id == staying.get().id
    assert home.calls == 1


def test_each_follower_keeps_its_own_deadline(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    leader, hurried = home.send(), home.send(timeout=3)
    with pytest.raises(Timeout, match="no answer within 3 s"):
        hurried.get()
    assert leader.get().route.seconds == 10.0
    assert home.calls == 1


def test_when_the_leaders_time_runs_out_a_follower_takes_over(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    hurried, patient = home.send(timeout=3), home.send()
    answer = patient.get()
    with pytest.raises(Timeout):
        hurried.get()
    assert not answer.route.cache_hit
    assert answer.route.seconds == 13.0


def test_when_the_leader_fails_a_follower_takes_over(house):
    home = house({"eu": [500]}, allowed_fails=100)
    leader, *followers = [home.send() for _ in range(3)]
    with pytest.raises(InternalServerError):
        leader.get()
    assert len({future.get().id for future in followers}) <= 2
    assert home.calls == 3  # two led after the failure


def test_a_hundred_who_wait_for_a_dead_provider_hear_of_it_in_a_few_rounds(house):
    home = house({"eu": SimulatedProvider(latency=1, error_rate=1.0)}, disable_cooldowns=True)
    futures = [home.send() for _ in range(100)]
    for future in futures:
        with pytest.raises(InternalServerError):
            future.get()
    assert home.clock.now() <= 10.0
    assert home.calls == 100


def test_no_follower_waits_for_a_leader_that_fell_back(house):
    home = house({"eu": [500]}, fallbacks=[{"gpt-4": ["small"]}], allowed_fails=100)
    leader, follower = home.send(), home.send(disable_fallbacks=True)
    assert leader.get().route.model_group == "small"
    assert follower.get().route.model_group == "gpt-4"


def test_nothing_is_left_of_those_who_came_and_went(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    for future in [home.send() for _ in range(5)]:
        future.cancel()
    assert home.health()["in_flight"] == 0
    assert home.router._switchboard.services["cache"].actor_inbox._actor._asked == {}


def test_closing_the_router_ends_those_who_wait(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    futures = [home.send() for _ in range(3)]
    home.router.close()
    for future in futures:
        with pytest.raises(RuntimeError, match="closed"):
            future.get()


def test_when_the_group_crashes_those_who_wait_for_the_cache_go_on_waiting(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    leader, follower = home.send(), home.send()
    inbox = home.router._switchboard.groups["gpt-4"].actor_inbox
    inbox._handlers[str] = lambda text: 1 / 0
    inbox.deliver("boom")
    home.clock.advance(1)
    assert leader.get().id == follower.get().id
    assert home.calls == 1


def test_when_the_leader_crashes_the_supervisor_a_follower_takes_over(house, monkeypatch):
    from turnout.supervisor.supervisor import Supervisor

    home = house({"eu": SimulatedProvider(latency=10)})
    leader, follower = home.send(), home.send()
    real, left = Supervisor._succeed, [1]

    def broken(self, *args):
        if left:
            left.pop()
            raise ZeroDivisionError
        real(self, *args)

    monkeypatch.setattr(Supervisor, "_succeed", broken)
    with pytest.raises(RequestError, match="Supervisor crashed"):
        leader.get()
    assert follower.get().route.seconds == 20.0
    assert home.health()["in_flight"] == 0


def test_when_the_cache_crashes_those_who_wait_go_on_without(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    leader, follower = home.send(), home.send()
    inbox = home.router._switchboard.services["cache"].actor_inbox
    inbox._handlers[str] = lambda text: 1 / 0
    inbox.deliver("boom")
    assert leader.get().id != follower.get().id
    assert home.calls == 2
    assert not home.ask("after").route.cache_hit
    assert home.ask("after").route.cache_hit
