"""Embeddings: a text, texts and tokens; batches that are divided and put together again."""

import asyncio
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from turnout import (
    APIError,
    BadRequestError,
    EmbeddingRequest,
    EmbeddingResponse,
    NoDeploymentsAvailable,
    RateLimitError,
    Router,
)
from turnout.actors.deployment.limits import RollingWindow
from turnout.actors.providers.parted import MAX_PARTS_AT_ONCE
from turnout.messages.events import CallStarted
from turnout.testing import FakeClock, SimulatedProvider, SimulatedProviders
from turnout.testing.upstream.kinds import vector

MODEL = "text-embedding-3-small"


# -- what may be asked, and what comes back


@pytest.mark.parametrize(
    ("asked", "items"),
    [
        ("one text", ["one text"]),
        (["a", "b", "c"], ["a", "b", "c"]),
        ([1, 2, 3], [[1, 2, 3]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
)
def test_a_text_texts_and_token_lists_are_embedded_in_order(routed, asked, items):
    answer = routed(MODEL).embedding(MODEL, asked)
    assert [row.embedding for row in answer.data] == [vector(item, 8) for item in items]
    assert [row.index for row in answer["data"]] == list(range(len(items)))
    assert answer.route.deployment_id == "one"
    assert answer._hidden_params["model_id"] == "one"


def test_the_answer_is_what_openais_own_client_gets(routed, sdk):
    ours = routed(MODEL).embedding(MODEL, ["a", "b"], dimensions=4, encoding_format="float")
    theirs = sdk.embeddings.create(model=MODEL, input=["a", "b"], dimensions=4, encoding_format="float")
    document = ours.model_dump(exclude_none=True)
    assert CreateEmbeddingResponse.model_validate(document, strict=True)
    assert document["data"] == theirs.model_dump()["data"]
    assert ours.usage.prompt_tokens == theirs.usage.prompt_tokens


def test_base64_stays_as_it_came(routed):
    answer = routed(MODEL).embedding(MODEL, "a", encoding_format="base64")
    assert isinstance(answer.data[0].embedding, str)


def test_it_is_asked_as_openais_own_client_asks(kit):
    answer = json.dumps({"data": [{"index": 0, "embedding": [1.0]}], "model": MODEL}).encode()
    with kit.recording(answer) as recorder:
        with recorder.sdk() as client:
            client.embeddings.create(model=MODEL, input="a", dimensions=4, encoding_format="float", user="u")
        with recorder.router("m", f"openai/{MODEL}") as router:
            router.embedding("m", "a", dimensions=4, encoding_format="float", user="u")
    theirs, ours = recorder.seen
    assert ours[:2] == theirs[:2] == ("POST", "/v1/embeddings")
    assert json.loads(ours[3]) == json.loads(theirs[3])
    assert ours[2]["authorization"] == theirs[2]["authorization"]
    assert ours[2]["content-type"] == theirs[2]["content-type"]


def test_azure_is_asked_at_its_own_address(kit):
    answer = json.dumps({"data": [{"index": 0, "embedding": [1.0]}]}).encode()
    with kit.recording(answer) as recorder:
        base = recorder.base.removesuffix("/v1")
        with recorder.router("m", "azure/my-embedder", api_base=base, api_version="2024-02-01") as router:
            router.embedding("m", "a")
    ((_, path, headers, _),) = recorder.seen
    assert path == "/openai/deployments/my-embedder/embeddings?api-version=2024-02-01"
    assert headers["api-key"] == kit.KEY
    assert "authorization" not in headers


def test_every_way_to_ask_gives_the_same(routed, upstream, kit):
    router = routed(MODEL)
    wanted = router.embedding(model=MODEL, input="a").data[0].embedding
    assert router.embeddings(MODEL, "a").data[0].embedding == wanted
    assert router.ask(EmbeddingRequest(model=MODEL, input="a")).data[0].embedding == wanted

    async def awaited():
        entries = [kit.entry("one", "m", f"openai/{MODEL}", api_base=upstream.api_base)]
        async with Router(entries) as on_loop:
            both = await on_loop.aembedding("m", "a"), await on_loop.aembeddings("m", "a")
            return [answer.data[0].embedding for answer in both]

    assert asyncio.run(awaited()) == [wanted, wanted]


@pytest.mark.parametrize(
    "wrong", [None, 5, [], [[]], ["a", 1], ["a", ["b"]], [1.5], [["a"]], {"text": "a"}, [True]]
)
def test_what_is_no_input_is_refused_at_once(wrong):
    with pytest.raises(BadRequestError, match=r"EmbeddingRequest\.input"):
        EmbeddingRequest(model="m", input=wrong)


def test_a_stream_of_embeddings_is_refused():
    with pytest.raises(BadRequestError, match=r"EmbeddingRequest\.stream"):
        EmbeddingRequest(model="m", input="a", stream=True)


def test_stream_false_is_nothing_to_send():
    assert EmbeddingRequest(model="m", input="a", stream=False).wire_params() == {"input": "a"}


# -- the same way as any request


def test_it_is_retried_falls_back_and_is_recorded(on_a_fake_clock, kit):
    router = on_a_fake_clock(
        [kit.entry("a", "m"), kit.entry("b", "m"), kit.entry("c", "n")],
        {
            "a": SimulatedProvider(script=[500]),
            "b": SimulatedProvider(script=[RateLimitError]),
            "c": SimulatedProvider(vector=(1.0, 2.0)),
        },
        num_retries=1,
        fallbacks=[{"m": ["n"]}],
    )
    answer = router.embedding("m", ["x", "y"])
    assert [row.embedding for row in answer.data] == [[1.0, 2.0]] * 2
    assert (answer.route.retries, answer.route.fallbacks) == (1, 1)
    accepted, *_, ended = (item.event for item in router.events(f"request/{answer.route.request_id}"))
    assert (accepted.kind, ended.TYPE) == ("embedding", "request_succeeded")


def test_only_its_prompt_is_charged(routed):
    router = routed(MODEL, info={"mode": "embedding", "input_cost_per_token": 0.01})
    answer = router.embedding(MODEL, ["12345678", "1234"])
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 0)
    assert answer.route.cost == pytest.approx(0.03)


def test_it_reserves_no_output():
    assert EmbeddingRequest(model="m", input=["12345678", [1, 2, 3]][:1]).demand().output_tokens == 0
    assert EmbeddingRequest(model="m", input=[[1, 2, 3], [4]]).demand().input_tokens == 4


def test_nothing_of_the_input_stands_in_an_error(kit):
    secret = "the secret input that nobody may read"
    body = json.dumps({"error": {"message": f"cannot embed: {secret}"}}).encode()
    with (
        kit.recording(body, status=400) as recorder,
        recorder.router("m", "openai/e") as router,
        pytest.raises(BadRequestError) as caught,
    ):
        router.embedding("m", ["other", secret])
    assert secret not in str(caught.value)
    assert "withheld" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"<html>", b'{"data": 5}', b'{"data": []}', b'{"data": [{"index": 0}]}', b"\xff"],
)
def test_an_answer_that_is_none_is_an_error(kit, body):
    with (
        kit.recording(body) as recorder,
        recorder.router("m", "openai/e") as router,
        pytest.raises(APIError, match="answered 200"),
    ):
        router.embedding("m", "a")


