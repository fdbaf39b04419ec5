"""Images: asked for by a prompt, behind an address or in base64."""

import asyncio
import json

import pytest
from openai import AzureOpenAI
from openai.types import ImagesResponse

from turnout import (
    APIError,
    BadRequestError,
    ImageGenerationRequest,
    ImageResponse,
    NoDeploymentsAvailable,
    RateLimitError,
    Router,
)
from turnout.actors.providers.images import MAX_IMAGES_BYTES, ImageCodec
from turnout.testing import FakeClock, SimulatedProvider

MODE = {"mode": "image_generation"}


def test_a_prompt_gives_images(routed):
    answer = routed("dall-e-3").image_generation("a cat", model="dall-e-3", n=2)
    assert [image.url.endswith(".png") for image in answer.data] == [True, True]
    assert answer["data"][0]["b64_json"] is None
    assert answer.route.deployment_id == "one"
    assert answer._hidden_params["model_id"] == "one"


def test_the_answer_is_what_openais_own_client_gets(routed, sdk):
    asked = {"model": "gpt-image-1", "prompt": "a cat", "n": 2}
    ours = routed("gpt-image-1").image_generation(**asked).model_dump(exclude_none=True)
    theirs = sdk.images.generate(**asked)
    assert ImagesResponse.model_validate(ours, strict=True)
    assert ours["data"] == theirs.model_dump(exclude_none=True)["data"]
    assert ours["usage"] == theirs.usage.model_dump(exclude_none=True)


def test_the_tokens_are_told_as_openais_own_client_tells_them(routed, sdk):
    asked = {"model": "gpt-image-1", "prompt": "a cat", "n": 2}
    ours, theirs = routed("gpt-image-1").image_generation(**asked).usage, sdk.images.generate(**asked).usage
    assert (ours.total_tokens, ours["output_tokens"]) == (theirs.total_tokens, 200)
    assert ours.input_tokens_details.text_tokens == theirs.input_tokens_details.text_tokens


def test_it_is_asked_as_openais_own_client_asks(kit):
    asked = {"prompt": "a cat", "n": 1, "size": "1024x1024", "quality": "hd", "response_format": "url"}
    answer = json.dumps({"created": 1, "data": [{"url": "https://a.invalid"}]}).encode()
    with kit.recording(answer) as recorder:
        with recorder.sdk() as client:
            client.images.generate(model="dall-e-3", **asked)
        with recorder.router("m", "openai/dall-e-3") as router:
            router.image_generation(model="m", **asked)
    theirs, ours = recorder.seen
    assert ours[:2] == theirs[:2] == ("POST", "/v1/images/generations")
    assert json.loads(ours[3]) == json.loads(theirs[3])


def test_azure_is_asked_at_its_own_address(kit):
    with kit.recording(b'{"created": 1, "data": [{"url": "u"}]}') as recorder:
        base = recorder.base.removesuffix("/v1")
        with recorder.router("m", "azure/mine", api_base=base, api_version="2024-02-01") as router:
            router.image_generation("a cat", "m")
    assert recorder.seen[0][1] == "/openai/deployments/mine/images/generations?api-version=2024-02-01"


def test_azure_is_asked_as_its_own_client_asks(kit):
    asked = {"prompt": "a cat", "n": 2, "size": "1024x1024", "style": "vivid"}
    with kit.recording(b'{"created": 1, "data": [{"url": "u"}]}') as recorder:
        base = recorder.base.removesuffix("/v1")
        with AzureOpenAI(
            azure_endpoint=base, api_key=kit.KEY, api_version="2024-02-01", max_retries=0
        ) as azure:
            azure.images.generate(model="mine", **asked)
        with recorder.router("m", "azure/mine", api_base=base, api_version="2024-02-01") as router:
            router.image_generation(model="m", **asked)
    theirs, ours = recorder.seen
    assert ours[:2] == theirs[:2]
    assert json.loads(ours[3]) == json.loads(theirs[3])
    assert ours[2]["api-key"] == theirs[2]["api-key"] == kit.KEY


def test_every_way_to_ask_gives_the_same(mocked, kit):
    router = mocked(mock_response="https://a.invalid/cat.png")
    wanted = router.image_generation("a cat", model="m").data
    assert router.ask(ImageGenerationRequest(model="m", prompt="a cat")).data == wanted

    async def awaited():
        entries = [kit.entry("one", "m", mock_response="https://a.invalid/cat.png")]
        async with Router(entries) as on_loop:
            return (await on_loop.aimage_generation("a cat", model="m")).data

    assert asyncio.run(awaited()) == wanted


