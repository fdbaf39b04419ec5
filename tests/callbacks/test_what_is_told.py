"""Callbacks: which events are told of a request, in which order, with which arguments."""

from __future__ import annotations

from datetime import datetime

import pytest

import turnout
from turnout import RateLimitError, RequestError
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders

KEY = "sk-" + "live0123456789abcdef"
PROMPT = "a prompt that is nobody's business"
MESSAGES = [{"role": "user", "content": PROMPT}]


def ask(router, **fields):
    return router.completion("gpt-4", MESSAGES, **fields)


def test_an_answer_is_told_before_after_and_at_its_end(kit, make_router):
    seen = kit.Sync()
    answer = ask(make_router(clock=FakeClock(), callbacks=[seen]))
    assert seen.story == ["pre", "post", "success"]
    assert seen.seen[-1][2] is answer


def test_the_arguments_are_those_of_the_documents(kit, make_router):
    seen = kit.Sync()
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    router = make_router(
        kit.entry(api_base="http://eu.example/v1", **prices), clock=FakeClock(), callbacks=[seen]
    )
    answer = ask(router, metadata={"trace": "t1"}, user="ann", temperature=0.5)
    _, kwargs, _, start, end = seen.of("success")[0]
    assert kwargs["model"] == "gpt-4o"
    assert kwargs["messages"] == MESSAGES
    assert kwargs["response_cost"] == answer.route.cost
    assert kwargs["metadata"] == {"trace": "t1"}
    assert kwargs["user"] == "ann"
    assert kwargs["optional_params"] == {"temperature": 0.5, "user": "ann"}
    assert (kwargs["stream"], kwargs["call_type"], kwargs["cache_hit"]) == (False, "completion", False)
    assert kwargs["litellm_call_id"].startswith(answer.route.request_id)
    assert "exception" not in kwargs
    params = kwargs["litellm_params"]
    assert params["api_base"] == "http://eu.example/v1"
    assert params["custom_llm_provider"] == "openai"
    assert params["model_info"]["id"] == "eu"
    assert params["model_info"]["input_cost_per_token"] == 1e-6
    assert params["metadata"]["trace"] == "t1"
    assert params["metadata"]["model_group"] == "gpt-4"
    assert params["metadata"]["model_info"] is params["model_info"]
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    assert (start, end) == (kwargs["start_time"], kwargs["end_time"])


def test_without_an_api_base_it_is_the_providers(kit, make_router):
    seen = kit.Sync()
    ask(make_router(clock=FakeClock(), callbacks=[seen]))
    assert seen.of("success")[0][1]["litellm_params"]["api_base"] == "https://api.openai.com/v1"


def test_the_times_are_those_of_the_attempt(kit, make_router):
    seen = kit.Sync()
    ask(make_router(kit.entry(mock_delay=1.5), clock=FakeClock(), callbacks=[seen]))
    _, _, _, start, end = seen.of("success")[0]
    assert (end - start).total_seconds() == 1.5


def test_the_answer_has_its_route_when_a_callback_sees_it(make_router):
    routes = []

    def note(kwargs, response, start, end):
        routes.append((response.route.deployment_id, response._hidden_params["model_id"]))

    ask(make_router(clock=FakeClock(), callbacks=[note]))
    assert routes == [("eu", "eu")]


def test_every_attempt_that_fails_is_told_with_its_own_deployment(kit, make_router):
    seen = kit.Sync()
    router = make_router(
        kit.entry("eu"),
        kit.entry("us"),
        clock=FakeClock(),
        num_retries=1,
        seed=1,
        callbacks=[seen],
        caller=SimulatedProviders(default=SimulatedProvider(script=[500])),
    )
    with pytest.raises(RequestError):
        ask(router)
    assert seen.story == ["pre", "post", "failure"] * 2
    failures = seen.of("failure")
    assert {row[1]["litellm_params"]["model_info"]["id"] for row in failures} == {"eu", "us"}
    for _, kwargs, response, _, _ in failures:
        assert response is None
        assert kwargs["exception"].status_code == 500
        assert kwargs["exception"].deployment_id == kwargs["litellm_params"]["model_info"]["id"]


def test_an_attempt_that_times_out_is_a_failure(kit, make_router):
    seen = kit.Sync()
    router = make_router(kit.entry(timeout=2, mock_timeout=True), clock=FakeClock(), callbacks=[seen])
    with pytest.raises(turnout.Timeout):
        ask(router)
    assert seen.story == ["pre", "post", "failure"]
    assert isinstance(seen.seen[-1][1]["exception"], turnout.Timeout)


def test_a_caller_who_leaves_is_a_failure_with_what_it_cost(kit, make_router):
    seen = kit.Sync()
    clock = FakeClock()
    router = make_router(kit.entry(mock_delay=5), clock=clock, callbacks=[seen])
    future = router.ask(turnout.CompletionRequest(model="gpt-4", messages=MESSAGES), block=False)
    clock.advance(1)
    future.cancel()
    clock.advance(0)
    assert seen.story == ["pre", "post", "failure"]
    assert seen.seen[-1][1]["exception"].status_code == 499


