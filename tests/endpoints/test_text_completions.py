"""Text completions: whole and streamed, on the same way as a chat."""

import asyncio
import json

import httpx
import pytest
from openai.types import Completion

from turnout import (
    APIError,
    BadRequestError,
    MidStreamError,
    ModelStream,
    NotFoundError,
    RateLimitError,
    RequestError,
    Router,
    TextCompletionRequest,
    TextCompletionResponse,
    TextCompletionStream,
)
from turnout.testing import FakeClock, SimulatedProvider
from turnout.testing.upstream import Behaviour, run_upstream

MODEL = "gpt-3.5-turbo-instruct"
PROMPT = "Once upon a time"
ANSWER = {"id": "cmpl-1", "created": 1, "choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]}


# -- whole answers


def test_a_prompt_is_continued(routed):
    answer = routed(MODEL).text_completion(MODEL, PROMPT)
    assert answer.choices[0].text.startswith(f"This is {MODEL}.")
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer.route.deployment_id == "one"
    assert answer._hidden_params["custom_llm_provider"] == "openai"


def test_the_answer_is_what_openais_own_client_gets(routed, sdk):
    ours = routed(MODEL).text_completion(MODEL, PROMPT, max_tokens=5).model_dump()
    theirs = sdk.completions.create(model=MODEL, prompt=PROMPT, max_tokens=5)
    assert Completion.model_validate(ours, strict=True)
    assert ours["choices"] == [choice.model_dump() for choice in theirs.choices]
    assert ours["usage"] == theirs.usage.model_dump(exclude_none=True)


def test_it_is_asked_as_openais_own_client_asks(kit):
    asked = {"prompt": ["a", "b"], "max_tokens": 5, "temperature": 0, "stop": ["."], "echo": True}
    with kit.recording(json.dumps(ANSWER).encode()) as recorder:
        with recorder.sdk() as client:
            client.completions.create(model=MODEL, **asked)
        with recorder.router("m", f"openai/{MODEL}") as router:
            router.text_completion("m", **asked)
    theirs, ours = recorder.seen
    assert ours[:2] == theirs[:2] == ("POST", "/v1/completions")
    assert json.loads(ours[3]) == json.loads(theirs[3])


def test_azure_is_asked_at_its_own_address(kit):
    with kit.recording(json.dumps(ANSWER).encode()) as recorder:
        base = recorder.base.removesuffix("/v1")
        with recorder.router("m", "azure/mine", api_base=base, api_version="2024-02-01") as router:
            router.text_completion("m", PROMPT)
    assert recorder.seen[0][1] == "/openai/deployments/mine/completions?api-version=2024-02-01"


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], [1, 2], [[1], [2, 3], [4]]])
def test_texts_and_tokens_are_prompts_and_each_gets_its_choice(routed, prompt):
    answer = routed(MODEL).text_completion(MODEL, prompt)
    count = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    assert [choice.index for choice in answer.choices] == list(range(count))


def test_every_way_to_ask_gives_the_same(routed, upstream, kit):
    router = routed(MODEL)
    wanted = router.text_completion(model=MODEL, prompt=PROMPT).choices
    assert router.ask(TextCompletionRequest(model=MODEL, prompt=PROMPT)).choices == wanted

    async def awaited():
        entries = [kit.entry("one", "m", f"openai/{MODEL}", api_base=upstream.api_base)]
        async with Router(entries) as on_loop:
            return (await on_loop.atext_completion("m", PROMPT)).choices

    assert asyncio.run(awaited()) == wanted


@pytest.mark.parametrize("wrong", [None, [], {"a": 1}, ["a", 1], 7])
def test_what_is_no_prompt_is_refused_at_once(wrong):
    with pytest.raises(BadRequestError, match=r"TextCompletionRequest\.prompt"):
        TextCompletionRequest(model="m", prompt=wrong)


def test_what_it_may_use_is_reserved():
    asked = TextCompletionRequest(model="m", prompt=["12345678", "1234"], max_tokens=10, n=2, best_of=3)
    demand = asked.demand()
    assert (demand.input_tokens, demand.output_tokens, demand.inputs) == (3, 60, 1)
    assert TextCompletionRequest(model="m", prompt=[1, 2, 3]).demand().input_tokens == 3
    assert TextCompletionRequest(model="m", prompt="a").demand().output_tokens is None


