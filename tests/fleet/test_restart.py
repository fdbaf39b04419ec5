"""A router restarted on its journal has the deployments that were there; who spoke last counts."""

from __future__ import annotations

import pytest

from turnout import NoDeploymentsAvailable, NotFoundError, RateLimitError, Router
from turnout.actors.journal.memory import MemoryStore
from turnout.messages.entries import MAX_MOCK_BYTES
from turnout.messages.errors import ConfigurationError
from turnout.messages.events import DeploymentAdded, DeploymentRemoved, DeploymentUpdated
from turnout.testing import FakeClock, SimulatedProviders

KEY = "sk-" + "live0123456789abcdef"


@pytest.fixture
def journal(tmp_path):
    return f"sqlite:///{tmp_path / 'turnout.db'}"


@pytest.fixture
def lives(port, journal):
    """Each call is the next router on the same journal; the one before is closed."""
    opened = []

    def next_life(*entries, **settings):
        for place in opened:
            place.router.close()
        start = opened[-1].clock.now() + 1.0 if opened else 1_000_000.0
        opened.append(port(*entries, journal=journal, start=start, audit=False, **settings))
        return opened[-1]

    return next_life


def test_added_deployments_are_there_after_a_restart(lives, entry, monkeypatch):
    monkeypatch.setenv("FLEET_KEY", "hush-31415")
    first = lives(entry("a"))
    first.router.add_deployment(entry("b", "small", api_key="os.environ/FLEET_KEY", rpm=7))
    second = lives(entry("a"))
    assert second.ids == ["a", "b"]
    assert second.config("b")["litellm_params"]["rpm"] == 7
    assert second.served("small") == "b"
    assert second.router._wiring.deployments["b"].api_key.get_secret_value() == "hush-31415"
    assert second.router.health()["ok"]


def test_a_reference_is_read_again_at_every_start(lives, entry, monkeypatch):
    monkeypatch.setenv("FLEET_KEY", "the-old-key")
    lives().router.add_deployment(entry("b", api_key="os.environ/FLEET_KEY"))
    monkeypatch.setenv("FLEET_KEY", "the-new-key")
    assert lives().router._wiring.deployments["b"].api_key.get_secret_value() == "the-new-key"


def test_a_deleted_deployment_stays_deleted_when_the_list_says_what_it_said_before(lives, entry):
    lives(entry("a"), entry("b")).router.delete_deployment("b")
    assert lives(entry("a"), entry("b")).ids == ["a"]
    assert lives(entry("a"), entry("b")).ids == ["a"]


def test_an_update_stays_when_the_list_says_what_it_said_before(lives, entry):
    lives(entry("a", rpm=5)).router.update_deployment("a", rpm=9)
    second = lives(entry("a", rpm=5))
    assert second.config("a")["litellm_params"]["rpm"] == 9
    assert second.served() == "a"


def test_another_key_in_the_list_is_no_new_word_and_the_key_is_used(lives, entry):
    lives(entry("a"), entry("b")).router.update_deployment("a", rpm=9)
    second = lives(entry("a", api_key="rotated"), entry("b", api_key="rotated"))
    assert second.config("a")["litellm_params"]["rpm"] == 9
    keys = [second.router._wiring.deployments[name].api_key.get_secret_value() for name in "ab"]
    assert keys == ["rotated", "rotated"]


def test_an_entry_that_was_edited_in_the_list_counts(lives, entry):
    place = lives(entry("a", rpm=5), entry("b"))
    place.router.update_deployment("a", rpm=9)
    place.router.delete_deployment("b")
    second = lives(entry("a", rpm=6), entry("b", weight=2))
    assert second.ids == ["a", "b"]
    assert second.config("a")["litellm_params"]["rpm"] == 6


def test_an_entry_that_left_the_list_is_gone_and_may_come_back(lives, entry):
    place = lives(entry("a"), entry("b"))
    place.router.update_deployment("b", rpm=9)
    assert lives(entry("a")).ids == ["a"]
    assert lives(entry("a"), entry("b")).ids == ["a", "b"]


def test_an_entry_that_was_deleted_then_left_the_list_and_is_in_it_again_counts(lives, entry):
    lives(entry("a"), entry("b")).router.delete_deployment("b")
    assert lives(entry("a")).ids == ["a"]
    assert lives(entry("a"), entry("b")).ids == ["a", "b"]


