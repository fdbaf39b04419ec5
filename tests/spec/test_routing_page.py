"""The examples of the page "Router - Load Balancing, Fallbacks", in its later edition."""

from __future__ import annotations

import asyncio
import logging
import os
import time

import pytest

import turnout
from turnout import NoDeploymentsAvailable, RequestError, Router, Timeout
from turnout.integrations.custom_logger import CustomLogger
from turnout.router import AlertingConfig, AllowedFailsPolicy, RetryPolicy
from turnout.testing.upstream import run_upstream
from turnout.testing.upstream.behaviour import Behaviour, Span

HEY = [{"role": "user", "content": "Hey, how's it going?"}]


def azure(model, **more):
    """An Azure deployment as the page writes it."""
    return {
        "model": f"azure/{model}",
        "api_key": os.getenv("AZURE_API_KEY"),
        "api_version": os.getenv("AZURE_API_VERSION"),
        "api_base": os.getenv("AZURE_API_BASE"),
        **more,
    }


def openai(model, **more):
    return {"model": model, "api_key": os.getenv("OPENAI_API_KEY"), **more}


def entry(model_name, params, **more):
    return {"model_name": model_name, "litellm_params": params, **more}


@pytest.fixture
def model_list():
    """The list of "Quick Start"."""
    return [
        entry("gpt-3.5-turbo", azure("chatgpt-v-2")),
        entry("gpt-3.5-turbo", azure("chatgpt-functioncalling")),
        entry("gpt-3.5-turbo", openai("gpt-3.5-turbo")),
        entry("gpt-4", azure("gpt-4")),
        entry("gpt-4", openai("gpt-4")),
    ]


# -- load balancing


def test_quick_start(model_list, opened):
    router = opened(Router(model_list=model_list))

    async def main():
        # requests with model="gpt-3.5-turbo" will pick a deployment where model_name="gpt-3.5-turbo"
        first = await router.acompletion(model="gpt-3.5-turbo", messages=HEY)
        # requests with model="gpt-4" will pick a deployment where model_name="gpt-4"
        second = await router.acompletion(model="gpt-4", messages=HEY)
        return first, second

    first, second = asyncio.run(main())
    assert first.model in ("chatgpt-v-2", "chatgpt-functioncalling", "gpt-3.5-turbo")
    assert second.model == "gpt-4"


def test_available_endpoints(model_list, opened):
    router = opened(Router(model_list=model_list))
    model = "gpt-3.5-turbo"

    async def awaited():
        assert (await router.acompletion(model=model, messages=HEY)).choices
        assert (await router.aembeddings(model=model, input=["hello"])).data
        assert (await router.atext_completion(model=model, prompt="hello")).choices[0].text
        assert (await router.aimage_generation(model=model, prompt="a cat")).data

    assert router.completion(model=model, messages=HEY).choices
    assert router.embeddings(model=model, input=["hello"]).data[0].embedding
    assert router.text_completion(model=model, prompt="hello").choices[0].text
    assert router.image_generation(model=model, prompt="a cat").data
    asyncio.run(awaited())


@pytest.mark.usefixtures("redis_environment")
def test_rate_limit_aware_v2(opened):
    model_list = [
        entry("gpt-3.5-turbo", azure("chatgpt-v-2"), tpm=100000, rpm=10000),
        entry("gpt-3.5-turbo", azure("chatgpt-functioncalling"), tpm=100000, rpm=1000),
        entry("gpt-3.5-turbo", openai("gpt-3.5-turbo"), tpm=100000, rpm=1000),
    ]
    router = opened(
        Router(
            model_list=model_list,
            redis_host=os.environ["REDIS_HOST"],
            redis_password=os.environ.get("REDIS_PASSWORD"),
            redis_port=os.environ["REDIS_PORT"],
            routing_strategy="usage-based-routing-v2",
            enable_pre_call_check=True,  # enables router rate limits for concurrent calls
        )
    )
    served = [
        asyncio.run(router.acompletion(model="gpt-3.5-turbo", messages=HEY)).route.deployment_id
        for _ in range(3)
    ]
    assert len(set(served)) == 3  # each time the one with the lowest usage


