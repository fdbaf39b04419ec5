"""Moderations: a verdict on each input."""

import asyncio
import copy
import json
import pickle

import pytest
from openai import AzureOpenAI
from openai.types import ModerationCreateResponse

from turnout import (
    APIError,
    BadRequestError,
    ModerationRequest,
    ModerationResponse,
    RateLimitError,
    Router,
)
from turnout.testing import FakeClock, SimulatedProvider

MODEL = "omni-moderation-latest"
MODE = {"mode": "moderation"}


def test_each_input_gets_its_verdict(routed):
    answer = routed(MODEL).moderation(["be nice", "I will kill the process"], model=MODEL)
    assert [result.flagged for result in answer.results] == [False, True]
    categories = answer.results[1].categories
    assert (categories.violence, categories["self-harm"], categories.hate_threatening) == (True, False, False)
    assert answer.results[1]["category_scores"]["violence"] == 0.9
    assert not hasattr(categories, "boredom")
    assert answer.route.deployment_id == "one"


def test_the_answer_is_what_openais_own_client_gets(routed, sdk):
    ours = routed(MODEL).moderation("I will kill it", model=MODEL).model_dump()
    theirs = sdk.moderations.create(model=MODEL, input="I will kill it")
    assert ModerationCreateResponse.model_validate(ours, strict=True)
    assert ours["results"] == theirs.model_dump(by_alias=True)["results"]


@pytest.mark.parametrize(
    "asked",
    ["a", ["a", "b"], [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]],
)
def test_it_is_asked_as_openais_own_client_asks(kit, asked):
    results = [{"flagged": False, "categories": {}, "category_scores": {}}]
    with kit.recording(json.dumps({"id": "1", "model": "m", "results": results}).encode()) as recorder:
        with recorder.sdk() as client:
            client.moderations.create(model=MODEL, input=asked)
        with recorder.router("m", f"openai/{MODEL}") as router:
            router.moderation(asked, "m")
    theirs, ours = recorder.seen
    assert ours[:2] == theirs[:2] == ("POST", "/v1/moderations")
    assert json.loads(ours[3]) == json.loads(theirs[3])


def test_azure_has_no_deployments_of_it(kit):
    results = [{"flagged": False, "categories": {}, "category_scores": {}}]
    with kit.recording(json.dumps({"results": results}).encode()) as recorder:
        base = recorder.base.removesuffix("/v1")
        with recorder.router("m", "azure/mine", api_base=base, api_version="2024-02-01") as router:
            router.moderation("a", "m")
        with AzureOpenAI(
            azure_endpoint=base, api_key=kit.KEY, api_version="2024-02-01", max_retries=0
        ) as azure:
            azure.moderations.create(model="mine", input="a")
    ours, theirs = recorder.seen
    assert ours[:2] == theirs[:2] == ("POST", "/openai/moderations?api-version=2024-02-01")
    assert json.loads(ours[3]) == json.loads(theirs[3])


def test_every_way_to_ask_gives_the_same(kit):
    entries = [kit.entry("one", "guard", info=MODE, mock_response=True)]
    with Router(entries, clock=FakeClock()) as router:
        wanted = router.moderation("a").results
        assert router.ask(ModerationRequest(model="guard", input="a")).results == wanted

    async def awaited():
        async with Router(entries) as on_loop:
            return (await on_loop.amoderation("a")).results

    assert asyncio.run(awaited()) == wanted


def test_without_a_model_and_a_group_of_the_mode_it_says_what_is_missing(mocked):
    with pytest.raises(BadRequestError, match='mode "moderation"'):
        mocked().moderation("a")


def test_a_well_known_name_tells_the_mode(kit):
    entries = [kit.entry("a", "guard", f"openai/{MODEL}", mock_response=True), kit.entry("b", "writer")]
    with Router(entries, clock=FakeClock()) as router:
        assert router.moderation("a").route.model_group == "guard"


def test_a_verdict_is_of_the_moment_and_not_cached(kit):
    entries = [kit.entry("a", "guard", info=MODE, mock_response=True)]
    with Router(entries, clock=FakeClock(), cache_responses=True) as router:
        assert [router.moderation("a").route.cache_hit for _ in range(2)] == [False, False]


def test_an_answer_can_be_copied_and_pickled(routed):
    answer = routed(MODEL).moderation("I will kill it", model=MODEL)
    for other in (copy.deepcopy(answer.results), pickle.loads(pickle.dumps(answer.results))):
        assert other == answer.results
        assert other[0].categories.self_harm_intent is False


def test_it_falls_back_and_is_recorded(on_a_fake_clock, kit):
    router = on_a_fake_clock(
        [kit.entry("a", "m"), kit.entry("b", "n")],
        {"a": SimulatedProvider(script=[RateLimitError])},
        fallbacks=[{"m": ["n"]}],
    )
    route = router.moderation("a", "m").route
    assert (route.model_group, route.fallbacks) == ("n", 1)
    assert router.events(f"request/{route.request_id}")[0].event.kind == "moderation"


def test_nothing_of_the_input_stands_in_an_error(kit):
    secret = "the secret input that nobody may read"
    body = json.dumps({"error": {"message": f"no: {secret}"}}).encode()
    with (
        kit.recording(body, status=400) as recorder,
        recorder.router("m", "openai/d") as router,
        pytest.raises(BadRequestError) as caught,
    ):
        router.moderation([{"type": "text", "text": secret}], "m")
    assert secret not in str(caught.value)


@pytest.mark.parametrize("body", [b"{}", b"", b'{"results": []}', b'{"results": [{}]}', b"<p>"])
def test_an_answer_that_is_none_is_an_error(kit, body):
    with (
        kit.recording(body) as recorder,
        recorder.router("m", "openai/d") as router,
        pytest.raises(APIError, match="answered 200"),
    ):
        router.moderation("a", "m")


@pytest.mark.parametrize(
    "wrong",
    [None, [], 5, ["a", 5], [5], ["a", None], ["a", {"type": "text", "text": "b"}], [{"text": "a"}], [["a"]]],
)
def test_what_is_no_input_is_refused_at_once(wrong):
    with pytest.raises(BadRequestError, match=r"ModerationRequest\.input"):
        ModerationRequest(model="m", input=wrong)


def test_a_mock_is_a_verdict_on_everything_or_a_whole_answer(mocked):
    answer = mocked(mock_response=True).moderation(["a", "b"], "m")
    assert [result.flagged for result in answer.results] == [True, True]
    assert not mocked(mock_response=False).moderation("a", "m").results[0].flagged
    document = {"results": [{"flagged": True, "categories": {"hate": True}, "category_scores": {"hate": 1}}]}
    assert mocked(mock_response=document).moderation("a", "m").results[0].categories.hate is True
    whole = mocked(mock_response=ModerationResponse.model_validate(document))
    assert whole.moderation("a", "m").results[0].flagged
    with pytest.raises(BadRequestError, match="answers no moderation"):
        mocked(mock_response="a text").moderation("a", "m")