def test_without_a_list_everything_is_as_the_journal_says(lives, entry, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    place = lives(entry("a"), entry("b"))
    place.router.delete_deployment("a")
    place.router.add_deployment(entry("c"))
    second = lives(model_list=None)
    assert second.ids == ["b", "c"]
    assert second.served() in {"b", "c"}
    assert lives(model_list=[]).ids == ["c"]


def test_set_model_list_outlives_the_process(lives, entry):
    lives(entry("a"), entry("b")).router.set_model_list([entry("b", rpm=2), entry("c")])
    second = lives(entry("a"), entry("b"))
    assert second.ids == ["b", "c"]
    assert second.config("b")["litellm_params"]["rpm"] == 2


def test_a_start_with_nothing_new_records_nothing_of_deployments(lives, entry):
    lives(entry("a"), entry("b"))
    second = lives(entry("a"), entry("b"))
    kinds = [type(item.event) for item in second.router.events("router")]
    assert kinds.count(DeploymentAdded) == 2
    assert DeploymentUpdated not in kinds
    assert DeploymentRemoved not in kinds


def test_what_the_state_of_an_added_deployment_was_it_is(lives, entry):
    """I3, I8"""
    place = lives()
    place.router.add_deployment(entry("b", rpm=1, api_key="os.environ/HOME"))
    place.ask()
    second = lives()
    assert isinstance(second.error(), NoDeploymentsAvailable)
    assert second.state("b")["totals"]["succeeded"] == 1


# -- keys


def test_a_deployment_whose_key_is_nowhere_to_be_found_takes_no_calls_and_says_why(lives, entry):
    lives(entry("a")).router.add_deployment(entry("b", "small"))
    second = lives(entry("a"))
    assert second.ids == ["a", "b"]
    health = second.router.health()
    assert not health["ok"]
    assert health["incomplete"] == {
        "b": "the journal cannot hold litellm_params.api_key, and nobody gave it again"
    }
    assert "small/b · unhealthy" in second.line("b")
    error = second.error("small")
    assert isinstance(error, NoDeploymentsAvailable)
    assert "1 unhealthy" in str(error)
    assert error.left_out[0].detail == health["incomplete"]["b"]
    assert second.providers.calls == {}


def test_an_update_that_gives_the_key_brings_it_back(lives, entry):
    lives().router.add_deployment(entry("b"))
    second = lives()
    second.router.update_deployment("b", rpm=3)
    assert "b" in second.router.health()["incomplete"]
    second.router.update_deployment("b", api_key="here-it-is")
    assert second.router.health()["incomplete"] == {}
    assert second.served() == "b"
    assert second.config("b")["litellm_params"]["rpm"] == 3


def test_what_lacked_its_key_lacks_it_still_after_an_update_and_another_restart(lives, entry):
    lives().router.add_deployment(entry("b"))
    lives().router.update_deployment("b", rpm=3)
    third = lives()
    assert "b" in third.router.health()["incomplete"]
    assert third.config("b")["litellm_params"]["rpm"] == 3


def test_without_an_address_of_its_own_the_key_comes_from_the_environment(lives, entry, monkeypatch):
    lives().router.add_deployment(entry("b"))
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    second = lives()
    assert second.served() == "b"
    assert second.router._wiring.deployments["b"].api_key.get_secret_value() == "from-the-environment"


@pytest.mark.parametrize("given", ["environment", "defaults"])
def test_no_key_from_elsewhere_reaches_an_address_of_its_own(lives, entry, monkeypatch, given):
    """A key must not reach whoever stands behind another address."""
    lives().router.add_deployment(entry("b", api_base="http://127.0.0.1:9"))
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-them")
    settings = {"default_litellm_params": {"api_key": "not-for-them"}} if given == "defaults" else {}
    second = lives(**settings)
    assert "b" in second.router.health()["incomplete"]
    assert isinstance(second.error(), NoDeploymentsAvailable)


def test_the_lists_key_is_used_only_at_the_same_address(lives, entry):
    listed = entry("a", api_base="http://127.0.0.1:9")
    first = lives(listed)
    first.router.update_deployment("a", rpm=4)
    second = lives(listed)
    assert second.router.health()["incomplete"] == {}
    second.router.update_deployment("a", api_base="http://127.0.0.2:9", api_key="theirs")
    assert "a" in lives(listed).router.health()["incomplete"]


def test_a_variable_that_is_not_set_any_more_does_not_stop_the_router(lives, entry, monkeypatch):
    monkeypatch.setenv("FLEET_KEY", "k")
    lives(entry("a")).router.add_deployment(entry("b", api_key="os.environ/FLEET_KEY"))
    monkeypatch.delenv("FLEET_KEY")
    second = lives(entry("a"))
    assert "litellm_params.api_key" in second.router.health()["incomplete"]["b"]
    assert {second.served() for _ in range(4)} == {"a"}
    monkeypatch.setenv("FLEET_KEY", "k")
    assert lives(entry("a")).router.health()["incomplete"] == {}


def asked(router, group="gpt-4"):
    return router.completion(group, [{"role": "user", "content": "hi"}]).choices[0].message.content


def test_an_answer_that_the_constructor_makes_up_is_not_in_the_journal(journal, entry):
    """I11; whoever gives it gives it again"""
    made_up = "an answer for nobody else"
    for _ in range(2):
        with Router([entry("m", mock_response=made_up)], clock=FakeClock(), journal=journal) as router:
            assert made_up not in repr(router.events())
            assert asked(router) == made_up


@pytest.mark.parametrize("how", ["add", "upsert", "update", "list"])
def test_an_answer_that_was_made_up_at_run_time_is_configuration_and_comes_back(journal, entry, how):
    made_up = entry("m", mock_response="an answer")
    with Router([entry("m", mock_response="another")], clock=FakeClock(), journal=journal) as router:
        match how:
            case "add":
                router.delete_deployment("m")
                router.add_deployment(made_up)
            case "upsert":
                router.upsert_deployment(made_up)
            case "update":
                router.update_deployment("m", mock_response="an answer")
            case "list":
                router.set_model_list([made_up])
        assert router.get_deployments()[0]["litellm_params"]["mock_response"] == "<str>"
    with Router(None, clock=FakeClock(), journal=journal) as router:
        assert router.health()["incomplete"] == {}
        assert asked(router) == "an answer"
    with Router([entry("m", mock_response="another")], clock=FakeClock(), journal=journal) as router:
        assert asked(router) == "an answer", "the list says nothing new"


@pytest.mark.parametrize("mock", ["x" * MAX_MOCK_BYTES, b"sound", f"say {KEY}"])
def test_a_made_up_answer_that_no_journal_should_hold_must_be_given_again(journal, entry, mock):
    """I11"""
    with Router([], clock=FakeClock(), journal=journal) as router:
        router.add_deployment(entry("m", mock_response=mock))
        assert KEY not in repr(router.events())
    with Router([], clock=FakeClock(), journal=journal) as router:
        assert "litellm_params.mock_response" in router.health()["incomplete"]["m"]
        router.upsert_deployment(entry("m", mock_response=mock))
        assert router.health()["ok"]


@pytest.mark.parametrize(
    "mock", ["litellm.RateLimitError", RateLimitError, RateLimitError("not to be written")]
)
def test_an_error_made_up_for_tests_is_only_a_name_and_comes_back(journal, entry, mock):
    """I11"""
    with Router([], clock=FakeClock(), journal=journal) as router:
        router.add_deployment(entry("m", mock_response=mock))
        assert "not to be written" not in repr(router.events())
    with Router([], clock=FakeClock(), journal=journal) as router:
        assert router.health()["incomplete"] == {}
        with pytest.raises(RateLimitError):
            router.completion("gpt-4", [{"role": "user", "content": "hi"}])


def test_a_journal_entry_that_cannot_be_understood_does_not_stop_the_router(lives, entry, caplog):
    store = MemoryStore()
    with Router([entry("a")], clock=FakeClock(), journal=store, caller=SimulatedProviders()) as router:
        router._wiring.fleet._record(
            DeploymentAdded("odd", "gpt-4", {"model_name": "gpt-4", "litellm_params": {}}, (), listed=False)
        )
    with Router([entry("a")], clock=FakeClock(), journal=store, caller=SimulatedProviders()) as router:
        assert "litellm_params.model: required" in router.health()["incomplete"]["odd"]
        assert "deployment odd cannot be restored" in caplog.text
        with pytest.raises(ConfigurationError, match=r"could not be restored.*upsert_deployment"):
            router.update_deployment("odd", rpm=3)
        router.delete_deployment("odd")
        assert router.health()["ok"]


# -- settings that speak of groups


def test_a_setting_may_speak_of_a_group_that_was_deleted_or_added_at_run_time(lives, entry, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    first = lives(entry("a"), entry("b", "small"), model_group_alias={"cheap": "small"})
    first.router.delete_deployment("b")
    first.router.add_deployment(entry("c", "large"))
    aliases = {"cheap": "small", "dear": "large"}
    second = lives(entry("a"), entry("b", "small"), model_group_alias=aliases)
    assert second.served("dear") == "c"
    assert isinstance(second.error("cheap"), NotFoundError)


def test_a_slip_in_the_settings_is_still_an_error(lives, entry):
    lives(entry("a"), entry("b", "small"))
    with pytest.raises(ConfigurationError, match="no model group 'small'"):
        lives(entry("a"), model_group_alias={"cheap": "small"})


# -- snapshots


def test_a_long_story_is_told_from_a_snapshot(lives, entry, monkeypatch):
    """I8"""
    from turnout.supervisor.fleet import manager

    monkeypatch.setattr(manager, "SNAPSHOT_EVERY", 4)
    place = lives(entry("a"), entry("b"))
    for rpm in range(1, 12):
        place.router.update_deployment("a", rpm=rpm)
    place.router.delete_deployment("b")
    snapshot = place.router._journal.snapshot("router")
    assert snapshot.version > 8
    second = lives(entry("a"), entry("b"))
    assert second.ids == ["a"]
    assert second.config("a")["litellm_params"]["rpm"] == 11


def test_a_journal_of_the_first_version_is_understood(entry):
    store = MemoryStore()
    with Router([], clock=FakeClock(), journal=store, caller=SimulatedProviders()) as router:
        config = {
            "model_name": "gpt-4",
            "litellm_params": {"model": "openai/gpt-4o", "api_key": "***"},
            "model_info": {"id": "a"},
        }
        router._wiring.record(DeploymentAdded("a", "gpt-4", config))
    with Router([entry("a")], clock=FakeClock(), journal=store, caller=SimulatedProviders()) as router:
        assert router.health()["ok"]
        assert [item["model_info"]["id"] for item in router.get_deployments()] == ["a"]
