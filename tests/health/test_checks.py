"""One real minimal call per deployment, a few at a time; what fails is left out while others are well."""

from __future__ import annotations

import asyncio
import io
import wave

import pytest

from turnout import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NoDeploymentsAvailable,
    NotFoundError,
    Router,
    RouterClosedError,
)
from turnout.actors.deployment.minimal import CHECK_SECONDS, IMAGE_CHECK_SECONDS, minimal_request
from turnout.messages.commands import Inspect
from turnout.messages.health_commands import CheckDeployment, CheckHealth
from turnout.messages.settings import parse_deployment
from turnout.supervisor.fleet.health_checker import MAX_CHECKS, PATIENCE_SECONDS
from turnout.testing import FakeClock, SimulatedProvider

KEY = "sk-" + "live0123456789abcdef"


def asked_of(fields):
    return minimal_request(parse_deployment(fields, "x"))


LOW = {"size": "1024x1024", "quality": "low"}

# -- the report


def test_the_report_tells_who_is_well_and_who_is_not_with_latency_and_error(ward, entry):
    place = ward(
        entry("a"),
        entry("b", "small", api_base="https://user:secret@example.com/v1?key=hush"),
        providers={"a": SimulatedProvider(latency=0.25), "b": SimulatedProvider(latency=2.0, script=[503])},
    )
    assert place.router.health_check() == {
        "healthy_endpoints": [
            {"deployment_id": "a", "model_name": "gpt-4", "model": "openai/gpt-4o", "latency": 0.25}
        ],
        "unhealthy_endpoints": [
            {
                "deployment_id": "b",
                "model_name": "small",
                "model": "openai/gpt-4o",
                "api_base": "https://***@example.com/v1?key=***",
                "latency": 2.0,
                "error": "ServiceUnavailableError: simulated 503",
                "status_code": 503,
                "counted": True,
            }
        ],
        "unchecked_endpoints": [],
        "healthy_count": 1,
        "unhealthy_count": 1,
    }


def test_a_group_an_alias_or_a_single_deployment_can_be_checked(ward, entry):
    place = ward(entry("a"), entry("b"), entry("c", "small"), model_group_alias={"cheap": "small"})

    def checked(model):
        return [row["deployment_id"] for row in place.router.health_check(model)["healthy_endpoints"]]

    assert checked("gpt-4") == ["a", "b"]
    assert checked("cheap") == ["c"]
    assert checked("b") == ["b"]
    with pytest.raises(NotFoundError, match="no model 'gpt4'; did you mean 'gpt-4'"):
        place.router.health_check("gpt4")


def test_a_chat_model_is_asked_for_one_token_and_a_thinking_one_by_its_other_name(entry):
    def asked(**fields):
        return asked_of(entry("a", **fields)).request.wire_params()

    assert asked() == {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    assert asked(model="openai/o3-mini")["max_completion_tokens"] == 1
    assert "max_tokens" not in asked(model="openai/gpt-5-mini")


def test_a_wildcard_is_checked_by_the_model_it_names_or_not_at_all(ward, entry):
    place = ward(
        entry("named", "openai/*", {"health_check_model": "openai/gpt-4o-mini"}, model="openai/*"),
        entry("nameless", "other/*", model="openai/*"),
    )
    report = place.router.health_check()
    assert [row["deployment_id"] for row in report["healthy_endpoints"]] == ["named"]
    (row,) = report["unchecked_endpoints"]
    assert (row["deployment_id"], row["latency"]) == ("nameless", None)
    assert "health_check_model" in row["error"]


@pytest.mark.parametrize(
    ("model", "kind", "wanted"),
    [
        ("gpt-3.5-turbo-instruct", "text_completion", {"prompt": "Hi", "max_tokens": 1}),
        ("text-embedding-3-small", "embedding", {"input": "Hi"}),
        ("omni-moderation-latest", "moderation", {"input": "Hi"}),
        ("tts-1", "speech", {"input": "Hi", "voice": "alloy"}),
    ],
)
def test_what_is_no_chat_model_is_asked_for_a_little_of_what_it_is_for(entry, model, kind, wanted):
    request = asked_of(entry("a", model=f"openai/{model}")).request
    assert (request.KIND, request.wire_params()) == (kind, wanted)


def test_a_voice_of_its_own_can_be_named(entry):
    fields = entry("a", "voice", {"health_check_voice": "nova"}, model="openai/tts-1")
    assert asked_of(fields).request.voice == "nova"


def test_a_model_that_hears_is_asked_for_half_a_second_of_silence(entry):
    request = asked_of(entry("a", model="openai/whisper-1")).request
    assert request.KIND == "transcription"
    assert request.file.name == "silence.wav"
    with wave.open(io.BytesIO(request.file.source)) as sound:
        assert sound.getnframes() / sound.getframerate() == 0.5
        assert not any(sound.readframes(sound.getnframes()))


@pytest.mark.parametrize(
    "model", ["text-embedding-3-small", "omni-moderation-latest", "whisper-1", "tts-1", "dall-e-2"]
)
def test_they_are_healthy_when_they_answer(ward, entry, model):
    assert ward(entry("a", model=f"openai/{model}")).router.health_check()["healthy_count"] == 1


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"model": "openai/dall-e-2"}, {"size": "256x256"}),
        ({"model": "openai/dall-e-3"}, {}),
        ({"model": "openai/gpt-image-1"}, LOW),
        ({"model": "azure/mine", "base_model": "azure/gpt-image-1-mini"}, LOW),
        ({"model": "openai/flux", "mode": "image_generation"}, {}),
    ],
)  # fmt: skip
def test_a_model_that_paints_is_asked_for_the_least_image_it_makes(entry, params, wanted):
    minimal = asked_of(entry("a", **params))
    assert minimal.request.KIND == "image_generation"
    assert minimal.request.wire_params() == {"prompt": "a white square", **wanted}
    assert minimal.seconds == IMAGE_CHECK_SECONDS, minimal_request


