"""What providers say, and which error it is."""

from __future__ import annotations

import json
import pickle

import httpx
import openai
import pytest

from turnout.actors.providers.failures import broken_connection, foreign_error, refusal
from turnout.actors.providers.reply_headers import provider_limits, retry_after
from turnout.messages import errors as e
from turnout.messages.outcomes import ProviderLimits

NOW = 1_700_000_000.0


def refused(kit, status, body, *, headers=None, prompt=(), **fields):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = httpx.Headers(headers or {"content-type": "application/json"})
    return refusal(kit.deployment(**fields), status, given, content, NOW, prompt=prompt)


def error(message="", **fields):
    return {"error": {"message": message, **fields}}


AZURE_FILTER = error(
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    code="content_filter",
    type=None,
    status=400,
    innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
)

SAID = [
    (400, error("bad temperature", type="invalid_request_error"), e.BadRequestError),
    (
        400,
        error("This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
        e.ContextWindowExceededError,
    ),
    (400, error("x", code="context_length_exceeded"), e.ContextWindowExceededError),
    (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"},
        },
        e.ContextWindowExceededError,
    ),
    (
        400,
        {"object": "error", "message": "This model's maximum context length is 4096 tokens", "code": 400},
        e.ContextWindowExceededError,
    ),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                }
            }
        ],
        e.ContextWindowExceededError,
    ),
    (413, error("Input is too long for requested model."), e.ContextWindowExceededError),
    (422, {"message": "too many tokens: prompt is too long"}, e.ContextWindowExceededError),
    (500, error("the request exceeds the available context size"), e.ContextWindowExceededError),
    (400, AZURE_FILTER, e.ContentPolicyViolationError),
    (400, error("x", code="ResponsibleAIPolicyViolation"), e.ContentPolicyViolationError),
    (400, error("x", innererror={"code": "ResponsibleAIPolicyViolation"}), e.ContentPolicyViolationError),
    (
        400,
        error("Your request was rejected as a result of our safety system.", code="content_policy_violation"),
        e.ContentPolicyViolationError,
    ),
    (
        403,
        error("Your chosen model requires moderation and your input was flagged", code=403),
        e.ContentPolicyViolationError,
    ),
    (401, error("Incorrect API key provided", code="invalid_api_key"), e.AuthenticationError),
    (403, error("no access"), e.PermissionDeniedError),
    (404, error("The model `x` does not exist", code="model_not_found"), e.NotFoundError),
    (408, error("late"), e.Timeout),
    (409, error("conflict"), e.BadRequestError),
    (
        422,
        {"detail": [{"loc": ["body", "n"], "msg": "not an int", "input": "PROMPT"}]},
        e.UnprocessableEntityError,
    ),
    (429, error("Rate limit reached for gpt-4", code="rate_limit_exceeded"), e.RateLimitError),
    (429, error("You exceeded your current quota", code="insufficient_quota"), e.RateLimitError),
    (429, error("Request too large for gpt-4 on tokens per min, too many tokens"), e.RateLimitError),
    (403, error("x", code="insufficient_quota"), e.RateLimitError),
    (500, error("oops"), e.InternalServerError),
    (502, b"<html>Bad gateway</html>", e.BadGatewayError),
    (503, {"error": "overloaded"}, e.ServiceUnavailableError),
    (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        e.ServiceUnavailableError,
    ),
    (504, b"", e.APIError),
    (307, b"", e.APIError),
    (200, error("Rate limit reached", code="rate_limit_exceeded"), e.RateLimitError),
    (200, error("Provider returned error", code=502), e.BadGatewayError),
    (200, error("?"), e.InternalServerError),
]


@pytest.mark.parametrize(("status", "body", "kind"), SAID)
@pytest.mark.parametrize("provider", ["openai", "azure", "groq"])
def test_what_a_provider_says_is_one_of_our_errors(kit, status, body, kind, provider):
    got = refused(kit, status, body, provider=provider)
    assert type(got) is kind
    assert (got.llm_provider, got.deployment_id, got.model) == (provider, "dep-1", "gpt-4")
    assert got.status_code == (status if status >= 400 else kind.status_code)
    assert "dep-1" in str(got)
    assert "PROMPT" not in str(got)


