"""Deployments come, change and go while a router runs; what is refused changes nothing."""

from __future__ import annotations

import pytest

from turnout import (
    ConfigurationError,
    NoDeploymentsAvailable,
    NotFoundError,
    RouterClosedError,
)
from turnout.messages.events import DeploymentUpdated
from turnout.testing import SimulatedProvider

SLOW = SimulatedProvider(latency=5.0)
HANGS = SimulatedProvider(hang=True)


# -- add


def test_an_added_deployment_serves_at_once_and_under_its_id(port, entry):
    place = port(entry("a"))
    assert place.router.add_deployment(entry("b", "small")) == "b"
    assert place.served("small") == "b"
    assert place.served("b") == "b"
    assert place.ids == ["a", "b"]


def test_a_router_without_deployments_can_be_given_some(port, entry):
    place = port()
    assert isinstance(place.error(), NotFoundError)
    place.router.add_deployment(entry("a"))
    assert place.served() == "a"


def test_a_deployment_without_an_id_is_given_one_and_its_twin_another(port):
    place = port()
    plain = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}}
    first, second = place.router.add_deployment(plain), place.router.add_deployment(plain)
    assert second == f"{first}-2"
    assert place.ids == [first, second]


def test_a_queued_request_sees_a_new_deployment_at_once(port, entry):
    place = port(entry("a", max_parallel_requests=1), default=HANGS, on_exhausted="wait")
    place.providers.by_deployment = {"b": SimulatedProvider()}
    place.send()
    waiting = place.send()
    assert not waiting.done()
    place.router.add_deployment(entry("b"))
    assert waiting.get(timeout=0.001).route.deployment_id == "b"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("nonsense", r"deployment = 'nonsense': must be a dict"),
        ({"model_name": "g"}, "litellm_params are required"),
        (
            {"model_name": "g", "litellm_params": {"model": "openai/x", "rpm": -1}},
            r"deployment\.litellm_params\.rpm = -1",
        ),
        (
            {"model_name": "g", "litellm_params": {"model": "openai/x", "api_key": "os.environ/NOT_SET_1"}},
            "'NOT_SET_1' is not set",
        ),
        ({"model_name": "g", "litellm_params": {"model": "nobody/x"}}, "unknown provider"),
        (
            {"model_name": "g", "litellm_params": {"model": "openai/x"}, "model_info": {"id": "a"}},
            "id already",
        ),
    ],
)
def test_a_bad_deployment_is_refused_and_changes_nothing(port, entry, bad, words):
    place = port(entry("a"))
    before = (place.story(), place.router.get_deployments(), repr(place.router))
    with pytest.raises(ConfigurationError, match=words):
        place.router.add_deployment(bad)
    assert (place.story(), place.router.get_deployments(), repr(place.router)) == before
    assert place.served() == "a"


def test_a_deployment_whose_provider_cannot_be_called_is_refused(entry):
    from turnout import Router
    from turnout.testing import FakeClock

    with Router([], clock=FakeClock()) as router:
        with pytest.raises(ConfigurationError, match="wire format that is not built yet"):
            router.add_deployment(
                {"model_name": "g", "litellm_params": {"model": "replicate/x", "api_key": "k"}}
            )
        assert router.get_deployments() == []


# -- delete


def test_open_calls_of_a_removed_deployment_finish_and_new_ones_go_elsewhere(port, entry):
    """I1, I4"""
    place = port(entry("a"), default=SLOW)
    under_way = [place.send() for _ in range(3)]
    place.router.add_deployment(entry("b"))
    place.router.delete_deployment("a")
    assert "removed · 3 open" in place.line("a")
    assert [place.send("gpt-4").get().route.deployment_id for _ in range(4)] == ["b"] * 4
    assert [future.get().route.deployment_id for future in under_way] == ["a"] * 3
    assert list(place.router.health()["deployments"]) == ["b"]
    assert place.ids == ["b"]


def test_a_stream_of_a_removed_deployment_is_read_to_its_end(port, entry):
    place = port(entry("a"), entry("b"), default=SimulatedProvider(text="one two three", chunk_seconds=1.0))
    stream = place.ask("a", stream=True)
    place.router.delete_deployment("a")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "one two three"
    assert stream.route.deployment_id == "a"
    assert list(place.router.health()["deployments"]) == ["b"]


