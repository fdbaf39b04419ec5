"""Whatever happens in whatever order: no budget is overspent, and nothing stays set aside."""

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnout.messages.commands import SaveSnapshot

LIMITS = {"provider:openai": 3.0, "tag:t": 2.0, "deployment:a": 1.5}
DAY = 86_400.0

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 9), st.booleans()),
        st.tuples(st.just("burst"), st.integers(2, 12), st.booleans()),
        st.tuples(st.just("advance"), st.sampled_from([0.1, 0.5, 1.0, 3.0, 20_000.0]), st.none()),
        st.tuples(st.just("cancel"), st.integers(0, 5), st.none()),
        st.tuples(st.just("crash"), st.sampled_from(["treasury", "a", "b"]), st.none()),
    ),
    min_size=3,
    max_size=25,
)


def kill(one, name):
    """Let the actor die of its next message."""
    board = one.router._switchboard
    ref = board.services.get(name) or board.deployments.get(name)
    if ref is None or not ref.is_alive():
        return

    def broken(_message):
        raise RuntimeError("broken on purpose")

    ref._actor_weakref().message_handlers[SaveSnapshot] = broken
    ref.tell(SaveSnapshot())
    one.clock.advance(0.0)


def spent_by_day(one):
    """What the calls that ended cost, by budget and day of their start, out of the deployments' events."""
    spent, calls, tags = defaultdict(float), {}, {}
    for recorded in one.router.events():
        event = recorded.event
        owner = recorded.stream.partition("/")[2]
        if event.TYPE == "budget_reserved":
            tags[event.call_id] = "tag:t" in event.amounts
        elif event.TYPE == "call_started":
            calls[event.call_id] = (owner, recorded.at // DAY)
        elif event.TYPE in {"call_succeeded", "call_failed", "call_cancelled"}:
            deployment, day = calls[event.call_id]
            cost = event.charged if event.cost is None else event.cost
            budgets = ["provider:openai", *(["deployment:a"] if deployment == "a" else [])]
            budgets += ["tag:t"] if tags.get(event.call_id) else []
            for name in budgets:
                spent[name, day] += cost or 0.0
    return spent


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from(["fail", "wait"]), st.integers(1, 9))
def test_no_order_of_events_overspends_a_budget(town, steps, on_exhausted, words):
    own = {"max_budget": LIMITS["deployment:a"], "budget_duration": "1d"}
    one = town(
        [town.entry("a", **own), town.entry("b", max_parallel_requests=3), town.entry("c", group="h")],
        text=" ".join("w" * words),
        on_exhausted=on_exhausted,
        num_retries=1,
        provider_budget_config={"openai": {"max_budget": LIMITS["provider:openai"], "budget_duration": "1d"}},
        tag_budget_config={"t": {"max_budget": LIMITS["tag:t"], "budget_duration": "1d"}},
    )
    futures = []
    for what, how, tagged in steps:
        if what == "send":
            futures.append(one.send(max_tokens=max(how, words), tags=["t"] if tagged else None))
        elif what == "burst":
            futures += [
                one.send("h" if turn % 3 == 0 else "g", max_tokens=words, tags=["t"] if tagged else None)
                for turn in range(how)
            ]
        elif what == "cancel" and futures:
            futures[-1 - how % len(futures)].cancel()
        elif what == "crash":
            kill(one, how)
        elif what == "advance":
            one.clock.advance(how)
        for (name, day), cost in spent_by_day(one).items():
            assert cost <= LIMITS[name] + 1e-9, (name, day)
    one.clock.advance(3 * DAY)
    assert all(future.done() for future in futures)
    for name, budget in one.budgets().items():
        assert (budget["reserved"], budget["spent"]) == (0.0, 0.0), name
    one.close()


def test_what_is_booked_is_what_the_calls_cost(town):
    one = town(
        [town.entry("a"), town.entry("b")],
        provider_budget_config={"openai": {"max_budget": 100.0}},
        text="a b",
    )
    futures = [one.send(max_tokens=turn % 7 + 2) for turn in range(40)]
    for future in futures[::5]:
        future.cancel()
    one.clock.advance(5.0)
    booked = sum(cost for (name, _), cost in spent_by_day(one).items() if name == "provider:openai")
    assert one.budgets()["provider:openai"]["spent"] == pytest.approx(booked)
