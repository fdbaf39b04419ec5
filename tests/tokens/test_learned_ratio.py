"""Tokens per byte, learned by each deployment from what its provider says it used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import NoDeploymentsAvailable
from turnout.actors.deployment.state import DeploymentState, Limits
from turnout.actors.deployment.tokens import MAX_RATIO, MIN_LEARNED_BYTES, MIN_RATIO, RATIO_WEIGHT, TokenRatio
from turnout.actors.model_group.roster import Roster
from turnout.messages.events import CallStarted, CallSucceeded
from turnout.messages.outcomes import Demand
from turnout.testing import FakeClock, SimulatedProvider

DENSE = [{"role": "user", "content": "x" * 4000}]
"""1,004 tokens by the estimate."""


def started(town):
    return [event.reserved for event in town.found(CallStarted)]


def dense(tokens=2004, **fields):
    return SimulatedProvider(prompt_tokens=tokens, completion_tokens=10, **fields)


def test_a_reservation_goes_by_what_was_learned(town):
    town = town({"d": "gpt-4"}, default=dense())
    for _ in range(3):
        town.ask(messages=DENSE, max_tokens=10)
    assert started(town) == [1014, 2014, 2014]
    assert town.state("d")["ratio"] == [0.5, 3]


def test_each_deployment_learns_for_itself(town):
    town = town({"a": "gpt-4", "b": "gpt-4"}, {"a": dense(1004), "b": dense(2004)})
    for name in ("a", "b"):
        town.ask(name, messages=DENSE)
    assert [town.state(name)["ratio"][0] for name in ("a", "b")] == [0.25, 0.5]


def test_the_group_counts_with_the_same_ratio(town):
    """The mirror and the deployment agree, or the second of two calls at once would be refused in vain."""
    ours = {"group": "gpt-4", "tpm": 4100, "model": "openai/of-our-own"}
    town = town({"a": ours, "b": ours}, default=dense())
    for name in ("a", "b"):
        town.ask(name, messages=DENSE, max_tokens=10)
    town.clock.advance(60)
    waiting = [town.send(messages=DENSE, max_tokens=10) for _ in range(5)]
    answered = [future for future in waiting if not isinstance(error_of(future), NoDeploymentsAvailable)]
    assert len(answered) == 4, "two fit in each"
    picked = [e for e in town.found(CallStarted) if e.reserved == 2014]
    assert len(picked) == 4


def test_the_mirror_counts_what_is_sent_by_the_ratio_it_was_told(make):
    roster = Roster("gpt-4", make.First(), make.First)
    status = make.status("a", tokens_per_byte=0.5)
    roster.add(make.deployment("a"), status, object(), 0.0)
    roster.started(roster["a"], Demand(1004, 0, 4000, 4), 0.0)
    assert roster["a"].tokens_used == 2004


def error_of(future):
    try:
        return future.get(timeout=1)
    except NoDeploymentsAvailable as error:
        return error


def test_it_is_learned_again_from_the_journal(town, tmp_path):
    journal = f"sqlite:///{tmp_path}/turnout.db"
    clock = FakeClock()
    first = town({"d": "gpt-4"}, default=dense(), journal=journal, clock=clock, audit=False)
    first.ask(messages=DENSE)
    first.router.close()
    second = town({"d": "gpt-4"}, default=dense(), journal=journal, clock=clock, audit=False)
    assert second.state("d")["ratio"] == [0.5, 1]
    second.ask(messages=DENSE, max_tokens=10)
    assert started(second)[-1] == 2014


@pytest.mark.parametrize("tokens", [3, 4 + 4000 * 3])
def test_nonsense_teaches_nothing(town, tokens):
    town = town({"d": "gpt-4"}, default=dense(tokens))
    town.ask(messages=DENSE)
    assert town.state("d")["ratio"] == [None, 0]


def test_short_prompts_teach_nothing(town):
    town = town({"d": "gpt-4"}, default=dense())
    town.ask(messages=[{"role": "user", "content": "x" * (MIN_LEARNED_BYTES - 1)}])
    assert town.state("d")["ratio"] == [None, 0]


def test_what_was_only_estimated_teaches_nothing():
    state = DeploymentState("d", Limits())
    state.apply(CallStarted("c", "r", 10, prompt_bytes=4000, fixed_tokens=4), 0.0)
    state.apply(CallSucceeded("c", "r", 2004, 1, None, 1.0, estimated=True), 1.0)
    assert state.ratio.value is None


def test_what_is_learned_locks_no_prompt_out_that_would_fit_by_the_estimate():
    demand = Demand(1004, 0, 4000, 4)
    assert demand.reservation(0, None, 0.5) == 2004
    assert demand.reservation(0, 1500, 0.5) == 1500
    assert demand.reservation(0, 900, 0.5) == 1004, "it would not have fitted in any case"


def test_a_snapshot_of_before_it_was_learned_can_be_restored():
    state = DeploymentState("d", Limits())
    data = state.snapshot(0.0)
    del data["ratio"]
    data["open"] = {"c": ["r", 0.0, 10, False, False, None]}
    restored = DeploymentState.restore("d", Limits(), data)
    assert restored.ratio.value is None
    assert restored.open["c"].prompt_bytes == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 5000)), max_size=120))
def test_the_ratio_is_the_mean_of_what_was_seen_and_stays_in_its_bounds(calls):
    ratio, seen = TokenRatio(), []
    for tokens, text_bytes, fixed in calls:
        ratio.learn(tokens, text_bytes, fixed)
        if text_bytes >= MIN_LEARNED_BYTES and MIN_RATIO <= (tokens - fixed) / text_bytes <= MAX_RATIO:
            seen.append((tokens - fixed) / text_bytes)
    assert (ratio.value is None) is not bool(seen)
    if seen:
        assert min(seen) - 1e-9 <= ratio.value <= max(seen) + 1e-9
    if 0 < len(seen) <= RATIO_WEIGHT:
        assert ratio.value == pytest.approx(sum(seen) / len(seen))
