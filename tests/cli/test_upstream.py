"""The upstream as its clients see it: real processes, real sockets, a provider's own SDK."""

import signal
import subprocess
import sys

import httpx
import openai
import pytest

from turnout.testing.upstream import Behaviour, Rate, run_upstream

ASKED_AT_MOST = 3000
"""So often the upstream is asked whether something has happened; each time it gets on with its work."""

HELLO = [{"role": "user", "content": "Hello there"}]
MODELS = {
    "broken": Behaviour(error_rate=1.0, error_status=503),
    "limited": Behaviour(rate_limit=Rate(2, 3600.0)),
    "told": Behaviour(rate_limit=Rate(1, 3600.0), retry_after=1.5),
    "cuts": Behaviour(cut_streams=1.0),
    "stalls": Behaviour(stall=1.0),
    "falls-silent": Behaviour(stall_streams=1.0),
}


@pytest.fixture(scope="module")
def upstream():
    with run_upstream(Behaviour(words=9), MODELS, seed=5) as running:
        yield running


@pytest.fixture
def client(upstream):
    with openai.OpenAI(base_url=upstream.api_base, api_key="none", max_retries=0, timeout=10) as client:
        yield client


def test_it_answers_with_what_was_asked_and_with_its_usage(client):
    answer = client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content.startswith('This is m. You said: "Hello there",')
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 9
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 9


def test_a_stream_says_the_same_word_by_word(client):
    whole = client.chat.completions.create(model="m", messages=HELLO).choices[0].message.content
    chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_tells_its_usage_only_when_it_is_asked_to(client):
    plain = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    assert all(chunk.usage is None for chunk in plain)
    asked = client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert list(asked)[-1].usage.completion_tokens == 9


def test_max_tokens_ends_an_answer_early(client):
    answer = client.chat.completions.create(model="m", messages=HELLO, max_tokens=2)
    assert answer.choices[0].message.content == "This is"
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_n_choices_are_given(client, stream):
    answer = client.chat.completions.create(model="m", messages=HELLO, n=3, stream=stream)
    chunks = answer if stream else [answer]
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1, 2}


TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("look", "listen")]


@pytest.mark.parametrize(
    ("choice", "called"),
    [("auto", "look"), ({"type": "function", "function": {"name": "listen"}}, "listen")],
)
def test_a_tool_is_called(client, choice, called):
    answer = client.chat.completions.create(model="m", messages=HELLO, tools=TOOLS, tool_choice=choice)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == called


def test_the_result_of_a_tool_is_answered_in_words(client):
    messages = [*HELLO, {"role": "tool", "tool_call_id": "call_1", "content": "42"}]
    answer = client.chat.completions.create(model="m", messages=messages, tools=TOOLS)
    assert '"42"' in answer.choices[0].message.content


def test_azures_path_names_the_deployment(upstream):
    client = openai.AzureOpenAI(
        azure_endpoint=upstream.url, api_key="none", api_version="2024-10-21", max_retries=0
    )
    with client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="broken", messages=HELLO)
    assert caught.value.status_code == 503


def test_models_are_listed(client):
    assert {model.id for model in client.models.list()} == set(MODELS)


def test_a_limit_lets_through_what_it_says_and_tells_when_it_lets_through_more(client):
    for _ in range(2):
        client.chat.completions.create(model="limited", messages=HELLO)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="limited", messages=HELLO)
    headers = caught.value.response.headers
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert 3000 < int(headers["retry-after"]) <= 3600


def test_retry_after_may_be_told_other_than_it_is(client):
    client.chat.completions.create(model="told", messages=HELLO)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="told", messages=HELLO)
    assert caught.value.response.headers["retry-after-ms"] == "1500"
    assert caught.value.response.headers["retry-after"] == "2"


def test_a_cut_stream_has_begun_and_never_ends_well(upstream, client):
    stream = client.chat.completions.create(model="cuts", messages=HELLO, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "This"]
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    assert upstream.stats()["cuts"]["cut"] == 1


@pytest.mark.parametrize(("model", "stream"), [("stalls", False), ("falls-silent", True)])
def test_a_client_that_leaves_a_stalled_call_is_noticed(upstream, model, stream):
    body = {"model": model, "messages": HELLO, "stream": stream}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{upstream.api_base}/chat/completions", json=body, timeout=httpx.Timeout(10, read=0.05))
    assert any(upstream.stats()[model].get("left") for _ in range(ASKED_AT_MOST))
    assert upstream.stats()[model] == {"requests": 1, "stalled": 1, "left": 1}


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"<html>", "JSON object"),
        (b"[]", "JSON object"),
        (b'{"messages": [{}]}', "'model'"),
        (b'{"model": "m"}', "'messages'"),
        (b'{"model": "m", "messages": []}', "'messages'"),
        (b'{"model": "m", "messages": ["hi"]}', "'messages'"),
        (b'{"model": "m", "messages": [{}], "n": 0}', "'n'"),
        (b'{"model": "m", "messages": [{}], "max_tokens": "many"}', "'max_tokens'"),
        (b'{"model": "m", "messages": [{}], "tools": [{}]}', "'tools'"),
    ],
)
def test_a_wrong_request_is_a_400_that_names_what_is_wrong(upstream, body, wrong):
    answer = httpx.post(f"{upstream.api_base}/chat/completions", content=body)
    assert answer.status_code == 400
    assert wrong in answer.json()["error"]["message"]


def outcomes(seed):
    half = Behaviour(error_rate=0.5)
    with run_upstream(half, seed=seed) as running, httpx.Client(base_url=running.api_base) as client:
        body = {"model": "m", "messages": HELLO}
        return [client.post("/chat/completions", json=body).status_code for _ in range(40)]


def test_the_same_seed_is_the_same_luck():
    first = outcomes(3)
    assert set(first) == {200, 500}
    assert outcomes(3) == first


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, "eof"])
def test_it_ends_in_good_order(how):
    command = [sys.executable, "-m", "turnout", "upstream", *(["--until-eof"] if how == "eof" else [])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline().startswith(b'{"url": "http://127.0.0.1:')
        if how != "eof":
            process.send_signal(how)
        try:
            _, complaints = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, complaints) == (0, b"")


def test_an_address_that_is_taken_is_one_clear_line(upstream):
    port = upstream.url.rpartition(":")[2]
    command = [sys.executable, "-m", "turnout", "upstream", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"turnout: cannot listen on 127.0.0.1:{port}")
    assert ended.stderr.count("\n") == 1