def test_a_checked_image_is_one_call_that_costs_an_image(ward, entry):
    place = ward(entry("a", info={"output_cost_per_image": 0.04}, model="openai/dall-e-3"))
    assert place.router.health_check()["healthy_count"] == 1
    assert place.providers.calls == {"a": 1}
    assert [event.cost for event in place.checks("a")] == [0.04]


def test_an_image_has_more_time_to_come(ward, entry):
    slow = SimulatedProvider(latency=CHECK_SECONDS + 1)
    place = ward(entry("a", model="openai/dall-e-3"), entry("b"), default=slow)
    report = place.router.health_check()
    assert [row["deployment_id"] for row in report["healthy_endpoints"]] == ["a"]
    assert [row["deployment_id"] for row in report["unhealthy_endpoints"]] == ["b"]


@pytest.mark.parametrize("rule", [False, "on_demand"])
def test_a_check_can_be_switched_off_or_left_to_those_who_ask(ward, entry, rule):
    place = ward(
        entry("a", info={"health_check": rule}, model="openai/dall-e-3"), entry("b"), health_check_interval=60
    )
    place.clock.advance(61)
    assert place.providers.calls == {"b": 1}
    report = place.router.health_check("a")
    if rule is False:
        (row,) = report["unchecked_endpoints"]
        assert row["error"] == "its model_info.health_check is False"
    assert report["healthy_count"] == place.providers.calls.get("a", 0) == (0 if rule is False else 1)


def test_what_a_check_asks_for_can_be_said(entry):
    info = {"health_check_params": {"max_tokens": 16, "reasoning_effort": "low"}}
    assert asked_of(entry("a", info=info)).request.wire_params() == {
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 16,
        "reasoning_effort": "low",
    }


def test_what_no_request_can_have_is_told_and_asked_of_nobody(ward, entry):
    place = ward(entry("a", info={"health_check_params": {"max_tokens": "many"}}))
    (row,) = place.router.health_check()["unchecked_endpoints"]
    assert row["error"].startswith(
        "its model_info.health_check_params are wrong: CompletionRequest.max_tokens"
    )
    assert place.providers.calls == {}


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"health_check": "never"}, "health_check = 'never': must be True, False or 'on_demand'"),
        ({"health_check_voice": 7}, "health_check_voice = 7: must be a text"),
        ({"health_check_params": "size"}, "health_check_params = 'size': must be a dict"),
        ({"health_check_params": {"model": "x"}}, "health_check_params.model: is not for the check to say"),
    ],
)
def test_rules_that_are_none_are_refused(entry, info, told):
    with pytest.raises(ConfigurationError) as caught:
        Router([entry("a", info=info)])
    assert str(caught.value).startswith(f"model_list[0].model_info.{told}")


def test_a_mode_that_has_no_endpoint_here_is_not_checked(ward, entry):
    place = ward(entry("a", mode="video_generation"))
    report = place.router.health_check()
    assert report["unchecked_endpoints"][0]["error"] == "no request here is for mode video_generation"
    assert place.providers.calls == {}


