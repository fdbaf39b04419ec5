"""Pre-call checks: parameters and capabilities that a deployment is known not to have."""

from __future__ import annotations

import json

import httpx
import pytest

from turnout import (
    BadRequestError,
    CompletionRequest,
    ContextWindowExceededError,
    Router,
    UnsupportedParamsError,
)
from turnout.messages.capabilities import needs_of

TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]
SOUND = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]

ASKED = {
    "vision": {"messages": PICTURE},
    "function_calling": {"tools": [TOOL]},
    "response_schema": {"response_format": SCHEMA},
    "audio_input": {"messages": SOUND},
}


def group(**info):
    return {
        "model_list": [
            {"model_name": "gpt-4", "litellm_params": {"model": "openai/m", "mock_response": "x"},
             "model_info": {"id": name, **facts}}
            for name, facts in info.items()
        ]
    }  # fmt: skip


def served(router, times=30, **asked):
    asked = {"messages": [{"role": "user", "content": "hi"}], **asked}
    return {router.completion("gpt-4", **asked).route.deployment_id for _ in range(times)}


@pytest.mark.parametrize("need", ASKED)
def test_one_that_is_known_not_to_be_able_is_left_out_and_an_unknown_one_is_not(need):
    places = group(able={f"supports_{need}": True}, unable={f"supports_{need}": False}, unknown={})
    with Router(**places, enable_pre_call_checks=True) as router:
        assert served(router, **ASKED[need]) == {"able", "unknown"}
        assert served(router) == {"able", "unable", "unknown"}
    with Router(**places) as router:
        assert served(router, **ASKED[need]) == {"able", "unable", "unknown"}


@pytest.mark.parametrize("need", ASKED)
def test_nobody_who_can_is_an_error_of_the_request_that_says_what(need):
    places = group(a={f"supports_{need}": False}, b={f"supports_{need}": False})
    with Router(**places, enable_pre_call_checks=True, num_retries=2) as router:
        with pytest.raises(UnsupportedParamsError) as caught:
            served(router, **ASKED[need])
        error = caught.value
        assert str(error) == f'no deployment of "gpt-4" can do what the request needs: {need}'
        assert isinstance(error, BadRequestError)
        assert error.status_code == 400
        assert [(item.reason, item.detail) for item in error.left_out] == [("capability", need)] * 2


def test_a_parameter_that_is_not_among_the_listed_ones_is_not_supported():
    places = group(lists={"supported_openai_params": ["temperature", "max_tokens"]}, open={})
    with Router(**places, enable_pre_call_checks=True) as router:
        assert served(router, seed=1) == {"open"}
        assert served(router, temperature=1, max_tokens=5) == {"lists", "open"}
        assert served(router, seed=None) == {"lists", "open"}
    places = group(lists={"supported_openai_params": []})
    with (
        Router(**places, enable_pre_call_checks=True) as router,
        pytest.raises(UnsupportedParamsError, match="needs: seed"),
    ):
        served(router, seed=1)


def test_too_long_a_prompt_goes_before_a_missing_capability_as_the_error():
    places = group(blind={"supports_vision": False}, short={"max_input_tokens": 1})
    with Router(**places, enable_pre_call_checks=True) as router, pytest.raises(ContextWindowExceededError):
        served(router, messages=PICTURE)


def test_what_a_request_needs():
    def needs(**asked):
        return needs_of(
            CompletionRequest(**{"model": "m", "messages": [{"role": "user", "content": "x"}], **asked})
        )

    assert needs() == needs(tools=[], response_format={"type": "json_object"}, temperature=1) == ()
    assert needs(messages=PICTURE, tools=[TOOL]) == ("function_calling", "vision")
    assert needs(functions=[{"name": "f"}], response_format=SCHEMA) == ("function_calling", "response_schema")
    assert needs(messages=[*PICTURE, *SOUND, {"role": "user", "content": ["odd", 1]}]) == (
        "audio_input",
        "vision",
    )


# -- leaving out what is not supported


def sent(params, info, **asked):
    """What a provider is sent."""
    bodies = []

    def handle(request):
        bodies.append(json.loads(request.content))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
        return httpx.Response(
            200, json={"id": "1", "model": "m", "object": "chat.completion", "choices": [choice]}
        )

    entry = {
        "model_name": "gpt-4",
        "litellm_params": {"model": "openai/m", "api_key": "k", "api_base": "https://h/v1", **params},
        "model_info": info,
    }
    with Router([entry], transport=httpx.MockTransport(handle), enable_pre_call_checks=True) as router:
        router.completion("gpt-4", [{"role": "user", "content": "hi"}], **asked)
    return set(bodies[0]) - {"model", "messages"}


def test_drop_params_leaves_out_what_the_deployment_does_not_support():
    info = {"supported_openai_params": ["temperature"], "supports_function_calling": False}
    assert sent({"drop_params": True}, info, temperature=1, seed=2, tools=[TOOL]) == {"temperature"}
    info = {"supports_response_schema": False}
    assert sent({"drop_params": True}, info, response_format=SCHEMA, seed=2) == {"seed"}
    plain = {"type": "json_object"}
    assert sent({"drop_params": True}, info, response_format=plain) == {"response_format"}


def test_additional_drop_params_are_left_out_in_any_case():
    assert sent({"additional_drop_params": ["seed", "n"]}, {}, seed=1, temperature=1) == {"temperature"}


def test_a_request_may_ask_for_it_or_forbid_it():
    info = {"supported_openai_params": []}
    with pytest.raises(UnsupportedParamsError):
        sent({}, info, seed=1)
    assert sent({}, info, seed=1, drop_params=True) == set()
    with pytest.raises(UnsupportedParamsError):
        sent({"drop_params": True}, info, seed=1, drop_params=False)


def test_where_a_deployment_is_is_not_sent():
    place = {"vertex_location": "europe-west1", "aws_region_name": "eu-central-1"}
    assert sent(place, {}, temperature=1) == {"temperature"}