def test_a_status_beats_words_where_words_prove_little(kit):
    assert type(refused(kit, 401, error("rate limit content policy context length"))) is e.AuthenticationError


def test_the_text_names_provider_status_message_and_code(kit):
    got = refused(kit, 429, error("Slow down", code="rate_limit_exceeded", type="tokens"))
    assert got.message == "openai answered 429: Slow down (rate_limit_exceeded, tokens)"


def test_html_is_described_and_not_quoted(kit):
    got = refused(kit, 502, b"<html>s3cret</html>", headers={"content-type": "text/html; charset=utf-8"})
    assert got.message == "openai answered 502: 19 bytes of text/html that say no more"


def test_keys_are_masked_in_a_providers_words(kit):
    body = error(
        f"Incorrect API key provided: {kit.SECRET}. And Bearer abc123. And my-own-key-without-shape."
    )
    got = refused(kit, 401, body, wire={"extra_headers": {"x-api-key": "my-own-key-without-shape"}})
    assert kit.SECRET not in str(got)
    assert "abc123" not in str(got)
    assert "my-own-key" not in str(got)


@pytest.mark.parametrize("key", ["a", "key"])
def test_a_key_of_a_few_characters_leaves_the_words_it_is_in(kit, key):
    got = refused(kit, 401, error(f"an unknown turnkey was sent: '{key}'"), api_key=key)
    assert got.message == "openai answered 401: an unknown turnkey was sent: '***'"


def test_a_key_of_any_shape_is_masked(kit):
    got = refused(kit, 401, error("wrong key 0a1b2c3d"), api_key="0a1b2c3d")
    assert got.message == "openai answered 401: wrong key ***"


def test_a_key_that_the_shortening_would_cut_is_masked_first(kit):
    got = refused(kit, 401, error("x" * 495 + kit.SECRET))
    assert kit.SECRET[:5] not in str(got)


def test_a_long_message_is_shortened(kit):
    assert len(refused(kit, 400, error("a" * 100_000)).message) < 600


@pytest.mark.parametrize("quoted", ["{}", "body is [{{'content': '{}'}}]", "…{}…"])
def test_a_message_that_quotes_the_prompt_is_withheld(kit, quoted):
    got = refused(kit, 400, error(quoted.format(kit.PROMPT), code="bad"), prompt=[kit.PROMPT])
    assert "clockmaker" not in str(got)
    assert "withheld" in str(got)


def test_a_part_of_a_long_prompt_is_recognised_too(kit):
    prompt = "".join(chr(97 + n * n % 26) for n in range(5000))
    got = refused(kit, 400, error(f"cannot read: {prompt[1003:1043]} there"), prompt=[prompt])
    assert prompt[1010:1030] not in str(got)


def test_words_that_the_prompt_happens_to_share_are_not_withheld(kit):
    got = refused(kit, 400, error("Invalid value for 'temperature'"), prompt=["hi", "What is temperature?"])
    assert got.message.endswith("Invalid value for 'temperature'")


# -- Retry-After


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers, seconds):
    assert retry_after(httpx.Headers(headers), NOW).seconds == seconds


@pytest.mark.parametrize(
    "text",
    ["-1", "nan", "inf", "soon", "", "3601", "1e999", "Tue, 14 Nov 2023 22:13:10 GMT", "Tue, 99 Nov 2023"],
)
def test_nonsense_in_retry_after_is_ignored_and_noted(kit, text):
    got = refused(kit, 429, error("slow"), headers={"retry-after": text})
    assert got.retry_after is None
    assert "ignored retry-after" in got.message


def test_a_ceiling_of_ones_own_is_kept(kit):
    assert retry_after(httpx.Headers({"retry-after": "7"}), NOW, 5.0).seconds is None


def test_an_error_carries_retry_after(kit):
    assert refused(kit, 503, error("busy"), headers={"retry-after-ms": "1200"}).retry_after == 1.2