def test_a_call_on_its_way_to_a_deployment_that_is_removed_goes_to_another(port, entry):
    place = port(entry("a"), entry("b"))
    board = place.router._switchboard
    board.deployments["a"].tell(_retire())
    assert {place.served() for _ in range(6)} == {"b"}
    reasons = [item.event for item in place.router.events() if item.event.TYPE == "call_started"]
    assert len(reasons) == 6


def _retire():
    from turnout.messages.fleet_commands import Retire

    return Retire()


def test_the_actor_of_a_removed_deployment_is_gone_when_its_last_call_is_over(port, entry):
    """I12"""
    place = port(entry("a"), entry("b"), default=SLOW)
    future = place.send("a")
    place.router.delete_deployment("a")
    ref = place.router._switchboard.deployments["a"]
    assert ref.is_alive()
    future.get()
    place.clock.advance(0)
    assert not ref.is_alive()
    assert "a" not in place.router._switchboard.deployments
    assert "a" not in place.router._wiring.deployments


def test_requests_that_wait_for_a_group_whose_last_deployment_goes_get_their_reply(port, entry):
    """I1"""
    place = port(entry("a", max_parallel_requests=1), default=SLOW, on_exhausted="wait")
    running, *waiting = [place.send() for _ in range(4)]
    place.router.delete_deployment("a")
    for future in waiting:
        with pytest.raises(NoDeploymentsAvailable, match="1 removed"):
            future.get(timeout=0.001)
    assert running.get().route.deployment_id == "a"
    assert isinstance(place.error(), NotFoundError)


def test_requests_that_wait_for_a_group_that_goes_fall_back(port, entry):
    place = port(
        entry("a", max_parallel_requests=1),
        entry("z", "small"),
        providers={"a": HANGS},
        on_exhausted="wait",
        fallbacks=[{"gpt-4": ["small"]}],
    )
    place.send()
    waiting = place.send()
    place.router.delete_deployment("a")
    assert waiting.get(timeout=0.001).route.deployment_id == "z"


def test_a_request_that_waits_for_the_very_deployment_that_goes_gets_its_reply(port, entry):
    place = port(entry("a", max_parallel_requests=1), entry("b"), default=HANGS, on_exhausted="wait")
    place.send("a")
    waiting = place.send("a")
    assert not waiting.done()
    place.router.delete_deployment("a")
    with pytest.raises(NoDeploymentsAvailable, match="1 removed"):
        waiting.get(timeout=0.001)


def test_a_retry_whose_group_has_gone_goes_on_to_the_fallback(port, entry):
    place = port(
        entry("a"),
        entry("z", "small"),
        providers={"a": SimulatedProvider(latency=2.0, script=[500])},
        num_retries=2,
        fallbacks=[{"gpt-4": ["small"]}],
    )
    future = place.send()
    place.router.delete_deployment("a")
    assert future.get().route.deployment_id == "z"


def test_a_pause_before_a_retry_ends_when_its_group_has_gone(port, entry):
    place = port(
        entry("a"), providers={"a": SimulatedProvider(script=[500, 500])}, num_retries=1, retry_after=5.0
    )
    future = place.send()
    place.clock.advance(1.0)
    place.router.delete_deployment("a")
    with pytest.raises(Exception, match="simulated 500"):
        future.get()
    assert place.clock.now() == pytest.approx(1_000_005.0)


def test_a_fallback_group_that_has_gone_is_passed_over(port, entry, caplog):
    place = port(
        entry("a"),
        entry("b", "middle"),
        entry("z", "small"),
        providers={"a": SimulatedProvider(error_rate=1.0)},
        fallbacks=[{"gpt-4": ["middle", "small"]}],
    )
    place.router.delete_deployment("b")
    assert "group middle has no deployment any more; named in fallbacks" in caplog.text
    assert place.served() == "z"


def test_an_alias_of_a_group_that_has_gone_leads_nowhere_until_it_is_back(port, entry):
    place = port(entry("a"), model_group_alias={"best": "gpt-4"})
    place.router.delete_deployment("a")
    assert isinstance(place.error("best"), NotFoundError)
    place.router.add_deployment(entry("b"))
    assert place.served("best") == "b"