def test_an_answer_out_of_order_is_put_in_order(kit):
    rows = [{"index": index, "embedding": [index + 1.0]} for index in (2, 0, 1)]
    body = json.dumps({"data": rows}).encode()
    with kit.recording(body) as recorder, recorder.router("m", "openai/e") as router:
        answer = router.embedding("m", ["a", "b", "c"])
    assert [row.embedding for row in answer.data] == [[1.0], [2.0], [3.0]]


# -- mocks


def test_a_mock_of_one_vector_answers_every_input(mocked):
    answer = mocked(mock_response=[0.5, 1.0]).embedding("m", ["12345678", "1234"])
    assert [row.embedding for row in answer.data] == [[0.5, 1.0]] * 2
    assert answer.usage.prompt_tokens == 3


def test_a_mock_of_vectors_answers_one_each(mocked):
    router = mocked(mock_response=[[0.5], [1.0]])
    assert [row.embedding for row in router.embedding("m", ["a", "b"]).data] == [[0.5], [1.0]]
    with pytest.raises(BadRequestError, match="2 vectors for 1 inputs"):
        router.embedding("m", "a")


def test_a_mock_may_be_a_whole_answer_or_an_error(mocked):
    document = {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 9, "total_tokens": 9}}
    answer = mocked().embedding("m", "a", mock_response=document)
    assert (answer.data[0].embedding, answer.usage.total_tokens) == ([1.0], 9)
    again = mocked().embedding("m", "a", mock_response=EmbeddingResponse.model_validate(document))
    assert again.data == answer.data
    with pytest.raises(RateLimitError):
        mocked().embedding("m", "a", mock_response="litellm.RateLimitError")


