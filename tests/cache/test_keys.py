"""A key covers everything that changes the answer, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from turnout import CompletionRequest
from turnout.actors.cache.key import key_of
from turnout.messages.caching import CacheControls

GROUP = ("gpt-4", None, None, None)
MESSAGES = [{"role": "user", "content": "Hello"}]
DEFAULT = CacheControls()

names = st.sampled_from(["temperature", "tools", "response_format", "user", "seed", "top_p", "own_thing"])
leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text(max_size=3)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
params = st.dictionaries(names, values, max_size=4)


def key(request, scope=GROUP, controls=DEFAULT, *, stream=False):
    return key_of(request, scope, controls, "turnout", stream=stream)


def request(**fields):
    return CompletionRequest(**{"model": "gpt-4", "messages": MESSAGES, **fields})


def upside_down(value):
    """The same, with every dict in the opposite order."""
    if isinstance(value, dict):
        return {name: upside_down(value[name]) for name in reversed(value)}
    return [upside_down(item) for item in value] if isinstance(value, list) else value


@given(params, params)
def test_requests_have_the_same_key_exactly_when_they_send_the_same(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key(request(**one)) == key(request(**other))) == same


@given(params)
def test_the_order_of_names_does_not_matter(some):
    assert key(request(**some)) == key(request(**upside_down(some)))


@given(st.lists(st.text(max_size=4), min_size=2, max_size=4, unique=True))
def test_the_order_of_messages_does(texts):
    asked = [{"role": "user", "content": text} for text in texts]
    assert key(request(messages=asked)) != key(request(messages=asked[::-1]))


ROUTING = {
    "timeout": 3, "stream_timeout": 2, "num_retries": 5, "fallbacks": ["small"], "disable_fallbacks": True,
    "context_window_fallbacks": ["small"], "content_policy_fallbacks": ["small"], "priority": 1,
    "routing_strategy": "least-busy", "max_parallel_requests": 3, "hedge_after": 1.0, "mock_delay": 1.0,
    "metadata": {"team": "a"}, "session_id": "s", "caching": True, "cache": {"ttl": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", ROUTING)
def test_how_a_request_is_routed_is_no_part_of_it(name):
    assert key(request(**{name: ROUTING[name]})) == key(request())


@pytest.mark.parametrize(
    "scope",
    [
        ("small", None, None, None),
        ("gpt-4", "eu", None, None),
        ("gpt-4", None, "x", None),
        (*GROUP[:3], ("a",)),
    ],
)
def test_who_may_answer_is(scope):
    assert key(request(), scope) != key(request())


def test_whether_it_is_streamed_is():
    assert key(request(stream=True), stream=True) != key(request())
    assert key(request(stream=False)) == key(request())


def test_the_end_user_is_since_the_provider_is_told():
    assert key(request(user="ann")) != key(request(user="bob"))


def test_a_key_begins_with_its_namespace_and_tells_nothing_else():
    secret = request(messages=[{"role": "user", "content": "my password is hunter2"}])
    namespace, _, digest = key(secret).partition(":")
    assert namespace == "turnout"
    assert len(digest) == 40
    int(digest, 16)
    assert key(request(), controls=CacheControls(namespace="mine")).startswith("mine:")


def test_pydantic_models_are_read_as_what_is_sent():
    class Tool(BaseModel):
        name: str

    assert key(request(tools=[Tool(name="a")])) == key(request(tools=[{"name": "a"}]))


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [object()]},
        {"mock_response": ValueError("made up")},
        {"mock_timeout": True},
        {"mock_testing_fallbacks": True},
    ],
)
def test_what_cannot_be_told_apart_has_no_key(fields):
    assert key(request(**fields)) is None


def test_a_key_of_ones_own_is_no_key_of_a_question():
    mine = CacheControls(key="{}")
    assert key(request(), controls=mine) != key(request())
    assert key(request(), controls=mine) == key(request(temperature=1), controls=mine)