# -- basic reliability


def test_max_parallel_requests(opened):
    with run_upstream(Behaviour(latency=Span(0.2))) as provider:
        params = azure("gpt-4", api_base=provider.url)
        own = [entry("gpt-4", {**params, "max_parallel_requests": 10})]
        by_default = [entry("gpt-4", params)]
        for router, most in (
            (Router(model_list=own, default_max_parallel_requests=20), 10),  # deployment > default
            (Router(model_list=by_default, default_max_parallel_requests=20), 20),
        ):
            assert asyncio.run(answered_at_once(router, 25)) == most


async def answered_at_once(router, count):
    """How many of `count` requests at one moment are taken."""
    async with router:
        asked = (router.acompletion(model="gpt-4", messages=HEY) for _ in range(count))
        answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, NoDeploymentsAvailable)]
    return count - len(refused)


def test_global_timeouts(opened):
    with run_upstream(Behaviour(latency=Span(30.0))) as slow:
        router = opened(Router(model_list=[entry("gpt-4", azure("gpt-4", api_base=slow.url))], timeout=0.2))
        with pytest.raises(Timeout):
            router.completion(model="gpt-4", messages=HEY)
        router.close()


def test_timeouts_per_model(opened):
    with run_upstream(Behaviour(latency=Span(30.0))) as slow:
        params = azure("chatgpt-v-2", api_base=slow.url, timeout=300, stream_timeout=0.2)
        router = opened(Router(model_list=[entry("gpt-3.5-turbo", params)], routing_strategy="least-busy"))

        async def router_acompletion():
            return await router.acompletion(model="gpt-3.5-turbo", messages=HEY, stream=True)

        with pytest.raises(Timeout):
            asyncio.run(router_acompletion())
        router.close()


def test_cooldowns(model_list, opened):
    router = opened(
        Router(
            model_list=[entry("gpt-3.5-turbo", openai("gpt-3.5-turbo"))],
            allowed_fails=1,  # cooldown model if it fails > 1 call in a minute.
            cooldown_time=100,  # cooldown the deployment for 100 seconds if it num_fails > allowed_fails
        )
    )
    messages = [{"content": "Hello, whats the weather in San Francisco??", "role": "user"}]

    # normal call
    response = router.completion(model="gpt-3.5-turbo", messages=messages)
    print(f"response: {response}")

    for _ in range(2):
        with pytest.raises(RequestError):
            router.completion(
                model="gpt-3.5-turbo", messages=messages, mock_response="litellm.InternalServerError"
            )
    with pytest.raises(NoDeploymentsAvailable, match=r"try again in (99|100)") as caught:
        router.completion(model="gpt-3.5-turbo", messages=messages)
    assert 90 < caught.value.retry_after <= 100


def test_disable_cooldowns(model_list, opened):
    router = opened(Router(model_list=model_list, allowed_fails=0, disable_cooldowns=True))
    for _ in range(5):
        with pytest.raises(turnout.InternalServerError):
            router.completion(model="gpt-4", messages=HEY, mock_response="litellm.InternalServerError")


def test_retries(model_list, opened):
    router = opened(Router(model_list=model_list, num_retries=3))
    messages = [{"content": "Hello, whats the weather in San Francisco??", "role": "user"}]
    assert router.completion(model="gpt-3.5-turbo", messages=messages).choices
    with pytest.raises(turnout.InternalServerError) as caught:
        router.completion(
            model="gpt-3.5-turbo", messages=messages, mock_response="litellm.InternalServerError"
        )
    assert len(caught.value.attempts) == 4