@pytest.mark.parametrize("mock", ["a text", {"choices": []}, 5])
def test_a_mock_that_is_no_embedding_says_so(mocked, mock):
    with pytest.raises(BadRequestError, match="mock_response"):
        mocked(mock_response=mock).embedding("m", "a")


# -- batches


@given(count=st.integers(1, 40), batch=st.integers(1, 12))
def test_the_parts_of_a_batch_are_the_batch(count, batch):
    request = EmbeddingRequest(model="m", input=[f"text {number}" for number in range(count)], user="u")
    parts = request.parts(batch)
    assert [item for part in parts for item in part.input] == request.input
    assert len(parts) == request.demand().starts(batch)
    assert max(len(part.input) for part in parts) <= batch
    assert all(part.wire_params()["user"] == "u" for part in parts)


def test_a_batch_above_the_limit_is_divided_and_joined_in_order(routed, upstream):
    router = routed("divided", info={"max_batch_size": 3})
    before = upstream.stats()["*"].get("requests", 0)
    texts = [f"text {number}" for number in range(10)]
    answer = router.embedding("divided", texts)
    assert [row.embedding for row in answer.data] == [vector(text, 8) for text in texts]
    assert [row.index for row in answer.data] == list(range(10))
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 20
    assert upstream.stats()["*"]["requests"] - before == 4
    assert len(answer.route.attempts) == 1


def test_the_providers_own_limit_is_kept_unasked(routed):
    texts = [str(number) for number in range(2049)]
    answer = routed("large").embedding("large", texts, dimensions=1)
    assert [row.embedding for row in answer.data] == [vector(text, 1) for text in texts]


def test_every_part_counts_as_a_start(routed):
    router = routed("counted", rpm=4, info={"max_batch_size": 3})
    router.embedding("counted", [str(number) for number in range(10)])
    (started,) = (item.event for item in router.events() if isinstance(item.event, CallStarted))
    assert started.starts == 4
    with pytest.raises(NoDeploymentsAvailable) as caught:
        router.embedding("counted", "one more")
    assert caught.value.left_out[0].reason == "rpm"


def test_a_batch_that_needs_more_starts_than_there_are_is_refused_for_good(on_a_fake_clock, kit):
    router = on_a_fake_clock([kit.entry("a", "m", rpm=3, info={"max_batch_size": 1})], on_exhausted="wait")
    with pytest.raises(NoDeploymentsAvailable) as caught:
        router.embedding("m", ["a", "b", "c", "d"])
    (left_out,) = caught.value.left_out
    assert (left_out.reason, left_out.until, left_out.need, left_out.has) == ("rpm", None, 4, 3)
    assert len(router.embedding("m", ["a", "b", "c"]).data) == 3


def test_a_batch_waits_until_all_of_its_starts_are_free_and_nobody_polls(on_a_fake_clock, kit):
    providers = SimulatedProviders()
    router = on_a_fake_clock(
        [kit.entry("a", "m", rpm=3, info={"max_batch_size": 1})], providers, on_exhausted="wait"
    )
    clock = router._dispatcher.clock
    router.embedding("m", "first")
    clock.advance(10)
    router.embedding("m", "second")
    answer = router.embedding("m", ["a", "b", "c"])
    assert answer.route.waited == pytest.approx(60, abs=0.01)
    waits = [item for item in router.events() if item.event.TYPE == "wait_started"]
    assert len(waits) <= 3


