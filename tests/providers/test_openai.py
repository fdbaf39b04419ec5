"""OpenAI's wire format, without a network: what is sent, and what is made of an answer."""

from __future__ import annotations

import json

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from turnout.actors.providers.codecs import codec_for
from turnout.actors.providers.endpoints import OPENAI_FORMAT
from turnout.actors.providers.glance import MAX_MISSES
from turnout.actors.providers.sse import SseEvent
from turnout.actors.runtime.channel import Sealed
from turnout.messages import errors as e
from turnout.messages.outcomes import Usage
from turnout.messages.responses import ModelResponseStream


def encoded(kit, deployment=None, **params):
    return codec_for(kit.deployment(**(deployment or {}))).encode(kit.call(**params))


def body(kit, deployment=None, **params):
    request = encoded(kit, deployment, **params)
    return json.loads(b"".join(request.stream))


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


# -- where to


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.openai.com/v1/chat/completions"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1/chat/completions/", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000", "http://localhost:8000/chat/completions"),
        ("https://gateway/a%2Fb/v1?tenant=7", "https://gateway/a%2Fb/v1/chat/completions?tenant=7"),
    ],
)
def test_any_way_to_write_a_base_leads_to_the_same_place(kit, base, url):
    assert str(encoded(kit, {"api_base": base}).url) == url


@pytest.mark.parametrize(("provider", "endpoint"), sorted(OPENAI_FORMAT.items()))
def test_every_compatible_provider_has_an_address_or_asks_for_one(kit, provider, endpoint):
    if endpoint.base is None:
        with pytest.raises(e.ConfigurationError, match=rf"dep-1: provider {provider} needs an api_base"):
            codec_for(kit.deployment(provider=provider))
    else:
        assert str(encoded(kit, {"provider": provider}).url) == f"{endpoint.base}/chat/completions"


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "cohere", "bedrock"])
def test_a_wire_format_that_is_not_built_is_refused_by_name(kit, provider):
    with pytest.raises(e.ConfigurationError, match=rf"dep-1: provider '{provider}' .* not built"):
        codec_for(kit.deployment(provider=provider))


@pytest.mark.parametrize(
    "base", ["ftp://host/v1", "http://", "http://user:pa55@host/v1", "http://host:port", "host/v1"]
)
def test_a_wrong_base_is_refused_and_not_shown(kit, base):
    with pytest.raises(e.ConfigurationError, match="dep-1: api_base") as caught:
        codec_for(kit.deployment(api_base=base))
    assert "pa55" not in str(caught.value)


# -- headers


def test_the_key_is_a_bearer_token(kit):
    assert encoded(kit).headers["authorization"] == f"Bearer {kit.SECRET}"


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_there_is_no_authorization(kit, key):
    assert "authorization" not in encoded(kit, {"api_key": key, "api_base": "http://localhost/v1"}).headers


def test_no_key_is_read_behind_the_settings_back(kit, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    assert "authorization" not in encoded(kit, {"api_key": None, "api_base": "http://elsewhere/v1"}).headers


def test_a_key_that_breaks_out_of_its_line_is_refused_and_not_shown(kit):
    with pytest.raises(e.ConfigurationError, match="dep-1: the api_key") as caught:
        codec_for(kit.deployment(api_key="sk-a\r\nX-Evil: 1"))
    assert "Evil" not in str(caught.value)


def test_the_head_is_complete_for_any_transport(kit):
    request = encoded(kit, {"api_base": "http://localhost:8000/v1"})
    sent = b"".join(request.stream)
    assert request.headers["host"] == "localhost:8000"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(sent))


def test_extra_headers_and_organization_are_headers_and_the_requests_win(kit):
    deployment = {"wire": {"extra_headers": {"X-Team": "a", "X-Only": "d"}, "organization": "org-1"}}
    request = encoded(kit, deployment, extra_headers={"x-team": "b", "User-Agent": "mine"})
    headers = request.headers
    assert headers.get_list("x-team") == ["b"]
    assert headers.get_list("user-agent") == ["mine"]
    assert (headers["x-only"], headers["openai-organization"]) == ("d", "org-1")
    assert set(json.loads(b"".join(request.stream))) == {"model", "messages"}