def test_a_minimum_time_before_a_retry(opened):
    router = opened(
        Router(
            model_list=[entry("gpt-3.5-turbo", openai("gpt-3.5-turbo"))],
            num_retries=3,
            retry_after=0.05,  # waits min 0.05s before retrying request
        )
    )
    with pytest.raises(turnout.InternalServerError) as caught:
        router.completion(model="gpt-3.5-turbo", messages=HEY, mock_response="litellm.InternalServerError")
    assert [row.wait >= 0.05 for row in caught.value.attempts] == [False, True, True, True]


def test_custom_retries_and_cooldowns_by_error_type(opened):
    retry_policy = RetryPolicy(
        ContentPolicyViolationErrorRetries=3,  # run 3 retries for ContentPolicyViolationErrors
        AuthenticationErrorRetries=0,  # run 0 retries for AuthenticationErrorRetries
        BadRequestErrorRetries=1,
        TimeoutErrorRetries=2,
        RateLimitErrorRetries=3,
    )

    allowed_fails_policy = AllowedFailsPolicy(
        ContentPolicyViolationErrorAllowedFails=1000,  # Allow 1000 before cooling down a deployment
        RateLimitErrorAllowedFails=100,  # Allow 100 RateLimitErrors before cooling down a deployment
    )

    router = opened(
        turnout.Router(
            model_list=[
                entry("gpt-3.5-turbo", azure("chatgpt-v-2")),
                entry("bad-model", azure("chatgpt-v-2", api_key="bad-key")),
            ],
            retry_policy=retry_policy,
            allowed_fails_policy=allowed_fails_policy,
        )
    )

    async def attempts(error):
        with pytest.raises(RequestError) as caught:
            await router.acompletion(model="bad-model", messages=HEY, mock_response=f"litellm.{error}")
        return len(caught.value.attempts)

    assert asyncio.run(attempts("ContentPolicyViolationError")) == 4
    assert asyncio.run(attempts("BadRequestError")) == 2
    assert "cooling" not in str(router.health()["deployments"])
    assert asyncio.run(attempts("AuthenticationError")) == 1


# -- fallbacks


def test_fallbacks_quick_start(opened):
    router = opened(
        Router(
            model_list=[
                {  # bad model
                    "model_name": "bad-model",
                    "litellm_params": {
                        "model": "openai/my-bad-model",
                        "api_key": "my-bad-api-key",
                        "mock_response": "Bad call",
                    },
                },
                {  # good model
                    "model_name": "my-good-model",
                    "litellm_params": {
                        "model": "gpt-4o",
                        "api_key": os.getenv("OPENAI_API_KEY"),
                        "mock_response": "Good call",
                    },
                },
            ],
            fallbacks=[{"bad-model": ["my-good-model"]}],
        )
    )

    response = router.completion(model="bad-model", messages=HEY, mock_testing_fallbacks=True)
    assert response.choices[0].message.content == "Good call"


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ("content filtering policy", "content_policy_fallbacks"),
        ("prompt is too long", "context_window_fallbacks"),
        ("this is a rate limit error", "fallbacks"),
    ],
)
def test_each_kind_of_fallback(says, kind, opened):
    router = opened(
        Router(
            model_list=[
                {
                    "model_name": "claude-2",
                    "litellm_params": {"model": "claude-2", "api_key": "", "mock_response": Exception(says)},
                },
                {
                    "model_name": "my-fallback-model",
                    "litellm_params": {"model": "claude-2", "api_key": "", "mock_response": "This works!"},
                },
            ],
            **{kind: [{"claude-2": ["my-fallback-model"]}]},
        )
    )
    response = router.completion(model="claude-2", messages=HEY)
    assert response.choices[0].message.content == "This works!"


def test_fallbacks_are_done_in_order(opened):
    names = ["gpt-3.5-turbo", "gpt-4", "gpt-4-32k"]
    fails = [entry(name, openai(name, mock_response="litellm.InternalServerError")) for name in names[:2]]
    works = entry(names[2], openai(names[2], mock_response="at last"))
    first = entry("first", openai("gpt-4o", mock_response="litellm.InternalServerError"))
    router = opened(Router(model_list=[first, *fails, works], fallbacks=[{"first": names}]))
    route = router.completion(model="first", messages=HEY).route
    assert [row.group for row in route.attempts] == ["first", *names]