def test_an_unknown_deployment_cannot_be_deleted_or_updated(port, entry):
    place = port(entry("azure-eu"))
    before = place.story()
    with pytest.raises(NotFoundError, match="no deployment 'azure-ue'; did you mean 'azure-eu'"):
        place.router.delete_deployment("azure-ue")
    with pytest.raises(NotFoundError, match=r"\(known: azure-eu\)"):
        place.router.update_deployment("nobody", rpm=3)
    assert place.story() == before


def test_what_was_removed_can_be_added_again_and_goes_on_where_it_was(port, entry):
    """I3: its window does not forget."""
    place = port(entry("a", rpm=2))
    place.ask()
    place.router.delete_deployment("a")
    place.router.add_deployment(entry("a", rpm=2))
    place.ask()
    assert place.error().retry_after == pytest.approx(60.0)
    assert place.state("a")["totals"]["started"] == 2


def test_what_is_added_again_while_it_leaves_stays(port, entry):
    """I4"""
    place = port(entry("a", max_parallel_requests=2), default=SLOW)
    first = place.send()
    place.router.delete_deployment("a")
    place.router.add_deployment(entry("a", max_parallel_requests=2))
    second = place.send()
    assert "2/2 open" in place.line("a")
    assert isinstance(place.error(), NoDeploymentsAvailable)
    assert [first.get().route.deployment_id, second.get().route.deployment_id] == ["a", "a"]
    assert place.served() == "a"


# -- update and upsert


def test_an_update_keeps_totals_window_and_open_calls(port, entry):
    """I3, I4"""
    place = port(entry("a", rpm=10, input_cost_per_token=1.0, output_cost_per_token=1.0), default=SLOW)
    future = place.send()
    place.router.update_deployment("a", rpm=1)
    assert "1 open · 1/1 rpm" in place.line("a")
    assert isinstance(place.error(), NoDeploymentsAvailable)
    assert future.get().route.cost == 15.0
    place.router.update_deployment("a", rpm=None)
    assert place.ask().route.deployment_id == "a"
    assert place.state("a")["totals"]["succeeded"] == 2


def test_an_update_keeps_the_cooldown(port, entry):
    """I2"""
    place = port(entry("a"), providers={"a": SimulatedProvider(script=[401])}, cooldown_time=30)
    place.error()
    place.router.update_deployment("a", api_key="a-better-key")
    assert "cooling 30.0s" in place.line("a")
    place.clock.advance(30.0)
    assert place.served() == "a"


def test_a_new_price_and_a_new_weight_count_at_once(port, entry):
    prices = {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0}
    place = port(entry("a", weight=1, **prices), entry("b", weight=0, **prices))
    assert {place.served() for _ in range(5)} == {"a"}
    place.router.update_deployment("a", weight=0)
    place.router.update_deployment("b", weight=1, input_cost_per_token=2.0)
    assert {place.served() for _ in range(5)} == {"b"}
    assert place.ask().route.cost == 10 * 2.0 + 5 * 1.0


def test_the_cheapest_is_chosen_by_the_new_prices(port, entry):
    prices = {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0}
    dear = {"input_cost_per_token": 3.0, "output_cost_per_token": 1.0}
    place = port(entry("a", **prices), entry("b", **dear), routing_strategy="cost-based-routing")
    assert place.served(max_tokens=10) == "a"
    place.router.update_deployment("a", input_cost_per_token=5.0)
    assert place.served(max_tokens=10) == "b"


def test_a_deployment_can_move_to_another_group(port, entry):
    place = port(entry("a"), entry("b"), default=SLOW)
    running = place.send("a")
    place.router.update_deployment("a", model_name="small")
    assert place.served("small") == "a"
    assert {place.served() for _ in range(4)} == {"b"}
    assert running.get().route.deployment_id == "a"
    place.router.update_deployment("b", model_name="small")
    assert isinstance(place.error("gpt-4"), NotFoundError)
    assert "gpt-4" not in place.router._switchboard.groups