@pytest.mark.parametrize(
    "headers", [{"a\r\nb": "c"}, {"a": "b\r\nc: d"}, {"a": 1}, {"": "x"}, {"a": "é"}, "a: b", {1: "a"}]
)
def test_a_header_that_is_none_is_a_bad_request(kit, headers):
    with pytest.raises(e.BadRequestError, match="extra_headers"):
        encoded(kit, extra_headers=headers)


def test_a_wrong_header_of_a_deployment_is_a_configuration_error(kit):
    with pytest.raises(e.ConfigurationError, match="dep-1: extra_headers"):
        codec_for(kit.deployment(wire={"extra_headers": {"a": "b\n"}}))


@pytest.mark.parametrize("name", ["client_secret", "tenant_id"])
def test_a_credential_that_we_cannot_use_is_refused_and_not_sent(kit, name):
    with pytest.raises(e.ConfigurationError, match=f"{name} is not supported"):
        codec_for(kit.deployment(wire={name: "x"}))


@pytest.mark.parametrize("name", ["api_key", "api_base", "base_url", "api_version", "azure_ad_token"])
def test_a_request_cannot_say_where_to_go_or_with_which_key(kit, name):
    with pytest.raises(e.BadRequestError, match=f"{name} belongs to a deployment") as caught:
        encoded(kit, **{name: "s3cret"})
    assert "s3cret" not in str(caught.value)


# -- the body


def test_every_parameter_reaches_the_provider_as_given(kit):
    params = {
        "temperature": 0,
        "tools": TOOLS,
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_object"},
        "max_tokens": 5,
        "n": 2,
        "unheard_of": {"deep": [1, 2.5, None, "ü"]},
    }
    sent = body(kit, **params)
    assert sent == {"model": "gpt-4", "messages": [{"role": "user", "content": kit.PROMPT}], **params}


def test_a_deployments_defaults_apply_unless_the_request_says_otherwise(kit):
    sent = body(kit, {"wire": {"temperature": 0.5, "seed": 1}}, temperature=0.9)
    assert (sent["temperature"], sent["seed"]) == (0.9, 1)


def test_none_takes_a_default_back(kit):
    assert "temperature" not in body(kit, {"wire": {"temperature": 0.5}}, temperature=None)


def test_routing_fields_stay_here(kit):
    sent = body(kit, timeout=3, num_retries=2, priority=1, fallbacks=["x"], mock_delay=0.0)
    assert set(sent) == {"model", "messages"}


def test_extra_body_is_merged_into_the_body(kit):
    assert body(kit, extra_body={"top_k": 3})["top_k"] == 3


def test_a_request_is_not_changed_by_being_encoded(kit):
    deployment = kit.deployment(wire={"extra_headers": {"a": "b"}, "extra_body": {"x": 1}})
    call = kit.call(extra_headers={"c": "d"}, stream=True, stream_options={"include_usage": True})
    before = call.request.model_dump()
    first, second = (codec_for(deployment).encode(call) for _ in range(2))
    assert call.request.model_dump() == before
    assert deployment.wire == {"extra_headers": {"a": "b"}, "extra_body": {"x": 1}}
    assert b"".join(first.stream) == b"".join(second.stream)


@pytest.mark.parametrize(
    ("model", "found", "sent"), [("*", "gpt-4o", "gpt-4o"), ("ft-*-x", "7", "ft-7-x"), ("*", None, "")]
)
def test_a_wildcard_is_replaced_by_what_it_matched(kit, model, found, sent):
    assert body(kit, {"model": model}, wildcard=found)["model"] == sent


def test_pydantic_values_inside_parameters_are_written_as_json(kit):
    class Tool(BaseModel):
        type: str
        note: str | None = None

    assert body(kit, tools=[Tool(type="function")])["tools"] == [{"type": "function"}]


@pytest.mark.parametrize("value", [object(), {"a": {1, 2, object()}}, "\ud800", lambda: 1])
def test_a_parameter_that_is_no_json_is_a_bad_request_that_names_it(kit, value):
    with pytest.raises(e.BadRequestError, match="parameter 'odd' cannot be written as JSON"):
        encoded(kit, odd=value)


def test_a_parameter_that_contains_itself_is_a_bad_request(kit):
    loop: list = []
    loop.append(loop)
    with pytest.raises(e.BadRequestError, match="odd"):
        encoded(kit, odd=loop)


# -- asking for a stream


def test_a_stream_asks_for_usage(kit):
    sent = body(kit, stream=True)
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