def test_default_fallbacks(opened):
    router = opened(
        Router(
            model_list=[
                entry("misconfigured", openai("gpt-4", mock_response="litellm.AuthenticationError")),
                entry("good", openai("gpt-4o", mock_response="Good call")),
            ],
            default_fallbacks=["good"],
        )
    )
    assert router.completion(model="misconfigured", messages=HEY).route.model_group == "good"


# -- caching


def test_in_memory_cache(model_list, opened, counted):
    router = opened(Router(model_list=model_list, cache_responses=True))
    first, second = (router.completion(model="gpt-4", messages=HEY) for _ in range(2))
    assert first.id == second.id
    assert counted() == 1


@pytest.mark.usefixtures("redis_environment")
@pytest.mark.parametrize("by", ["host", "url"])
def test_redis_cache(model_list, opened, counted, by):
    where = {
        "host": {
            "redis_host": os.getenv("REDIS_HOST"),
            "redis_password": os.getenv("REDIS_PASSWORD"),
            "redis_port": os.getenv("REDIS_PORT"),
        },
        "url": {"redis_url": os.getenv("REDIS_URL"), "cache_kwargs": {}},
    }[by]
    messages = [{"role": "user", "content": f"a question asked by {by}"}]
    answers = [
        opened(Router(model_list=model_list, **where, cache_responses=True)).completion(
            model="gpt-4", messages=messages
        )
        for _ in range(2)
    ]
    assert answers[0].id == answers[1].id
    assert counted() == 1


def test_caching_across_model_groups(opened, counted):
    async def test_acompletion_caching_on_router_caching_groups():
        model_list = [
            entry("openai-gpt-3.5-turbo", openai("gpt-3.5-turbo-0613")),
            entry("azure-gpt-3.5-turbo", azure("chatgpt-v-2")),
        ]
        messages = [{"role": "user", "content": f"write a one sentence poem {time.time()}?"}]
        router = Router(
            model_list=model_list,
            cache_responses=True,
            caching_groups=[("openai-gpt-3.5-turbo", "azure-gpt-3.5-turbo")],
        )
        response1 = await router.acompletion(model="openai-gpt-3.5-turbo", messages=messages, temperature=1)
        response2 = await router.acompletion(model="azure-gpt-3.5-turbo", messages=messages, temperature=1)
        assert response1.id == response2.id
        assert len(response1.choices[0].message.content) > 0
        assert response1.choices[0].message.content == response2.choices[0].message.content
        await router.aclose()

    asyncio.run(test_acompletion_caching_on_router_caching_groups())
    assert counted() == 1


# -- pre-call checks


def test_a_long_prompt_goes_where_it_fits(opened, upstream):
    """Give a group different context windows (4k and 16k), send a long prompt, assert it works.

    The page's own prompt (5000 times the question) is some 40,000 tokens, for which neither has room, and
    the first model's window has grown to 16k since; so the prompt is shorter and the window is said.
    """
    model_list = [
        {
            "model_name": "gpt-3.5-turbo",  # model group name
            "litellm_params": azure("chatgpt-v-2", base_model="azure/gpt-35-turbo"),
            "model_info": {"base_model": "azure/gpt-35-turbo", "max_input_tokens": 4096, "id": "4k"},
        },
        {
            "model_name": "gpt-3.5-turbo",
            "litellm_params": openai("gpt-3.5-turbo-1106"),
            "model_info": {"id": "16k"},
        },
    ]
    router = opened(Router(model_list=model_list, enable_pre_call_checks=True))

    text = "What is the meaning of 42?" * 1200

    for _ in range(5):
        response = router.completion(
            model="gpt-3.5-turbo",
            messages=[
                {"role": "system", "content": text},
                {"role": "user", "content": "Who was Alexander?"},
            ],
        )
        assert response.route.deployment_id == "16k"