def test_in_any_minute_the_starts_stay_within_rpm(on_a_fake_clock, kit):
    router = on_a_fake_clock(
        [kit.entry("a", "m", rpm=5, info={"max_batch_size": 2})], on_exhausted="wait", timeout=900
    )
    clock = router._dispatcher.clock
    sizes = [1, 7, 2, 10, 1, 4, 3, 9, 1, 1]
    futures = [
        router.ask(EmbeddingRequest(model="m", input=[str(n) for n in range(size)]), block=False)
        for size in sizes
    ]
    clock.advance(800)
    assert [len(future.get().data) for future in futures] == sizes
    starts = [(i.at, i.event.starts) for i in router.events() if isinstance(i.event, CallStarted)]
    assert sum(count for _, count in starts) == sum(-(-size // 2) for size in sizes)
    for at, _ in starts:
        assert sum(count for other, count in starts if at - 60 < other <= at) <= 5


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 6)), min_size=1, max_size=30), st.integers(1, 12))
def test_the_moment_told_for_several_starts_is_the_first_that_has_room(calls, limit):
    window, now = RollingWindow(), 0.0
    for pause, starts in calls:
        now += pause
        window.expire(now)
        until = window.start_free_at(limit, starts)
        if starts > limit:
            assert until is None
        elif window.starts + starts <= limit:
            assert until is None
            window.add(now, 0, starts)
        else:
            assert until is not None
            assert until > now
            kept = [bucket for bucket in window._buckets if bucket.at + 60 > until]
            assert sum(bucket.starts for bucket in kept) + starts <= limit
            before = [bucket for bucket in window._buckets if bucket.at + 60 >= until]
            assert sum(bucket.starts for bucket in before) + starts > limit


def test_parts_go_one_after_another_where_calls_are_limited_and_four_at_a_time_elsewhere(kit):
    class Counting(httpx.AsyncBaseTransport):
        def __init__(self):
            self.open = self.most = 0

        async def handle_async_request(self, request):
            self.open += 1
            self.most = max(self.most, self.open)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.open -= 1
            inputs = json.loads(await request.aread())["input"]
            rows = [{"index": n, "embedding": [float(text)]} for n, text in enumerate(inputs)]
            return httpx.Response(200, json={"data": rows})

    def most_at_once(**params):
        counting = Counting()
        entries = [kit.entry("a", "m", info={"max_batch_size": 1}, **params)]
        with Router(entries, transport=counting) as router:
            answer = router.embedding("m", [str(number) for number in range(9)])
        assert [row.embedding for row in answer.data] == [[float(number)] for number in range(9)]
        return counting.most

    assert most_at_once() == MAX_PARTS_AT_ONCE
    assert most_at_once(max_parallel_requests=2) == 1


def test_the_first_part_that_fails_ends_the_call_and_what_the_others_used_is_counted(kit):
    seen = []

    def reply(request):
        inputs = json.loads(request.content)["input"]
        seen.append(inputs)
        if "c" in inputs:
            return httpx.Response(503, json={"error": {"message": "busy"}})
        rows = [{"index": 0, "embedding": [1.0]}]
        return httpx.Response(200, json={"data": rows, "usage": {"prompt_tokens": 7, "total_tokens": 7}})

    entries = [
        kit.entry("a", "m", info={"max_batch_size": 1}, max_parallel_requests=1),
        kit.entry("b", "n", mock_response=[2.0]),
    ]
    transport = httpx.MockTransport(reply)
    with Router(entries, clock=FakeClock(), transport=transport, fallbacks=[{"m": ["n"]}]) as router:
        answer = router.embedding("m", ["a", "b", "c", "d"])
        assert [row.embedding for row in answer.data] == [[2.0]] * 4
        (failed,) = (item.event for item in router.events() if item.event.TYPE == "call_failed")
        assert (failed.error, failed.prompt_tokens) == ("ServiceUnavailableError", 14)
    assert seen == [["a"], ["b"], ["c"]]


class Stuck(httpx.AsyncBaseTransport):
    """Never answers."""

    def __init__(self):
        self.started = self.left = 0
        self.all_there = asyncio.Event()

    async def handle_async_request(self, request):
        self.started += 1
        if self.started == MAX_PARTS_AT_ONCE:
            self.all_there.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left += 1


def test_a_batch_that_is_cancelled_aborts_its_parts(kit):
    async def run():
        stuck = Stuck()
        entries = [kit.entry("a", "m", info={"max_batch_size": 1})]
        async with Router(entries, transport=stuck) as router:
            task = asyncio.ensure_future(router.aembedding("m", [str(n) for n in range(9)]))
            await stuck.all_there.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return stuck.started, stuck.left

    assert asyncio.run(run()) == (MAX_PARTS_AT_ONCE, MAX_PARTS_AT_ONCE)