def test_it_costs_its_prompt_and_its_answer(routed):
    prices = {"input_cost_per_token": 0.5, "output_cost_per_token": 2.0}
    answer = routed(MODEL, info=prices).text_completion(MODEL, "1234", max_tokens=3)
    assert answer.route.cost == pytest.approx(0.5 * 1 + 2.0 * 3)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"choices": []}', b'{"choices": [{"index": 0}]}', b"<p>", b"nul"]
)
def test_an_answer_that_is_none_is_an_error(kit, body):
    with (
        kit.recording(body) as recorder,
        recorder.router("m", "openai/e") as router,
        pytest.raises(APIError, match="answered 200"),
    ):
        router.text_completion("m", PROMPT)


def test_a_chat_models_refusal_is_the_providers_error(kit):
    body = json.dumps({"error": {"message": "This is a chat model", "code": "model_not_found"}}).encode()
    with (
        kit.recording(body, status=404) as recorder,
        recorder.router("m", "openai/gpt-4o") as router,
        pytest.raises(NotFoundError) as caught,
    ):
        router.text_completion("m", PROMPT)
    assert caught.value.status_code == 404


# -- the same way as any request


def test_it_is_retried_falls_back_and_is_recorded(on_a_fake_clock, kit):
    router = on_a_fake_clock(
        [kit.entry("a", "m"), kit.entry("b", "m"), kit.entry("c", "n")],
        {
            "a": SimulatedProvider(script=[500]),
            "b": SimulatedProvider(script=[RateLimitError]),
            "c": SimulatedProvider(text="well", prompt_tokens=4),
        },
        num_retries=1,
        fallbacks=[{"m": ["n"]}],
    )
    answer = router.text_completion("m", PROMPT)
    assert (answer.choices[0].text, answer.usage.prompt_tokens) == ("well", 4)
    assert (answer.route.retries, answer.route.fallbacks) == (1, 1)
    accepted, *_, ended = (item.event for item in router.events(f"request/{answer.route.request_id}"))
    assert (accepted.kind, ended.TYPE) == ("text_completion", "request_succeeded")


def test_a_fallback_may_change_its_prompt(mocked, kit):
    entries = [
        kit.entry("a", "m", mock_response=RateLimitError("no")),
        kit.entry("b", "n", mock_response="x"),
    ]
    fallback = {"model": "n", "prompt": ["one", "two"]}
    with Router(entries, clock=FakeClock()) as router:
        answer = router.text_completion("m", PROMPT, fallbacks=[fallback])
    assert len(answer.choices) == 2


def test_an_equal_one_is_answered_from_the_cache(kit):
    with Router([kit.entry("a", "m", mock_response="hi")], clock=FakeClock(), cache_responses=True) as router:
        first, again = (router.text_completion("m", PROMPT) for _ in range(2))
        other = router.text_completion("m", "another prompt")
        played = [list(router.text_completion("m", PROMPT, stream=True)) for _ in range(2)]
    assert (first.route.cache_hit, again.route.cache_hit, other.route.cache_hit) == (False, True, False)
    assert type(again) is TextCompletionResponse
    assert again.choices == first.choices
    assert played[0] == played[1]


def test_callbacks_are_told_of_it(kit):
    told = []

    def heard(kwargs, answer, start, end):
        text = answer.choices[0]["text"] if isinstance(answer.choices[0], dict) else answer.choices[0].text
        told.append((kwargs["call_type"], kwargs["input"], text))

    entries = [kit.entry("a", "m", mock_response="hi there")]
    with Router(entries, callbacks=[heard]) as router:
        router.text_completion("m", PROMPT)
        list(router.text_completion("m", PROMPT, stream=True))
    assert told == [("text_completion", PROMPT, "hi there")] * 2


# -- streams


def test_a_stream_is_chunks_in_the_shape_of_the_answer(routed, sdk):
    router = routed(MODEL)
    with router.text_completion(MODEL, PROMPT, stream=True) as stream:
        chunks = list(stream)
    assert isinstance(stream, TextCompletionStream)
    assert isinstance(stream, ModelStream)
    assert {type(chunk) for chunk in chunks} == {TextCompletionResponse}
    assert stream.text == "".join(chunk.choices[0].text for chunk in chunks)
    assert stream.text == router.text_completion(MODEL, PROMPT).choices[0].text
    assert stream.route.attempts[-1].error is None
    theirs = sdk.completions.create(model=MODEL, prompt=PROMPT, stream=True)
    assert [c.model_dump()["choices"] for c in theirs] == [c.model_dump()["choices"] for c in chunks]


def test_usage_is_asked_for_and_shown_only_to_who_asked(routed):
    router = routed(MODEL, info={"input_cost_per_token": 1.0, "output_cost_per_token": 0.0})
    hidden = router.text_completion(MODEL, "1234", stream=True)
    assert all(chunk.choices for chunk in hidden)
    assert hidden.route.cost == 1.0
    shown = list(router.text_completion(MODEL, "1234", stream=True, stream_options={"include_usage": True}))
    assert (shown[-1].choices, shown[-1].usage.prompt_tokens) == ([], 1)


