"""Mock answers, on a clock that is moved by hand."""

from __future__ import annotations

import traceback

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from turnout.actors.providers.mock import MockCaller, is_mock
from turnout.actors.providers.ports import ProviderCall
from turnout.actors.runtime.channel import CAPACITY
from turnout.actors.runtime.clock import ManualClock
from turnout.actors.runtime.dispatcher import ManualDispatcher
from turnout.messages import errors as e
from turnout.messages.outcomes import Usage
from turnout.messages.responses import ModelResponse

TOOL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


class Stage:
    def __init__(self, kit):
        self.kit = kit
        self.clock = ManualClock(1000.0)
        self.dispatcher = ManualDispatcher(self.clock)
        self.caller = MockCaller(self.clock)

    def start(self, deployment=None, **params):
        heard = self.kit.Heard(self.kit.call(self.dispatcher, **params))
        heard.over = type("Over", (), {"set": lambda self: None})()
        target = self.kit.deployment(**(deployment or {}))
        assert is_mock(target, heard.call.request)
        heard.handle = self.caller.start(ProviderCall(heard.call, target), heard.deliver)
        assert heard.messages == [], "an answer from inside start"
        return heard

    def ask(self, deployment=None, **params):
        heard = self.start(deployment, **params)
        self.clock.advance(0.0)
        return heard


@pytest.fixture
def stage(kit):
    return Stage(kit)


def mocked(mock, **fields):
    return {"mock_response": mock, **fields}


# -- answers


def test_a_text_is_an_answer_and_its_usage_is_counted_from_the_text(stage, kit):
    heard = stage.ask(mocked("Hello there"))
    response = heard.outcome.response
    assert response.choices[0].message.content == "Hello there"
    assert response.choices[0].finish_reason == "stop"
    assert (response.id, response.created, response.model) == ("chatcmpl-call-1", 1000, "gpt-4")
    assert heard.outcome.usage == Usage(10, 3)
    assert response.usage.total_tokens == heard.outcome.usage.total_tokens


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("ééé", 2)])
def test_a_token_is_four_bytes_rounded_up(stage, text, tokens):
    assert stage.ask(mocked(text)).outcome.usage.completion_tokens == tokens


def test_a_request_s_mock_wins_over_its_deployment_s(stage):
    heard = stage.ask(mocked("of the deployment"), mock_response="of the request")
    assert heard.outcome.response.choices[0].message.content == "of the request"


def test_a_text_that_only_looks_like_an_error_s_name_is_an_answer(stage):
    heard = stage.ask(mocked("litellm.is a library"))
    assert heard.outcome.response.choices[0].message.content == "litellm.is a library"


def test_a_dict_is_an_answer_and_what_it_lacks_is_filled_in(stage):
    mock = {"choices": [{"message": {"content": "from a dict"}}], "usage": {"prompt_tokens": 7}}
    heard = stage.ask(mocked(mock))
    assert heard.outcome.response.choices[0].message.content == "from a dict"
    assert heard.outcome.response.id == "chatcmpl-call-1"
    assert heard.outcome.usage == Usage(7, 0, estimated=True)


def test_a_dict_in_another_shape_is_a_bad_request(stage):
    heard = stage.ask(mocked({"choices": "s3cret"}))
    assert type(heard.error) is e.BadRequestError
    assert "s3cret" not in str(heard.error)


def test_a_response_is_copied_so_that_two_callers_share_nothing(stage):
    mock = ModelResponse.model_validate({"id": "x", "choices": [{"message": {"content": "a"}}]})
    first, second = (stage.ask(mocked(mock)).outcome.response for _ in range(2))
    first.choices[0].message.content = "changed"
    assert (second.choices[0].message.content, mock.choices[0].message.content) == ("a", "a")
    assert stage.ask(mocked(mock)).outcome.usage is None


@pytest.mark.parametrize("mock", [[0.1, 0.2], 7])
def test_what_answers_no_completion_is_a_bad_request_that_says_so(stage, mock):
    error = stage.ask(mocked(mock)).error
    assert type(error) is e.BadRequestError
    assert f"a {type(mock).__name__}, which answers no completion" in error.message


def test_tool_calls_are_an_answer_of_their_own(stage):
    choice = stage.ask({"mock_tool_calls": [TOOL]}).outcome.response.choices[0]
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (
        None,
        [TOOL],
        "tool_calls",
    )


def test_tool_calls_may_come_with_a_text(stage):
    choice = stage.ask(mocked("hm"), mock_tool_calls=[TOOL]).outcome.response.choices[0]
    assert (choice.message.content, choice.message.tool_calls) == ("hm", [TOOL])


def test_a_wildcard_names_the_model(stage):
    assert stage.ask(mocked("x", model="*"), wildcard="gpt-4o").outcome.response.model == "gpt-4o"


# -- errors

ERRORS = [
    (e.RateLimitError("slow", retry_after=2.0), e.RateLimitError),
    (e.ContextWindowExceededError, e.ContextWindowExceededError),
    (openai.RateLimitError, e.RateLimitError),
    (TimeoutError, e.Timeout),
    (ValueError, e.APIError),
    (Exception("content filtering policy"), e.ContentPolicyViolationError),
    (Exception("prompt is too long"), e.ContextWindowExceededError),
    (Exception("this is a rate limit error"), e.RateLimitError),
    ("litellm.RateLimitError", e.RateLimitError),
    ("litellm.ContextWindowExceededError", e.ContextWindowExceededError),
    ("turnout.InternalServerError", e.InternalServerError),
    ("litellm.Timeout", e.Timeout),
]