def test_a_request_that_no_deployment_was_asked_for_is_not_told(kit, make_router):
    seen = kit.Sync()
    router = make_router(clock=FakeClock(), callbacks=[seen])
    with pytest.raises(turnout.NotFoundError):
        router.completion("nothing-like-it", MESSAGES)
    with pytest.raises(RateLimitError):
        ask(router, mock_testing_rate_limit_error=True)
    assert seen.story == []


def test_a_stream_is_told_chunk_by_chunk_and_joined_at_its_end(kit, make_router):
    seen = kit.Sync()
    router = make_router(clock=FakeClock(), callbacks=[seen])
    chunks = list(ask(router, stream=True))
    assert seen.story == ["pre", "post", *["stream"] * len(chunks), "success"]
    assert [row[2] for row in seen.of("stream")] == chunks
    _, kwargs, response, _, _ = seen.of("success")[0]
    assert kwargs["stream"] is True
    assert kwargs["complete_streaming_response"] is response
    assert response.choices[0].message.content == "Hello there"
    assert response.choices[0].finish_reason == "stop"
    assert response.usage.completion_tokens > 0


def test_a_stream_that_breaks_is_told_as_a_failure(kit, make_router):
    seen = kit.Sync()
    providers = SimulatedProviders({"eu": SimulatedProvider(text="one two three", cut_after=2)})
    router = make_router(clock=FakeClock(), callbacks=[seen], caller=providers)
    with pytest.raises(turnout.MidStreamError):
        list(ask(router, stream=True))
    assert seen.story == ["pre", "post", "stream", "stream", "failure"]


def test_chunks_of_an_attempt_that_failed_before_its_first_content_are_not_told(kit, make_router):
    seen = kit.Sync()
    providers = SimulatedProviders({"eu": SimulatedProvider(script=[503], text="one two")})
    router = make_router(clock=FakeClock(), num_retries=1, callbacks=[seen], caller=providers)
    list(ask(router, stream=True))
    assert seen.story == ["pre", "post", "failure", "pre", "post", "stream", "stream", "stream", "success"]


def test_a_function_is_told_of_successes_and_failures(make_router):
    told = []

    def note(kwargs, completion_response, start_time, end_time):
        told.append((kwargs["log_event_type"], completion_response is None))

    router = make_router(clock=FakeClock(), callbacks=[note])
    ask(router)
    with pytest.raises(RateLimitError):
        ask(router, mock_response=RateLimitError("slow down"))
    assert told == [("successful_api_call", False), ("failed_api_call", True)]


def test_a_deployments_own_model_is_named_under_a_wildcard(kit, make_router):
    seen = kit.Sync()
    router = make_router(kit.entry(group="openai/*", model="openai/*"), clock=FakeClock(), callbacks=[seen])
    router.completion("openai/gpt-5", MESSAGES)
    assert seen.of("success")[0][1]["model"] == "gpt-5"


def test_keys_among_the_requests_own_headers_are_masked(kit, make_router):
    seen = kit.Sync()
    router = make_router(clock=FakeClock(), callbacks=[seen])
    ask(router, extra_headers={"x-team": KEY})
    shown = seen.of("success")[0][1]["optional_params"]["extra_headers"]
    assert KEY not in str(shown)
    assert shown["x-team"] == KEY


def test_metadata_is_for_callbacks_and_stays_here():
    request = turnout.CompletionRequest(model="gpt-4", messages=MESSAGES, metadata={"a": "b"})
    assert "metadata" not in request.wire_params()


def test_what_a_callback_writes_into_its_arguments_stays_there(kit, make_router):
    seen = kit.Sync()

    def scribble(kwargs, response, start, end):
        kwargs["litellm_params"]["model_info"]["id"] = kwargs["litellm_params"]["metadata"]["a"] = "scribbled"

    router = make_router(clock=FakeClock(), callbacks=[seen, scribble])
    metadata = {"a": 1}
    ask(router, metadata=metadata)
    ask(router, metadata=metadata)
    assert metadata == {"a": 1}
    assert seen.of("pre")[1][1]["litellm_params"]["model_info"]["id"] == "eu"


def test_nothing_is_told_while_the_supervisor_has_mail_about_it():
    from turnout.actors.callbacks.observer import CallObserver
    from turnout.actors.runtime.dispatcher import ManualDispatcher
    from turnout.messages.commands import Call
    from turnout.messages.outcomes import Demand

    dispatcher = ManualDispatcher(FakeClock())
    mail, told = [1, 1, 1], []
    observer = CallObserver(
        dispatcher, [lambda *args: told.append(list(mail))], busy=lambda: bool(mail and mail.pop())
    )
    request = turnout.CompletionRequest(model="gpt-4", messages=MESSAGES)
    observer.answered_from_cache(Call("c", "r", 1, request, Demand(1), 0.0), None, lambda: "answer", 0.0)
    dispatcher.run_now()
    assert told == [[]]


def test_what_callbacks_are_told_is_not_in_a_report_that_is_printed(make_router):
    from turnout.actors.callbacks.report import Report
    from turnout.messages.commands import Call
    from turnout.messages.outcomes import Demand

    request = turnout.CompletionRequest(model="gpt-4", messages=MESSAGES)
    report = Report("success_event", Call("c", "r", 1, request, Demand(1), 0.0), None, 0.0, 0.0, PROMPT)
    assert PROMPT not in repr(report)