def test_at_most_max_checks_run_at_the_same_time(ward, entry):
    count = MAX_CHECKS * 2 + 3
    place = ward(*[entry(f"d{number}") for number in range(count)], default=SimulatedProvider(latency=1.0))
    started = place.clock.now()
    report = place.router.health_check()
    assert report["healthy_count"] == count
    assert place.clock.now() - started == pytest.approx(3.0)


def test_checks_of_one_deployment_that_are_asked_for_at_once_are_one_call(ward, entry):
    place = ward(entry("a"), default=SimulatedProvider(latency=1.0))

    async def main():
        return await asyncio.gather(*[place.router.ahealth_check() for _ in range(5)])

    reports = asyncio.run(main())
    assert [report["healthy_count"] for report in reports] == [1] * 5
    assert place.providers.calls == {"a": 1}


def test_a_check_has_a_time_of_its_own(ward, entry):
    place = ward(entry("a", timeout=3600), default=SimulatedProvider(hang=True))
    (row,) = place.router.health_check()["unhealthy_endpoints"]
    assert row["latency"] == CHECK_SECONDS
    assert row["error"] == "Timeout: no answer to a health check after 30 s"
    assert row["status_code"] == 408


def test_no_secret_is_in_a_report_or_in_an_event(ward, entry):
    """I11"""
    wrong = AuthenticationError(f"Incorrect API key provided: {KEY} and hush-27182818")
    place = ward(entry("a", api_key="hush-27182818"), providers={"a": SimulatedProvider(script=[wrong])})
    report = place.router.health_check()
    assert report["unhealthy_count"] == 1
    everything = repr(report) + repr(place.router.events())
    assert KEY not in everything
    assert "hush-27182818" not in everything


def test_a_mock_is_checked_like_anything_else():
    clock = FakeClock()
    entries = [
        {"model_name": "g", "litellm_params": {"model": "openai/x", "mock_response": "hi"}},
        {
            "model_name": "g",
            "litellm_params": {"model": "openai/y", "mock_response": "litellm.RateLimitError"},
        },
        {"model_name": "g", "litellm_params": {"model": "openai/z", "mock_timeout": True}},
    ]
    with Router(entries, clock=clock) as router:
        report = router.health_check()
        assert [row["model"] for row in report["healthy_endpoints"]] == ["openai/x"]
        assert sorted(row["status_code"] for row in report["unhealthy_endpoints"]) == [408, 429]


# -- what follows from it


def test_a_deployment_that_fails_is_left_out_until_a_check_goes_well(ward, entry):
    place = ward(entry("a"), entry("b"), providers={"b": SimulatedProvider(script=[500])})
    place.router.health_check()
    assert "b · unhealthy" in place.line("b")
    assert place.serving() == {"a"}
    place.router.health_check("b")
    assert place.serving() == {"a", "b"}


def test_a_decision_tells_that_it_was_left_out_as_unhealthy(ward, entry):
    place = ward(entry("a"), entry("b"), providers={"b": SimulatedProvider(script=[500])})
    place.router.health_check()
    place.served()
    picked = [r.event for r in place.router.events() if r.event.TYPE == "deployment_picked"]
    assert [(item.deployment_id, item.reason) for item in picked[-1].decision.left_out] == [
        ("b", "unhealthy")
    ]


def test_nobody_is_left_out_where_nobody_is_well(ward, entry):
    bad = SimulatedProvider(script=[500])
    place = ward(entry("a"), entry("b"), providers={"a": bad, "b": bad})
    place.router.health_check()
    assert "unhealthy" in place.line("a")
    group = place.router._switchboard.groups["gpt-4"].ask(Inspect(), block=False)
    assert place.served() in {"a", "b"}
    assert group.get()["eligible"] == 2


def test_a_call_that_goes_well_makes_well(ward, entry):
    bad = SimulatedProvider(script=[500])
    place = ward(entry("a"), entry("b"), providers={"a": bad, "b": bad})
    place.router.health_check()
    first = place.served()
    assert "unhealthy" not in place.line(first)
    assert place.serving() == {first}, "the other one is not well, and somebody is"


def test_those_who_are_not_well_serve_when_the_last_one_who_is_leaves(ward, entry):
    place = ward(entry("a"), entry("b"), providers={"b": SimulatedProvider(script=[500])})
    place.router.health_check()
    assert place.serving() == {"a"}
    place.router.delete_deployment("a")
    assert place.served() == "b"


def test_a_well_one_who_joins_takes_over_from_those_who_are_not(ward, entry):
    place = ward(entry("a"), providers={"a": SimulatedProvider(script=[500])})
    place.router.health_check()
    place.router.add_deployment(entry("b"))
    assert place.serving() == {"b"}