def test_a_parameter_is_changed_where_it_stands(port, entry):
    place = port({**entry("a"), "rpm": 5, "model_info": {"id": "a", "tpm": 100, "team": "x"}})
    place.router.update_deployment(
        "a", rpm=6, tpm=200, team="y", base_url="http://127.0.0.1:9", litellm_params={"temperature": 0.5}
    )
    assert place.config("a") == {
        "model_name": "gpt-4",
        "litellm_params": {
            "model": "openai/gpt-4o",
            "api_key": "***",
            "api_base": "http://127.0.0.1:9",
            "rpm": 6,
            "tpm": 200,
            "temperature": 0.5,
        },
        "model_info": {"id": "a", "team": "y"},
    }


def test_a_wrong_update_is_refused_and_changes_nothing(port, entry):
    place = port(entry("a"))
    before = (place.story(), place.router.get_deployments())
    with pytest.raises(ConfigurationError, match=r"deployment a\.litellm_params\.rpm = 0"):
        place.router.update_deployment("a", rpm=0, weight=3)
    with pytest.raises(ConfigurationError, match="cannot be changed"):
        place.router.update_deployment("a", id="b")
    with pytest.raises(ConfigurationError, match="cannot be changed"):
        place.router.update_deployment("a", model_info={"id": "b"})
    with pytest.raises(ConfigurationError, match=r"litellm_params = 3: must be a dict"):
        place.router.update_deployment("a", litellm_params=3)
    assert (place.story(), place.router.get_deployments()) == before


def test_an_update_that_changes_nothing_records_nothing(port, entry):
    place = port(entry("a", rpm=3))
    before = place.story()
    place.router.update_deployment("a")
    place.router.update_deployment("a", rpm=3)
    place.router.upsert_deployment(entry("a", rpm=3))
    place.router.set_model_list([entry("a", rpm=3)])
    assert place.story() == before


def test_a_new_key_is_recorded_as_a_change_without_the_key(port, entry):
    """I11"""
    place = port(entry("a"))
    place.router.update_deployment("a", api_key="hush-27182818")
    changes = [item.event for item in place.router.events("router") if type(item.event) is DeploymentUpdated]
    assert [change.withheld for change in changes] == [("litellm_params.api_key",)]
    assert "hush-27182818" not in repr(place.router.events())
    assert "hush-27182818" not in repr(place.router.get_deployments())
    key = place.router._wiring.deployments["a"].api_key
    assert key.get_secret_value() == "hush-27182818"


def test_upsert_adds_what_is_new_and_replaces_what_is_there(port, entry):
    place = port(entry("a", rpm=1, timeout=5))
    assert place.router.upsert_deployment(entry("b")) == "b"
    assert place.router.upsert_deployment(entry("a", tpm=100)) == "a"
    params = place.config("a")["litellm_params"]
    assert (params.get("rpm"), params.get("timeout"), params["tpm"]) == (None, None, 100)
    assert place.ids == ["a", "b"]


def test_what_the_caller_does_to_his_entry_afterwards_changes_nothing(port, entry):
    mine = entry("a", rpm=3)
    place = port(mine)
    theirs = entry("b", extra_body={"deep": [1]})
    place.router.add_deployment(theirs)
    mine["litellm_params"]["rpm"] = 99
    theirs["litellm_params"]["extra_body"]["deep"].append(2)
    place.router.update_deployment("a", weight=1)
    place.router.update_deployment("b", weight=1)
    assert place.config("a")["litellm_params"]["rpm"] == 3
    assert place.config("b")["litellm_params"]["extra_body"] == {"deep": [1]}


# -- the whole list


def test_a_new_list_replaces_the_old_one_and_keeps_what_is_in_both(port, entry):
    place = port(entry("a"), entry("b", rpm=5), default=SLOW)
    running = [place.send("a"), place.send("b")]
    place.router.set_model_list([entry("c"), entry("b", rpm=2)])
    assert place.ids == ["c", "b"]
    assert "1 open · 1/2 rpm" in place.line("b")
    assert [future.get().route.deployment_id for future in running] == ["a", "b"]
    assert place.story() == ["router_started", "deployment_added", "deployment_added", "model_list_set"]
    assert isinstance(place.error("a"), NotFoundError)


def test_no_group_is_without_a_deployment_while_the_list_is_replaced(port, entry):
    place = port(entry("a", max_parallel_requests=1), default=SLOW, on_exhausted="wait")
    place.send()
    waiting = place.send()
    place.router.set_model_list([entry("b")])
    assert waiting.get().route.deployment_id == "b"


