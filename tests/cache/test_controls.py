"""What one request may say: no-cache, no-store, ttl, s-maxage, a namespace and a key of its own."""

import pytest

from turnout import BadRequestError, ConfigurationError
from turnout.messages.caching import CONTROLS, MAX_KEY_CHARS, CacheControls, parse_controls
from turnout.testing import SimulatedProvider


def test_no_cache_asks_anew_and_keeps_the_new_answer(house):
    home = house()
    home.ask()
    fresh = home.ask(cache={"no-cache": True})
    assert not fresh.route.cache_hit
    assert home.ask().id == fresh.id
    assert home.calls == 2


def test_no_store_reads_and_keeps_nothing(house):
    home = house()
    home.ask(cache={"no-store": True})
    assert not home.ask().route.cache_hit
    assert home.ask(cache={"no-store": True}).route.cache_hit
    assert home.calls == 2


def test_no_store_shares_no_call(house):
    home = house({"eu": SimulatedProvider(latency=10)})
    futures = [home.send(cache={"no-store": True}) for _ in range(3)]
    assert len({future.get().id for future in futures}) == 3
    assert {future.get().route.seconds for future in futures} == {10.0}


@pytest.mark.parametrize("past", [{"caching": False}, {"cache": {"no-cache": True, "no-store": True}}])
def test_a_request_may_go_past_the_cache(house, past):
    home = house()
    home.ask()
    assert not home.ask(**past).route.cache_hit
    assert home.calls == 2
    assert home.health()["misses"] == 1


def test_ttl_is_how_long_this_answer_is_kept(house):
    home = house()
    home.ask(cache={"ttl": 10})
    home.clock.advance(9)
    assert home.ask().route.cache_hit
    home.clock.advance(1)
    assert not home.ask().route.cache_hit


def test_a_ttl_of_nothing_keeps_nothing(house):
    home = house()
    home.ask(cache={"ttl": 0})
    assert home.health()["entries"] == 0


def test_s_maxage_is_how_old_an_answer_may_be(house):
    home = house()
    first = home.ask()
    home.clock.advance(30)
    assert home.ask(cache={"s-maxage": 30}).route.cache_hit
    fresh = home.ask(cache={"s-maxage": 29})
    assert not fresh.route.cache_hit
    assert home.ask().id == fresh.id != first.id


@pytest.mark.parametrize("name", ["key", "cache_key", "cache-key"])
def test_a_key_of_its_own_stands_for_all_that_is_asked(house, name):
    home = house()
    first = home.ask("one thing", cache={name: "mine"}, temperature=0)
    second = home.ask("another thing", cache={name: "mine"}, temperature=1)
    assert second.id == first.id
    assert not home.ask("one thing").route.cache_hit


def test_a_key_of_its_own_still_belongs_to_its_group_and_shape(house):
    home = house()
    home.ask(cache={"key": "mine"})
    assert not home.ask(model="small", cache={"key": "mine"}).route.cache_hit
    assert "".join(c.choices[0].delta.content or "" for c in home.ask(cache={"key": "mine"}, stream=True))
    assert home.calls == 3


def test_a_namespace_of_its_own_is_another_cache(house):
    home = house()
    home.ask()
    assert not home.ask(cache={"namespace": "tenant-2"}).route.cache_hit
    assert home.ask(cache={"namespace": "tenant-2"}).route.cache_hit


def test_the_controls_are_spelt_as_people_spell_them():
    assert parse_controls({"no_cache": True, "s_maxage": 3, "use-cache": True}) == CacheControls(
        read=False, max_age=3.0
    )
    assert parse_controls({"no-store": False, "ttl": None}) == CacheControls()
    controls = CacheControls(ttl=3)
    assert parse_controls(controls) is controls


@pytest.mark.parametrize(
    ("cache", "text"),
    [
        ("no-cache", "must be a dict of no-cache"),
        ({"no-cach": True}, "unknown control 'no-cach' (known: no-cache, no-store"),
        ({"no-cache": "yes"}, "no-cache must be True or False"),
        ({"ttl": -1}, "ttl must be a number of seconds, 0 or more"),
        ({"ttl": True}, "ttl must be"),
        ({"s-maxage": float("nan")}, "s-maxage must be"),
        ({"ttl": float("inf")}, "ttl must be"),
        ({"key": ""}, f"key must be a text of 1 to {MAX_KEY_CHARS} characters"),
        ({"key": "x" * (MAX_KEY_CHARS + 1)}, "key must be"),
        ({"namespace": 3}, "namespace must be"),
    ],
)
def test_a_wrong_control_is_one_clear_error(house, cache, text):
    with pytest.raises(BadRequestError) as caught:
        house().ask(cache=cache)
    assert f"CompletionRequest.cache: {text}" in str(caught.value)


def test_every_control_is_known_by_its_name():
    for name in CONTROLS:
        parse_controls({name: None})


def test_a_deployment_has_no_cache_of_its_own(house):
    with pytest.raises(ConfigurationError, match=r"litellm_params\.cache is for requests"):
        house(model_list=[house.deployment("eu", cache={"no-cache": True})])
    house(model_list=[house.deployment("eu", cache=None, caching=False)])


def test_seconds_may_be_a_text_as_the_environment_has_them():
    assert parse_controls({"ttl": "60", "s-max-age": "5.5"}) == parse_controls({"ttl": 60, "s-maxage": 5.5})
