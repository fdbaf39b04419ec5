"""`mock_response` and the test switches, through the whole router."""

from __future__ import annotations

import pytest

import turnout
from turnout import ModelResponse, RateLimitError, Timeout
from turnout.messages.events import CallSucceeded, FellBack


def mocked(town, mock=None, **settings):
    deployment = {"group": "gpt-4"} if mock is None else {"group": "gpt-4", "mock_response": mock}
    others = settings.pop("others", {})
    return town({"a": deployment, **others}, mocks=True, **settings)


def backup(name):
    return {"group": name, "mock_response": f"from {name}"}


def text(answer):
    return answer.choices[0].message.content


def test_a_string_is_the_answer(town):
    answer = mocked(town, "Paris").ask()
    assert text(answer) == "Paris"
    assert answer.model == "gpt-4o"


def test_a_request_brings_its_own(town):
    assert text(mocked(town, "Paris").ask(mock_response="Rome")) == "Rome"


def test_a_dict_is_the_answer(town):
    answer = mocked(town).ask(
        mock_response={
            "choices": [{"message": {"content": "hi"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        }
    )
    assert text(answer) == "hi"
    assert answer.usage.completion_tokens == 2


def test_a_response_is_the_answer_and_is_not_written_on(town):
    given = ModelResponse.model_validate({"id": "mine", "choices": [{"message": {"content": "hi"}}]})
    place = mocked(town)
    answer = place.ask(mock_response=given)
    assert (answer.id, text(answer)) == ("mine", "hi")
    with pytest.raises(AttributeError):
        _ = given.route


@pytest.mark.parametrize("mock", [RateLimitError("slow down"), RateLimitError, "litellm.RateLimitError"])
def test_an_error_in_any_form_is_the_error(town, mock):
    assert isinstance(mocked(town, mock).error(), RateLimitError)
    assert isinstance(mocked(town).error(mock_response=mock), RateLimitError)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("content filtering policy", "ContentPolicyViolationError"),
        ("prompt is too long", "ContextWindowExceededError"),
        ("rate limit", "RateLimitError"),
    ],
)
def test_an_exception_whose_text_reads_like_a_providers_is_mapped_like_one(town, words, name):
    error = mocked(town).error(mock_response=Exception(f"Error: {words} reached"))
    assert type(error) is getattr(turnout, name)
    assert error.deployment_id == "a"


def test_a_delay_passes_on_the_routers_clock(town):
    place = mocked(town, "Paris")
    assert place.ask(mock_delay=2.5).route.seconds == 2.5
    assert place.passed == 2.5


def test_a_mock_that_times_out_does_so_after_its_delay(town):
    place = mocked(town)
    assert isinstance(place.error(mock_timeout=True, mock_delay=3), Timeout)
    assert place.passed == 3


def test_a_mock_that_times_out_without_a_delay_ends_with_the_requests_timeout(town):
    place = mocked(town)
    assert isinstance(place.error(mock_timeout=True, timeout=4), Timeout)
    assert place.passed == 4


def test_tool_calls(town):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = mocked(town).ask(mock_tool_calls=[call])
    assert answer.choices[0].message.tool_calls == [call]
    assert answer.choices[0].finish_reason == "tool_calls"


def test_a_list_of_floats_answers_no_chat(town):
    assert isinstance(mocked(town).error(mock_response=[0.1, 0.2]), turnout.BadRequestError)


def test_a_mock_passes_through_limits_events_and_cost_like_a_real_call(town):
    deployment = {
        "group": "gpt-4",
        "rpm": 1,
        "mock_response": "x" * 40,
        "input_cost_per_token": 0.5,
        "output_cost_per_token": 1.0,
    }
    place = town({"a": deployment}, mocks=True)
    answer = place.ask()
    (event,) = place.found(CallSucceeded)
    assert event.completion_tokens == answer.usage.completion_tokens == 10
    assert answer.route.cost == event.prompt_tokens * 0.5 + 10
    assert isinstance(place.error(), turnout.NoDeploymentsAvailable)


def test_a_mock_can_be_streamed(town):
    stream = mocked(town, "one two three").ask(stream=True)
    assert [chunk.choices[0].delta.content for chunk in stream] == ["one", " two", " three", None]


@pytest.mark.parametrize(
    ("switch", "setting"),
    [
        ("mock_testing_fallbacks", "fallbacks"),
        ("mock_testing_context_fallbacks", "context_window_fallbacks"),
        ("mock_testing_content_policy_fallbacks", "content_policy_fallbacks"),
        ("mock_testing_rate_limit_error", "fallbacks"),
    ],
)
def test_a_switch_fails_the_first_group_once_and_shows_the_fallback(town, switch, setting):
    place = mocked(town, "Paris", others={"z": backup("backup")}, **{setting: [{"gpt-4": ["backup"]}]})
    answer = place.ask(**{switch: True})
    assert text(answer) == "from backup"
    assert len(place.found(FellBack)) == 1
    assert [row.deployment_id for row in answer.route.attempts] == [None, "z"]
    assert place.state("a")["totals"]["started"] == 0


def test_a_switch_leads_to_a_fallback_though_retries_are_left(town):
    place = mocked(town, "Paris", others={"z": backup("backup")}, fallbacks=["backup"], num_retries=3)
    assert text(place.ask(mock_testing_fallbacks=True)) == "from backup"


def test_the_rate_limit_switch_is_an_attempt_like_any_other(town):
    place = mocked(town, "Paris", num_retries=2)
    answer = place.ask(mock_testing_rate_limit_error=True)
    assert text(answer) == "Paris"
    assert answer.route.retries == 1


def test_a_switch_without_a_fallback_is_its_error(town):
    error = mocked(town, "Paris").error(mock_testing_context_fallbacks=True)
    assert isinstance(error, turnout.ContextWindowExceededError)
    assert len(error.attempts) == 1


def test_no_mock_parameter_reaches_a_provider(town):
    place = mocked(town, "Paris")
    assert place.request(
        mock_response="x", mock_delay=1, mock_testing_fallbacks=True, seed=1
    ).wire_params().keys() == {
        "messages",
        "seed",
    }