def test_a_prompt_for_which_nobody_has_room_is_an_error_that_says_so(opened):
    """The page's prompt as it stands there."""
    model_list = [
        entry("gpt-3.5-turbo", azure("chatgpt-v-2"), model_info={"base_model": "azure/gpt-35-turbo"}),
        entry("gpt-3.5-turbo", openai("gpt-3.5-turbo-1106")),
    ]
    router = opened(Router(model_list=model_list, enable_pre_call_checks=True))
    text = "What is the meaning of 42?" * 5000
    with pytest.raises(turnout.ContextWindowExceededError):
        router.completion(model="gpt-3.5-turbo", messages=[{"role": "system", "content": text}])


def test_only_deployments_of_the_allowed_region_serve(opened):
    model_list = [
        entry("gpt-3.5-turbo", azure("chatgpt-v-2", region_name="eu", base_model="azure/gpt-35-turbo")),
        entry("gpt-3.5-turbo", openai("gpt-3.5-turbo-1106")),
        entry(
            "gemini-pro",
            {
                "model": "vertex_ai/gemini-pro-1.5",
                "vertex_project": "adroit-crow-1234",
                "vertex_location": "us-east1",  # automatically infers 'region_name'
                "mock_response": "Hi",
            },
        ),
    ]
    router = opened(Router(model_list=model_list, enable_pre_call_checks=True))
    for _ in range(5):
        answer = router.completion(model="gpt-3.5-turbo", messages=HEY, allowed_model_region="eu")
        assert answer.model == "chatgpt-v-2"
    assert router.completion(model="gemini-pro", messages=HEY, allowed_model_region="us").choices
    with pytest.raises(NoDeploymentsAvailable, match="region"):
        router.completion(model="gemini-pro", messages=HEY, allowed_model_region="eu")


# -- alerting, costs, callbacks


def test_alerting_on_a_wrong_key(webhook):
    refuses = Behaviour(error_rate=1.0, error_status=401)

    async def main(provider):
        router = turnout.Router(
            model_list=[entry("gpt-3.5-turbo", openai("gpt-3.5-turbo", api_base=provider.api_base))],
            alerting_config=AlertingConfig(
                alerting_threshold=10,  # threshold for slow / hanging llm responses (in seconds)
                webhook_url=webhook.url,
            ),
        )
        with pytest.raises(turnout.AuthenticationError):
            await router.acompletion(model="gpt-3.5-turbo", messages=HEY)
        await router.aclose()

    with run_upstream(refuses) as provider:
        asyncio.run(main(provider))
    assert any("AuthenticationError" in post["text"] for post in webhook.posts)
    assert os.environ["OPENAI_API_KEY"] not in str(webhook.posts)


def test_costs_of_azure_deployments_go_by_their_base_model(opened):
    model_list = [
        entry(
            "gpt-4-preview",
            azure("chatgpt-v-2"),
            model_info={"base_model": "azure/gpt-4-1106-preview"},
        ),
        entry("gpt-4-32k", azure("chatgpt-functioncalling"), model_info={"base_model": "azure/gpt-4-32k"}),
    ]
    router = opened(Router(model_list=model_list))
    seen = []

    class MyCustomHandler(CustomLogger):
        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            print("On Success")
            response_cost = kwargs.get("response_cost")
            print("response_cost=", response_cost)
            seen.append((response_cost, response_obj.usage, end_time >= start_time))

    turnout.callbacks = [MyCustomHandler()]

    # router completion call
    response = router.completion(model="gpt-4-32k", messages=[{"role": "user", "content": "Hi who are you"}])
    router.close()
    ((cost, usage, in_order),) = seen
    expected = usage.prompt_tokens * 60e-6 + usage.completion_tokens * 120e-6  # gpt-4-32k's list price
    assert cost == pytest.approx(expected)
    assert response.route.cost == cost
    assert in_order


