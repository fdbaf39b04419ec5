"""Prompt-cache affinity: the same long prefix goes where it is warm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import CompletionRequest
from turnout.actors.model_group import warm
from turnout.actors.model_group.warm import MAX_WARM, WARM_SECONDS, WarmPrefixes
from turnout.messages.prefixes import MAX_PREFIX_BYTES, MIN_PREFIX_BYTES, prefixes_of
from turnout.testing import SimulatedProvider

RULES = "You are the clerk of a very large house. " * 250
"""About 10 KB, 2,500 tokens."""

EIGHT = {f"d{n}": "gpt-4" for n in range(8)}


def chat(*texts, **fields):
    roles = ("system", "user", "assistant")
    messages = [{"role": roles[n % 3], "content": text} for n, text in enumerate(texts)]
    return CompletionRequest(model="gpt-4", messages=messages, **fields)


def ask(town, *texts, **fields):
    return town.router.ask(chat(*texts, **fields)).route


def long_answers(**fields):
    return SimulatedProvider(prompt_tokens=2500, **fields)


def test_the_same_long_prefix_goes_where_it_is_warm(town):
    town = town(EIGHT, default=long_answers(), prompt_cache_affinity=True)
    first = ask(town, RULES, "What is in the cellar?")
    assert first.strategy == "simple-shuffle"
    again = [ask(town, RULES, f"What is in room {n}?") for n in range(20)]
    assert {route.deployment_id for route in again} == {first.deployment_id}
    assert {route.strategy for route in again} == {"prompt-cache"}


def test_another_prefix_goes_its_own_way(town):
    town = town(EIGHT, default=long_answers(), prompt_cache_affinity=True)
    ask(town, RULES, "What is in the cellar?")
    assert ask(town, RULES.upper(), "What is in the cellar?").strategy == "simple-shuffle"


def test_off_it_changes_nothing(town):
    town = town(EIGHT, default=long_answers())
    assert {ask(town, RULES, "?").strategy for _ in range(10)} == {"simple-shuffle"}


def test_short_prompts_are_not_remembered(town):
    town = town(EIGHT, default=SimulatedProvider(prompt_tokens=500), prompt_cache_affinity=True)
    assert {ask(town, "Be brief.", "?").strategy for _ in range(10)} == {"simple-shuffle"}
    assert {ask(town, RULES, "?").strategy for _ in range(10)} == {"simple-shuffle"}, "few tokens, it says"


def test_only_a_call_that_went_well_warms_a_deployment(town):
    town = town(
        EIGHT, default=SimulatedProvider(script=[500], prompt_tokens=2500), prompt_cache_affinity=True
    )
    with pytest.raises(Exception, match="500"):
        ask(town, RULES, "?")
    assert ask(town, RULES, "?", num_retries=9).strategy == "simple-shuffle"


def test_it_grows_cold(town):
    town = town(EIGHT, default=long_answers(), prompt_cache_affinity=True)
    ask(town, RULES, "?")
    town.clock.advance(WARM_SECONDS - 5)
    assert ask(town, RULES, "?").strategy == "prompt-cache"
    town.clock.advance(WARM_SECONDS - 5)
    assert ask(town, RULES, "?").strategy == "prompt-cache", "used again, it was kept"
    town.clock.advance(WARM_SECONDS + 5)
    assert ask(town, RULES, "?").strategy == "simple-shuffle"


def test_a_warm_deployment_that_is_out_is_no_reason_to_wait(town):
    deployments = {name: {"group": "gpt-4", "rpm": 2} for name in EIGHT}
    town = town(deployments, default=long_answers(), prompt_cache_affinity=True)
    routes = [ask(town, RULES, "?") for _ in range(4)]
    assert len({route.deployment_id for route in routes}) == 2


def test_a_lower_order_goes_before_a_warm_deployment(town):
    town = town(
        {"first": {"group": "gpt-4", "order": 1, "rpm": 1}, "second": {"group": "gpt-4", "order": 2}},
        default=long_answers(),
        prompt_cache_affinity=True,
    )
    assert [ask(town, RULES, "?").deployment_id for _ in range(2)] == ["first", "second"]
    assert ask(town, RULES, "?").strategy == "prompt-cache"
    town.clock.advance(60)
    assert ask(town, RULES, "?").deployment_id == "first"


def test_a_session_goes_before_a_warm_deployment(town):
    town = town(EIGHT, default=long_answers(), prompt_cache_affinity=True)
    ask(town, RULES, "?")
    assert ask(town, RULES, "?", session_id="mine").strategy == "sticky-session"


def test_a_conversation_that_grows_stays(town):
    town = town(EIGHT, default=long_answers(), prompt_cache_affinity=True)
    texts = [RULES, "Hello"]
    home = ask(town, *texts).deployment_id
    for turn in range(20):
        texts += [f"Answer {turn}. " * 100, f"Question {turn}"]
        assert ask(town, *texts).deployment_id == home


def test_no_more_than_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(warm, "MAX_WARM", 10)
    known = WarmPrefixes()
    for number in range(100):
        known.heard((number, -number), "d", 0.0)
    known.heard((0,), "e", 0.0)
    assert len(known) == 10
    assert list(known.places((0, 99), 1.0)) == ["e", "d"]
    assert not list(known.places((50,), 1.0))
    assert MAX_WARM == 20_000


def test_the_tools_are_the_beginning_of_a_prompt():
    tool = {"type": "function", "function": {"name": "f", "description": RULES}}
    assert prefixes_of(chat("a", tools=[tool])) == prefixes_of(chat("b", tools=[tool]))
    assert prefixes_of(chat(RULES, "b", tools=[{"type": "function"}])) != prefixes_of(chat(RULES, "b"))


def test_there_are_only_so_many_prefixes():
    assert prefixes_of(chat("short")) == ()
    most = MAX_PREFIX_BYTES // MIN_PREFIX_BYTES
    assert len(prefixes_of(chat("x" * 3_000_000))) == most.bit_length()
    odd = {"role": "user", "content": [object(), {1j: 2}]}
    assert prefixes_of(CompletionRequest(model="gpt-4", messages=[odd])) == ()


@given(st.text(), st.text(), st.text(), st.integers(0, 40_000))
def test_prompts_share_the_prefixes_they_have_in_common(beginning, one, other, length):
    shared = beginning * (length // max(1, len(beginning)))
    pair = [prefixes_of(chat(shared + text)) for text in (one, other)]
    common = len(shared.encode("utf-8", "replace")) + len("system") + 1
    doubled = [MIN_PREFIX_BYTES << k for k in range(7) if MIN_PREFIX_BYTES << k <= common]
    assert list(pair[0][::-1])[: len(doubled)] == list(pair[1][::-1])[: len(doubled)]
    assert min(map(len, pair)) >= len(doubled)
    if one != other and min(map(len, pair)) > len(doubled):
        assert pair[0] == pair[1] or pair[0][0] != pair[1][0]