def test_who_waits_is_served_when_a_check_goes_well(ward, entry):
    place = ward(
        entry("a", max_parallel_requests=1),
        entry("b"),
        providers={"a": SimulatedProvider(hang=True), "b": SimulatedProvider(script=[500])},
        on_exhausted="wait",
    )
    place.router.health_check("b")
    place.send()
    waiting = place.send()
    assert not waiting.done()
    place.router.health_check("b")
    assert waiting.get(timeout=0.001).route.deployment_id == "b"


def test_asked_for_by_its_id_an_unhealthy_deployment_does_not_serve(ward, entry):
    place = ward(entry("a"), entry("b"), providers={"b": SimulatedProvider(script=[500])})
    place.router.health_check()
    with pytest.raises(NoDeploymentsAvailable, match="1 unhealthy"):
        place.served("b")


def test_an_answer_that_only_dislikes_the_little_request_leaves_nobody_out(ward, entry):
    odd = SimulatedProvider(script=[BadRequestError("max_tokens is not supported")])
    place = ward(entry("a"), entry("b"), providers={"b": odd})
    (row,) = place.router.health_check()["unhealthy_endpoints"]
    assert (row["status_code"], row["counted"]) == (400, False)
    assert place.serving() == {"a", "b"}


def test_a_deployment_that_cools_down_may_be_checked_and_goes_on_cooling(ward, entry):
    """I2 speaks of calls; the breaker learns nothing of a check."""
    place = ward(entry("a"), providers={"a": SimulatedProvider(script=[401])}, cooldown_time=30)
    with pytest.raises(AuthenticationError):
        place.served()
    assert place.router.health_check()["healthy_count"] == 1
    assert "cooling 30.0s" in place.line("a")


# -- what it costs


def test_a_check_counts_in_the_windows_and_in_the_totals(ward, entry):
    """I3"""
    place = ward(
        entry("a", rpm=3, tpm=1000, input_cost_per_token=1.0, output_cost_per_token=2.0),
        default=SimulatedProvider(prompt_tokens=8, completion_tokens=1),
    )
    place.router.health_check()
    assert "1/3 rpm · 9/1000 tpm" in place.line("a")
    totals = place.state("a")["totals"]
    assert (totals["started"], totals["prompt_tokens"], totals["completion_tokens"]) == (0, 8, 1)
    assert totals["cost"] == 10.0
    assert place.checks("a")[0].cost == 10.0


def test_a_check_takes_no_slot_and_waits_for_none(ward, entry):
    """I4"""
    place = ward(entry("a", max_parallel_requests=1), default=SimulatedProvider(latency=5.0))
    running = place.send()
    assert place.router.health_check()["healthy_count"] == 1
    assert running.get().route.deployment_id == "a"


def test_a_deployment_whose_limits_are_used_up_is_not_asked(ward, entry):
    """I3"""
    place = ward(entry("a", rpm=1))
    place.served()
    (row,) = place.router.health_check()["unchecked_endpoints"]
    assert row["error"] == "its rpm is used up, so it was not asked"
    assert place.providers.calls == {"a": 1}


# -- in the background


def test_in_the_background_whoever_fails_is_left_out_and_comes_back(ward, entry):
    place = ward(
        entry("a"),
        entry("b"),
        providers={"b": SimulatedProvider(script=[500, 500])},
        health_check_interval=60,
    )
    assert place.checks() == []
    place.clock.advance(60.0)
    assert place.serving() == {"a"}
    place.clock.advance(60.0)
    assert place.serving() == {"a"}
    place.clock.advance(60.0)
    assert place.serving() == {"a", "b"}


def test_in_the_background_a_deployment_that_answers_anyway_is_not_asked(ward, entry):
    place = ward(entry("a"), entry("b", "small"), health_check_interval=60)
    place.clock.advance(30.0)
    place.served("gpt-4")
    place.clock.advance(30.0)
    assert (len(place.checks("a")), len(place.checks("b"))) == (0, 1)
    place.clock.advance(60.0)
    assert (len(place.checks("a")), len(place.checks("b"))) == (1, 2)


def test_a_round_that_takes_longer_than_the_interval_is_not_doubled(ward, entry):
    place = ward(entry("a"), default=SimulatedProvider(latency=25.0), health_check_interval=10)
    place.clock.advance(44.0)
    assert place.providers.calls == {"a": 2}


def test_deployments_that_were_added_later_are_checked_too(ward, entry):
    place = ward(entry("a"), health_check_interval=60)
    place.router.add_deployment(entry("b"))
    place.clock.advance(60.0)
    assert len(place.checks("b")) == 1