def test_an_awaited_stream_reads_the_same(kit, upstream):
    async def run():
        entries = [kit.entry("one", "m", f"openai/{MODEL}", api_base=upstream.api_base)]
        async with Router(entries) as router:
            stream = await router.atext_completion("m", PROMPT, stream=True)
            text = "".join([chunk.choices[0].text async for chunk in stream])
            return text, stream.text

    text, kept = asyncio.run(run())
    assert text == kept
    assert text.startswith(f"This is {MODEL}.")


def test_a_stream_that_breaks_before_its_first_word_is_retried(on_a_fake_clock, kit):
    router = on_a_fake_clock([kit.entry("a", "m")], {"a": SimulatedProvider(script=[503])}, num_retries=1)
    stream = router.text_completion("m", PROMPT, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "Hello from a simulated provider"
    assert stream.route.retries == 1


def test_a_stream_that_breaks_later_says_so_with_its_text(on_a_fake_clock, kit):
    cut = SimulatedProvider(text="one two three", cut_after=2)
    stream = on_a_fake_clock([kit.entry("a", "m")], {"a": cut}).text_completion("m", PROMPT, stream=True)
    with pytest.raises(MidStreamError) as caught:
        list(stream)
    assert caught.value.text == "one two"
    assert caught.value.usage.completion_tokens == 2


def test_a_cut_connection_is_never_a_silent_end(kit):
    with run_upstream(Behaviour(cut_streams=1.0), seed=3) as upstream:
        entries = [kit.entry("one", "m", f"openai/{MODEL}", api_base=upstream.api_base)]
        with Router(entries) as router:
            stream = router.text_completion("m", PROMPT, stream=True)
            with pytest.raises(MidStreamError) as caught:
                list(stream)
    assert caught.value.text == stream.text
    assert stream.text.startswith("This")


def test_leaving_a_stream_aborts_it_upstream(kit):
    with run_upstream(Behaviour(chunk_delay=0.2, words=500)) as upstream:
        entries = [kit.entry("one", "m", f"openai/{MODEL}", api_base=upstream.api_base)]
        with Router(entries) as router:
            for _ in router.text_completion("m", PROMPT, stream=True):
                break
            router.close()
            while not upstream.stats()["*"].get("left"):  # asked over HTTP: each turn gives it time
                pass
            events = [item.event.TYPE for item in router.events("request/" + _only_request(router))]
    assert events[-1] == "request_cancelled"


def _only_request(router):
    (name,) = {item.stream for item in router.events() if item.stream.startswith("request/")}
    return name.removeprefix("request/")


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "without a finish_reason"),
        (b'data: {"choices":[{"index":0,"text":"a"}]}\n\n', "finish_reason"),
        (b'data: {"error":{"message":"busy"}}\n\n', "busy"),
        (b"data: nonsense\n\n", "not JSON"),
        (b'data: {"choices":[{"index":0}]}\n\n', "no usable choices"),
    ],
)
def test_a_stream_that_is_none_is_an_error(kit, sent, error):
    def reply(request):
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=sent)

    with Router([kit.entry("a", "m")], clock=FakeClock(), transport=httpx.MockTransport(reply)) as router:
        with pytest.raises(RequestError, match=error) as caught:
            list(router.text_completion("m", PROMPT, stream=True))
        assert PROMPT not in str(caught.value)


# -- mocks


def test_a_mock_text_is_the_answer_to_every_prompt(mocked):
    answer = mocked(mock_response="hello there").text_completion("m", ["12345678", "1234"])
    assert [choice.text for choice in answer.choices] == ["hello there"] * 2
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 6)


def test_a_mock_streams_word_by_word(mocked):
    stream = mocked(mock_response="hello there").text_completion("m", PROMPT, stream=True)
    assert [chunk.choices[0].text for chunk in stream] == ["hello", " there", ""]
    assert stream.text == "hello there"


def test_a_mock_may_be_a_whole_answer(mocked):
    answer = mocked(mock_response=ANSWER).text_completion("m", PROMPT)
    assert (answer.id, answer.choices[0].text) == ("cmpl-1", "hi")
    again = mocked(mock_response=TextCompletionResponse.model_validate(ANSWER))
    assert again.text_completion("m", PROMPT).choices == answer.choices


@pytest.mark.parametrize("mock", [[0.5], {"choices": [{"message": {}}]}])
def test_a_mock_that_is_no_text_says_so(mocked, mock):
    with pytest.raises(BadRequestError, match="mock_response"):
        mocked(mock_response=mock).text_completion("m", PROMPT)