@pytest.mark.parametrize(
    "bad",
    [
        {"model_name": "g", "litellm_params": {"model": "openai/x", "rpm": "many"}},
        {"model_name": "g", "litellm_params": {"model": "openai/x"}, "model_info": {"id": "new"}},
        17,
    ],
)
def test_a_list_with_one_bad_entry_changes_nothing_at_all(port, entry, bad):
    place = port(entry("a"), entry("b"))
    before = (place.story(), place.router.get_deployments())
    with pytest.raises(ConfigurationError, match=r"model_list\[1\]"):
        place.router.set_model_list([entry("new"), bad])
    assert (place.story(), place.router.get_deployments()) == before
    assert {place.served() for _ in range(8)} == {"a", "b"}


def test_an_empty_list_takes_all_deployments_out(port, entry):
    place = port(entry("a"), entry("b", "small"))
    place.router.set_model_list([])
    assert place.ids == []
    assert isinstance(place.error(), NotFoundError)
    assert place.router._switchboard.groups == {}
    place.router.add_deployment(entry("c"))
    assert place.served() == "c"


# -- wildcards and stand-ins


def test_wildcard_groups_come_and_go(port, entry):
    place = port(entry("a"))
    place.router.add_deployment(entry("w", "openai/*", model="openai/*"))
    assert place.served("openai/gpt-5") == "w"
    place.router.add_deployment(entry("x", "openai/gpt-*", model="openai/gpt-*"))
    assert place.served("openai/gpt-5") == "x"
    place.router.delete_deployment("x")
    assert place.served("openai/gpt-5") == "w"
    place.router.delete_deployment("w")
    assert isinstance(place.error("openai/gpt-5"), NotFoundError)


def test_a_new_deployment_stands_in_for_groups_that_may_use_it(port, entry):
    prices = {"input_cost_per_token": 2.0, "output_cost_per_token": 2.0}
    cheap = {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0}
    place = port(
        entry("a", **prices),
        entry("c", "small", **prices),
        routing_strategy="cost-based-routing",
        routing_strategy_args={"substitutes": {"gpt-4": ["small"]}},
    )
    place.router.add_deployment(entry("b", "small", **cheap))
    assert place.served() == "b"
    place.router.delete_deployment("b")
    assert place.served() in {"a", "c"}
    assert "b" not in place.router._switchboard.groups["gpt-4"]._actor_weakref()._roster


def test_a_group_that_is_back_gets_its_stand_ins_again(port, entry):
    prices = {"input_cost_per_token": 2.0, "output_cost_per_token": 2.0}
    cheap = {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0}
    place = port(
        entry("a", **prices),
        entry("c", "small", **cheap),
        routing_strategy="cost-based-routing",
        routing_strategy_args={"substitutes": {"gpt-4": ["small"]}},
    )
    place.router.delete_deployment("a")
    place.router.add_deployment(entry("b", **prices))
    assert place.served() == "c"


# -- looking, and the end


def test_get_deployments_gives_entries_in_the_shape_of_a_model_list_without_keys(port, entry, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "hush-1618033988")
    place = port(
        entry("a", api_key="os.environ/SOME_KEY", rpm=3, extra_headers={"X-Team": "secret-team"}),
        audit=True,
    )
    (shown,) = place.router.get_deployments()
    assert shown == {
        "model_name": "gpt-4",
        "litellm_params": {
            "model": "openai/gpt-4o",
            "api_key": "***",
            "rpm": 3,
            "extra_headers": {"X-Team": "***"},
        },
        "model_info": {"id": "a"},
    }


def test_a_closed_router_changes_nothing(port, entry):
    place = port(entry("a"))
    place.router.close()
    for change in (
        lambda: place.router.add_deployment(entry("b")),
        lambda: place.router.delete_deployment("a"),
        lambda: place.router.set_model_list([]),
    ):
        with pytest.raises(RouterClosedError):
            change()
    assert place.ids == ["a"]


def test_word_that_it_is_drained_which_comes_after_it_was_added_again_stops_nobody(port, entry):
    from turnout.messages.fleet_commands import Drained

    place = port(entry("a"))
    place.router._switchboard.supervisor.tell(Drained("a"))
    assert place.served() == "a"
    assert place.router._switchboard.deployments["a"].is_alive()