def test_a_router_that_checks_nothing_has_no_checker(ward, entry):
    place = ward(entry("a"))
    place.served()
    assert "health" not in place.router._switchboard.services
    place.router.health_check()
    assert place.router._switchboard.services["health"].is_alive()


# -- when something goes wrong meanwhile


def test_a_deployment_that_is_removed_while_it_is_checked_is_reported_as_that(ward, entry):
    place = ward(entry("a"), entry("b"), default=SimulatedProvider(latency=5.0))

    async def main():
        asking = asyncio.ensure_future(place.router.ahealth_check())
        await asyncio.sleep(0)
        place.router.delete_deployment("a")
        return await asking

    report = asyncio.run(main())
    assert [row["deployment_id"] for row in report["healthy_endpoints"]] == ["b"]
    assert report["unchecked_endpoints"][0]["error"] == "the deployment was removed"


def test_a_deployment_whose_actor_crashes_is_reported_and_nobody_waits_for_ever(ward, entry, monkeypatch):
    from turnout.actors.deployment.actor import DeploymentActor

    place = ward(entry("a"), entry("b"))
    real = DeploymentActor._check

    def broken(self, message):
        if self.deployment.id == "a":
            raise ZeroDivisionError
        real(self, message)

    monkeypatch.setattr(DeploymentActor, "_check", broken)
    actor = place.router._switchboard.deployments["a"]._actor_weakref()
    actor.message_handlers[CheckDeployment] = lambda message: broken(actor, message)
    started = place.clock.now()
    report = place.router.health_check()
    assert [row["deployment_id"] for row in report["healthy_endpoints"]] == ["b"]
    assert "its actor may have crashed" in report["unchecked_endpoints"][0]["error"]
    assert place.clock.now() - started == PATIENCE_SECONDS


def test_a_checker_that_crashes_fails_those_who_wait_and_comes_back(ward, entry):
    place = ward(entry("a"), default=SimulatedProvider(latency=5.0))

    async def main():
        asking = asyncio.ensure_future(place.router.ahealth_check())
        await asyncio.sleep(0)
        checker = place.router._switchboard.services["health"]
        checker._actor_weakref().inbox._handlers[CheckDeployment] = lambda _message: 1 / 0
        checker.tell(CheckDeployment())
        with pytest.raises(Exception, match="the health checker crashed"):
            await asking
        place.clock.advance(0.1)
        return await place.router.ahealth_check()

    assert asyncio.run(main())["healthy_count"] == 1
    assert place.served() == "a"


def test_a_supervisor_that_crashes_over_a_check_fails_who_asked_for_it(ward, entry):
    place = ward(entry("a"))
    supervisor = place.router._switchboard.supervisor._actor_weakref()
    supervisor.message_handlers[CheckHealth] = lambda _message: 1 / 0
    with pytest.raises(APIError, match="the Supervisor crashed"):
        place.router.health_check()
    assert place.router.health_check()["healthy_count"] == 1


def test_a_router_that_is_closed_while_it_checks_says_so(ward, entry):
    place = ward(entry("a"), default=SimulatedProvider(latency=5.0))

    async def main():
        asking = asyncio.ensure_future(place.router.ahealth_check())
        await asyncio.sleep(0)
        place.router.close()
        with pytest.raises(RouterClosedError):
            await asking

    asyncio.run(main())
    with pytest.raises(RouterClosedError):
        place.router.health_check()


def test_its_health_is_there_again_after_a_restart(entry, tmp_path):
    """I8"""
    from turnout.testing import SimulatedProviders

    journal = f"sqlite:///{tmp_path}/j.db"
    bad = SimulatedProviders({"b": SimulatedProvider(script=[500])})
    messages = [{"role": "user", "content": "Hi"}]
    entries = [entry("a"), entry("b")]
    with Router(entries, clock=FakeClock(start=1000), caller=bad, journal=journal) as router:
        router.health_check()
        before = router.health()["deployments"]["b"]["state"]
    with Router(entries, clock=FakeClock(start=1000), caller=SimulatedProviders(), journal=journal) as router:
        assert router.health()["deployments"]["b"]["state"] == before
        served = {router.completion("gpt-4", messages).route.deployment_id for _ in range(8)}
        assert served == {"a"}


def test_a_check_is_paid_from_the_deployments_own_budget(ward, entry):
    place = ward(
        entry(
            "a", input_cost_per_token=1.0, output_cost_per_token=1.0, max_budget=10.0, budget_duration="1d"
        ),
        default=SimulatedProvider(prompt_tokens=9, completion_tokens=1),
    )
    place.router.health_check()
    with pytest.raises(NoDeploymentsAvailable, match="1 budget"):
        place.served()