# -- limits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1.0), ("6m0s", 360.0), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("1m30ms", 60.03), ("7", 7.0),
     ("2d", 172800.0), ("", None), ("soon", None), ("-1s", None), ("s", None), ("nan", None)],
)  # fmt: skip
def test_spans_are_read(text, seconds):
    limits = provider_limits(
        httpx.Headers({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": text})
    )
    assert limits.reset_requests == (seconds if seconds is None else pytest.approx(seconds))


def test_all_four_limits_are_read_whatever_the_case():
    headers = httpx.Headers(
        {
            "X-RateLimit-Remaining-Requests": "59",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-reset-tokens": "6m0s",
            "x-ratelimit-limit-requests": "60",
        }
    )
    assert provider_limits(headers) == ProviderLimits(59, 149984, 1.0, 360.0)


@pytest.mark.parametrize("value", ["-5", "many", "nan", "inf", "1e300"])
def test_a_nonsensical_count_is_nothing(value):
    assert provider_limits(httpx.Headers({"x-ratelimit-remaining-tokens": value})) is None


def test_no_header_means_no_limits():
    assert provider_limits(httpx.Headers({"x-request-id": "1"})) is None


# -- transports and other people's exceptions


@pytest.mark.parametrize(
    ("raised", "sent"),
    [
        (httpx.ConnectError("no"), "no"),
        (httpx.ConnectTimeout("no"), "no"),
        (httpx.PoolTimeout("no"), "no"),
        (httpx.ReadError("?"), "maybe"),
        (httpx.ReadTimeout("?"), "maybe"),
        (httpx.RemoteProtocolError("?"), "maybe"),
    ],
)
def test_a_transport_error_is_a_connection_error_of_its_class(kit, raised, sent):
    got = broken_connection(kit.deployment(), raised)
    assert (type(got), got.sent, got.__cause__) == (e.APIConnectionError, sent, raised)


def sdk_error(kind, status, body):
    response = httpx.Response(status, request=httpx.Request("POST", "http://x"))
    return kind("message", response=response, body=body)


class UnheardError(Exception):
    status_code = 503


class ContextWindowExceededError(Exception):
    status_code = 400


FOREIGN = [
    (Exception("content filtering policy"), e.ContentPolicyViolationError),
    (Exception("prompt is too long"), e.ContextWindowExceededError),
    (Exception("this is a rate limit error"), e.RateLimitError),
    (Exception("something else"), e.APIError),
    (ValueError("overloaded"), e.ServiceUnavailableError),
    (TimeoutError(), e.Timeout),
    (ConnectionResetError("gone"), e.APIConnectionError),
    (httpx.ConnectError("no"), e.APIConnectionError),
    (UnheardError("?"), e.ServiceUnavailableError),
    (ContextWindowExceededError("?"), e.ContextWindowExceededError),
    (sdk_error(openai.RateLimitError, 429, None), e.RateLimitError),
    (
        sdk_error(openai.BadRequestError, 400, {"message": "x", "code": "context_length_exceeded"}),
        e.ContextWindowExceededError,
    ),
    (
        sdk_error(openai.BadRequestError, 400, {"message": "x", "code": "content_filter"}),
        e.ContentPolicyViolationError,
    ),
    (sdk_error(openai.InternalServerError, 503, None), e.ServiceUnavailableError),
    (sdk_error(openai.AuthenticationError, 401, None), e.AuthenticationError),
    (openai.APITimeoutError(httpx.Request("POST", "http://x")), e.Timeout),
    (openai.APIConnectionError(request=httpx.Request("POST", "http://x")), e.APIConnectionError),
    (e.RateLimitError("slow", retry_after=3.0), e.RateLimitError),
]


@pytest.mark.parametrize(("raised", "kind"), FOREIGN, ids=lambda v: getattr(v, "__name__", repr(v)[:40]))
def test_anyones_exception_is_one_of_ours(kit, raised, kind):
    got = foreign_error(raised, kit.deployment())
    assert type(got) is kind
    assert got.deployment_id == "dep-1"
    assert got is not raised


def test_an_error_of_ours_keeps_what_it_carries(kit):
    raised = e.APIConnectionError("gone", sent="no", retry_after=2.0)
    raised.attempts = ("an earlier life",)
    got = foreign_error(raised, kit.deployment())
    assert (got.message, got.sent, got.retry_after, got.attempts) == ("gone", "no", 2.0, ())
    assert raised.attempts == ("an earlier life",)
    assert pickle.loads(pickle.dumps(got)).sent == "no"


def test_a_foreign_text_shows_no_key(kit):
    assert kit.SECRET not in str(foreign_error(Exception(f"bad key {kit.SECRET}"), kit.deployment()))
