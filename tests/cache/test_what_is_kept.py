"""Which answers are kept, and for whom: groups, caching groups, fallbacks, bounds."""

import pytest

from turnout import ConfigurationError, Router
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders


def mock(group, answer, deployment_id=None, **params):
    params = {"model": "openai/gpt-4o", "mock_response": answer, **params}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": deployment_id or group}}


def test_an_answer_is_its_groups_own(house):
    home = house()
    home.ask()
    assert not home.ask(model="small").route.cache_hit
    assert home.calls == 2


def test_caching_groups_share_their_answers(house):
    home = house(caching_groups=[("gpt-4", "small")])
    first = home.ask(model="gpt-4")
    second = home.ask(model="small")
    assert second.id == first.id
    assert second.route.model_group == "gpt-4"
    assert home.calls == 1


def test_a_group_in_two_caching_groups_is_in_the_first(house):
    entries = [house.deployment(f"of-{name}", name) for name in ("a", "b", "c")]
    home = house(model_list=entries, caching_groups=[("a", "b"), ("b", "c")])
    home.ask(model="c")
    assert not home.ask(model="b").route.cache_hit
    assert home.ask(model="a").route.cache_hit


def test_a_caching_group_must_name_groups_that_are_there(house):
    with pytest.raises(ConfigurationError, match=r"caching_groups: no model group 'gpt4'; did you mean"):
        house(caching_groups=[("gpt4", "small")])


def test_an_alias_leads_to_the_answers_of_its_group(house):
    home = house(model_group_alias={"best": "gpt-4"})
    home.ask(model="best")
    assert home.ask(model="gpt-4").route.cache_hit


def test_a_deployment_asked_by_its_id_is_not_answered_for_by_another(house):
    home = house(model_list=[house.deployment("eu"), house.deployment("us")])
    home.ask(model="eu")
    assert not home.ask(model="us").route.cache_hit
    assert not home.ask(model="gpt-4").route.cache_hit
    assert home.ask(model="us").route.cache_hit


def test_what_a_wildcard_stands_for_is_part_of_the_question(house):
    home = house(model_list=[house.deployment("any", "openai/*", model="openai/*")])
    home.ask(model="openai/gpt-4o")
    assert not home.ask(model="openai/gpt-4o-mini").route.cache_hit
    assert home.ask(model="openai/gpt-4o").route.cache_hit


def test_the_answer_of_a_fallback_is_not_kept_as_the_groups_own(house):
    home = house({"eu": [500]}, fallbacks=[{"gpt-4": ["small"]}], allowed_fails=100)
    assert home.ask().route.model_group == "small"
    assert home.ask().route.model_group == "gpt-4"
    assert home.ask().route.cache_hit


def test_tags_that_decide_between_deployments_are_part_of_the_question(house):
    entries = [house.deployment("free", tags=["free"]), house.deployment("paid", tags=["paid"])]
    home = house(model_list=entries, enable_tag_filtering=True)
    home.ask(tags=["free"])
    assert not home.ask(tags=["paid"]).route.cache_hit
    assert home.ask(tags=["paid"]).route.deployment_id == "paid"


def test_where_a_request_may_go_is_part_of_the_question(house):
    entries = [
        house.deployment("eu", region_name="eu-west-1"),
        house.deployment("us", region_name="us-east-1"),
    ]
    home = house(model_list=entries, enable_pre_call_checks=True)
    home.ask(allowed_model_region="us")
    answer = home.ask(allowed_model_region="eu")
    assert (answer.route.cache_hit, answer.route.deployment_id) == (False, "eu")
    assert home.ask(allowed_model_region="eu").route.cache_hit


def test_a_session_is_no_part_of_the_question(house):
    home = house()
    home.ask(session_id="one")
    assert home.ask(session_id="two").route.cache_hit
    assert home.ask().route.cache_hit


def test_tags_that_decide_nothing_are_not(house):
    home = house()
    home.ask(tags=["a"], metadata={"team": "one"})
    assert home.ask(tags=["b"], metadata={"team": "two"}).route.cache_hit