@pytest.mark.parametrize(("mock", "kind"), ERRORS, ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_an_exception_is_the_error_it_reads_like(stage, mock, kind, stream):
    heard = stage.ask(mocked(mock), stream=stream)
    assert heard.kinds == ["ProviderFinished"]
    assert type(heard.error) is kind
    assert heard.error.deployment_id == "dep-1"


def test_what_an_error_carries_is_kept(stage):
    assert stage.ask(mocked(ERRORS[0][0])).error.retry_after == 2.0


def test_an_instance_raised_many_times_gathers_nothing(stage):
    mock = e.RateLimitError("slow")
    errors = []
    for _ in range(5):
        error = stage.ask(mocked(mock)).error
        error.attempts = ("one",)
        try:
            raise error
        except e.RateLimitError:
            errors.append(error)
    assert len({id(error) for error in errors}) == 5
    assert mock.__traceback__ is None
    assert mock.attempts == ()
    assert all(len(traceback.extract_tb(error.__traceback__)) == 1 for error in errors)


def test_an_exception_class_that_cannot_be_made_is_a_failed_call(stage):
    class DemandingError(Exception):
        def __init__(self, needed):
            super().__init__(needed)

    assert "TypeError" in stage.ask(mocked(DemandingError)).error.message


# -- time


def test_an_answer_takes_its_delay(stage):
    heard = stage.start(mocked("x", mock_delay=2.0))
    stage.clock.advance(1.9)
    assert heard.messages == []
    stage.clock.advance(0.2)
    assert heard.kinds == ["ProviderFinished"]


def test_a_request_s_delay_wins_even_when_it_is_none_at_all(stage):
    assert stage.ask(mocked("x", mock_delay=60.0), mock_delay=0.0).kinds == ["ProviderFinished"]


def test_a_timeout_hangs_until_somebody_gives_up(stage):
    heard = stage.start({"mock_timeout": True})
    stage.clock.advance(1e6)
    assert heard.messages == []
    heard.handle.cancel()


def test_a_timeout_with_a_delay_comes_after_it(stage):
    heard = stage.start({}, mock_timeout=True, mock_delay=3.0)
    stage.clock.advance(3.0)
    assert type(heard.error) is e.Timeout


def test_a_request_can_take_a_timeout_back(stage):
    assert stage.ask(mocked("x", mock_timeout=True), mock_timeout=False).outcome.status == "succeeded"


def test_a_cancelled_mock_delivers_nothing(stage):
    heard = stage.start(mocked("x", mock_delay=1.0))
    assert heard.handle.cancel() is None
    assert heard.handle.cancel() is None
    stage.clock.advance(10.0)
    assert heard.messages == []


# -- streams


def test_a_stream_is_the_text_word_by_word(stage):
    heard = stage.ask(mocked("Hello  my\nfriend "), stream=True)
    chunks = heard.chunks()
    words = [chunk.choices[0].delta.content for chunk in chunks]
    assert words == ["Hello", " ", " my\nfriend", " ", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 4 + ["stop"]
    assert heard.kinds == ["ProviderOpened", "ProviderFinished"]
    assert heard.outcome.usage.completion_tokens == 5
    assert heard.outcome.response is None
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.model_dump_json(exclude_none=True))


def test_usage_is_streamed_to_who_asked_for_it(stage):
    asked = stage.ask(mocked("a b"), stream=True, stream_options={"include_usage": True}).chunks()
    assert asked[-1].choices == []
    assert asked[-1].usage.completion_tokens == 1
    assert all(chunk.choices for chunk in stage.ask(mocked("a b"), stream=True).chunks())


def test_tool_calls_are_streamed_with_their_index(stage):
    chunks = stage.ask({"mock_tool_calls": [TOOL, TOOL]}, stream=True).chunks()
    assert [call["index"] for call in chunks[0].choices[0].delta.tool_calls] == [0, 1]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_an_empty_text_still_ends_with_a_reason(stage):
    (chunk,) = stage.ask(mocked(""), stream=True).chunks()
    assert chunk.choices[0].finish_reason == "stop"


def test_a_long_stream_waits_for_its_reader(stage):
    heard = stage.ask(mocked("w " * 200), stream=True)
    assert heard.kinds == ["ProviderOpened"]
    assert len(heard.call.channel._items) == CAPACITY
    got = []
    while len(heard.messages) < 2:
        got += [heard.call.channel.get_nowait()]
        stage.dispatcher.run_now()
    got += heard.chunks()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in got) == "w " * 200


def test_a_stream_that_is_cancelled_while_it_waits_ends_there(stage):
    heard = stage.ask(mocked("w " * 200), stream=True)
    heard.handle.cancel()
    heard.call.channel.abandon()
    stage.dispatcher.run_now()
    assert heard.kinds == ["ProviderOpened"]


# -- which calls are mocks


@pytest.mark.parametrize(
    ("fields", "params", "mock"),
    [
        ({}, {}, False),
        ({"mock_delay": 1.0}, {}, False),
        ({"mock_response": ""}, {}, True),
        ({}, {"mock_response": "x"}, True),
        ({"mock_timeout": True}, {}, True),
        ({}, {"mock_timeout": True}, True),
        ({"mock_tool_calls": []}, {}, True),
        ({}, {"mock_tool_calls": [TOOL]}, True),
    ],
)
def test_a_call_is_a_mock_when_it_says_so(kit, fields, params, mock):
    assert is_mock(kit.deployment(**fields), kit.call(**params).request) is mock