def test_default_completion_params(model_list, opened):
    fallback_dict = {"gpt-3.5-turbo": "gpt-3.5-turbo-16k"}
    router = opened(
        Router(model_list=model_list, default_litellm_params={"context_window_fallback_dict": fallback_dict})
    )
    messages = [{"content": "Hello, whats the weather in San Francisco??", "role": "user"}]
    assert router.completion(model="gpt-3.5-turbo", messages=messages).choices


def test_custom_callbacks_track_key_endpoint_and_model(model_list, opened):
    seen = []

    class MyCustomHandler(CustomLogger):
        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            litellm_params = kwargs.get("litellm_params")
            api_key = litellm_params.get("api_key")
            api_base = litellm_params.get("api_base")
            custom_llm_provider = litellm_params.get("custom_llm_provider")
            response_cost = kwargs.get("response_cost")

            # print the values
            print("api_key=", api_key)
            print("api_base=", api_base)
            print("custom_llm_provider=", custom_llm_provider)
            print("response_cost=", response_cost)
            seen.append((api_key, api_base, custom_llm_provider, kwargs["model"]))

        def log_failure_event(self, kwargs, response_obj, start_time, end_time):
            seen.append("On Failure")

    customHandler = MyCustomHandler()
    turnout.callbacks = [customHandler]

    # Init Router
    router = opened(Router(model_list=model_list, routing_strategy="simple-shuffle"))

    # router completion call
    response = router.completion(
        model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hi who are you"}]
    )
    with pytest.raises(RequestError):
        router.completion(
            model="gpt-3.5-turbo",
            messages=[{"role": "user", "content": "Hi who are you"}],
            mock_response="litellm.InternalServerError",
        )
    router.close()
    (key, base, provider, _model), failure = seen
    hidden = response._hidden_params
    assert key == os.environ["AZURE_API_KEY" if provider == "azure" else "OPENAI_API_KEY"]
    assert os.environ["OPENAI_API_KEY"] not in f"{key} {key!r}"
    assert (base, provider) == (hidden["api_base"], hidden["custom_llm_provider"])
    assert failure == "On Failure"


# -- parameters, debugging


def test_init_params_for_the_router():
    """Every parameter of the page's table, with the default that stands there."""
    with Router(
        model_list=None,
        redis_url=None,
        redis_host=None,
        redis_port=None,
        redis_password=None,
        cache_responses=False,
        cache_kwargs={},
        caching_groups=None,
        client_ttl=3600,
        num_retries=0,
        timeout=None,
        default_litellm_params={},
        fallbacks=None,
        default_fallbacks=None,
        allowed_fails=None,
        cooldown_time=1,
        context_window_fallbacks=None,
        model_group_alias={},
        retry_after=0,
        routing_strategy="simple-shuffle",
        set_verbose=False,
        debug_level="INFO",
    ) as router:
        assert router.settings.changed() == {}


def test_basic_debugging(model_list, opened, caplog):
    router = opened(Router(model_list=model_list, set_verbose=True))
    with pytest.raises(RequestError):
        router.completion(model="gpt-4", messages=HEY, mock_response="litellm.InternalServerError")
    assert "InternalServerError" in caplog.text


def test_detailed_debugging(model_list, opened, caplog):
    router = opened(
        Router(
            model_list=model_list,
            set_verbose=True,
            debug_level="DEBUG",  # defaults to INFO
        )
    )
    served = router.completion(model="gpt-4", messages=HEY).route.deployment_id
    decisions = [record for record in caplog.records if served in record.getMessage()]
    assert any(record.levelno == logging.DEBUG for record in decisions)


def test_very_detailed_debugging(model_list, opened, caplog):
    turnout.set_verbose = True
    router = opened(Router(model_list=model_list, set_verbose=True, debug_level="DEBUG"))
    router.completion(model="gpt-4", messages=HEY)
    assert any(record.name.startswith("turnout") for record in caplog.records)