# -- which model


def test_the_only_group_of_the_mode_is_meant_when_none_is_named(kit):
    entries = [
        kit.entry("a", "painter", info=MODE, mock_response="https://a.invalid"),
        kit.entry("b", "painter", info=MODE, mock_response="https://a.invalid"),
        kit.entry("c", "writer", mock_response="hi"),
    ]
    with Router(entries, clock=FakeClock()) as router:
        assert router.image_generation("a cat").route.model_group == "painter"


def test_a_well_known_name_tells_the_mode(kit):
    entries = [
        kit.entry("a", "painter", "openai/dall-e-3", mock_response="https://a.invalid"),
        kit.entry("b", "writer", mock_response="hi"),
    ]
    with Router(entries, clock=FakeClock()) as router:
        assert router.image_generation("a cat").route.model_group == "painter"


def test_no_group_of_the_mode_or_several_are_an_error_that_says_so(kit):
    one = kit.entry("a", "painter", info=MODE, mock_response="x")
    none = r'mode "image_generation" \(none of these has it: writer\)'
    with (
        Router([kit.entry("c", "writer")], clock=FakeClock()) as router,
        pytest.raises(BadRequestError, match=none),
    ):
        router.image_generation("a cat")
    two = kit.entry("b", "sculptor", info=MODE, mock_response="x")
    with (
        Router([one, two], clock=FakeClock()) as router,
        pytest.raises(BadRequestError, match="several groups have it: painter, sculptor"),
    ):
        router.image_generation("a cat")


def test_it_means_the_groups_there_are_now(kit):
    with Router([kit.entry("a", "painter", info=MODE, mock_response="x")], clock=FakeClock()) as router:
        router.upsert_deployment(kit.entry("b", "sculptor", info=MODE, mock_response="x"))
        with pytest.raises(BadRequestError, match="painter, sculptor"):
            router.image_generation("a cat")
        router.delete_deployment("a")
        assert router.image_generation("a cat").route.model_group == "sculptor"


# -- the same way as any request


def test_it_is_retried_and_recorded(on_a_fake_clock, kit):
    provider = {"a": SimulatedProvider(script=[RateLimitError])}
    router = on_a_fake_clock([kit.entry("a", "m", info=MODE)], provider, num_retries=1)
    route = router.image_generation("a cat").route
    assert route.retries == 1
    accepted = router.events(f"request/{route.request_id}")[0].event
    assert accepted.kind == "image_generation"


def test_images_are_charged_by_the_piece(routed):
    answer = routed("dall-e-3", info={"output_cost_per_image": 0.04}).image_generation("a", "dall-e-3", n=3)
    assert answer.route.cost == pytest.approx(0.12)


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": None}, {"input_tokens": 0, "output_tokens": 0}])
def test_a_usage_that_tells_nothing_hides_no_price_by_the_piece(mocked, usage):
    mock = {"data": [{"url": "u"}, {"url": "v"}], "usage": usage}
    router = mocked(mock_response=mock, info={"output_cost_per_image": 0.04})
    assert router.image_generation("a cat", "m").route.cost == pytest.approx(0.08)
    by_token = mocked(mock_response=mock, info={"input_cost_per_token": 1.0, "output_cost_per_token": 1.0})
    assert by_token.image_generation("a cat", "m").route.cost is None


def test_the_cheapest_image_is_chosen_by_cost_based_routing(kit):
    entries = [
        kit.entry(name, "m", info={"output_cost_per_image": price}, mock_response="u")
        for name, price in (("a", 0.08), ("b", 0.02), ("c", 0.04))
    ]
    with Router(entries, clock=FakeClock(), routing_strategy="cost-based-routing") as router:
        assert {router.image_generation("a cat", "m").route.deployment_id for _ in range(9)} == {"b"}


def test_images_of_unknown_price_are_counted_as_such(mocked):
    router = mocked(mock_response="u")
    router.image_generation("a cat", "m")
    total = router.get_usage_stats()["total"]
    assert (total["cost"], total["calls_without_cost"]) == (None, 1)