def test_what_was_said_of_stream_options_is_kept(kit):
    sent = body(kit, stream=True, stream_options={"include_usage": False, "x": 1})
    assert sent["stream_options"] == {"include_usage": False, "x": 1}


def test_a_provider_that_does_not_take_stream_options_gets_none(kit):
    assert "stream_options" not in body(kit, {"provider": "mistral"}, stream=True)


def test_a_whole_answer_is_not_asked_for_with_stream_options(kit):
    sent = body(kit, {"wire": {"stream": True}}, stream_options={"include_usage": True})
    assert not {"stream", "stream_options"} & set(sent)


# -- whole answers

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-4-0613",
    "system_fingerprint": "fp",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 12,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 4},
    },
}


def decoded(kit, answer, **fields):
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return codec_for(kit.deployment(**fields)).decode(content, kit.call())


def test_an_answer_is_ours_and_still_openais(kit):
    got = decoded(kit, ANSWER)
    assert got.response.choices[0].message.tool_calls[0]["function"]["name"] == "f"
    assert got.response.system_fingerprint == "fp"
    assert got.usage == Usage(9, 12, 4)
    assert ChatCompletion.model_validate_json(got.response.model_dump_json()).id == "chatcmpl-1"


def test_an_answer_without_usage_has_none(kit):
    assert decoded(kit, {**ANSWER, "usage": None}).usage is None


def test_an_answer_without_an_id_gets_the_calls(kit):
    assert decoded(kit, {k: v for k, v in ANSWER.items() if k != "id"}).response.id == "call-1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<!DOCTYPE html><p>s3cret</p>", "200 with HTML"),
        (json.dumps(ANSWER).encode()[:-20], "not, or only half, JSON"),
        (b"", "empty body"),
        (b"\xff\xfe", "JSON"),
        (b"null", "JSON"),
        ({"id": "x"}, "without choices"),
        ({**ANSWER, "choices": []}, "without choices"),
        ({**ANSWER, "choices": None}, "not in OpenAI's shape"),
        ({**ANSWER, "choices": [{}]}, "not in OpenAI's shape"),
        ([1, 2], "without choices"),
        (b"[" * 100_000, "JSON"),
    ],
)
def test_an_unusable_answer_is_an_error_that_names_the_deployment_and_quotes_nothing(kit, answer, said):
    with pytest.raises(e.APIError, match=said) as caught:
        decoded(kit, answer)
    assert "[dep-1]" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("rest", [{}, {"choices": []}, {"choices": None}])
def test_an_error_object_in_a_good_answer_is_the_error_it_speaks_of(kit, rest):
    with pytest.raises(e.RateLimitError, match="rate_limit"):
        decoded(kit, {"error": {"message": "slow", "code": "rate_limit_exceeded"}, **rest})


# -- chunks


def chunk(content=None, *, finish=None, index=0, **fields):
    delta = {} if content is None else {"content": content}
    choices = [{"index": index, "delta": delta, "finish_reason": finish}]
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
        **fields,
    }