def test_what_a_content_filter_cut_is_given_to_those_who_wait_but_not_kept():
    answer = {"choices": [{"message": {"content": "I"}, "finish_reason": "content_filter"}]}
    entries = [mock("gpt-4", answer, mock_delay=1)]
    with Router(entries, cache_responses=True, clock=FakeClock()) as router:
        from turnout import CompletionRequest

        request = CompletionRequest(model="gpt-4", messages=[{"role": "user", "content": "x"}])
        futures = [router.ask(request, block=False) for _ in range(3)]
        assert [future.get().route.cache_hit for future in futures] == [False, True, True]
        assert not router.ask(request).route.cache_hit
        streamed = CompletionRequest(model="gpt-4", messages=request.messages, stream=True)
        futures = [router.ask(streamed, block=False) for _ in range(2)]
        streams = [future.get() for future in futures]
        assert [stream.text for stream in streams if list(stream)] == ["I", "I"]
        assert [stream.route.cache_hit for stream in streams] == [False, True]
        again = router.ask(streamed)
        assert list(again)
        assert not again.route.cache_hit


def test_tool_calls_and_fields_that_a_provider_added_come_back_as_they_were():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = {
        "choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
        "system_fingerprint": "fp_1",
    }
    with Router([mock("gpt-4", answer)], cache_responses=True, clock=FakeClock()) as router:
        messages = [{"role": "user", "content": "x"}]
        first, second = (router.completion("gpt-4", messages) for _ in range(2))
        assert second.route.cache_hit
        assert second.model_dump() == first.model_dump()
        assert second.model_dump(exclude_unset=True) == first.model_dump(exclude_unset=True)
        assert second.system_fingerprint == "fp_1"
        assert second.usage.prompt_tokens_details == {"cached_tokens": 1}


def test_a_mock_answer_of_the_request_is_part_of_the_question(house):
    with Router([house.deployment("m")], cache_responses=True, clock=FakeClock()) as router:
        messages = [{"role": "user", "content": "x"}]
        one, two, again = (router.completion("gpt-4", messages, mock_response=text) for text in "aba")
        assert [answer.choices[0].message.content for answer in (one, two, again)] == ["a", "b", "a"]
        assert again.route.cache_hit


def test_test_switches_go_past_the_cache(house):
    home = house(fallbacks=[{"gpt-4": ["small"]}])
    home.ask()
    answer = home.ask(mock_testing_fallbacks=True)
    assert (answer.route.cache_hit, answer.route.model_group) == (False, "small")


def test_memory_keeps_as_many_answers_as_it_may(house):
    home = house(cache_kwargs={"max_entries": 2})
    for text in "abc":
        home.ask(text)
    assert [home.ask(text).route.cache_hit for text in "cba"] == [True, True, False]
    assert home.health()["entries"] == 2


def test_memory_keeps_as_many_bytes_as_it_may(house):
    home = house({"eu": SimulatedProvider(text="x" * 3000)}, cache_kwargs={"max_bytes": 10_000})
    for number in range(20):
        home.ask(str(number))
    assert home.health()["bytes"] <= 10_000
    assert home.ask("19").route.cache_hit
    assert not home.ask("0").route.cache_hit


def test_an_answer_larger_than_the_cache_is_shared_and_not_kept(house):
    home = house({"eu": SimulatedProvider(text="x" * 3000)}, cache_kwargs={"max_bytes": 1000})
    assert len({home.send().get().id for _ in range(1)}) == 1
    futures = [home.send("y") for _ in range(3)]
    assert len({future.get().id for future in futures}) == 1
    assert home.health()["entries"] == 0


def test_the_same_seed_gives_the_same_events_with_a_cache(house):
    def run():
        home = house({"eu": SimulatedProvider(latency=1)})
        futures = [home.send(text) for text in "aabbacab"]
        for future in futures:
            future.get()
        list(home.ask("a", stream=True))
        return [(r.stream, r.version, r.at - home.clock.now(), r.event) for r in home.router.events()]

    assert run() == run()


def test_without_a_cache_the_controls_of_a_request_mean_nothing():
    entry = {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4o"}}
    with Router([entry], clock=FakeClock(), caller=SimulatedProviders()) as router:
        messages = [{"role": "user", "content": "x"}]
        for _ in range(2):
            answer = router.completion("gpt-4", messages, cache={"ttl": 5}, caching=True)
            assert not answer.route.cache_hit