def test_images_are_charged_by_the_token_where_tokens_are_told(routed):
    prices = {"input_cost_per_token": 1.0, "output_cost_per_token": 2.0}
    answer = routed("gpt-image-1", info=prices).image_generation("1234", "gpt-image-1")
    assert answer.route.cost == 1.0 + 2.0 * 100


def test_a_price_by_the_token_says_nothing_of_images_without_any(routed):
    prices = {"input_cost_per_token": 1.0, "output_cost_per_token": 2.0}
    assert routed("dall-e-3", info=prices).image_generation("a", "dall-e-3").route.cost is None


def test_a_budget_is_reserved_for_every_image_that_is_asked_for(on_a_fake_clock, kit):
    """Twelve cents are set aside before the first call, so the second is not made."""
    info = {"output_cost_per_image": 0.04}
    entries = [kit.entry("a", "m", info=info, max_budget=0.20)]
    router = on_a_fake_clock(entries, {"a": SimulatedProvider(latency=1.0)})

    async def all_at_once():
        asked = [router.aimage_generation("a cat", "m", n=count) for count in (3, 3, 2)]
        return await asyncio.gather(*asked, return_exceptions=True)

    first, refused, small = asyncio.run(all_at_once())
    assert (first.route.cost, small.route.cost) == (pytest.approx(0.12), pytest.approx(0.08))
    assert isinstance(refused, NoDeploymentsAvailable)


def test_an_image_is_made_anew_each_time(kit):
    entries = [kit.entry("a", "m", mock_response="u")]
    with Router(entries, clock=FakeClock(), cache_responses=True) as router:
        hits = [router.image_generation("a cat", "m").route.cache_hit for _ in range(2)]
    assert hits == [False, False]


def test_more_than_the_most_bytes_is_an_error(kit, monkeypatch):
    assert ImageCodec.max_body == MAX_IMAGES_BYTES
    body = b'{"created": 1, "data": [{"b64_json": "AAAA"}]}'
    monkeypatch.setattr(ImageCodec, "max_body", len(body))
    with kit.recording(body) as recorder, recorder.router("m", "openai/d") as router:
        assert router.image_generation("a cat", "m").data[0].b64_json == "AAAA"
        monkeypatch.setattr(ImageCodec, "max_body", len(body) - 1)
        with pytest.raises(APIError, match=f"more than {len(body) - 1} bytes"):
            router.image_generation("a cat", "m")


def test_nothing_of_the_prompt_stands_in_an_error(kit):
    secret = "a secret picture of a clockmaker"
    body = json.dumps({"error": {"message": f"refused: {secret}"}}).encode()
    with (
        kit.recording(body, status=400) as recorder,
        recorder.router("m", "openai/d") as router,
        pytest.raises(BadRequestError) as caught,
    ):
        router.image_generation(secret, "m")
    assert secret not in str(caught.value)


@pytest.mark.parametrize("body", [b"{}", b"", b'{"data": "x"}', b"<p>"])
def test_an_answer_that_is_none_is_an_error(kit, body):
    with (
        kit.recording(body) as recorder,
        recorder.router("m", "openai/d") as router,
        pytest.raises(APIError, match="answered 200"),
    ):
        router.image_generation("a cat", "m")


@pytest.mark.parametrize("wrong", [{"prompt": ""}, {"prompt": None}, {"prompt": "a", "stream": True}])
def test_what_is_no_prompt_is_refused_at_once(wrong):
    with pytest.raises(BadRequestError, match="ImageGenerationRequest"):
        ImageGenerationRequest(model="m", **wrong)


def test_a_mock_is_an_address_bytes_or_a_whole_answer(mocked):
    def ask(mock, **params):
        return mocked(mock_response=mock).image_generation("a cat", "m", **params).data

    assert [image.url for image in ask("https://a.invalid", n=2)] == ["https://a.invalid"] * 2
    assert ask(b"abc")[0].b64_json == "YWJj"
    document = {"data": [{"url": "u", "revised_prompt": "two cats"}]}
    assert ask(document)[0].revised_prompt == "two cats"
    assert ask(ImageResponse.model_validate(document)) == ask(document)
    with pytest.raises(BadRequestError, match="answers no image_generation"):
        ask([0.5])


def test_a_deployment_is_checked_with_one_image(routed):
    router = routed("dall-e-2", info={"output_cost_per_image": 0.02})
    report = router.health_check()
    assert (report["healthy_count"], report["unchecked_endpoints"]) == (1, [])
    assert router.get_usage_stats()["total"]["cost"] == 0.02