USAGE_CHUNK = {
    **chunk(),
    "choices": [],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def event(data, name=b""):
    return SseEvent(data if isinstance(data, bytes) else json.dumps(data).encode(), name)


def stream(kit, **params):
    return codec_for(kit.deployment()).stream(kit.call(stream=True, **params))


def test_a_chunk_is_ours_and_still_openais(kit):
    got = stream(kit).decode(event(chunk("hi", service_tier="default")))
    assert (got.choices[0].delta.content, got.service_tier) == ("hi", "default")
    assert (
        ChatCompletionChunk.model_validate_json(got.model_dump_json(exclude_none=True))
        .choices[0]
        .delta.content
        == "hi"
    )


def test_the_usage_chunk_is_kept_and_hidden(kit):
    decoder = stream(kit)
    assert decoder.decode(event(USAGE_CHUNK)) is None
    assert decoder.usage == Usage(3, 2)


def test_the_usage_chunk_is_shown_to_who_asked_for_it(kit):
    assert (
        stream(kit, stream_options={"include_usage": True}).decode(event(USAGE_CHUNK)).usage.total_tokens == 5
    )


def test_usage_that_comes_with_content_is_never_hidden(kit):
    decoder = stream(kit)
    assert decoder.decode(event(chunk("hi", usage=USAGE_CHUNK["usage"]))).choices
    assert decoder.usage == Usage(3, 2)


def test_a_stream_is_done_when_it_says_so(kit):
    decoder = stream(kit)
    assert decoder.decode(event(b"[DONE]")) is None
    assert decoder.done


def test_a_stream_without_a_finish_reason_was_cut(kit):
    decoder = stream(kit)
    decoder.decode(event(chunk("hi")))
    with pytest.raises(e.APIError, match="without a finish_reason"):
        decoder.finish()


def test_a_stream_of_two_choices_must_finish_both(kit):
    decoder = stream(kit)
    decoder.decode(event(chunk("a", finish="stop")))
    decoder.decode(event(chunk("b", index=1)))
    with pytest.raises(e.APIError, match="all its choices"):
        decoder.finish()
    decoder.decode(event(chunk(index=1, finish="stop")))
    decoder.finish()


@pytest.mark.parametrize(
    ("data", "name", "kind", "said"),
    [
        ({"error": {"message": "slow", "code": "rate_limit_exceeded"}}, b"", e.RateLimitError, "slow"),
        ({"error": {"message": "Overloaded"}}, b"error", e.ServiceUnavailableError, "Overloaded"),
        ({"message": "the context window is full"}, b"error", e.ContextWindowExceededError, "full"),
        ({**chunk(), "choices": [], "error": {"code": 502, "message": "bad"}}, b"", e.BadGatewayError, "bad"),
        (b"not json", b"", e.APIError, "not JSON"),
        (b'{"id": "half', b"", e.APIError, "not JSON"),
        ({"id": "x"}, b"", e.APIError, "no usable choices"),
        (b"[1]", b"", e.APIError, "no usable choices"),
    ],
)
def test_an_event_that_is_no_chunk_is_a_clear_error(kit, data, name, kind, said):
    with pytest.raises(kind, match=said) as caught:
        stream(kit).decode(event(data, name))
    assert caught.value.deployment_id == "dep-1"


# -- chunks of a stream that has begun


def test_a_chunk_that_tells_us_nothing_stays_bytes_until_it_is_taken(kit):
    sent = event(chunk("hi", system_fingerprint="fp"))
    passed = stream(kit).pass_on(sent)
    assert type(passed) is Sealed
    assert passed.data is sent.data
    assert passed.make(passed.data) == stream(kit).decode(sent)


@pytest.mark.parametrize(
    "told",
    [
        chunk("hi", finish="stop"),
        chunk("hi", usage=USAGE_CHUNK["usage"]),
        chunk("hi", unheard_of=1),
        {**chunk(), "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]},
    ],
)
def test_a_chunk_that_tells_something_is_made_at_once(kit, told):
    assert stream(kit).pass_on(event(told)) == stream(kit).decode(event(told))


def test_a_stream_that_has_begun_ends_as_before(kit):
    decoder = stream(kit)
    decoder.pass_on(event(chunk("a")))
    decoder.pass_on(event(chunk("b", index=1)))
    decoder.pass_on(event(chunk(finish="stop")))
    assert decoder.pass_on(event(USAGE_CHUNK)) is None
    assert decoder.usage == Usage(3, 2)
    with pytest.raises(e.APIError, match="all its choices"):
        decoder.finish()
    decoder.pass_on(event(chunk(index=1, finish="stop")))
    assert decoder.pass_on(event(b"[DONE]")) is None
    assert decoder.done
    decoder.finish()


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        ({**chunk("hi"), "error": {"message": "x", "code": 502}, "choices": []}, b"", e.BadGatewayError),
        (chunk("Overloaded"), b"error", e.APIError),
        (b"not json", b"", e.APIError),
        ({"choices": [{"delta": {"content": 5}}]}, b"", e.APIError),
        (b'{"choices": [{"delta": {"content": "\\ud800"}}]}', b"", e.APIError),
        (b'{"choices": [{"delta": {"content": "\xff"}}]}', b"", e.APIError),
    ],
)
def test_what_is_no_chunk_in_a_stream_that_has_begun_is_an_error_at_once(kit, data, name, kind):
    with pytest.raises(kind):
        stream(kit).pass_on(event(data, name))


def test_a_stream_of_chunks_that_glances_miss_is_glanced_at_only_so_often(kit):
    def passed(misses):
        decoder = stream(kit)
        for _ in range(misses):
            decoder.pass_on(event(chunk("hi", unheard_of=1)))
        return type(decoder.pass_on(event(chunk("hi"))))

    assert passed(MAX_MISSES - 1) is Sealed
    assert passed(MAX_MISSES) is ModelResponseStream
